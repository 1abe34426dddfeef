import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { seal, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { acceptDelivery, recordSeen, takeJobs } from '#lib/delivery/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { mendJobs, recordRunners, type SeenAt } from './index.ts';

/*
 * F16, F17, F18: a job has two witnesses, the forge's deliveries and the cluster's watch. Whatever of it is told, in whatever
 * order and however often, it is one row, and always the same.
 */

const secret = 'the secret of the forge';
let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  const sealedWebhookSecret = await seal(secret, 'forge_connection/forge/webhook_secret');
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { sealedWebhookSecret } });
  await unsafeDb().enrollment.update({ where: { id: acme.enrollmentId }, data: { scopeId: '7', ownerId: '7' } });
  await unsafeDb().installation.create({
    data: {
      connectionId: 'forge',
      externalId: '100',
      accountId: '7',
      accountLogin: 'acme',
      accountType: 'Organization',
      repositorySelection: 'all',
      permissions: {},
    },
  });
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  await unsafeDb().$transaction([unsafeDb().job.deleteMany(), unsafeDb().runner.deleteMany()]);
});

const start = Date.UTC(2026, 10, 1, 10);
const at = (second: number) => new Date(start + second * 1000);
const later = at(20 * 60);

// ------------------------------------------------------------------------------------------------ what is told of one job

const payloads = {
  queued: { status: 'queued' },
  began: { status: 'in_progress', started_at: at(5).toISOString() },
  ended: {
    status: 'completed',
    started_at: at(5).toISOString(),
    completed_at: at(60).toISOString(),
    conclusion: 'success',
  },
};
type Told = keyof typeof payloads;

async function deliver(told: Told, n: number): Promise<void> {
  await post(told, n);
  await takeJobs({ key: 'forge' });
}

async function post(told: Told, n: number): Promise<void> {
  const rawBody = Buffer.from(
    JSON.stringify({
      action: told,
      workflow_job: {
        id: n,
        run_id: 50_000 + n,
        labels: [acme.scaleSetName],
        workflow_name: 'CI',
        name: 'build',
        created_at: at(0).toISOString(),
        ...payloads[told],
        ...(told === 'queued' ? {} : { runner_name: `runner-${n}` }),
      },
      repository: { id: 5, full_name: 'acme/app', owner: { id: 7, login: 'acme' } },
      installation: { id: 100 },
    }),
  );
  const headers = new Headers({
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(rawBody).digest('hex')}`,
    'x-github-delivery': randomUUID(),
    'x-github-event': 'workflow_job',
  });
  await acceptDelivery({ connectionId: 'forge', headers, rawBody });
}

const sights = {
  starting: { state: 'starting', version: '1', seenAt: at(2), hasJob: false, goneAt: null },
  busy: { state: 'running', version: '2', seenAt: at(6), hasJob: true, goneAt: null },
  gone: { state: 'idle', version: '3', seenAt: at(61), hasJob: false, goneAt: at(61) },
} as const;
type Sight = keyof typeof sights;

function sightOf(sight: Sight, n: number): SeenAt {
  const { hasJob, ...seen } = sights[sight];
  return {
    ...seen,
    uid: `uid-${n}`,
    tenant: 'acme',
    enrollment: 'acme',
    pool: 'nix',
    name: `runner-${n}`,
    reason: null,
    node: 'node-1',
    servesOne: true,
    createdAt: at(1),
    isOver: false,
    endedAt: null,
    forgeJobId: null,
    job: hasJob
      ? {
          repository: 'acme/app',
          runId: String(50_000 + n),
          workflow: '.github/workflows/ci.yml',
          name: 'build',
          startedAt: null,
        }
      : null,
  };
}

type Event = Told | Sight;
const events: readonly Event[] = ['queued', 'began', 'ended', 'starting', 'busy', 'gone'];
const isTold = (event: Event): event is Told => event in payloads;

async function happen(event: Event, numbers: readonly number[]): Promise<void> {
  if (isTold(event)) {
    await Promise.all(numbers.map((n) => post(event, n)));
    await takeJobs({ key: 'forge' });
  } else
    await recordRunners(
      'main',
      numbers.map((n) => sightOf(event, n)),
    );
}

/** Every choice of the events, in every order. */
function sequences(rest: readonly Event[], begun: readonly Event[] = []): Event[][] {
  return [
    [...begun],
    ...rest.flatMap((event) =>
      sequences(
        rest.filter((each) => each !== event),
        [...begun, event],
      ),
    ),
  ];
}

/** What there is to know of a job of which this was told; null for nothing. */
function expected(told: ReadonlySet<Event>) {
  const has = (...any: Event[]) => any.some((event) => told.has(event));
  if (!has('queued', 'began', 'ended', 'busy')) return null;
  const ended = has('ended') || (has('gone') && has('began', 'busy'));
  return {
    state: ended ? 'completed' : has('began', 'busy') ? 'running' : 'queued',
    conclusion: has('ended') ? 'success' : null,
    runnerName: has('began', 'ended', 'busy') ? 'runner' : null,
    workflow: has('queued', 'began', 'ended') ? 'CI' : '.github/workflows/ci.yml',
    queuedAt: has('queued', 'began', 'ended') ? at(0) : at(6),
    startedAt: has('began', 'ended') ? at(5) : has('busy') ? at(6) : null,
    completedAt: has('ended') ? at(60) : ended ? at(61) : null,
  };
}

async function found(): Promise<Map<number, object[]>> {
  const jobs = await unsafeDb().job.findMany({ orderBy: { externalId: 'asc' } });
  return Map.groupBy(
    jobs.map((job) => ({ ...job, n: Number(job.runId) - 50_000 })),
    ({ n }) => n,
  ) as Map<number, object[]>;
}

/** As `expected` says it: without what tells one job of the test from another. */
function plain(row: object): object {
  const { state, conclusion, runnerName, workflow, queuedAt, startedAt, completedAt } = row as Record<string, unknown>;
  const runner = typeof runnerName === 'string' ? runnerName.replace(/-\d+$/, '') : runnerName;
  return { state, conclusion, runnerName: runner, workflow, queuedAt, startedAt, completedAt };
}

/** All that says something of a job; a runner that starts says nothing yet. */
const telling = events.filter((event) => event !== 'starting');
const all = sequences(telling);

test(`F17, F18: of ${all.length} sequences, each choice of events ends in one row, in every order`, async () => {
  expect(all.length).toBe(326);
  for (let step = 0; step < telling.length; step += 1)
    for (const event of telling) {
      const numbers = all.flatMap((sequence, n) => (sequence[step] === event ? [n] : []));
      await happen(event, numbers);
    }
  await mendJobs(later);
  const jobs = await found();
  const wrong = all.flatMap((sequence, n) => {
    const want = expected(new Set(sequence));
    const got = (jobs.get(n) ?? []).map(plain);
    const same = JSON.stringify(got) === JSON.stringify(want === null ? [] : [want]);
    return same ? [] : [{ sequence: sequence.join(' '), want, got }];
  });
  expect(wrong.slice(0, 3)).toEqual([]);
}, 120_000);

test('F16: all of it a second time, in the wrong order, changes nothing', async () => {
  const numbers = Array.from({ length: 20 }, (_, n) => n);
  for (const event of events) await happen(event, numbers);
  await mendJobs(later);
  const before = await found();
  for (const event of events.toReversed()) await happen(event, numbers);
  await mendJobs(later);
  expect(await found()).toEqual(before);
  expect([...before.values()].map((group) => group.length)).toEqual(numbers.map(() => 1));
});

test('F17: all of it at once, too', async () => {
  const numbers = Array.from({ length: 40 }, (_, n) => n);
  for (const part of [numbers.slice(0, 20), numbers.slice(20)])
    await Promise.all(part.flatMap((n) => events.map((event) => happen(event, [n]))));
  await mendJobs(later);
  const jobs = await found();
  const want = expected(new Set(events));
  expect(numbers.map((n) => (jobs.get(n) ?? []).map(plain))).toEqual(numbers.map(() => [want]));
});

test('F17: both witnesses at the same moment, of which neither sees the other’s row yet', async () => {
  const { tenantId, enrollmentId, scaleSetName } = acme;
  const job = { repository: 'acme/app', runId: '50001', workflow: null, name: 'build' };
  const seen = { connectionId: 'forge', tenantId, enrollmentId, scaleSetName, forgeJobId: null };
  let told: Promise<void> | undefined;
  await unsafeTransaction(async (tx) => {
    await recordSeen(tx, [{ ...seen, runnerName: 'runner-1', job, startedAt: at(6), endedAt: null }]);
    told = deliver('ended', 1);
    await Promise.race([told, sleep(500)]);
  });
  await told;
  expect(await unsafeDb().job.findMany()).toMatchObject([{ externalId: '1', conclusion: 'success' }]);
});

describe('F18: what nobody told', () => {
  test('a job that was queued for a day was given up by its forge', async () => {
    await deliver('queued', 1);
    expect(await mendJobs(at(23 * 3600))).toBe(0);
    expect(await mendJobs(at(25 * 3600))).toBe(1);
    const [job] = await unsafeDb().job.findMany();
    expect(job).toMatchObject({ state: 'completed', conclusion: null, startedAt: null, completedAt: at(24 * 3600) });
  });

  test('its late end is taken in all the same', async () => {
    await deliver('queued', 1);
    await mendJobs(at(25 * 3600));
    await deliver('ended', 1);
    const [job] = await unsafeDb().job.findMany();
    expect(job).toMatchObject({ state: 'completed', conclusion: 'success', completedAt: at(60) });
  });

  test('no job runs for longer than five days', async () => {
    await deliver('began', 1);
    expect(await mendJobs(at(4 * 24 * 3600))).toBe(0);
    expect(await mendJobs(at(5 * 24 * 3600 + 60))).toBe(1);
    expect(await unsafeDb().job.findMany()).toMatchObject([{ state: 'completed', conclusion: null }]);
  });

  test('of two jobs of one name and run, the first queued is the first begun', async () => {
    for (const n of [1, 2]) await deliver('queued', n);
    await unsafeDb().job.updateMany({ data: { runId: '50001' } });
    await unsafeDb().job.updateMany({ where: { externalId: '2' }, data: { queuedAt: at(100) } });
    const busy = sightOf('busy', 1);
    const second = { ...busy, uid: 'uid-2', name: 'runner-2', seenAt: at(110) };
    await recordRunners('main', [second, busy]);
    await mendJobs(later);
    const jobs = await unsafeDb().job.findMany({ orderBy: { externalId: 'asc' } });
    expect(jobs.map(({ externalId, runnerName }) => [externalId, runnerName])).toEqual([
      ['1', 'runner-1'],
      ['2', 'runner-2'],
    ]);
  });
});

describe('runners', () => {
  test('of another tenant’s namespace or cluster leave nothing', async () => {
    await recordRunners('main', [{ ...sightOf('busy', 1), tenant: 'stranger' }]);
    await recordRunners('elsewhere', [sightOf('busy', 1)]);
    expect([await unsafeDb().job.count(), await unsafeDb().runner.count()]).toEqual([0, 0]);
  });

  test('whose pool was taken away meanwhile end all the same', async () => {
    await recordRunners('main', [sightOf('busy', 1)]);
    await unsafeDb().enrollmentPool.updateMany({ data: { poolName: 'other' } });
    await recordRunners('main', [sightOf('gone', 1)]);
    await unsafeDb().enrollmentPool.updateMany({ data: { poolName: 'nix' } });
    expect(await unsafeDb().runner.findMany()).toMatchObject([{ endedAt: at(61) }]);
  });

  test('F7: what a worker says that lags behind changes nothing', async () => {
    await recordRunners('main', [sightOf('busy', 1)]);
    await recordRunners('main', [sightOf('starting', 1)]);
    expect(await unsafeDb().runner.findMany()).toMatchObject([{ state: 'running', version: expect.anything() }]);
    await recordRunners('main', [sightOf('gone', 1)]);
    await recordRunners('main', [sightOf('busy', 1)]);
    expect(await unsafeDb().runner.findMany()).toMatchObject([{ endedAt: at(61) }]);
  });

  test('the pod of a GitLab job bears the job’s id: with its forge’s word it is one row', async () => {
    const job = { repository: 'acme/site', runId: null, workflow: null, name: 'build', startedAt: at(4) };
    const seen = { ...sightOf('starting', 1), state: 'running' as const, name: 'pod-1', forgeJobId: '77', job };
    await recordRunners('main', [seen]);
    expect(await unsafeDb().job.findMany()).toMatchObject([
      { externalId: `runner:${acme.enrollmentId}/77`, state: 'running' },
    ]);
    await deliver('ended', 77);
    await recordRunners('main', [{ ...seen, goneAt: at(62), seenAt: at(62) }]);
    expect(await unsafeDb().job.findMany()).toMatchObject([
      { externalId: '77', runnerName: 'runner-77', conclusion: 'success', startedAt: at(4), completedAt: at(60) },
    ]);
  });
});
