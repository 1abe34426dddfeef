import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listObjects, readObject, type ClusterClient, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import {
  approve,
  approvedScope,
  changePools,
  tokenFor,
  type EnrolledScope,
  type ScopeWish,
} from '#sandbox/test-support/enrolled.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, enrollmentView, makePlan, replaceForgeToken, savePools, startEnrollment } from './index.ts';

/* What is said and done where a forge no longer lets us clear up, and what becomes of jobs that still run. */

let portal: TestPortal;
let passes: Passes;
let admin: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, runnersOf: ['job-ends', 'job-lost'] });
  passes = startPasses();
  admin = clusterClient((await testCluster()).kubeconfigPath);
}, 180_000);
afterAll(async () => {
  await passes?.stop();
  await portal?.stop();
});

async function conditionOf({ ctx, id }: Pick<EnrolledScope, 'ctx' | 'id'>, type: string) {
  return (await enrollmentView(ctx, id)).phases.find((phase) => phase.type === type);
}

const isDefined = async (scope: EnrolledScope) => (await conditionOf(scope, 'PoolsReady'))?.status === 'True';
const isWithdrawn = async ({ ctx, id }: Pick<EnrolledScope, 'ctx' | 'id'>) =>
  (await enrollmentView(ctx, id)).state === 'withdrawn';

/** Its runners are registered; whether their processes came is nothing to a withdrawal. */
async function registered(wish: ScopeWish): Promise<EnrolledScope> {
  const scope = await approvedScope(portal, wish);
  await passes.until('registrations', scope.id, () => isDefined(scope));
  return scope;
}

async function evidenceOf({ id }: Pick<EnrolledScope, 'id'>): Promise<string> {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  const entry = await unsafeDb().audit.findFirstOrThrow({
    where: { tenantId: row.tenantId, action: 'enrollment:withdrawn' },
  });
  return JSON.stringify(entry.after);
}

function runnersAt(forge: 'gitlab' | 'forgejo', slug: string): string[] {
  const all: { name?: string; description?: string }[] = Object.values(portal[forge].state.runners);
  return all.map((each) => each.name ?? each.description ?? '').filter((name) => name.startsWith(`flywheel-${slug}-`));
}

const hooksAt = (forge: 'gitlab' | 'forgejo', { id }: EnrolledScope) =>
  Object.values(portal[forge].state.hooks).filter(({ url }) => url.endsWith(id));
const hookOf = (forge: string, { id }: EnrolledScope) => `${env().PORTAL_URL}/api/hooks/${forge}/${id}`;

const gitlab = (slug: string): ScopeWish => {
  portal.gitlab.addProject({ path: `tinyland/${slug}` });
  return { forge: 'gitlab', level: 'project', path: `tinyland/${slug}`, by: 'ada-tinyland', slug };
};
const projectOf = (slug: string) => {
  const found = Object.values(portal.gitlab.state.projects).find(({ path }) => path === slug);
  if (!found) throw new Error(`no project ${slug}`);
  return found;
};

const forgejo = (slug: string): ScopeWish => {
  portal.forgejo.addRepo({ owner: 'JessSullivan', name: slug, private: true });
  return { forge: 'forgejo', level: 'repository', path: `JessSullivan/${slug}`, by: 'JessSullivan', slug };
};
const repoOf = (slug: string) => {
  const found = Object.values(portal.forgejo.state.repos).find(({ name }) => name === slug);
  if (!found) throw new Error(`no repository ${slug}`);
  return found;
};

describe('GitLab', () => {
  test.each([
    ['CI is switched off', 'gl-ci-off', (slug: string) => void (projectOf(slug).ciEnabled = false)],
    ['the server is too old', 'gl-old', () => void (portal.gitlab.state.settings.version = '15.11.13')],
  ])(
    '%s: all is removed all the same',
    async (_, slug, spoil) => {
      const before = portal.gitlab.state.settings.version;
      const scope = await registered(gitlab(slug));
      spoil(slug);
      await approve(scope, 'withdraw');
      await passes.until('withdrawn', scope.id, () => isWithdrawn(scope));
      portal.gitlab.state.settings.version = before;
      expect([runnersAt('gitlab', slug), hooksAt('gitlab', scope)]).toEqual([[], []]);
      expect(await evidenceOf(scope)).toContain('Nothing of ours is left at the forge.');
    },
    60_000,
  );

  test('a project that our token sees no more: its runners leave by themselves, and the webhook is said to be left', async () => {
    const scope = await registered(gitlab('gl-hidden'));
    expect(runnersAt('gitlab', 'gl-hidden')).toHaveLength(1);
    projectOf('gl-hidden').members = [];
    await approve(scope, 'withdraw');
    await passes.until('withdrawn', scope.id, () => isWithdrawn(scope));
    expect(runnersAt('gitlab', 'gl-hidden')).toEqual([]);
    expect(hooksAt('gitlab', scope)).toHaveLength(1);
    const evidence = await evidenceOf(scope);
    expect(evidence).toContain(
      `tinyland/gl-hidden is not visible to our access token any more; if it still exists, remove the webhook to ${hookOf('gitlab', scope)} there.`,
    );
  }, 60_000);

  test('a token that has ended is waited for; a new one takes the webhook, too', async () => {
    const wish = gitlab('gl-ended');
    const scope = await registered(wish);
    portal.gitlab.revoke(scope.token);
    await approve(scope, 'withdraw');
    const asked = async () => (await conditionOf(scope, 'ForgeGone'))?.reason === 'TokenEnded';
    await passes.until('a question for a token', scope.id, asked);
    expect(await conditionOf(scope, 'ForgeGone')).toMatchObject({
      waitingFor: 'admin',
      message: expect.stringContaining('Enter a working access token'),
    });
    expect(runnersAt('gitlab', 'gl-ended')).toEqual([]);
    await replaceForgeToken(scope.ctx, { enrollmentId: scope.id, token: tokenFor(portal, wish) });
    await passes.until('withdrawn', scope.id, () => isWithdrawn(scope));
    expect(hooksAt('gitlab', scope)).toEqual([]);
  }, 60_000);
});

describe('Forgejo', () => {
  test('Actions are switched off: that is what is waited for, and no token', async () => {
    const scope = await registered(forgejo('fj-off'));
    repoOf('fj-off').actions = false;
    await approve(scope, 'withdraw');
    const asked = async () => (await conditionOf(scope, 'ForgeGone'))?.reason === 'RegistrationDisabled';
    await passes.until('the cause', scope.id, asked);
    const said = await conditionOf(scope, 'ForgeGone');
    expect(said).toMatchObject({ waitingFor: 'admin', message: expect.stringContaining('has Actions switched off') });
    expect(said?.message).toContain('Until then our registrations there cannot be removed.');
    expect(said?.message).not.toContain('token');
    repoOf('fj-off').actions = true;
    await passes.until('withdrawn', scope.id, () => isWithdrawn(scope));
    expect([runnersAt('forgejo', 'fj-off'), hooksAt('forgejo', scope)]).toEqual([[], []]);
  }, 60_000);

  test('a repository that our token sees no more: what may be left is named', async () => {
    const scope = await registered(forgejo('fj-hidden'));
    const mallory = Object.values(portal.forgejo.state.users).find(({ login }) => login === 'mallory');
    repoOf('fj-hidden').ownerId = mallory?.id ?? 0;
    await approve(scope, 'withdraw');
    await passes.until('withdrawn', scope.id, () => isWithdrawn(scope));
    expect(runnersAt('forgejo', 'fj-hidden')).toEqual(['flywheel-fj-hidden-docker-1']);
    expect(await evidenceOf(scope)).toContain(
      `if it still exists, remove flywheel-fj-hidden-docker-1 and the webhook to ${hookOf('forgejo', scope)} there.`,
    );
  }, 60_000);
});

describe('GitHub', () => {
  test.each(['suspend', 'uninstall'])(
    'an App that was %sed: the group that may be left is named',
    async (how) => {
      const slug = `gh-${how}`;
      await portal.organization(slug);
      const by = await portal.person('ada-tinyland');
      const { enrollmentId: id } = await startEnrollment(by, {
        connectionId: 'github',
        level: 'organization',
        path: slug,
        tenant: { new: { slug, displayName: slug, kind: 'organization' } },
      });
      const ctx = await portal.member('ada-tinyland', slug);
      const scope = { id, ctx };
      await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
      await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
      await passes.until('ready', id, async () => (await enrollmentView(ctx, id)).ready, 60_000);
      // Its runner sets are gone while the App is there, as ARC needs it.
      const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
      await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'withdraw' }));
      const away = `${portal.github.url}/_sandbox/installations/${row.installationId}/${how}`;
      const sets = async () => (await conditionOf(scope, 'SetsGone'))?.status === 'True';
      portal.github.fault({ kind: 'status', status: 502, match: { path: '/runner-groups' }, times: 1000 });
      await passes.until('no runner sets', id, sets, 60_000);
      await fetch(`${portal.github.url}/_sandbox/faults`, { method: 'DELETE' });
      await fetch(away, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' });
      await passes.until('withdrawn', id, () => isWithdrawn(scope), 60_000);
      expect(await evidenceOf(scope)).toContain(
        `The App may no longer look at ${slug}; if its runner group ${row.runnerGroup} is still there, it serves nobody`,
      );
    },
    120_000,
  );
});

// ------------------------------------------------------------------------------------------------ jobs that still run

const isGitlabReady = async ({ ctx, id }: EnrolledScope) => (await enrollmentView(ctx, id)).ready;

async function managerPod(slug: string): Promise<Observed> {
  const [pod] = await listObjects(admin, 'Pod', 'v1', `runners-${slug}`, 'app.kubernetes.io/name=gitlab-runner');
  if (!pod) throw new Error('no manager');
  return pod;
}

/** On a node, without which a pod has no time to end in. There is none here, so that its end is the test's to say. */
async function putOnNode({ metadata: { name, namespace } }: Observed): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target: { kind: 'Node', name: 'a-node' } };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/binding`;
  await admin.call({ method: 'POST', path, body }, 'the binding');
}

async function endPod({ metadata: { name, namespace } }: Observed): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  await admin.call({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 } }, 'the pod');
}

const roleOf = (slug: string) =>
  readObject(admin, {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: `${slug}-docker-gitlab`, namespace: `runners-${slug}` },
  });

async function withRunningJob(slug: string): Promise<{ scope: EnrolledScope; jobId: number; pod: Observed }> {
  const wish = gitlab(slug);
  const scope = await approvedScope(portal, wish);
  await passes.until('ready', scope.id, () => isGitlabReady(scope), 60_000);
  const pod = await managerPod(slug);
  await putOnNode(pod);
  const { id: jobId } = portal.gitlab.queueJob({ project: wish.path, tags: [`${slug}-docker`], durationSeconds: 4 });
  await eventually('a running job', () => portal.gitlab.state.jobs[jobId]?.status === 'running');
  return { scope, jobId, pod };
}

const secondsLeft = async (pod: Observed) => (await readObject(admin, pod))?.metadata.deletionGracePeriodSeconds;

test('a pool that is taken out lets its job end, with the rights that it needs; then they go', async () => {
  const { scope, jobId, pod } = await withRunningJob('job-ends');
  expect(await roleOf('job-ends')).toBeDefined();
  await changePools(scope, { pools: ['nix'] });
  const waits = async () => (await conditionOf(scope, 'PoolsReady'))?.message.includes('when its jobs have ended');
  await passes.until('the job to be waited for', scope.id, async () => (await waits()) ?? false);
  const status = () => portal.gitlab.state.jobs[jobId]?.status;
  await passes.until('the job to end', scope.id, () => Promise.resolve(status() !== 'running'));
  expect(status()).toBe('success');
  expect(await roleOf('job-ends')).toBeDefined();
  expect(await secondsLeft(pod)).toBe(3600);
  await endPod(pod);
  await passes.until('the Role to go', scope.id, async () => (await roleOf('job-ends')) === undefined);
}, 120_000);

test('a withdrawal waits for no job: its pods are given seconds', async () => {
  const { scope, pod } = await withRunningJob('job-lost');
  await approve(scope, 'withdraw');
  await passes.until('a short grace', scope.id, async () => (await secondsLeft(pod)) === 30);
  expect(await conditionOf(scope, 'SetsGone')).toMatchObject({ status: 'False', reason: 'Removing' });
  await endPod(pod);
  await passes.until('withdrawn', scope.id, () => isWithdrawn(scope), 60_000);
}, 120_000);
