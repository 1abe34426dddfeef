import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readObject, type ClusterClient, type KubernetesObject, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { namespacesOf, type PoolChoice } from '#lib/model/index.ts';
import type { Ctx, PersonCtx } from '#lib/tenant/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { approvedScope } from '#sandbox/test-support/enrolled.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  applyRollout,
  approvePlan,
  changePool,
  draftAdoption,
  enrollmentView,
  foundSets,
  makePlan,
  operatorPool,
  planRollouts,
  planView,
  planWarmth,
  PoolFields,
  rolloutView,
  savePools,
  startEnrollment,
} from './index.ts';
import { poolsByName } from './catalog.ts';
import { wantedRunners } from './registration.ts';
import { enrollmentRow, specOf } from './rows.ts';

/* What becomes of pools in the cluster: a schedule's hour, an operator's change, a share, a set that somebody else made. */

let portal: TestPortal;
let passes: Passes;
let admin: ClusterClient;
let olive: PersonCtx;

beforeAll(async () => {
  // The stand-in knows who operates by their id, which is asked for first.
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  passes = startPasses();
  admin = clusterClient((await testCluster({ arc: true })).kubeconfigPath);
  olive = await portal.person('olive-operator');
}, 180_000);
afterAll(async () => {
  await passes?.stop();
  await portal?.stop();
});

type Live = { ctx: Ctx; id: string; slug: string };

async function draft(slug: string, path: string, pools: PoolChoice[], sharing?: 'shared'): Promise<Live> {
  await portal.organization(path);
  const ada = await portal.person('ada-tinyland');
  const isThere = await unsafeDb().tenant.findUnique({ where: { slug } });
  const fresh = { slug, displayName: slug, kind: 'organization' as const, sharing: sharing ?? ('dedicated' as const) };
  const scope = { connectionId: 'github', level: 'organization' as const, path };
  const { enrollmentId: id } = await startEnrollment(ada, { ...scope, tenant: isThere ? { slug } : { new: fresh } });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId: id, pools });
  return { ctx, id, slug };
}

async function approve({ ctx, id }: Live, kind: 'enroll' | 'change'): Promise<void> {
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind }));
}

async function ready({ ctx, id }: Live): Promise<void> {
  await passes.until('ready', id, async () => (await enrollmentView(ctx, id)).ready, 60_000);
}

async function live(slug: string, path: string, pools: PoolChoice[], sharing?: 'shared'): Promise<Live> {
  const started = await draft(slug, path, pools, sharing);
  await approve(started, 'enroll');
  await ready(started);
  return started;
}

type SetSpec = { minRunners: number; maxRunners: number; template: { spec: { containers: { resources: object }[] } } };

async function setOf(slug: string, name: string): Promise<Observed & { spec: SetSpec }> {
  const metadata = { name, namespace: namespacesOf(slug).runners };
  const set = await readObject(admin, {
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'AutoscalingRunnerSet',
    metadata,
  });
  if (!set) throw new Error(`${name} is not there`);
  return set as Observed & { spec: SetSpec };
}

async function changesOf(ctx: Ctx, planId: string): Promise<string[]> {
  const { groups } = await planView(ctx, planId);
  return groups.flatMap(({ changes }) => changes.map(({ op, kind, name }) => `${op} ${kind} ${name}`));
}

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('nothing was refused', { cause: error });
  return [error.screen.happened, ...Object.values(error.screen.fields ?? {})].join(' ');
}

const docker = (maxRunners: number): PoolChoice => ({ pool: 'docker', minRunners: 0, maxRunners });

// ------------------------------------------------------------------------------------------------ a schedule

test('a schedule is read as a plan, and at its hour the set keeps more warm, with the runners that it has', async () => {
  const of = await live('hours', 'hours-org', [docker(3)]);
  const begins = new Date(Math.ceil(Date.now() / 3_600_000) * 3_600_000 + 24 * 3_600_000);
  const hour = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
  const to = hour(begins.getTime() + 3_600_000);
  const window = { days: [...days], from: hour(begins.getTime()), to, runners: 2 };
  const schedule = { timeZone: 'UTC', windows: [window], holidays: [] };
  const input = { enrollmentId: of.id, pool: 'docker', minRunners: 0, schedule };
  expect(
    await refusal(planWarmth(of.ctx, { ...input, schedule: { ...schedule, windows: [{ ...window, runners: 4 }] } })),
  ).toContain('is less than the 4 that are kept warm');

  const planId = await planWarmth(of.ctx, input);
  expect(await changesOf(of.ctx, planId)).toEqual(['+ WarmSchedule hours-docker']);
  await approvePlan(of.ctx, planId);
  await ready(of);
  const before = await setOf('hours', 'hours-docker');
  expect(before.spec.minRunners).toBe(0);

  passes.later(begins.getTime() - Date.now() + 1_000);
  await passes.pass(of.id);
  const open = await setOf('hours', 'hours-docker');
  expect([open.spec.minRunners, open.spec.maxRunners]).toEqual([2, 3]);
  expect(open.spec.template).toEqual(before.spec.template);
  passes.later(3_600_000);
  await passes.pass(of.id);
  expect((await setOf('hours', 'hours-docker')).spec.minRunners).toBe(0);

  // The wizard's sizes know nothing of it and leave it; one that is too small for it is refused.
  await savePools(of.ctx, { enrollmentId: of.id, pools: [docker(2)] });
  expect(await changesOf(of.ctx, await makePlan(of.ctx, { enrollmentId: of.id, kind: 'change' }))).toEqual([
    '~ AutoscalingRunnerSet hours-docker',
  ]);
  expect(await refusal(savePools(of.ctx, { enrollmentId: of.id, pools: [docker(1)] }))).toContain('kept warm');
});

test('at Forgejo it says how many of the runners stand, and all of them keep their registration', async () => {
  const wish = {
    forge: 'forgejo' as const,
    level: 'organization' as const,
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'hours-fj',
  };
  const of = await approvedScope(portal, { ...wish, maxRunners: 3 });
  const standing = async () => {
    const path = `/apis/apps/v1/namespaces/${namespacesOf('hours-fj').runners}/deployments`;
    const { items } = await admin.call<{ items: (Observed & { spec: { replicas: number } })[] }>(
      { method: 'GET', path },
      'the list',
    );
    return items.reduce((sum, { spec }) => sum + spec.replicas, 0);
  };
  await passes.until('all to stand', of.id, async () => (await standing()) === 3);
  const window = { days: ['mon' as const], from: '08:00', to: '09:00', runners: 3 };
  const schedule = { timeZone: 'UTC', windows: [window], holidays: [] };
  await approvePlan(of.ctx, await planWarmth(of.ctx, { enrollmentId: of.id, pool: 'docker', minRunners: 1, schedule }));
  // A Monday's window is shut at most hours, and open in one that the clock is moved to.
  const now = passes.now();
  const monday = new Date(
    Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + ((8 - now.getUTCDay()) % 7), 7, 30),
  );
  const until = monday.getTime() - now.getTime();
  passes.later(until < 0 ? until + 7 * 24 * 3_600_000 : until);
  await passes.until('one to stand', of.id, async () => (await standing()) === 1);
  passes.later(3_600_000);
  await passes.until('all to stand again', of.id, async () => (await standing()) === 3);
  const kept = await unsafeDb().credential.count({ where: { enrollmentId: of.id, kind: { startsWith: 'runner:' } } });
  expect(kept).toBe(3);

  // A budget's second step holds one of three back, and the forge is asked for no more than the other two.
  const budget = await unsafeDb().budget.create({
    data: {
      tenantId: of.ctx.tenant.id,
      name: 'half',
      amount: '1',
      currency: 'USD',
      thresholds: [100],
      isLimit: true,
      period: new Date().toISOString().slice(0, 7),
      step: 2,
      createdById: of.ctx.person.userId,
    },
  });
  await passes.until('two to stand', of.id, async () => (await standing()) === 2);
  const row = await enrollmentRow(of.id);
  const spec = row && specOf(row);
  if (!row || !spec) throw new Error('no enrollment');
  const known = { pools: await poolsByName(), now: passes.now() };
  const stands = (restraint?: number) =>
    wantedRunners(row, spec, { ...known, ...(restraint === undefined ? {} : { restraint }) }).filter(
      (each) => each.stands,
    ).length;
  expect([stands(), stands(1), stands(2), stands(3)]).toEqual([3, 3, 2, 0]);
  await unsafeDb().budget.delete({ where: { id: budget.id } });
  await passes.until('all to stand once more', of.id, async () => (await standing()) === 3);
}, 90_000);

test('at GitLab it says for how many jobs a place is held, and so many fewer run at once', async () => {
  const wish = { forge: 'gitlab' as const, level: 'project' as const, path: 'tinyland/site', by: 'ada-tinyland' };
  const of = await approvedScope(portal, { ...wish, slug: 'hours-gl', maxRunners: 3 });
  const namespace = namespacesOf('hours-gl').runners;
  const place = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'hours-gl-docker-gitlab-place', namespace },
  };
  const manager = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'hours-gl-docker-gitlab', namespace } };
  /** How many places are held, and how many jobs may run at once. */
  const held = async () => {
    const [places, secret] = [await readObject(admin, place), await readObject(admin, manager)];
    const config = Buffer.from(
      (secret?.['data'] as Record<string, string>)?.['config.toml'] ?? '',
      'base64',
    ).toString();
    return [(places?.['spec'] as { replicas: number } | undefined)?.replicas, /^limit = (\d+)$/m.exec(config)?.[1]];
  };
  const until = (what: string, places: number, jobs: string) =>
    passes.until(what, of.id, async () => String(await held()) === String([places, jobs]));
  await passes.until('a manager', of.id, async () => (await held())[1] === '3');

  const now = passes.now();
  const opens = new Date(Math.ceil(now.getTime() / 3_600_000) * 3_600_000 + 24 * 3_600_000);
  const hour = (ms: number) => new Date(ms).toISOString().slice(11, 16);
  const [from, to] = [hour(opens.getTime()), hour(opens.getTime() + 3_600_000)];
  const window = { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const, from, to, runners: 2 };
  const asked = (runners: number) => ({
    enrollmentId: of.id,
    pool: 'docker',
    minRunners: 0,
    schedule: { timeZone: 'UTC', windows: [{ ...window, days: [...window.days], runners }], holidays: [] },
  });
  expect(await refusal(planWarmth(of.ctx, asked(3)))).toContain('can hold 2 at most at GitLab');
  const planId = await planWarmth(of.ctx, asked(2));
  expect(await changesOf(of.ctx, planId)).toEqual(
    expect.arrayContaining(['+ WarmSchedule hours-gl-docker', '+ Deployment hours-gl-docker-gitlab-place']),
  );
  await approvePlan(of.ctx, planId);
  await until('no place yet', 0, '3');
  passes.later(opens.getTime() - now.getTime() + 1_000);
  await until('two places and one job', 2, '1');
  passes.later(3_600_000);
  await until('no place any more', 0, '3');
}, 90_000);

// ------------------------------------------------------------------------------------------------ an operator's change

test('a pool that an operator changes reaches an enrollment by a plan, and by nothing else', async () => {
  const of = await live('behind', 'behind-org', [docker(2)]);
  const form = {
    name: 'docker',
    description: 'General CI',
    cpu: '3',
    memory: '4Gi',
    storage: '20Gi',
    image: 'ghcr.io/actions/actions-runner:2.333.0',
    securityClass: 'restricted',
    cpuNote: undefined,
    imageDigest: '',
    imageBuiltAt: '',
    runnersMost: '',
  };
  const { cpuNote: _, ...fields } = form;
  const before = await setOf('behind', 'behind-docker');
  await changePool(olive, PoolFields.parse(fields));
  await passes.pass(of.id);
  expect((await setOf('behind', 'behind-docker')).spec).toEqual(before.spec);
  expect((await operatorPool('docker', new Date())).behind).toBeGreaterThan(0);

  const rolloutId = await planRollouts(olive, { pool: 'docker' });
  const { plans } = await rolloutView(olive, rolloutId);
  const own = plans.find(({ tenant }) => tenant === 'behind');
  expect([own?.state, own?.problem]).toEqual(['open', null]);
  const change = own?.plan?.groups
    .flatMap(({ changes }) => changes)
    .find(({ kind }) => kind === 'AutoscalingRunnerSet');
  expect(change?.fields).toContainEqual({
    path: 'spec.template.spec.containers[0].resources.limits.cpu',
    before: '2',
    after: '3',
  });

  // Somebody is typing meanwhile, and loses nothing of it.
  await savePools(of.ctx, { enrollmentId: of.id, pools: [docker(1)] });
  await applyRollout(olive, { rolloutId });
  expect((await rolloutView(olive, rolloutId)).plans.find(({ tenant }) => tenant === 'behind')?.state).toBe('approved');
  await ready(of);
  const after = await setOf('behind', 'behind-docker');
  expect(after.spec.template.spec.containers[0]?.resources).toMatchObject({ limits: { cpu: '3' } });
  expect(after.spec.maxRunners).toBe(2);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: of.id } });
  expect(row.draft).toMatchObject({ pools: [{ pool: 'docker', maxRunners: 1 }] });
  expect((await operatorPool('docker', new Date())).users.find(({ tenant }) => tenant === 'behind')?.changes).toEqual(
    [],
  );
  // Applied once more it changes nothing.
  expect(await applyRollout(olive, { rolloutId })).toBe(0);

  const most = { ...fields, runnersMost: '2' };
  await changePool(olive, PoolFields.parse(most));
  expect(await refusal(savePools(of.ctx, { enrollmentId: of.id, pools: [docker(3)] }))).toContain(
    'the operator gives a tenant: 2',
  );
  // Asked for while there was room, it is counted again when it is approved.
  await changePool(olive, PoolFields.parse({ ...fields, runnersMost: '4' }));
  await savePools(of.ctx, { enrollmentId: of.id, pools: [docker(4)] });
  const wide = await makePlan(of.ctx, { enrollmentId: of.id, kind: 'change' });
  await changePool(olive, PoolFields.parse(most));
  expect(await refusal(approvePlan(of.ctx, wide))).toContain('the operator gives a tenant: 2');
  expect((await setOf('behind', 'behind-docker')).spec.maxRunners).toBe(2);
  await changePool(olive, PoolFields.parse({ ...fields, cpu: '2' }));
}, 90_000);

// ------------------------------------------------------------------------------------------------ sharing

describe('two organizations in one tenant', () => {
  test('a dedicated one refuses the second', async () => {
    await live('alone', 'alone-org', [docker(1)]);
    expect(await refusal(draft('alone', 'another-org', [docker(1)]))).toContain('is dedicated to alone-org');
  });

  test('a shared one has fair shares of one quota: the newcomer’s plan says what the other loses, and more quota gives it back', async () => {
    const nix = (maxRunners: number): PoolChoice => ({ pool: 'nix', minRunners: 0, maxRunners });
    const first = await live('house', 'first-org', [docker(8)], 'shared');
    expect((await setOf('house', 'house-docker')).spec.maxRunners).toBe(8);
    const second = await draft('house', 'second-org', [nix(4)]);
    const planId = await makePlan(second.ctx, { enrollmentId: second.id, kind: 'enroll' });
    expect(await changesOf(second.ctx, planId)).toEqual(
      expect.arrayContaining(['~ FairShare house-docker', '~ FairShare house-nix']),
    );
    await approvePlan(second.ctx, planId);
    await ready(second);
    await ready(first);
    // 16 CPU: 2 a docker runner, 4 a nix one; half each.
    expect((await setOf('house', 'house-docker')).spec.maxRunners).toBe(4);
    expect((await setOf('house', 'house-nix')).spec.maxRunners).toBe(2);

    await unsafeDb().tenant.update({
      where: { slug: 'house' },
      data: { quotaCpu: '32', quotaMemory: '64Gi', quotaRunners: 16 },
    });
    await passes.pass(first.id);
    expect((await setOf('house', 'house-docker')).spec.maxRunners).toBe(8);
    await passes.pass(second.id);
    expect((await setOf('house', 'house-nix')).spec.maxRunners).toBe(4);
  }, 90_000);
});

// ------------------------------------------------------------------------------------------------ adopting

describe('a runner set that somebody made with Helm', () => {
  /** As the chart would have made it: our own of another pool, under its names and its manager. */
  async function asHelm(slug: string, from: string, to: string): Promise<void> {
    const { runners } = namespacesOf(slug);
    const renamed = (name: string) => name.replace(`${slug}-${from}`, `${slug}-${to}`);
    const kinds = [
      ['v1', 'ServiceAccount', `${slug}-${from}-gha-rs-no-permission`, `/api/v1/namespaces/${runners}/serviceaccounts`],
      [
        'rbac.authorization.k8s.io/v1',
        'Role',
        `${slug}-${from}-gha-rs-manager`,
        `/apis/rbac.authorization.k8s.io/v1/namespaces/${runners}/roles`,
      ],
      [
        'rbac.authorization.k8s.io/v1',
        'RoleBinding',
        `${slug}-${from}-gha-rs-manager`,
        `/apis/rbac.authorization.k8s.io/v1/namespaces/${runners}/rolebindings`,
      ],
      [
        'actions.github.com/v1alpha1',
        'AutoscalingRunnerSet',
        `${slug}-${from}`,
        `/apis/actions.github.com/v1alpha1/namespaces/${runners}/autoscalingrunnersets`,
      ],
    ] as const;
    for (const [apiVersion, kind, name, path] of kinds) {
      const model = await readObject(admin, { apiVersion, kind, metadata: { name, namespace: runners } });
      const { metadata, status: _, ...rest } = model as Observed & KubernetesObject;
      const text = JSON.stringify(rest).replaceAll(`${slug}-${from}`, `${slug}-${to}`);
      const version = metadata.labels?.['app.kubernetes.io/version'];
      const body = {
        ...(JSON.parse(text) as object),
        metadata: {
          name: renamed(name),
          namespace: runners,
          labels: {
            'app.kubernetes.io/managed-by': 'Helm',
            ...(version ? { 'app.kubernetes.io/version': version } : {}),
          },
          annotations: { 'meta.helm.sh/release-name': 'arc-set' },
        },
      };
      await admin.call({ method: 'POST', path, query: { fieldManager: 'helm' }, body }, `the making of ${kind}`);
    }
    await admin.mergePatch(await setOf(slug, `${slug}-${to}`), {
      spec: { minRunners: 1, template: { metadata: { labels: { theirs: 'yes' } } } },
    });
  }

  /** When the portal wrote to it, by which fields: ARC's own writes move its version too. */
  const ourWrites = ({ metadata }: Observed): unknown[] => {
    const { managedFields = [] } = metadata as { managedFields?: { manager: string; operation: string }[] };
    return managedFields.filter(({ manager, operation }) => manager === 'flywheel' && operation === 'Apply');
  };

  const runnersOf = async (slug: string, set: string): Promise<string[]> => {
    const path = `/apis/actions.github.com/v1alpha1/namespaces/${namespacesOf(slug).runners}/ephemeralrunners`;
    const { items } = await admin.call<{ items: Observed[] }>({ method: 'GET', path }, 'the list of runners');
    return items.filter(({ metadata }) => metadata.name.startsWith(`${set}-`)).map(({ metadata }) => metadata.uid);
  };

  test('is found, and taken over by a plan with its runners as they are', async () => {
    const of = await live('adopt', 'adopt-org', [docker(2)]);
    expect(await foundSets(of.ctx)).toEqual({ isAway: false, sets: [] });
    await asHelm('adopt', 'docker', 'nix');
    await passes.until(
      'a runner of theirs',
      of.id,
      async () => (await runnersOf('adopt', 'adopt-nix')).length === 1,
      60_000,
    );
    const before = await setOf('adopt', 'adopt-nix');
    const [runner] = await runnersOf('adopt', 'adopt-nix');

    const { sets } = await foundSets(of.ctx);
    expect(sets).toEqual([
      expect.objectContaining({
        name: 'adopt-nix',
        maker: 'Helm, release arc-set',
        minRunners: 1,
        becomes: { enrollmentId: of.id, enrollment: 'adopt-org', pool: 'nix' },
      }),
    ]);
    const uid = sets[0]?.uid ?? '';
    await draftAdoption(of.ctx, { uid });
    const planId = await makePlan(of.ctx, { enrollmentId: of.id, kind: 'change' });
    const { groups } = await planView(of.ctx, planId);
    const change = groups
      .flatMap(({ changes }) => changes)
      .find(({ name, kind }) => kind === 'AutoscalingRunnerSet' && name === 'adopt-nix');
    expect(change?.op).toBe('~');
    expect(change?.fields.filter(({ path }) => path.startsWith('spec.'))).toEqual([]);
    // Not one object is written before somebody approves.
    expect(ourWrites(await setOf('adopt', 'adopt-nix'))).toEqual([]);

    await approvePlan(of.ctx, planId);
    await ready(of);
    const after = await setOf('adopt', 'adopt-nix');
    expect(after.metadata.uid).toBe(before.metadata.uid);
    expect(after.metadata.labels).toMatchObject({
      'app.kubernetes.io/managed-by': 'flywheel',
      'flywheel.dev/pool': 'nix',
    });
    expect(after.spec.template).toEqual(before.spec.template);
    expect(await runnersOf('adopt', 'adopt-nix')).toEqual([runner]);
    expect((await foundSets(of.ctx)).sets).toEqual([]);
    // A pass that changes nothing sends nothing.
    await passes.pass(of.id);
    expect(ourWrites(await setOf('adopt', 'adopt-nix'))).toEqual(ourWrites(after));
    // From now on it is ours like any other: what somebody changes by hand is told of in the plan, and not overruled.
    await admin.call(
      {
        method: 'PATCH',
        path: `/apis/actions.github.com/v1alpha1/namespaces/${namespacesOf('adopt').runners}/autoscalingrunnersets/adopt-nix`,
        query: { fieldManager: 'kubectl-edit' },
        contentType: 'application/merge-patch+json',
        body: { spec: { maxRunners: 7 } },
      },
      'a change by hand',
    );
    expect(await refusal(makePlan(of.ctx, { enrollmentId: of.id, kind: 'change' }))).toContain(
      'Somebody else changed AutoscalingRunnerSet',
    );
  }, 120_000);

  test('a set that was made anew since it was found is not taken over', async () => {
    const of = await live('anew', 'anew-org', [docker(2)]);
    await asHelm('anew', 'docker', 'nix');
    const [found] = (await foundSets(of.ctx)).sets;
    await draftAdoption(of.ctx, { uid: found?.uid ?? '' });
    const set = await setOf('anew', 'anew-nix');
    const gone = { ...set.metadata, name: 'anew-nix' };
    await admin.call(
      {
        method: 'DELETE',
        path: `/apis/actions.github.com/v1alpha1/namespaces/${gone.namespace}/autoscalingrunnersets/anew-nix`,
      },
      'the removal',
    );
    await passes.until(
      'it to be gone',
      of.id,
      async () =>
        (await readObject(admin, {
          apiVersion: 'actions.github.com/v1alpha1',
          kind: 'AutoscalingRunnerSet',
          metadata: { name: 'anew-nix', namespace: gone.namespace ?? '' },
        })) === undefined,
      60_000,
    );
    expect(await refusal(makePlan(of.ctx, { enrollmentId: of.id, kind: 'change' }))).toContain(
      'is gone, or was made anew',
    );
  }, 120_000);

  test('one whose name is no label of the tenant is shown, with the reason why it stays theirs', async () => {
    const ctx = await portal.member('ada-tinyland', 'adopt');
    const set = await setOf('adopt', 'adopt-docker');
    const { runners } = namespacesOf('adopt');
    const body = {
      apiVersion: 'actions.github.com/v1alpha1',
      kind: 'AutoscalingRunnerSet',
      metadata: { name: 'arc-runner-set', namespace: runners, labels: { 'app.kubernetes.io/version': '0.14.2' } },
      spec: { ...set.spec, runnerScaleSetName: 'arc-runner-set' },
    };
    const path = `/apis/actions.github.com/v1alpha1/namespaces/${runners}/autoscalingrunnersets`;
    await admin.call({ method: 'POST', path, query: { fieldManager: 'kubectl-create' }, body }, 'the making of a set');
    const [found] = (await foundSets(ctx)).sets;
    expect(found).toMatchObject({
      maker: 'by hand, with kubectl-create',
      becomes: { refusal: expect.stringContaining('no pool of this tenant') as unknown },
    });
    expect(await refusal(draftAdoption(ctx, { uid: found?.uid ?? '' }))).toContain('no pool of this tenant');
  });
});
