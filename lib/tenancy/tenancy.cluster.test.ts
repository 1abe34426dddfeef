import { afterAll, beforeAll, expect, test } from 'vitest';
import { readObject, type ClusterClient } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  approvePlan,
  enrollmentView,
  makePlan,
  planView,
  savePlanes,
  savePools,
  standingsBy,
  startEnrollment,
} from '#lib/enrollment/index.ts';
import { syncMemberships, type Ctx } from '#lib/tenant/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvalView,
  approve,
  askForTenant,
  beginLeaving,
  departureOf,
  followTeam,
  leaving,
  newTeam,
  reject,
  requestsOf,
  resume,
  submitPlan,
  suspend,
  teamChoices,
} from './index.ts';

/* Tenants as the cluster, the forge and the cache see them. */

let portal: TestPortal;
let cluster: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  portal.startWorker();
  cluster = clusterClient((await testCluster()).kubeconfigPath);
}, 180_000);
afterAll(() => portal?.stop());

const operator = () => portal.person('olive-operator');
const small = { cpu: '8', memory: '16Gi', runners: 4, storage: '100Gi' };

async function draftIn(slug: string, org: string, pools = [{ pool: 'docker', minRunners: 0, maxRunners: 2 }]) {
  await portal.organization(org);
  const ada = await portal.person('ada-tinyland');
  const scope = { connectionId: 'github', level: 'organization' as const, path: org };
  const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant: { slug } });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools });
  return { ctx, enrollmentId };
}

async function organization(slug: string): Promise<{ ctx: Ctx; enrollmentId: string }> {
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 1, maxRunners: 2 }] });
  await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false } } });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  await isReady(ctx, enrollmentId);
  return { ctx, enrollmentId };
}

async function isReady(ctx: Ctx, id: string): Promise<void> {
  await eventually('ready', async () => (await enrollmentView(ctx, id)).ready, 30_000);
}

async function refused(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return `${error.code}: ${error.screen.happened}`;
  throw new Error(`not refused: ${String(error)}`);
}

async function hardOf(slug: string): Promise<Record<string, string>> {
  const at = { name: 'flywheel', namespace: `runners-${slug}` };
  const quota = await readObject(cluster, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: at });
  return (quota?.['spec'] as { hard: Record<string, string> } | undefined)?.hard ?? {};
}

async function setOf(slug: string, name: string): Promise<{ minRunners: number; maxRunners: number } | undefined> {
  const metadata = { name, namespace: `runners-${slug}` };
  const kind = 'AutoscalingRunnerSet';
  const set = await readObject(cluster, { apiVersion: 'actions.github.com/v1alpha1', kind, metadata });
  return set?.['spec'] as { minRunners: number; maxRunners: number } | undefined;
}

test('a managed customer: nothing starts before an operator says so, and then each plan is theirs to grant', async () => {
  const ada = await portal.person('ada-tinyland');
  const slug = 'customer';
  await askForTenant(ada, { kind: 'managed_customer', slug, displayName: 'A customer', quota: small, note: '' });
  const { ctx, enrollmentId } = await draftIn(slug, 'customer-org');
  const early = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
  expect(await refused(approvePlan(ctx, early))).toContain('waits for an operator');
  expect(await refused(submitPlan(ctx, { planId: early, note: '' }))).toContain('waits for an operator');
  const [asked] = await requestsOf(ctx);
  await approve(await operator(), { requestId: asked?.id ?? '', note: '', beyondCapacity: false });

  const planId = await makePlan(await portal.member('ada-tinyland', slug), { enrollmentId, kind: 'enroll' });
  const now = await portal.member('ada-tinyland', slug);
  expect(await refused(approvePlan(now, planId))).toBe('forbidden: An operator manages what a managed customer runs.');
  const { requestId } = await submitPlan(now, { planId, note: 'for the release' });
  expect((await planView(now, planId)).state).toBe('waiting');
  expect((await enrollmentView(now, enrollmentId)).state).toBe('draft');
  const seen = await approvalView(await operator(), requestId ?? '');
  expect(seen).toMatchObject({
    tenant: { slug, kind: 'managed_customer' },
    plan: { state: 'waiting', pools: [{ pool: 'docker', maxRunners: 2 }] },
    cost: { least: 0, currency: 'USD' },
  });
  expect(seen.plan?.counts.added).toBeGreaterThan(5);
  // Granted with one runner in place of two.
  const pools = [{ pool: 'docker', minRunners: 0, maxRunners: 1 }];
  await approve(await operator(), { requestId: requestId ?? '', note: '', pools, beyondCapacity: false });
  await isReady(now, enrollmentId);
  expect(await setOf(slug, 'customer-docker')).toMatchObject({ minRunners: 0, maxRunners: 1 });
}, 90_000);

test('a plan that was overtaken while it waited cannot be granted, and a refused one changes nothing', async () => {
  const ada = await portal.person('ada-tinyland');
  const slug = 'slow-customer';
  await askForTenant(ada, { kind: 'managed_customer', slug, displayName: 'Slow', quota: small, note: '' });
  const asked = await requestsOf(await portal.member('ada-tinyland', slug));
  await approve(await operator(), { requestId: asked[0]?.id ?? '', note: '', beyondCapacity: false });
  const { ctx, enrollmentId } = await draftIn(slug, 'slow-customer-org');
  const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
  const { requestId } = await submitPlan(ctx, { planId, note: '' });
  // Somebody makes the runner group by hand: what was read is not what would happen.
  const { state } = portal.github;
  const orgId = Object.values(state.orgs).find(({ login }) => login === 'slow-customer-org')?.id ?? 0;
  const made = { id: 9999, orgId, name: `flywheel-${slug}`, default: false, visibility: 'all' as const };
  const closed = { repositoryIds: [], allowsPublic: false, restrictedToWorkflows: false, selectedWorkflows: [] };
  state.runnerGroups[`${orgId}:9999`] = { ...made, ...closed };
  const grant = approve(await operator(), { requestId: requestId ?? '', note: '', beyondCapacity: false });
  expect(await refused(grant)).toContain('has changed since');
  expect((await requestsOf(ctx)).find(({ id }) => id === requestId)?.state).toBe('withdrawn');
  delete state.runnerGroups[`${orgId}:9999`];
  const again = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
  const second = await submitPlan(ctx, { planId: again, note: '' });
  await reject(await operator(), { requestId: second.requestId ?? '', text: 'Not this month.' });
  expect((await planView(ctx, again)).state).toBe('discarded');
  expect((await enrollmentView(ctx, enrollmentId)).state).toBe('draft');
}, 90_000);

test('a team’s share is taken off its organization’s namespace, and has a quota of its own', async () => {
  const org = await organization('with-team');
  expect(await hardOf('with-team')).toMatchObject({
    'limits.cpu': '16',
    pods: '8',
    'requests.ephemeral-storage': '250Gi',
  });
  const ada = await portal.person('ada-tinyland');
  const team = {
    kind: 'team' as const,
    slug: 'the-team',
    displayName: 'Team',
    parent: 'with-team',
    quota: small,
    note: '',
  };
  await newTeam(ada, team);
  await eventually('the share is gone', async () => (await hardOf('with-team'))['limits.cpu'] === '8', 20_000);
  expect(await hardOf('with-team')).toMatchObject({
    'limits.memory': '16Gi',
    pods: '4',
    'limits.ephemeral-storage': '150Gi',
  });
  const { ctx, enrollmentId } = await draftIn('the-team', 'team-org');
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  await isReady(ctx, enrollmentId);
  expect(await hardOf('the-team')).toMatchObject({ 'limits.cpu': '8', pods: '4', 'limits.ephemeral-storage': '100Gi' });
  // Suspending the organization stops its team too.
  await suspend(await operator(), { slug: 'with-team', reason: 'unpaid' });
  for (const [slug, name] of [
    ['with-team', 'with-team-docker'],
    ['the-team', 'the-team-docker'],
  ] as const)
    await eventually(`${name} at nothing`, async () => (await setOf(slug, name))?.maxRunners === 0, 20_000);
  expect((await setOf('with-team', 'with-team-docker'))?.minRunners).toBe(0);
  await eventually(
    'said',
    async () => /suspended/.test((await enrollmentView(org.ctx, org.enrollmentId)).headline),
    20_000,
  );
  const plan = await makePlan(org.ctx, { enrollmentId: org.enrollmentId, kind: 'change' });
  expect(await refused(approvePlan(org.ctx, plan))).toContain('This tenant is suspended');
  await resume(await operator(), { slug: 'with-team' });
  for (const [slug, name, most] of [
    ['with-team', 'with-team-docker', 2],
    ['the-team', 'the-team-docker', 2],
  ] as const)
    await eventually(`${name} goes on`, async () => (await setOf(slug, name))?.maxRunners === most, 20_000);
  expect((await setOf('with-team', 'with-team-docker'))?.minRunners).toBe(1);
}, 120_000);

test('leaving: the list first, then all of it goes, and a report of what was looked for and not found', async () => {
  const { ctx } = await organization('leaver');
  expect(await leaving(ctx)).toMatchObject({
    enrollments: [{ scope: 'leaver', labels: ['leaver-docker'] }],
    views: ['leaver+main'],
    namespaces: ['runners-leaver', 'bazel-leaver'],
  });
  expect(await refused(beginLeaving(ctx, { typed: 'another' }))).toContain('invalid');
  await beginLeaving(ctx, { typed: 'leaver' });
  const state = async () => (await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'leaver' } })).state;
  await eventually('left', async () => (await state()) === 'left', 60_000);
  const report = await departureOf(ctx);
  expect(report?.evidence.map(({ where, what, gone }) => [where, what, gone])).toEqual([
    ['cluster', 'Namespace runners-leaver', true],
    ['cluster', 'Namespace bazel-leaver', true],
    ['cluster', 'Namespace dind-leaver', true],
    ['forge', 'leaver at GitHub', true],
    ['cache', 'Attic views leaver+main, leaver+pull-requests', true],
  ]);
  expect(Object.values(portal.github.state.runnerGroups).map(({ name }) => name)).not.toContain('flywheel-leaver');
  expect(await unsafeDb().credential.count({ where: { tenantId: ctx.tenant.id } })).toBe(0);
  expect(await unsafeDb().audit.count({ where: { tenantId: ctx.tenant.id, action: 'tenant:left' } })).toBe(1);
  // Its slug is never given out again, and nothing starts in it.
  const ada = await portal.person('ada-tinyland');
  const wish = { kind: 'enterprise' as const, slug: 'leaver', displayName: 'Again', quota: small, note: '' };
  expect(await refused(askForTenant(ada, wish))).toContain('invalid');
  const scope = { connectionId: 'github', level: 'organization' as const, path: 'leaver' };
  expect(await refused(startEnrollment(ada, { ...scope, tenant: { slug: 'leaver' } }))).toContain('invalid');
}, 120_000);

test('who has tenants below cannot leave before them, and what has nothing leaves at once', async () => {
  const { ctx } = await organization('parent-stays');
  const ada = await portal.person('ada-tinyland');
  const quota = { cpu: '1', memory: '1Gi', runners: 1, storage: '20Gi' };
  await newTeam(ada, { kind: 'team', slug: 'below', displayName: 'Below', parent: 'parent-stays', quota, note: '' });
  expect(await refused(beginLeaving(ctx, { typed: 'parent-stays' }))).toBe('conflict: Below is below this tenant.');
  const team = await portal.member('ada-tinyland', 'below');
  await beginLeaving(team, { typed: 'below' });
  const state = async () => (await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'below' } })).state;
  await eventually('left', async () => (await state()) === 'left', 20_000);
  expect((await departureOf(team))?.evidence).toEqual([]);
}, 90_000);

async function sandboxed(method: string, path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${portal.github.url}/_sandbox/${path}`, { method, headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
}

test('a team follows one of the forge: its maintainers come in as admins, and only the organization’s admins choose it', async () => {
  await organization('followed-org');
  const ada = await portal.person('ada-tinyland');
  const quota = { cpu: '1', memory: '1Gi', runners: 1, storage: '20Gi' };
  const wish = {
    kind: 'team' as const,
    slug: 'followers',
    displayName: 'Followers',
    parent: 'followed-org',
    quota,
    note: '',
  };
  await newTeam(ada, wish);
  await sandboxed('POST', 'orgs/followed-org/teams', { name: 'compilers' });
  await sandboxed('PUT', 'orgs/followed-org/members/sam-tinyland', { role: 'member' });
  await sandboxed('PUT', 'orgs/followed-org/teams/compilers/members/sam-tinyland', { role: 'maintainer' });
  const ctx = await portal.member('ada-tinyland', 'followers');
  const choices = await teamChoices(ctx);
  expect(choices).toMatchObject({
    now: null,
    trouble: null,
    choices: [{ label: expect.stringContaining('compilers') as unknown }],
  });
  expect(await refused(followTeam(ctx, { team: 'github 1/2' }))).toContain('invalid');
  await followTeam(ctx, { team: choices?.choices[0]?.value ?? '' });
  const sam = await portal.person('sam-tinyland');
  const userToken = portal.github.userToken('sam-tinyland');
  const whose = { userId: sam.person.userId, connectionId: 'github' };
  await syncMemberships({ ...whose, ...(await standingsBy({ ...whose, userToken })), now: new Date() });
  const theirs = await portal.member('sam-tinyland', 'followers');
  expect(theirs.role).toBe('admin');
  // A team's admin who is none of the organization's does not say whom it follows.
  expect(await refused(followTeam(theirs, { team: '' }))).toContain('forbidden');
}, 90_000);
