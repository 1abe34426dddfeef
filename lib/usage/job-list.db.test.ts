import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tenantDb, unsafeDb, type Prisma } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { exportAllJobs, exportJobs, JobQuery, listAllJobs, listJobs, type JobPage } from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

const start = Date.UTC(2026, 9, 1);
const at = (second: number) => new Date(start + second * 1000);
const count = 250;

function job(of: TenantRows, n: number, more: Partial<Prisma.JobCreateManyInput> = {}): Prisma.JobCreateManyInput {
  return {
    connectionId: 'forge',
    externalId: `${of.slug}-${n}`,
    tenantId: of.tenantId,
    enrollmentId: of.enrollmentId,
    scaleSetName: of.scaleSetName,
    repository: `${of.slug}/app`,
    workflow: 'CI',
    name: `build ${n}`,
    state: 'completed',
    conclusion: 'success',
    runnerName: `runner-${n}`,
    // Several at the same instant: an order that only knows times would lose some between two pages.
    queuedAt: at(Math.floor(n / 7)),
    startedAt: at(Math.floor(n / 7) + 5),
    completedAt: at(Math.floor(n / 7) + 65),
    ...more,
  };
}

const special = '=HYPERLINK("https://evil.example","build")';

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
  await unsafeDb().job.deleteMany();
  await unsafeDb().job.createMany({
    data: [
      ...Array.from({ length: count }, (_, n) => job(acme, n)),
      job(acme, 1000, { state: 'queued', conclusion: null, runnerName: null, startedAt: null, completedAt: null }),
      job(acme, 1001, { state: 'running', conclusion: null, completedAt: null, repository: 'acme/site' }),
      job(acme, 1002, { conclusion: 'timed_out', workflow: 'Release 100%', name: special }),
      job(acme, 1003, { conclusion: 'skipped', startedAt: null }),
      job(acme, 1004, { conclusion: null, externalId: 'runner:uid-1' }),
      job(bolt, 2000),
    ],
  });
});
afterAll(() => rows?.stop());

const ctx = () => ({ db: tenantDb(acme.tenantId), tenant: { slug: 'acme' } });
const query = (given: Partial<JobQuery> = {}) => JobQuery.parse(given);
const names = ({ rows: shown }: JobPage) => shown.map(({ name }) => name);

describe('what a tenant reads', () => {
  test('its own alone, newest first, in pages that leave nothing out and show nothing twice', async () => {
    const seen: JobPage['rows'] = [];
    for (let before = ''; ;) {
      const page = await listJobs(ctx(), query({ before }));
      expect(page.rows.length).toBeLessThanOrEqual(100);
      seen.push(...page.rows);
      if (page.next === null) break;
      before = page.next;
    }
    expect(new Set(seen.map(({ key }) => key)).size).toBe(count + 5);
    expect(seen.length).toBe(count + 5);
    expect(seen.every(({ repository }) => repository.startsWith('acme/'))).toBe(true);
    const times = seen.flatMap(({ queuedAt }) => queuedAt ?? []);
    expect(times).toEqual(times.toSorted().toReversed());
  });

  test.each<[string, Partial<JobQuery>, (string | null)[]]>([
    ['a repository', { repository: 'SITE' }, ['build 1001']],
    ['a workflow, where % is a letter', { workflow: '100%' }, [special]],
    ['what is queued', { standing: 'queued' }, ['build 1000']],
    ['what runs', { standing: 'running' }, ['build 1001']],
    ['what failed, also by taking too long', { standing: 'failure' }, [special]],
    ['what ended otherwise', { standing: 'other' }, ['build 1003']],
    ['what nobody told the end of', { standing: 'unknown' }, ['build 1004']],
    ['a runner', { q: 'runner-249' }, ['build 249']],
    ['a day without jobs', { from: '2026-10-02' }, []],
    ['a pool that there is not', { pool: 'nix' }, []],
    ['another tenant, which is not its to ask for', { tenant: 'bolt', q: 'runner-249' }, ['build 249']],
  ])('%s', async (_, given, expected) => {
    expect(names(await listJobs(ctx(), query(given)))).toEqual(expected);
  });

  test('how long a job waited and ran, as far as it is known', async () => {
    const of = async (q: string) => (await listJobs(ctx(), query({ q }))).rows[0];
    expect(await of('build 249')).toMatchObject({ waitSeconds: 5, runSeconds: 60, standing: 'success' });
    expect(await of('build 1000')).toMatchObject({ waitSeconds: null, runSeconds: null });
    expect(await of('build 1001')).toMatchObject({ waitSeconds: 5, runSeconds: null });
    expect(await of('build 1004')).toMatchObject({ queuedAt: null, waitSeconds: null, runSeconds: 60 });
  });

  test('a place in the list that nobody made is its beginning', async () => {
    const first = await listJobs(ctx(), query());
    for (const before of ['x', 'bnVsbA', Buffer.from('["2026",1,2]').toString('base64url')])
      expect(names(await listJobs(ctx(), query({ before })))).toEqual(names(first));
  });
});

test('operators read all, or one tenant’s, and of no tenant nothing', async () => {
  const all = await listAllJobs(query());
  expect(new Set(all.rows.map(({ tenant }) => tenant?.slug))).toEqual(new Set(['acme', 'bolt']));
  expect(names(await listAllJobs(query({ tenant: 'bolt' })))).toEqual(['build 2000']);
  expect(names(await listAllJobs(query({ tenant: 'no-such' })))).toEqual([]);
});

describe('the file', () => {
  test('A18: holds exactly what the filter leaves, and nothing that a spreadsheet would run', async () => {
    const response = exportJobs(ctx(), new URLSearchParams({ standing: 'failure' }), at(0));
    expect(response.headers.get('content-disposition')).toContain('jobs-acme-2026-10-01.csv');
    const lines = (await response.text()).split('\r\n');
    expect(lines[0]).toContain('tenant,repository,workflow,job,label,standing,conclusion,queued_at');
    expect(lines.length).toBe(3);
    expect(lines[1]).toContain(`"'=HYPERLINK(""https://evil.example"",""build"")"`);
    expect(lines[1]).toContain(',5,60,');
  });

  test('has every job of many pages, once', async () => {
    const lines = (await exportJobs(ctx(), new URLSearchParams(), at(0)).text()).trimEnd().split('\r\n').slice(1);
    expect(lines.length).toBe(count + 5);
    expect(new Set(lines.map((line) => line.split(',').at(-1))).size).toBe(count + 5);
  });

  test('of all tenants says whose each is', async () => {
    const text = await (await exportAllJobs(new URLSearchParams({ from: '2026-10-01' }), at(0))).text();
    expect(text).toContain('\r\nbolt,bolt/app');
    expect(text).toContain('\r\nacme,acme/app');
  });
});
