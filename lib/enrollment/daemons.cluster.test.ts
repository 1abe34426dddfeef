import { afterAll, beforeAll, expect, test } from 'vitest';
import { listObjects, readObject, type ClusterClient } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { cpuMillicores, memoryBytes, namespacesOf, type PoolChoice } from '#lib/model/index.ts';
import { operatorCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  applyRollout,
  approvePlan,
  changePool,
  enrollmentView,
  makePlan,
  operatorReasons,
  planRollouts,
  planView,
  PoolFields,
  savePools,
  startEnrollment,
} from './index.ts';

/* Pools with a daemon, from the catalog to the cluster and away again: who allows them, where they are, what they are given. */

let portal: TestPortal;
let passes: Passes;
let admin: ClusterClient;
let olive: PersonCtx;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  passes = startPasses();
  admin = clusterClient((await testCluster({ arc: true })).kubeconfigPath);
  olive = await portal.person('olive-operator');
}, 180_000);
afterAll(async () => {
  await passes?.stop();
  await portal?.stop();
});

const images = {
  name: 'images',
  description: 'Container images',
  cpu: '4',
  memory: '8Gi',
  storage: '20Gi',
  image: 'ghcr.io/actions/actions-runner:2.333.0',
  imageDigest: '',
  imageBuiltAt: '',
  runnersMost: '',
  securityClass: 'builds',
  daemonImage: `docker.io/moby/buildkit:v0.34.2-rootless@sha256:${'b1'.repeat(32)}`,
};
const keepPool = (fields: object) => changePool(olive, PoolFields.parse({ ...images, ...fields }));

type Live = { ctx: Ctx; id: string; slug: string };

async function draft(slug: string, pools: PoolChoice[]): Promise<Live> {
  await portal.organization(`${slug}-org`);
  const ada = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const scope = { connectionId: 'github', level: 'organization' as const, path: `${slug}-org` };
  const { enrollmentId: id } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId: id, pools });
  return { ctx, id, slug };
}

const plan = ({ ctx, id }: Live, kind: 'enroll' | 'change' | 'withdraw') => makePlan(ctx, { enrollmentId: id, kind });
const byOperator = async ({ slug }: Live, planId: string) => approvePlan(await operatorCtx(olive, slug), planId);
const choice = (pool: string, maxRunners: number, minRunners = 0): PoolChoice => ({ pool, minRunners, maxRunners });

async function ready({ ctx, id }: Live): Promise<void> {
  await passes.until('ready', id, async () => (await enrollmentView(ctx, id)).ready, 60_000);
}

async function changesOf({ ctx }: Live, planId: string): Promise<string[]> {
  const { groups } = await planView(ctx, planId);
  return groups.flatMap(({ changes }) =>
    changes.map(({ op, kind, name, namespace }) => `${op} ${kind} ${namespace ?? ''}/${name}`),
  );
}

const namespaceOf = (name: string) => readObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
const setsIn = async (namespace: string) =>
  (await listObjects(admin, 'AutoscalingRunnerSet', 'actions.github.com/v1alpha1', namespace, '')).map(
    ({ metadata }) => metadata.name,
  );

/** CPU in millicores, memory in bytes and pods of a namespace's quota; nothing where there is none. */
async function quotaIn(namespace: string): Promise<[bigint, bigint, number]> {
  const metadata = { name: 'flywheel', namespace };
  const found = await readObject(admin, { apiVersion: 'v1', kind: 'ResourceQuota', metadata });
  if (!found) return [0n, 0n, 0];
  const { hard } = found['spec'] as { hard: Record<string, string> };
  return [cpuMillicores(hard['limits.cpu'] ?? ''), memoryBytes(hard['limits.memory'] ?? ''), Number(hard['pods'])];
}

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('nothing was refused', { cause: error });
  return [error.screen.happened, ...Object.values(error.screen.fields ?? {})].join(' ');
}

const gib = 1024n ** 3n;

test('an operator allows a tenant’s first, it runs apart within the one quota, and leaves nothing when it goes', async () => {
  await keepPool({ isNew: 'yes' });
  const of = await draft('building', [choice('docker', 2), choice('images', 2, 1)]);
  const { runners, dind } = namespacesOf(of.slug);
  const first = await plan(of, 'enroll');
  expect(await changesOf(of, first)).toEqual(
    expect.arrayContaining([
      `+ Namespace /${dind}`,
      `+ ResourceQuota ${dind}/flywheel`,
      `+ Secret ${dind}/building-org-github`,
      `+ AutoscalingRunnerSet ${runners}/building-docker`,
      `+ AutoscalingRunnerSet ${dind}/building-images`,
    ]),
  );
  expect(await operatorReasons(of.ctx, first)).toEqual([
    'The pool images is the tenant’s first of the class builds, which an operator allows.',
  ]);
  expect(await refusal(approvePlan(of.ctx, first))).toContain('which an operator allows');
  expect(await namespaceOf(dind)).toBeUndefined();

  await byOperator(of, first);
  await ready(of);
  expect([await setsIn(runners), await setsIn(dind)]).toEqual([['building-docker'], ['building-images']]);
  // 16 CPU, 32 GiB and 8 runners were given: of them 2 of 4 CPU and 8 GiB each are the second namespace's.
  expect(await quotaIn(dind)).toEqual([8_000n, 16n * gib, 2]);
  expect(await quotaIn(runners)).toEqual([8_000n, 16n * gib, 6]);
  expect((await namespaceOf(dind))?.metadata.labels).toMatchObject({
    'pod-security.kubernetes.io/enforce': 'privileged',
  });
  // The one that is kept warm: made by ARC's account, and admitted by the policy.
  const pods = () => listObjects(admin, 'Pod', 'v1', dind, 'flywheel.dev/pool=images');
  await passes.until('a warm runner', of.id, async () => {
    const [pod] = await pods();
    return pod?.status?.['phase'] === 'Running';
  });
  const [pod] = await pods();
  expect(pod?.['spec']).toMatchObject({ hostUsers: false, initContainers: [{ name: 'buildkitd' }] });
  expect(await listObjects(admin, 'Pod', 'v1', runners, 'flywheel.dev/pool=images')).toEqual([]);

  // What it was allowed once, it changes by itself; of another class it is not.
  await savePools(of.ctx, { enrollmentId: of.id, pools: [choice('docker', 2), choice('images', 1)] });
  await approvePlan(of.ctx, await plan(of, 'change'));
  await ready(of);
  expect(await quotaIn(dind)).toEqual([4_000n, 8n * gib, 1]);
  expect(await quotaIn(runners)).toEqual([12_000n, 24n * gib, 7]);

  await savePools(of.ctx, { enrollmentId: of.id, pools: [choice('docker', 2)] });
  const last = await plan(of, 'change');
  expect(await changesOf(of, last)).toEqual(
    expect.arrayContaining([`- Namespace /${dind}`, `- AutoscalingRunnerSet ${dind}/building-images`]),
  );
  await approvePlan(of.ctx, last);
  await passes.until('the second namespace to go', of.id, async () => (await namespaceOf(dind)) === undefined, 60_000);
  await ready(of);
  await passes.until('the whole quota', of.id, async () => (await quotaIn(runners))[0] === 16_000n);
  expect(await setsIn(runners)).toEqual(['building-docker']);
  // Not by itself again: what was allowed ended with it.
  await savePools(of.ctx, { enrollmentId: of.id, pools: [choice('docker', 2), choice('images', 1)] });
  expect(await operatorReasons(of.ctx, await plan(of, 'change'))).toHaveLength(1);
}, 180_000);

test('an enrollment of daemons alone has nothing in the restricted namespace, and its withdrawal takes both', async () => {
  const of = await draft('only', [choice('images', 1)]);
  const { runners, dind } = namespacesOf(of.slug);
  await byOperator(of, await plan(of, 'enroll'));
  await ready(of);
  expect(await listObjects(admin, 'Secret', 'v1', runners, '')).toEqual([]);
  expect((await listObjects(admin, 'Secret', 'v1', dind, 'flywheel.dev/enrollment')).length).toBeGreaterThan(0);
  const leaving = await plan(of, 'withdraw');
  expect(await changesOf(of, leaving)).toEqual(
    expect.arrayContaining([`- Namespace /${dind}`, `- Namespace /${runners}`]),
  );
  await approvePlan(of.ctx, leaving);
  await passes.until(
    'withdrawn',
    of.id,
    async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: of.id } })).state === 'withdrawn',
    60_000,
  );
  expect([await namespaceOf(runners), await namespaceOf(dind)]).toEqual([undefined, undefined]);
}, 120_000);

test('a pool whose class an operator changes moves by a rollout, the old set gone before the new comes', async () => {
  await keepPool({ name: 'mover', isNew: 'yes', securityClass: 'restricted' });
  const of = await draft('moving', [choice('mover', 1)]);
  const { runners, dind } = namespacesOf(of.slug);
  await approvePlan(of.ctx, await plan(of, 'enroll'));
  await ready(of);
  const scaleSets = () => Object.values(portal.github.state.scaleSets).filter(({ name }) => name === 'moving-mover');
  expect([await setsIn(runners), scaleSets().length]).toEqual([['moving-mover'], 1]);

  await keepPool({ name: 'mover' });
  await applyRollout(olive, { rolloutId: await planRollouts(olive, { pool: 'mover' }) });
  const most: number[] = [];
  await passes.until(
    'the move',
    of.id,
    async () => {
      most.push((await setsIn(runners)).length + (await setsIn(dind)).length);
      return (await enrollmentView(of.ctx, of.id)).ready;
    },
    60_000,
  );
  expect(Math.max(...most)).toBe(1);
  expect([await setsIn(runners), await setsIn(dind)]).toEqual([[], ['moving-mover']]);
  expect(scaleSets().length).toBe(1);
}, 120_000);

test('a pool of the class dind is refused in words until it has what it must have', async () => {
  const docker = { name: 'machines', isNew: 'yes', securityClass: 'dind' };
  const parsed = PoolFields.safeParse({ ...images, ...docker });
  expect(Object.keys(Object.fromEntries((parsed.error?.issues ?? []).map(({ path }) => [path[0], 1])))).toEqual([
    'runtimeClass',
    'kernel',
    'nodeSelector',
    'tolerations',
  ]);
  const placed = {
    runtimeClass: 'kata',
    kernel: 'machine',
    nodeSelector: 'flywheel.dev/class=dind',
    tolerations: 'flywheel.dev/class=dind:NoSchedule',
  };
  await keepPool({ name: 'neighbour', isNew: 'yes', securityClass: 'restricted', tolerations: 'flywheel.dev/class' });
  expect(await refusal(keepPool({ ...docker, ...placed }))).toContain(
    'let neighbour (restricted) come to the same nodes',
  );
  await keepPool({ name: 'neighbour', securityClass: 'restricted', tolerations: '' });
  await keepPool({ ...docker, ...placed });
  expect(
    await refusal(keepPool({ name: 'neighbour', securityClass: 'restricted', tolerations: 'flywheel.dev/class' })),
  ).toContain('let machines (dind) come to the same nodes');
  // Who writes into the table by hand is refused too.
  const written = unsafeDb().pool.update({
    where: { name: 'machines' },
    data: { placement: { runtimeClass: 'kata' } },
  });
  await expect(written).rejects.toThrow('pool_privileged_daemon');
  const unpinned = unsafeDb().pool.update({
    where: { name: 'images' },
    data: { daemonImage: 'moby/buildkit:rootless' },
  });
  await expect(unpinned).rejects.toThrow('pool_daemon_image');
  await expect(unsafeDb().pool.update({ where: { name: 'images' }, data: { daemonImage: null } })).rejects.toThrow(
    'pool_daemon',
  );
}, 60_000);
