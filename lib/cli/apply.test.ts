import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testTerminal, type TestTerminal } from '#sandbox/test-support/terminal.ts';
import { differenceOf, differenceText, fieldDifference } from './difference.ts';
import { endOf } from './follow.ts';
import { run } from './index.ts';
import type { Change, Enrollment } from './shapes.ts';

const environment = { FLYWHEEL_URL: 'https://portal.example', FLYWHEEL_TOKEN: 'token' };
const plain = (_: string, text: string) => text;

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'flywheel-apply-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// ------------------------------------------------------------------------------------------------ a portal that answers as told

type Row = Partial<Enrollment> & { id: string; name: string };
const scope = { forge: 'https://github.com', level: 'organization', path: 'acme' };
const spec = { pools: [{ pool: 'docker', minRunners: 0, maxRunners: 2 }], planes: {} };
const quota = { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' };
const change: Change = {
  where: 'cluster',
  op: '+',
  kind: 'Role',
  name: 'r',
  namespace: 'runners-acme',
  fields: [],
  yaml: 'kind: Role\n',
};
const one = [{ where: 'cluster', changes: [change] }];

const app = (more: Partial<Row> = {}): Row => ({
  id: 'id-app',
  name: 'app',
  state: 'active',
  scope,
  ready: true,
  headline: 'Ready',
  waitingFor: 'nobody',
  spec,
  generation: 1,
  observedGeneration: 1,
  phases: [],
  ...more,
});

type Asked = { method: string; path: string; body: unknown; key: string | null };
type World = {
  tenants: Record<string, Row[]>;
  preview: { clusterChecked: boolean; differs: boolean; groups: typeof one };
  requests: object[];
  waitingPlan: object | null;
  answers: Record<string, (() => Response) | undefined>;
};
let world: World;
let asked: Asked[];
const changes = () => asked.filter(({ method, path }) => method !== 'GET' && !path.endsWith('/preview'));

beforeEach(() => {
  asked = [];
  world = {
    tenants: { acme: [app()] },
    preview: { clusterChecked: true, differs: false, groups: [] },
    requests: [],
    waitingPlan: null,
    answers: {},
  };
});

const page = (items: unknown[]) => Response.json({ items, nextCursor: null });
const problem = (status: number, code: string) =>
  Response.json({ detail: `it is ${code}`, code, changed: 'Nothing was changed.' }, { status });
const planOf = (id: string, groups = world.preview.groups) => ({
  id,
  enrollmentId: 'id-app',
  state: 'open',
  clusterChecked: true,
  groups,
});

/** As the API answers, of the world above. */
function answer({ method, path, body }: Asked): Response {
  const own = world.answers[`${method} ${path}`];
  if (own) return own();
  const [, slug = '', rest = ''] = /^\/tenants\/([a-z-]+)(.*)$/.exec(path) ?? [];
  const rows = world.tenants[slug];
  if (path === '/forges') return page([{ id: 'github', kind: 'github', baseUrl: 'https://github.com/' }]);
  if (method === 'POST' && path === '/enrollments') {
    const { name, tenant } = body as { name: string; tenant: { slug?: string; new?: { slug: string } } };
    const at = tenant.slug ?? tenant.new?.slug ?? '';
    world.tenants[at] = [...(world.tenants[at] ?? []), app({ id: `id-${name}`, name, state: 'draft', spec: null })];
    return Response.json({ tenant: at, enrollment: `id-${name}` }, { status: 201 });
  }
  if (method === 'POST' && path === '/tenants')
    return Response.json({ slug: (body as { slug: string }).slug }, { status: 201 });
  if (!rows) return problem(404, 'not_found');
  if (rest === '')
    return Response.json({ slug, kind: 'organization', isDefault: false, state: 'active', cluster: 'main', quota });
  if (rest === '/enrollments') return page(rows);
  if (rest === '/requests') return page(world.requests);
  if (rest === '/documents')
    return page([
      { kind: 'Enrollment', metadata: { name: 'app' }, spec: { credentials: { appId: '1', installationId: 2 } } },
    ]);
  if (rest === '/quota') return Response.json({ state: 'applied', requestId: null }, { status: 202 });
  if (rest.endsWith('/preview')) return Response.json(world.preview);
  if (rest.endsWith('/plans')) return Response.json(planOf('plan-1'), { status: 201 });
  if (rest.endsWith('/apply')) return Response.json({ state: 'applied', requestId: null }, { status: 202 });
  if (rest.startsWith('/plans/'))
    return world.waitingPlan ? Response.json(world.waitingPlan) : problem(404, 'not_found');
  const row = rows.find(({ id, name }) => rest === `/enrollments/${id}` || rest === `/enrollments/${name}`);
  return row ? Response.json(row) : problem(404, 'not_found');
}

function terminalOf(given: { answers?: string[]; input?: string } = {}): TestTerminal {
  return testTerminal({
    environment,
    ...given,
    answering: (url, init) => {
      const { method = 'GET', body, headers } = init;
      const each = {
        method,
        path: new URL(url).pathname.replace('/api/v1', ''),
        body: typeof body === 'string' ? (JSON.parse(body) as unknown) : undefined,
        key: new Headers(headers).get('idempotency-key'),
      };
      asked.push(each);
      return answer(each);
    },
  });
}

// ------------------------------------------------------------------------------------------------ documents

const enrollment = (name = 'app', more: object = {}, tenant = 'acme') => ({
  apiVersion: 'flywheel/v1',
  kind: 'Enrollment',
  metadata: { name, tenant },
  spec: { scope, pools: [{ pool: 'docker', maxRunners: 2 }], ...more },
});
const tenant = (more: object = {}, name = 'acme') => ({
  apiVersion: 'flywheel/v1',
  kind: 'Tenant',
  metadata: { name },
  spec: { kind: 'organization', cluster: 'main', quota, ...more },
});
const input = (...documents: object[]) => documents.map((each) => stringify(each)).join('---\n');

type Outcome = { code: number; out: string; err: string };
async function flywheel(args: string[], given: { answers?: string[]; input?: string } = {}): Promise<Outcome> {
  const terminal = terminalOf(given);
  return { code: await run(terminal, args), ...terminal.said };
}
const apply = (documents: object[], ...args: string[]) =>
  flywheel(['apply', '-f', '-', ...args], { input: input(...documents) });

describe('documents', () => {
  test('of a folder are read with all below it, and what is not ours there is passed over', async () => {
    const at = join(folder, 'repository');
    mkdirSync(join(at, 'acme'), { recursive: true });
    mkdirSync(join(at, '.github'), { recursive: true });
    writeFileSync(join(at, 'acme', 'app.yaml'), stringify(enrollment()));
    writeFileSync(join(at, 'acme', 'tenant.yml'), stringify(tenant()));
    writeFileSync(join(at, 'other.yaml'), 'name: a workflow\n');
    writeFileSync(join(at, '.github', 'bad.yaml'), 'apiVersion: flywheel/v1\nkind: Nothing\n');
    writeFileSync(join(at, 'README.md'), '# not a document\n');
    expect(await flywheel(['diff', '-f', at])).toEqual({ code: 0, out: '', err: '' });
    expect((await flywheel(['diff', '-f', join(at, 'other.yaml')])).code).toBe(1);
    expect((await flywheel(['diff', '-f', join(at, 'none')])).code).toBe(2);
    expect((await flywheel(['diff', '-f', at, '-f', join(at, 'acme', 'app.yaml')])).err).toContain(
      'is there more than once',
    );
  });

  test('that do not fit are refused by file, number and field, before anything is asked', async () => {
    const broken = { ...enrollment(), spec: { scope, pools: [] } };
    const { code, err } = await apply([tenant(), broken], '--yes');
    expect(code).toBe(1);
    expect(err).toContain('document 2 of standard input: spec.pools: choose at least one pool');
    expect(asked).toEqual([]);
  });

  test('a Cluster is passed over in words', async () => {
    const cluster = { apiVersion: 'flywheel/v1', kind: 'Cluster', metadata: { name: 'main' }, spec: {} };
    expect(await apply([cluster, enrollment()])).toMatchObject({
      code: 0,
      err: expect.stringContaining('the operators’ to import: Cluster/main') as string,
    });
  });
});

describe('what is as it should be', () => {
  test('is left as it is: nothing is asked for but looks', async () => {
    expect(await apply([tenant(), enrollment()])).toEqual({ code: 0, out: 'enrollment acme/app unchanged\n', err: '' });
    expect(changes()).toEqual([]);
  });

  test('pools in another order are no difference, nor is what was taken over, nor a path in other letters', async () => {
    const nix = { pool: 'nix', minRunners: 0, maxRunners: 1 };
    const adopted = { uid: '0193a3c0-0000-7000-8000-000000000000' };
    world.tenants['acme'] = [app({ spec: { pools: [nix, { ...spec.pools[0], adopted }], planes: {} } })];
    const pools = [
      { pool: 'docker', maxRunners: 2 },
      { pool: 'nix', maxRunners: 1 },
    ];
    const { code } = await flywheel(['diff', '-f', '-'], {
      input: input(enrollment('app', { pools, scope: { ...scope, path: 'ACME' } })),
    });
    expect(code).toBe(0);
    const sent = asked.find(({ path }) => path.endsWith('/preview'))?.body as { spec: { pools: { pool: string }[] } };
    expect(sent.spec.pools.map(({ pool }) => pool)).toEqual(['nix', 'docker']);
  });

  test('approved and on its way there, is not approved again', async () => {
    world.tenants['acme'] = [app({ generation: 2, ready: false })];
    const { code, out, err } = await apply([enrollment()], '--yes');
    expect([code, out]).toEqual([0, 'enrollment acme/app unchanged\n']);
    expect(err).toContain('is being applied');
    expect(changes()).toEqual([]);
  });

  test('credentials are compared, told of where they differ, and never sent', async () => {
    const same = await apply([enrollment('app', { credentials: { appId: '1', installationId: 2 } })]);
    expect(same.err).toBe('');
    const other = await apply([enrollment('app', { credentials: { appId: '1', installationId: 3 } })]);
    expect([other.code, other.err]).toEqual([0, expect.stringContaining('that is changed in the portal')]);
    expect(JSON.stringify(asked)).not.toContain('installationId');
  });
});

describe('diff', () => {
  const diff = (...documents: object[]) => flywheel(['diff', '-f', '-'], { input: input(...documents) });

  test('shows what is to be begun, another quota, another spec, and each object', async () => {
    world.preview = { clusterChecked: true, differs: true, groups: one };
    const wanted = [
      tenant({ quota: { ...quota, cpu: '32' } }),
      enrollment('app', { pools: [{ pool: 'docker', maxRunners: 3 }] }),
      enrollment('web'),
    ];
    const { code, out } = await diff(...wanted);
    expect(code).toBe(3);
    expect(out).toContain('--- portal: Tenant/acme\n+++ documents: Tenant/acme\n-quota.cpu: 16\n+quota.cpu: 32\n');
    expect(out).toContain('-spec.pools[0].maxRunners: 2\n+spec.pools[0].maxRunners: 3\n');
    expect(out).toContain('--- /dev/null\n+++ documents: cluster/Role/runners-acme/r\n+kind: Role\n');
    expect(out).toContain('--- /dev/null\n+++ documents: Enrollment/acme/web\n+apiVersion: flywheel/v1\n');
    expect(changes()).toEqual([]);
  });

  test('says nothing of a cluster that does not answer, and does not call that equal', async () => {
    world.preview = { clusterChecked: false, differs: true, groups: one };
    const { code, out, err } = await diff(enrollment());
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('The cluster did not answer');
  });

  test('one that is refused keeps no other from being shown', async () => {
    world.tenants['acme'] = [app(), app({ id: 'id-web', name: 'web', spec: null })];
    world.answers['POST /tenants/acme/enrollments/id-app/preview'] = () => problem(422, 'invalid');
    world.preview = { clusterChecked: true, differs: true, groups: one };
    const { code, out, err } = await diff(enrollment(), enrollment('web'));
    expect(code).toBe(1);
    expect(err).toContain('acme/app: it is invalid\nNothing was changed.\n');
    expect(out).toContain('cluster/Role');
  });

  test('another scope, kind or cluster is no change that a document can ask for', async () => {
    expect((await diff(enrollment('app', { scope: { ...scope, path: 'other' } }))).err).toContain(
      'names another scope',
    );
    expect((await diff(tenant({ cluster: 'other' }))).err).toContain('An operator may change that');
    expect((await diff(enrollment('app', {}, 'nobody'))).err).toContain('There is no tenant nobody');
  });

  test('values of several lines, escapes and removals', () => {
    const fields = [{ path: 'data.x', before: 'a\nb\u001B[2J', after: '\u001B[2J' }];
    const text = differenceText([differenceOf({ ...change, op: '~', fields })], plain);
    expect(text).toContain('-data.x:\n-  a\n-  b\uFFFD[2J\n+data.x: \uFFFD[2J\n');
    expect(differenceText([differenceOf({ ...change, op: '-' })], plain)).toContain('+++ /dev/null\n-kind: Role\n');
    expect(fieldDifference('x', { a: [1, { b: 'c' }] }, { a: [1, { b: 'c' }] })).toBeNull();
    expect(fieldDifference('x', { a: [] }, { a: [1] })).toEqual({ name: 'x', before: ['a: []'], after: ['a[0]: 1'] });
  });
});

describe('apply', () => {
  const differs = () => void (world.preview = { clusterChecked: true, differs: true, groups: one });

  test('plans and applies what differs, each change under a key of its own', async () => {
    differs();
    expect(await apply([enrollment()], '--yes')).toMatchObject({
      code: 0,
      out: 'enrollment acme/app applied: 1 change\n',
    });
    expect(changes().map(({ path }) => path)).toEqual([
      '/tenants/acme/enrollments/id-app/plans',
      '/tenants/acme/plans/plan-1/apply',
    ]);
    expect(new Set(changes().map(({ key }) => key)).size).toBe(2);
  });

  test('asks first: no, and nobody to answer, leave the world as it is', async () => {
    differs();
    const refused = await flywheel(['apply', '-f', '-'], { input: input(enrollment()), answers: ['n'] });
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('Apply 1 change? [y/N]')]);
    const nobody = await flywheel(['apply', '-f', '-'], { input: input(enrollment()) });
    expect([nobody.code, nobody.err]).toEqual([2, expect.stringContaining('--yes')]);
    expect(asked.filter(({ path }) => path.endsWith('/apply'))).toEqual([]);
    const agreed = await flywheel(['apply', '-f', '-'], { input: input(enrollment()), answers: ['y'] });
    expect([agreed.code, agreed.out]).toEqual([0, 'enrollment acme/app applied: 1 change\n']);
  });

  test('begins what is not there: an organization by its first enrollment, its quota before the plan', async () => {
    world.tenants = {};
    differs();
    world.answers['GET /tenants/acme'] = () =>
      world.tenants['acme']
        ? Response.json({
            slug: 'acme',
            kind: 'organization',
            isDefault: false,
            state: 'draft',
            cluster: 'main',
            quota: { ...quota, cpu: '8' },
          })
        : problem(404, 'not_found');
    const { code, out } = await apply([tenant(), enrollment(), enrollment('web')], '--yes');
    expect([code, out]).toEqual([
      0,
      [
        'enrollment acme/app begun',
        'tenant acme quota changed',
        'enrollment acme/web begun',
        'enrollment acme/app applied: 1 change',
        'enrollment acme/web applied: 1 change',
        '',
      ].join('\n'),
    ]);
    const begun = asked
      .filter(({ path }) => path === '/enrollments')
      .map(({ body }) => (body as { tenant: object }).tenant);
    expect(begun).toEqual([{ new: { slug: 'acme', displayName: 'acme', kind: 'organization' } }, { slug: 'acme' }]);
  });

  test('an organization without an enrollment, and a forge that nobody entered, are told of', async () => {
    world.tenants = {};
    expect((await apply([tenant()], '--yes')).err).toContain('begins with its first enrollment');
    const elsewhere = { ...scope, forge: 'https://elsewhere.example' };
    const { code, err } = await apply([tenant(), enrollment('app', { scope: elsewhere })], '--yes');
    expect([code, err]).toEqual([1, expect.stringContaining('it knows https://github.com/ (github)')]);
  });

  test('what an operator has to grant ends with 4, and is asked for once', async () => {
    const waiting = () => Response.json({ state: 'waiting', requestId: 'request-1' }, { status: 202 });
    world.answers['POST /tenants/acme/quota'] = waiting;
    const more = tenant({ quota: { ...quota, cpu: '64' } });
    expect(await apply([more, enrollment()], '--yes')).toMatchObject({
      code: 4,
      out: expect.stringContaining('request request-1') as string,
    });
    world.requests = [
      { id: 'request-1', kind: 'quota', state: 'open', planId: null, wanted: { quota: { ...quota, cpu: '64000m' } } },
    ];
    asked = [];
    expect(await apply([more, enrollment()], '--yes')).toMatchObject({ code: 4 });
    expect(changes()).toEqual([]);

    differs();
    world.answers['POST /tenants/acme/plans/plan-1/apply'] = waiting;
    expect(await apply([enrollment()], '--yes', '--wait')).toMatchObject({
      code: 4,
      out: 'enrollment acme/app waits for an operator: request request-1\n',
    });
    world.requests = [{ id: 'request-2', kind: 'plan', state: 'open', planId: 'plan-1', wanted: {} }];
    world.waitingPlan = { ...planOf('plan-1'), state: 'waiting' };
    asked = [];
    expect(await apply([enrollment()], '--yes')).toMatchObject({
      code: 4,
      out: expect.stringContaining('request-2') as string,
    });
    expect(changes()).toEqual([]);
  });

  test('an enterprise is asked for, and its enrollments wait for that', async () => {
    world.tenants = {};
    const { code, out } = await apply([tenant({ kind: 'enterprise' }), enrollment()], '--yes');
    expect([code, out]).toEqual([4, 'tenant acme asked for; it waits for an operator\n']);
    expect(asked.some(({ path }) => path === '/enrollments')).toBe(false);
  });

  test('a stale plan is made anew where nobody has to read it again, and only there', async () => {
    differs();
    let left = 2;
    world.answers['POST /tenants/acme/plans/plan-1/apply'] = () =>
      left-- > 0 ? problem(409, 'stale') : Response.json({ state: 'applied', requestId: null }, { status: 202 });
    expect((await apply([enrollment()], '--yes')).code).toBe(0);
    expect(changes().filter(({ path }) => path.endsWith('/plans'))).toHaveLength(3);
    left = 1;
    const asking = await flywheel(['apply', '-f', '-'], { input: input(enrollment()), answers: ['y'] });
    expect([asking.code, asking.err]).toEqual([1, expect.stringContaining('it is stale')]);
  });

  test('what is in no document is left alone, and withdrawn only where that is asked for and said', async () => {
    world.tenants['acme'] = [
      app(),
      app({ id: 'id-old', name: 'old' }),
      app({ id: 'id-draft', name: 'draft', state: 'draft' }),
    ];
    world.tenants['other'] = [app({ id: 'id-theirs', name: 'theirs' })];
    const left = await apply([enrollment()], '--yes');
    expect([left.code, left.err, changes()]).toEqual([0, 'In no document, and left alone: acme/old.\n', []]);
    const asking = await flywheel(['apply', '-f', '-', '--prune'], { input: input(enrollment()), answers: ['n'] });
    expect([asking.code, asking.err]).toEqual([1, expect.stringContaining('This withdraws acme/old.')]);
    expect(asked.some(({ path }) => path.endsWith('/apply'))).toBe(false);
    asked = [];
    const pruned = await apply([enrollment()], '--prune', '--yes');
    expect(pruned.out).toContain('enrollment acme/old being withdrawn, since it is in no document');
    expect(changes().map(({ path, body }) => [path, body])).toEqual([
      ['/tenants/acme/enrollments/id-old/plans', { withdraw: true }],
      ['/tenants/acme/plans/plan-1/apply', { note: '' }],
    ]);
  });

  test('a token is read from its file, and asked for by name where one is wanted', async () => {
    world.tenants['acme'] = [];
    const wanted = () =>
      Response.json({ detail: 'A token is needed.', code: 'invalid', errors: { token: 'is needed' } }, { status: 422 });
    world.answers['POST /enrollments'] = wanted;
    expect((await apply([enrollment()], '--yes')).err).toContain('--token-for acme/app=FILE');
    world.answers = {};
    const file = join(folder, 'token');
    writeFileSync(file, 'glpat-secret\n');
    const { out, err } = await apply([enrollment()], '--yes', '--token-for', `acme/app=${file}`);
    expect(
      asked.find(({ path, body }) => path === '/enrollments' && (body as { token?: string }).token)?.body,
    ).toMatchObject({ token: 'glpat-secret' });
    expect(out + err).not.toContain('glpat-secret');
    expect((await apply([enrollment()], '--token-for', 'nonsense')).code).toBe(2);
  });
});

describe('follow', () => {
  const phase = (status: string, waitingFor: string, message: string) => ({
    type: 'A',
    label: 'Cluster',
    status,
    waitingFor,
    message,
  });

  test('tells each change once, and ends where it is ready', async () => {
    const states = [
      app({ ready: false, observedGeneration: 0, phases: [phase('Unknown', 'nobody', 'not yet')] }),
      app({ ready: false, phases: [phase('False', 'cluster', 'pods start')] }),
      app({ ready: false, phases: [phase('False', 'cluster', 'pods start')] }),
      app({ phases: [phase('True', 'nobody', 'all there')] }),
    ];
    let at = 0;
    const look = () => Response.json(states[Math.min(at++, states.length - 1)]);
    world.answers['GET /tenants/acme/enrollments/app'] = look;
    world.answers['GET /tenants/acme/enrollments/id-app'] = look;
    const { code, out } = await flywheel(['follow', 'acme/app']);
    expect(code).toBe(0);
    expect(out.replaceAll(/^\d\d:\d\d:\d\d /gm, '')).toBe(
      ' acme/app  Cluster: waits for cluster. pods start\n acme/app  Cluster: done. all there\n acme/app  Ready.\n',
    );
  });

  test.each([
    ['ready', {}, 0],
    ['withdrawn', { state: 'withdrawn' }, 0],
    ['waiting for an operator', { ready: false, waitingFor: 'operator' }, 4],
    ['waiting for an admin', { ready: false, waitingFor: 'admin' }, 1],
    ['a draft', { state: 'draft' }, 1],
    ['ready as it was before', { generation: 2 }, undefined],
    ['waiting for the forge', { ready: false, waitingFor: 'forge' }, undefined],
    ['being withdrawn', { state: 'withdrawing' }, undefined],
  ])('one that is %s', (_, more, code) => expect(endOf(app(more) as Enrollment)?.code).toBe(code));

  test('gives up after its time, and says that it goes on', async () => {
    world.tenants['acme'] = [app({ ready: false, waitingFor: 'cluster' })];
    const { code, err } = await flywheel(['follow', 'acme/app', '--timeout', '6']);
    expect([code, err]).toEqual([1, expect.stringContaining('It goes on by itself')]);
  });
});

describe('withdraw', () => {
  test('shows the plan and asks; a draft is discarded', async () => {
    world.preview.groups = one;
    const no = await flywheel(['withdraw', 'acme/app'], { answers: [''] });
    expect([no.code, no.err]).toEqual([1, expect.stringContaining('Withdraw acme/app, by 1 change? [y/N]')]);
    expect(await flywheel(['withdraw', 'acme/app', '--yes'])).toMatchObject({
      code: 0,
      out: 'enrollment acme/app being withdrawn\n',
    });
    world.tenants['acme'] = [app({ state: 'draft' })];
    world.answers['DELETE /tenants/acme/enrollments/id-app'] = () => new Response(null, { status: 204 });
    expect(await flywheel(['withdraw', 'acme/app', '--yes'])).toMatchObject({
      code: 0,
      out: 'enrollment acme/app discarded\n',
    });
    expect((await flywheel(['withdraw', 'acme'])).code).toBe(2);
  });
});

test('plan keeps one of what differs and says where it is read; of what does not, none', async () => {
  const none = await flywheel(['plan', '-f', '-'], { input: input(enrollment()) });
  expect([none.code, none.err, changes()]).toEqual([0, 'There is nothing to plan.\n', []]);
  world.preview = { clusterChecked: true, differs: true, groups: one };
  const { code, out } = await flywheel(['plan', '-f', '-'], { input: input(enrollment()) });
  expect(code).toBe(0);
  expect(out).toContain('acme/app: 1 change\n');
  expect(out).toContain('https://portal.example/t/acme/enroll/id-app/plan?plan=plan-1');
});
