import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ClusterClient, listObjects } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import type { ForgeKind, ScopeLevel } from '#lib/model/index.ts';
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  enrollmentView,
  enterPersonToken,
  listCredentials,
  listScopesOf,
  makePlan,
  planView,
  replaceForgeToken,
  rotateCredential,
  savePlanes,
  savePools,
  startEnrollment,
} from './index.ts';

/** The whole walk at GitLab and Forgejo, a row a scope: enrolled, served, withdrawn with nothing left behind. */
type Walk = {
  forge: Exclude<ForgeKind, 'github'>;
  level: ScopeLevel;
  path: string;
  by: string;
  slug: string;
  /** A project or repository inside it, for a job. */
  inside: string;
};

const walks: Walk[] = [
  {
    forge: 'gitlab',
    level: 'project',
    path: 'tinyland/site',
    by: 'ada-tinyland',
    slug: 'gl-project',
    inside: 'tinyland/site',
  },
  {
    forge: 'gitlab',
    level: 'group',
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'gl-group',
    inside: 'tinyland/lab/kernels',
  },
  { forge: 'gitlab', level: 'instance', path: '', by: 'olive-operator', slug: 'gl-instance', inside: 'tinyland/site' },
  {
    forge: 'forgejo',
    level: 'repository',
    path: 'JessSullivan/cmux',
    by: 'JessSullivan',
    slug: 'fj-repository',
    inside: 'JessSullivan/cmux',
  },
  {
    forge: 'forgejo',
    level: 'organization',
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'fj-organization',
    inside: 'tinyland/site',
  },
  {
    forge: 'forgejo',
    level: 'account',
    path: 'JessSullivan',
    by: 'JessSullivan',
    slug: 'fj-account',
    inside: 'JessSullivan/cmux',
  },
];

let portal: TestPortal;
let admin: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ runnersOf: [...walks.map(({ slug }) => slug), 'gl-again'] });
  portal.startWorker();
  admin = clusterClient((await testCluster()).kubeconfigPath);
}, 180_000);
afterAll(() => portal?.stop());

const gitlabScopes = ['create_runner', 'manage_runner', 'read_api', 'api'] as const;
const forgejoScopes = ['read:user', 'write:user', 'read:organization', 'write:organization', 'write:repository'];

/** What a person would make at the forge's own page. */
function tokenFor({ forge, level, path, by }: Pick<Walk, 'forge' | 'level' | 'path' | 'by'>): string {
  if (forge === 'forgejo') return portal.forgejo.token(by, forgejoScopes);
  const scopes = [...gitlabScopes];
  return portal.gitlab.accessToken(level === 'instance' ? { login: by, scopes } : { path, scopes });
}

async function begun(walk: Walk): Promise<{ by: PersonCtx; ctx: Ctx; enrollmentId: string }> {
  const { forge, level, path, slug } = walk;
  const by = await portal.person(walk.by, forge);
  const token = tokenFor(walk);
  if (forge === 'forgejo') await enterPersonToken(by, { connectionId: forge, token });
  const { scopes } = await listScopesOf(by, forge, {});
  expect(scopes).toContainEqual(expect.objectContaining({ level, path, credential: 'token' }));
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const own = forge === 'gitlab' ? { token } : {};
  const { enrollmentId } = await startEnrollment(by, { connectionId: forge, level, path, tenant, ...own });
  const ctx = await tenantCtx(by, slug);
  if (!ctx) throw new Error(`${walk.by} is no member of ${slug}`);
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 2 }] });
  await savePlanes(ctx, { enrollmentId, planes: {} });
  return { by, ctx, enrollmentId };
}

async function apply(ctx: Ctx, enrollmentId: string, kind: 'enroll' | 'change' | 'withdraw') {
  const planId = await makePlan(ctx, { enrollmentId, kind });
  const plan = await planView(ctx, planId);
  await approvePlan(ctx, planId);
  return plan;
}

async function ready(ctx: Ctx, enrollmentId: string): Promise<void> {
  await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 40_000).catch(
    async (error: unknown) => {
      const view = await enrollmentView(ctx, enrollmentId);
      throw new Error(`${String(error)}: ${JSON.stringify(view.phases)}`, { cause: error });
    },
  );
}

function runnersAt(forge: Walk['forge'], label: string): unknown[] {
  const all: { name?: string; description?: string }[] = Object.values(portal[forge].state.runners);
  return all.filter((runner) => (runner.name ?? runner.description ?? '').startsWith(`flywheel-${label}`));
}

function hooksAt(forge: Walk['forge']): unknown[] {
  return Object.values(portal[forge].state.hooks);
}

function queue({ forge, inside }: Walk, label: string): number {
  return forge === 'gitlab'
    ? portal.gitlab.queueJob({ project: inside, tags: [label], durationSeconds: 1 }).id
    : portal.forgejo.queueJob({ repository: inside, runsOn: [label], durationSeconds: 1 }).id;
}

function isDone({ forge }: Walk, id: number): boolean {
  const job: { status: string; conclusion?: string | null } | undefined = portal[forge].state.jobs[id];
  return job !== undefined && ['success', 'completed'].includes(job.conclusion ?? job.status);
}

/** What the scope's own webhook told. Forgejo 15 tells of runs that ended, which is only a reason to look; of no job. */
async function heardOf({ forge, inside }: Walk, enrollmentId: string, label: string): Promise<void> {
  if (forge === 'forgejo') {
    const told = { connectionId: forge, deliveryId: { startsWith: `${enrollmentId}:` }, event: 'action_run_success' };
    return void (await eventually('the delivery', async () => (await unsafeDb().delivery.count({ where: told })) >= 1));
  }
  const job = () => unsafeDb().job.findFirst({ where: { enrollmentId, state: 'completed' } });
  await eventually('the job’s row', job, 10_000);
  expect(await job()).toMatchObject({ scaleSetName: label, repository: inside });
}

describe.each(walks)('$forge $level', (walk) => {
  test('is enrolled, runs a job, and is withdrawn with nothing left behind', async () => {
    const { forge, slug } = walk;
    const label = `${slug}-docker`;
    const { ctx, enrollmentId } = await begun(walk);
    const plan = await apply(ctx, enrollmentId, 'enroll');
    expect(plan.clusterChecked).toBe(true);
    expect(plan.groups.find((group) => group.where === 'forge')?.changes).toContainEqual(
      expect.objectContaining({ op: '+', kind: 'Runner' }),
    );
    await ready(ctx, enrollmentId);
    expect(runnersAt(forge, label)).toHaveLength(forge === 'gitlab' ? 1 : 2);
    expect((await planView(ctx, await makePlan(ctx, { enrollmentId, kind: 'change' }))).counts).toMatchObject({
      added: 0,
      changed: 0,
      removed: 0,
    });
    // More jobs than runners: one that the forge forgets with its job is registered anew for the next.
    const ids = [queue(walk, label), queue(walk, label), queue(walk, label)];
    await eventually('the jobs to end', () => Promise.resolve(ids.every((id) => isDone(walk, id))), 60_000);
    await portal[forge].settled();
    if (walk.level !== 'instance') await heardOf(walk, enrollmentId, label);
    if (walk.level === 'group') await renamed(walk, enrollmentId);
    await apply(ctx, enrollmentId, 'withdraw');
    await eventually('withdrawn', async () => (await enrollmentView(ctx, enrollmentId)).state === 'withdrawn', 60_000);
    expect(runnersAt(forge, label)).toEqual([]);
    expect(hooksAt(forge)).toEqual([]);
    expect(await unsafeDb().credential.count({ where: { enrollmentId } })).toBe(0);
    expect(await listObjects(admin, 'Secret', 'v1', `runners-${slug}`, '')).toEqual([]);
  }, 180_000);
});

/** A registration's secret is renewed on demand: at the forge, here and in the cluster, and shown nowhere. */
async function rotated(ctx: Ctx, enrollmentId: string): Promise<void> {
  const rows = await listCredentials(ctx);
  expect(rows.map(({ kind }) => kind).toSorted()).toEqual(['forge-token', 'runner:flywheel-gl-again-docker']);
  expect(rows.find(({ kind }) => kind === 'forge-token')).toMatchObject({
    renewedBy: 'person',
    expiresAt: expect.any(String),
    usedAt: expect.any(String),
  });
  const all = () => runnersAt('gitlab', 'gl-again-docker') as { token: string }[];
  const runner = () => all()[0] as { token: string };
  const before = runner().token;
  expect(JSON.stringify(rows)).not.toContain(before);
  await expect(rotateCredential(ctx, { enrollmentId, kind: 'forge-token' })).rejects.toMatchObject({
    code: 'not_found',
  });
  await rotateCredential(ctx, { enrollmentId, kind: 'runner:flywheel-gl-again-docker' });
  await eventually(
    'another in its place',
    () => Promise.resolve(all().length === 1 && runner().token !== before),
    40_000,
  );
  const config = async () => {
    const [secret] = await listObjects(admin, 'Secret', 'v1', 'runners-gl-again', 'flywheel.dev/pool=docker');
    const data = (secret?.['data'] ?? {}) as Record<string, string>;
    return Buffer.from(data['config.toml'] ?? '', 'base64').toString();
  };
  await eventually('it in the cluster', async () => (await config()).includes(runner().token), 20_000);
  await ready(ctx, enrollmentId);
}

/** Another path is the same scope: GitLab tells of no rename, so that the first delivery of a job, refused, is what makes the portal look. */
async function renamed(walk: Walk, enrollmentId: string): Promise<void> {
  const to = `${walk.path}-2`;
  portal.gitlab.rename(walk.path, to.split('/').at(-1) ?? '');
  const inside = walk.inside.replace(walk.path, to);
  queue({ ...walk, inside }, `${walk.slug}-docker`);
  const pathNow = async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrollmentId } })).path;
  await eventually('the new path', async () => (await pathNow()) === to, 20_000);
  portal.gitlab.rename(to, walk.path.split('/').at(-1) ?? '');
}

/** GitLab is told of a suspension: the runner is paused there with a note, and goes on with the tenant. */
async function suspendedAndBack(ctx: Ctx, enrollmentId: string): Promise<void> {
  const runner = () => runnersAt('gitlab', 'gl-again')[0] as { paused: boolean; maintenanceNote: string };
  const put = async (state: 'suspended' | 'active') => {
    const suspendedAt = state === 'suspended' ? new Date() : null;
    await unsafeDb().tenant.update({ where: { id: ctx.tenant.id }, data: { state, suspendedAt } });
    await wake(unsafeDb(), 'enrollment', enrollmentId);
  };
  await put('suspended');
  await eventually('the pause', () => Promise.resolve(runner().paused), 20_000);
  expect(runner().maintenanceNote).toContain('Suspended by the operator');
  await put('active');
  await eventually('the pause to end', () => Promise.resolve(!runner().paused), 20_000);
  await ready(ctx, enrollmentId);
}

describe('what goes wrong on the way', () => {
  const walk: Walk = {
    forge: 'gitlab',
    level: 'project',
    path: 'tinyland/lab/kernels',
    by: 'ada-tinyland',
    slug: 'gl-again',
    inside: 'tinyland/lab/kernels',
  };

  test('a token that may not, of another scope or of nobody is refused at its field, and nothing is begun', async () => {
    const by = await portal.person('ada-tinyland', 'gitlab');
    const tenant = { new: { slug: 'gl-again', displayName: 'x', kind: 'organization' as const } };
    const start = (token: string | undefined) =>
      startEnrollment(by, { connectionId: 'gitlab', level: 'project', path: walk.path, tenant, token });
    const reading = portal.gitlab.accessToken({ path: walk.path, scopes: ['read_api'] });
    const foreign = portal.gitlab.accessToken({ path: 'mallory-labs', scopes: [...gitlabScopes] });
    for (const token of [undefined, 'glpat-nobody-has-this', reading, foreign]) {
      await expect(start(token)).rejects.toMatchObject({
        code: 'invalid',
        screen: { fields: { token: expect.any(String) } },
      });
    }
    expect(await unsafeDb().tenant.count({ where: { slug: 'gl-again' } })).toBe(0);
    const sam = await portal.person('sam-tinyland', 'gitlab');
    const denied = startEnrollment(sam, {
      connectionId: 'gitlab',
      level: 'project',
      path: walk.path,
      tenant,
      token: tokenFor(walk),
    });
    await expect(denied).rejects.toMatchObject({ screen: { fields: { path: expect.stringContaining('administer') } } });
  });

  test('F15: one runner after a lost answer; pools come and go; an ended token is waited for, and a new one goes on', async () => {
    portal.gitlab.fault({ kind: 'reset-after', match: { method: 'POST', path: '/user/runners' } });
    const { ctx, enrollmentId } = await begun(walk);
    await apply(ctx, enrollmentId, 'enroll');
    await ready(ctx, enrollmentId);
    // The answer of the first creation was lost: there is one runner all the same.
    expect(runnersAt('gitlab', 'gl-again-docker')).toHaveLength(1);
    await rotated(ctx, enrollmentId);
    await savePools(ctx, {
      enrollmentId,
      pools: [
        { pool: 'docker', minRunners: 0, maxRunners: 1 },
        { pool: 'nix', minRunners: 0, maxRunners: 1 },
      ],
    });
    await apply(ctx, enrollmentId, 'change');
    await ready(ctx, enrollmentId);
    expect(runnersAt('gitlab', 'gl-again')).toHaveLength(2);
    await savePools(ctx, { enrollmentId, pools: [{ pool: 'nix', minRunners: 0, maxRunners: 1 }] });
    await apply(ctx, enrollmentId, 'change');
    await ready(ctx, enrollmentId);
    await eventually('one runner', () => Promise.resolve(runnersAt('gitlab', 'gl-again').length === 1), 20_000);
    expect(await unsafeDb().credential.count({ where: { enrollmentId, kind: { startsWith: 'runner:' } } })).toBe(1);
    await suspendedAndBack(ctx, enrollmentId);
    // The token ends before the withdrawal: it waits for one that works, and says so.
    const kept = portal.gitlab.state.tokens;
    for (const token of Object.keys(kept)) if (token.startsWith('glpat-')) portal.gitlab.revoke(token);
    await apply(ctx, enrollmentId, 'withdraw');
    const waits = async () => (await enrollmentView(ctx, enrollmentId)).waitingFor === 'admin';
    await eventually('a condition for the admin', waits, 30_000);
    expect((await enrollmentView(ctx, enrollmentId)).headline).toMatch(/token/);
    await expect(replaceForgeToken(ctx, { enrollmentId, token: 'glpat-nobody-has-this' })).rejects.toMatchObject({
      screen: { fields: { token: expect.any(String) } },
    });
    await replaceForgeToken(ctx, { enrollmentId, token: tokenFor(walk) });
    const gone = async () => (await enrollmentView(ctx, enrollmentId)).state === 'withdrawn';
    await eventually('withdrawn', gone, 60_000);
    expect(runnersAt('gitlab', 'gl-again')).toEqual([]);
  }, 180_000);

  test('a person’s token at Forgejo must be their own, and of the scopes that are needed', async () => {
    const by = await portal.person('sam-tinyland', 'forgejo');
    const give = (token: string) => enterPersonToken(by, { connectionId: 'forgejo', token });
    const refused = (text: string) => ({ screen: { fields: { token: expect.stringContaining(text) } } });
    await expect(give(portal.forgejo.token('mallory', forgejoScopes))).rejects.toMatchObject(refused('mallory'));
    await expect(give(portal.forgejo.token('sam-tinyland', ['read:user']))).rejects.toMatchObject(refused('lacks'));
    await expect(give('0'.repeat(40))).rejects.toMatchObject(refused('does not accept'));
    await expect(listScopesOf(by, 'forgejo', {})).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
