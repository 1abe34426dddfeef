import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listObjects, readObject, type ClusterClient } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { Conditions } from '#lib/model/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import {
  approve,
  approvedScope,
  changePools,
  draftOf,
  poolsOf,
  type EnrolledScope,
  type ScopeWish,
} from '#sandbox/test-support/enrolled.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { startResetProxy, type ResetProxy } from '#sandbox/test-support/reset-proxy.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, makePlan, planView, rotateCredential, savePools, startEnrollment } from './index.ts';

/* What becomes of an enrollment while forges are away, pause, refuse a webhook, or give a scope to somebody else. */

let portal: TestPortal;
let passes: Passes;
let admin: ClusterClient;
let gitlabProxy: ResetProxy;
let atticProxy: ResetProxy;

beforeAll(async () => {
  portal = await startTestPortal({
    runnersOf: ['away-ready', 'away-middle', 'away-other', 'late', 'moved', 'deaf', 'no-attic', 'lost', 'refused'],
  });
  gitlabProxy = await startResetProxy(portal.gitlab.url);
  await unsafeDb().forgeConnection.update({ where: { id: 'gitlab' }, data: { baseUrl: gitlabProxy.url } });
  atticProxy = await startResetProxy(portal.attic.url);
  await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { url: atticProxy.url } });
  passes = startPasses();
  admin = clusterClient((await testCluster()).kubeconfigPath);
}, 180_000);
beforeEach(async () => {
  for (const proxy of [gitlabProxy, atticProxy]) proxy.away = false;
  await fetch(`${portal.gitlab.url}/_sandbox/faults`, { method: 'DELETE' });
  passes.forget();
});
afterAll(async () => {
  await passes?.stop();
  await Promise.all([gitlabProxy?.stop(), atticProxy?.stop()]);
  await portal?.stop();
});

const minuteMs = 60_000;

async function conditionOf({ id }: Pick<EnrolledScope, 'id'>, type: string) {
  const { conditions } = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return Conditions.parse(conditions).find((each) => each.type === type);
}

const isTrue = (scope: Pick<EnrolledScope, 'id'>, type: string) => async () =>
  (await conditionOf(scope, type))?.status === 'True';
const isReady = (scope: EnrolledScope) => isTrue(scope, 'Ready');
const says = (scope: Pick<EnrolledScope, 'id'>, type: string, reason: string) => async () =>
  (await conditionOf(scope, type))?.reason === reason;

async function readied(wish: ScopeWish): Promise<EnrolledScope> {
  const scope = await approvedScope(portal, wish);
  await passes.until('ready', scope.id, isReady(scope), minuteMs);
  return scope;
}

function project(slug: string): ScopeWish {
  portal.gitlab.addProject({ path: `tinyland/${slug}` });
  return { forge: 'gitlab', level: 'project', path: `tinyland/${slug}`, by: 'ada-tinyland', slug };
}

const runnersOf = (label: string) =>
  Object.values(portal.gitlab.state.runners).filter(({ description }) => description === `flywheel-${label}`);
const deploymentOf = (slug: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: `${slug}-docker-gitlab`, namespace: `runners-${slug}` },
});
const managerOf = (slug: string) => readObject(admin, deploymentOf(slug));

async function deleteManager(slug: string): Promise<void> {
  const path = `/apis/apps/v1/namespaces/runners-${slug}/deployments/${slug}-docker-gitlab`;
  await admin.call({ method: 'DELETE', path }, 'the manager');
}

async function configOf(slug: string): Promise<string> {
  const [secret] = await listObjects(admin, 'Secret', 'v1', `runners-${slug}`, 'flywheel.dev/pool=docker');
  const data = (secret?.['data'] ?? {}) as Record<string, string>;
  return Buffer.from(data['config.toml'] ?? '', 'base64').toString();
}

test('a forge away for an hour: it is said, others are served, what was made stays, and all goes on by itself', async () => {
  const ready = await readied(project('away-ready'));
  const other = await readied({
    forge: 'forgejo',
    level: 'organization',
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'away-other',
  });
  // In the middle of enrolling: a runner is made, and the answer is lost with the connection.
  const middle = await approvedScope(portal, project('away-middle'));
  portal.gitlab.fault({ kind: 'reset-after', match: { method: 'POST', path: '/user/runners' } });
  await passes.until('a runner', middle.id, async () => runnersOf('away-middle-docker').length > 0);
  gitlabProxy.away = true;
  passes.later(10 * minuteMs);

  for (const scope of [ready, middle]) {
    expect(await passes.pass(scope.id)).toBeNull();
    const said = await conditionOf(scope, 'ForgeReady');
    expect(said).toMatchObject({ status: 'False', reason: 'Away', waitingFor: 'forge' });
    expect(said?.message).toMatch(/does not answer|could not be reached|answer/);
    expect(await conditionOf(scope, 'Ready')).toMatchObject({ status: 'False', message: said?.message });
  }
  expect(await conditionOf(middle, 'PoolsReady')).toMatchObject({ status: 'Unknown', reason: 'NotReached' });
  // What was made is kept so: a manager that somebody deletes comes back.
  await deleteManager('away-ready');
  await passes.until('the manager', ready.id, async () => {
    const there = await managerOf('away-ready');
    return there !== undefined && there.metadata.deletionTimestamp === undefined;
  });
  expect(await conditionOf(ready, 'PoolsReady')).toMatchObject({ status: 'True' });

  const { id: jobId } = portal.forgejo.queueJob({
    repository: 'tinyland/site',
    runsOn: ['away-other-docker'],
    durationSeconds: 1,
  });
  const isRun = async () => portal.forgejo.state.jobs[jobId]?.status === 'success';
  await passes.until('the job at the other forge', other.id, isRun);
  passes.later(50 * minuteMs);
  await passes.until('the other forge to be well', other.id, isReady(other), minuteMs);

  gitlabProxy.away = false;
  for (const scope of [ready, middle]) await passes.until('ready again', scope.id, isReady(scope), minuteMs);
  expect([runnersOf('away-ready-docker').length, runnersOf('away-middle-docker').length]).toEqual([1, 1]);
}, 240_000);

test('a cache away: a registration is renewed all the same, and the cluster gets it with the cache as it was', async () => {
  const wish = { ...project('no-attic'), planes: { attic: { public: false } } };
  const scope = await readied(wish);
  // What a rotation makes stands beside the runner that it replaces, under a name of its own.
  const token = () => Object.values(portal.gitlab.state.runners).findLast(isOwn)?.token ?? '';
  const isOwn = ({ description }: { description: string }) => description.startsWith('flywheel-no-attic-docker');
  const first = token();
  atticProxy.away = true;
  try {
    const netrc = async () => JSON.stringify(await listObjects(admin, 'Secret', 'v1', 'runners-no-attic', ''));
    expect(await netrc()).toContain('attic');
    passes.later(10 * minuteMs);
    for (const kind of ['runner:flywheel-no-attic-docker', 'attic-token'])
      await rotateCredential(scope.ctx, { enrollmentId: scope.id, kind });
    await passes.pass(scope.id);
    expect(await conditionOf(scope, 'CacheReady')).toMatchObject({ status: 'False', reason: 'Away' });
    expect(await conditionOf(scope, 'PoolsReady')).toMatchObject({ status: 'True' });
    expect(token()).not.toBe(first);
    expect(await configOf('no-attic')).toContain(token());
  } finally {
    atticProxy.away = false;
  }
}, 120_000);

test('a runner that does not come is asked after less and less, and one that somebody paused is waited for as such', async () => {
  const scope = await approvedScope(portal, project('late'));
  portal.gitlab.fault({ kind: 'status', status: 500, match: { path: '/runners/verify' }, times: 100_000 });
  await passes.until('a process that does not come', scope.id, says(scope, 'Ready', 'RunnerOffline'), minuteMs);
  expect(await passes.pass(scope.id)).toMatchObject({ kind: 'wait', againMs: 2_000 });
  passes.later(minuteMs);
  expect(await passes.pass(scope.id)).toMatchObject({ kind: 'wait', againMs: 30_000 });

  await fetch(`${portal.gitlab.url}/_sandbox/faults`, { method: 'DELETE' });
  await passes.until('ready', scope.id, isReady(scope), minuteMs);
  const [runner] = runnersOf('late-docker');
  if (!runner) throw new Error('no runner');
  runner.paused = true;
  passes.forget();
  expect(await passes.pass(scope.id)).toMatchObject({ kind: 'wait', againMs: 60_000 });
  expect(await conditionOf(scope, 'Ready')).toMatchObject({
    reason: 'RunnerPaused',
    waitingFor: 'admin',
    message: 'flywheel-late-docker was paused at GitLab. Resume it there.',
  });
  runner.paused = false;
  await passes.until('ready', scope.id, isReady(scope));
}, 120_000);

test('where runners are registered and looked for, a refusal waits for the admin and an outage for the forge', async () => {
  const wish = project('refused');
  const place = Object.values(portal.gitlab.state.projects).find(({ path }) => path === 'refused');
  if (!place) throw new Error('no project');
  place.runnerRegistration = false;
  const scope = await approvedScope(portal, wish);
  await passes.until('a refusal', scope.id, says(scope, 'PoolsReady', 'RegistrationDisabled'), minuteMs);
  expect(await conditionOf(scope, 'Ready')).toMatchObject({ reason: 'RegistrationDisabled', waitingFor: 'admin' });

  place.runnerRegistration = true;
  portal.gitlab.fault({ kind: 'status', status: 502, match: { method: 'POST', path: '/user/runners' }, times: 100 });
  expect(await passes.pass(scope.id)).toBeNull();
  expect(await conditionOf(scope, 'PoolsReady')).toMatchObject({ reason: 'Away', waitingFor: 'forge' });
  await fetch(`${portal.gitlab.url}/_sandbox/faults`, { method: 'DELETE' });
  await passes.until('ready', scope.id, isReady(scope), minuteMs);

  portal.gitlab.fault({ kind: 'status', status: 502, match: { path: 'projects/\\d+/runners' }, times: 100 });
  passes.forget();
  expect(await passes.pass(scope.id)).toBeNull();
  expect(await conditionOf(scope, 'PoolsReady')).toMatchObject({ status: 'True' });
  expect(await conditionOf(scope, 'RunnersReady')).toMatchObject({ reason: 'Away', waitingFor: 'forge' });
}, 120_000);

test('a project that goes to another owner waits until somebody who administers it there approves', async () => {
  const scope = await readied(project('moved'));
  const place = Object.values(portal.gitlab.state.projects).find(({ path }) => path === 'moved');
  const buyer = Object.values(portal.gitlab.state.groups).find(({ path }) => path === 'mallory-labs');
  const seller = place?.namespaceId;
  if (!place || !buyer) throw new Error('no project');
  place.namespaceId = buyer.id;
  passes.forget();
  await passes.pass(scope.id);
  expect(await conditionOf(scope, 'Ready')).toMatchObject({
    status: 'False',
    reason: 'ScopeMoved',
    waitingFor: 'admin',
    message: expect.stringContaining('mallory-labs/moved belongs to another owner'),
  });
  const owner = async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: scope.id } })).ownerId;

  // The former owner's admin has no say there any more.
  await expect(approve(scope, 'change')).rejects.toMatchObject({ code: 'invalid' });
  expect(await owner()).toBe(String(seller));
  portal.gitlab.setMember('mallory-labs', 'ada-tinyland', 50);
  const plan = await planView(scope.ctx, await makePlan(scope.ctx, { enrollmentId: scope.id, kind: 'change' }));
  expect(plan.groups.find(({ where }) => where === 'forge')?.changes).toEqual([
    expect.objectContaining({
      op: '~',
      kind: 'Scope',
      name: 'mallory-labs/moved',
      fields: [{ path: 'owner', before: String(seller), after: String(buyer.id) }],
    }),
  ]);
  await approve(scope, 'change');
  expect(await owner()).toBe(String(buyer.id));
  const audited = { tenantId: scope.ctx.tenant.id, action: 'enrollment:owner' };
  expect(await unsafeDb().audit.count({ where: audited })).toBe(1);
  await passes.until('ready', scope.id, isReady(scope), minuteMs);
}, 120_000);

test('a namesake of what was enrolled is not approved in its place', async () => {
  const scope = await readied(project('deaf'));
  const place = Object.values(portal.gitlab.state.projects).find(({ path }) => path === 'deaf');
  if (!place) throw new Error('no project');
  const plan = await makePlan(scope.ctx, { enrollmentId: scope.id, kind: 'change' });
  place.members = [];
  place.path = 'deaf-hidden';
  portal.gitlab.addProject({ path: 'tinyland/deaf' });
  await expect(approvePlan(scope.ctx, plan)).rejects.toMatchObject({
    screen: { happened: expect.stringContaining('is another scope than the one that was enrolled') },
  });
}, 120_000);

const scopesForRunners: NonNullable<ScopeWish['scopes']> = ['create_runner', 'manage_runner', 'read_api'];

test('where no webhook can be made, the plan promises none and the forge’s step says so', async () => {
  const hooks = async ({ ctx, id }: EnrolledScope, kind: 'enroll' | 'withdraw') => {
    const plan = await planView(ctx, await makePlan(ctx, { enrollmentId: id, kind }));
    const changes = plan.groups.find(({ where }) => where === 'forge')?.changes ?? [];
    return changes.filter((change) => change.kind === 'Webhook').map(({ op }) => op);
  };
  const deaf = await draftOf(portal, { ...project('no-hook'), scopes: scopesForRunners });
  expect(await hooks(deaf, 'enroll')).toEqual([]);
  await approve(deaf, 'enroll');
  await passes.until('the forge', deaf.id, isTrue(deaf, 'ForgeReady'));
  const said = { reason: 'WithoutWebhook', message: expect.stringContaining('It may make no webhook there') };
  expect(await conditionOf(deaf, 'ForgeReady')).toMatchObject(said);
  // And again where it was looked at lately.
  await passes.pass(deaf.id);
  expect(await conditionOf(deaf, 'ForgeReady')).toMatchObject(said);
  expect(await hooks(deaf, 'withdraw')).toEqual([]);

  const heard = await draftOf(portal, project('with-hook'));
  expect(await hooks(heard, 'enroll')).toEqual(['+']);
  await approve(heard, 'enroll');
  await passes.until('the forge', heard.id, isTrue(heard, 'ForgeReady'));
  expect(await conditionOf(heard, 'ForgeReady')).toMatchObject({ reason: 'AsWanted' });
  expect(await hooks(heard, 'withdraw')).toEqual(['-']);
}, 120_000);

test('F15: a runner whose answer was lost goes with its pool, though nobody holds its secret', async () => {
  const scope = await readied(project('lost'));
  portal.gitlab.fault({ kind: 'reset-after', match: { method: 'POST', path: '/user/runners' } });
  await changePools(scope, { pools: ['docker', 'nix'] });
  await passes.pass(scope.id);
  expect([runnersOf('lost-docker').length, runnersOf('lost-nix').length]).toEqual([1, 1]);
  const kinds = await unsafeDb().credential.findMany({ where: { enrollmentId: scope.id }, select: { kind: true } });
  expect(kinds.map(({ kind }) => kind)).not.toContain('runner:flywheel-lost-nix');
  await changePools(scope, { pools: ['docker'] });
  await passes.until('ready', scope.id, isReady(scope), minuteMs);
  expect([runnersOf('lost-docker').length, runnersOf('lost-nix').length]).toEqual([1, 0]);
}, 120_000);

test('an installation of somebody else’s, by a name that they took, is not taken over', async () => {
  const control = async (path: string, body: object = {}) => {
    const headers = { 'content-type': 'application/json' };
    await fetch(`${portal.github.url}/_sandbox${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  portal.github.addOrg({ login: 'given', admins: ['ada-tinyland'] });
  portal.github.addOrg({ login: 'taker', admins: ['mallory'] });
  portal.github.addRepo({ owner: 'given', name: 'app', private: true });
  await control('/installations', { account: 'given' });
  const by = await portal.person('ada-tinyland');
  const start = { connectionId: 'github', level: 'repository' as const, path: 'given/app' };
  const tenant = { new: { slug: 'given', displayName: 'given', kind: 'organization' as const } };
  const { enrollmentId: id } = await startEnrollment(by, { ...start, tenant });
  const scope = { id, by, token: '', ctx: await portal.member('ada-tinyland', 'given') };
  await savePools(scope.ctx, { enrollmentId: id, pools: poolsOf({}) });
  await approve(scope, 'enroll');
  await passes.until('the forge', id, isTrue(scope, 'ForgeReady'));
  const held = async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } })).installationId;
  const first = await held();

  // The App leaves, and the whole name is somebody else's for a while, with the App on it.
  await control(`/installations/${first}/uninstall`);
  await control('/orgs/given/rename', { login: 'given-away' });
  await control('/orgs/taker/rename', { login: 'given' });
  portal.github.addRepo({ owner: 'given', name: 'app', private: true });
  await control('/installations', { account: 'given' });
  passes.forget();
  await passes.pass(id);
  expect(await conditionOf(scope, 'ForgeReady')).toMatchObject({ status: 'False' });
  expect(await held()).toBe(first);
  await control('/orgs/given/rename', { login: 'taker' });
  await control('/orgs/given-away/rename', { login: 'given' });
  await control('/installations', { account: 'given' });
  passes.forget();
  await passes.until('the forge', id, isTrue(scope, 'ForgeReady'));
  expect(await held()).not.toBe(first);
}, 120_000);
