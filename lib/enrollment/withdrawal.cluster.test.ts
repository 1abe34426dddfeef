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
