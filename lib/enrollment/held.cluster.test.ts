import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  listObjects,
  readObject,
  runnerPodsObjects,
  type KubernetesObject,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { parsedConditions } from './conditions.ts';
import { podsHeld } from '#lib/fleet/index.ts';
import { wake } from '#lib/work/index.ts';
import { accountToken, clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { lastingRunners, placesUnheld, podsUnheld } from './held.ts';
import { approvePlan, makePlan, savePools, startEnrollment } from './index.ts';

/* A17: whether runners' pods are held to their profile is the operator's to see to, and the portal's to say. */

describe('what is said of the admission policy', () => {
  const [policy, binding] = runnerPodsObjects() as [KubernetesObject, KubernetesObject];
  const seen = (...objects: KubernetesObject[]) =>
    podsUnheld({ get: ({ kind }) => objects.find((each) => each.kind === kind) as Observed | undefined });

  test('nothing, where it is as this portal wants it', () => expect(seen(policy, binding)).toBeNull());
  test.each([
    ['without the policy', [binding]],
    ['without its binding, which puts it into force', [policy]],
    ['without both', []],
  ])('that it is missing, %s', (_, objects) => expect(seen(...objects)).toContain('is missing'));

  test('that it is another, with a rule less or one that only warns', () => {
    const spec = policy['spec'] as { validations: object[] };
    const less = { ...policy, spec: { ...spec, validations: spec.validations.slice(1) } };
    const warning = { ...binding, spec: { ...(binding['spec'] as object), validationActions: ['Warn'] } };
    expect(seen(less, binding)).toContain('is another than this portal’s');
    expect(seen(policy, warning)).toContain('is another than this portal’s');
  });
});

test('a daemon is refused where the server’s runners outlast their job, and nothing else is', () => {
  const at = (ephemeral: boolean) => ({
    kind: 'forgejo' as const,
    url: 'https://gitea.example.org',
    runners: {},
    ephemeral,
  });
  const refused = lastingRunners(at(false), true);
  expect(refused).toMatchObject({ status: 'False', reason: 'RunnersLast', waitingFor: 'admin' });
  expect([lastingRunners(at(true), true), lastingRunners(at(false), false)]).toEqual([null, null]);
  expect(lastingRunners({ kind: 'gitlab', url: 'https://gitlab.example.org', runners: {} }, true)).toBeNull();
});

test('places that the cluster makes no pods for are said where it knows their priority not, and not where they wait', () => {
  const said = (message?: string) =>
    placesUnheld([
      {
        metadata: { name: 'acme-docker-gitlab-place', uid: '', resourceVersion: '' },
        status: { conditions: message === undefined ? [] : [{ type: 'ReplicaFailure', message }] },
      },
    ]);
  expect(said('pods "a" is forbidden: no PriorityClass with name flywheel-place was found')).toContain(
    'acme-docker-gitlab-place holds no place for a job. The operator applies place-priority.yaml.',
  );
  // While as many jobs run as may.
  expect([said('pods "a" is forbidden: exceeded quota: flywheel'), said()]).toEqual([null, null]);
});

// ------------------------------------------------------------------------------------------------ with rights of before

type Rule = { apiGroups: string[] };
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const name = 'portal-of-before';

let portal: TestPortal;
let rights: { metadata: object; rules: Rule[] };
const admin = async () => clusterClient((await testCluster()).kubeconfigPath);

/** A kubeconfig of one who may what the portal may, but for looking at policies. */
async function kubeconfigOfBefore(): Promise<string> {
  const { kubeconfigPath } = await testCluster({ arc: true });
  const client = clusterClient(kubeconfigPath);
  rights = await client.call({ method: 'GET', path: `${rbac}/clusterroles/flywheel-portal` }, 'the portal’s rights');
  const rules = rights.rules.filter(({ apiGroups }) => !apiGroups.includes('admissionregistration.k8s.io'));
  expect(rules.length).toBe(rights.rules.length - 1);
  const account = { kind: 'ServiceAccount', name, namespace: 'default' };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  const bodies: [string, object][] = [
    ['/api/v1/namespaces/default/serviceaccounts', { metadata: { name } }],
    [`${rbac}/clusterroles`, { metadata: { name }, rules }],
    [`${rbac}/clusterrolebindings`, { metadata: { name }, roleRef, subjects: [account] }],
  ];
  for (const [path, body] of bodies) await client.call({ method: 'POST', path, body }, path);
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  const server = config.getCurrentCluster()?.server ?? '';
  const token = await accountToken(kubeconfigPath, account);
  config.loadFromClusterAndUser({ name: 'test', server, skipTLSVerify: true }, { name, token });
  const path = join(mkdtempSync(join(tmpdir(), 'flywheel-test-')), 'kubeconfig');
  writeFileSync(path, config.exportConfig(), { mode: 0o600 });
  return path;
}

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, kubeconfig: await kubeconfigOfBefore() });
  portal.startWorker();
}, 180_000);
afterAll(() => portal?.stop());

const rowOf = (id: string) => unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
const waitMs = 30_000;

async function namespaceReady(id: string, isReady = true) {
  const row = await rowOf(id);
  const conditions = parsedConditions(row.conditions);
  const ready = conditions.find(({ type }) => type === 'Ready');
  const isOf = ready?.observedGeneration === row.generation && (ready.status === 'True') === isReady;
  return isOf && conditions.find(({ type }) => type === 'NamespaceReady');
}

/** The fence that would be the only one of pools with a daemon. */
async function levelOf(namespace: string): Promise<string | undefined> {
  const found = await readObject(await admin(), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  return found?.metadata.labels?.['pod-security.kubernetes.io/enforce'];
}

const images = {
  name: 'images',
  description: '',
  cpu: '2',
  memory: '4Gi',
  image: 'runner',
  position: 9,
  securityClass: 'builds' as const,
  daemonImage: `moby/buildkit:rootless@sha256:${'b1'.repeat(32)}`,
};
const heldIn = async () => (await podsHeld())('main');

test('an enrollment is made all the same, and says so until the operator has given the right', async () => {
  expect(await heldIn()).toBeNull();
  const slug = 'unheld';
  await unsafeDb().pool.create({ data: images });
  await portal.organization(slug);
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const { enrollmentId: id } = await startEnrollment(await portal.person('ada-tinyland'), { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
  expect(
    await eventually(
      'ready',
      () => namespaceReady(id),
      waitMs,
      () => rowOf(id),
    ),
  ).toMatchObject({
    status: 'True',
    reason: 'RunnerPodsUnheld',
    message: expect.stringContaining('flywheel-runner-pods is missing, or the portal may not see it') as string,
  });
  expect(await heldIn()).toBe(false);

  const both = ['docker', 'images'].map((pool) => ({ pool, minRunners: 0, maxRunners: 1 }));
  await savePools(ctx, { enrollmentId: id, pools: both });
  await expect(makePlan(ctx, { enrollmentId: id, kind: 'change' })).rejects.toMatchObject({
    screen: {
      happened: expect.stringContaining('Pools of the classes builds and dind do not run without it.') as string,
    },
  });
  expect(await levelOf('dind-unheld')).toBeUndefined();
  // As if it had been approved while the cluster was away.
  const data = { spec: { pools: both, planes: {} }, generation: { increment: 1 } };
  const { tenantId } = await unsafeDb().enrollment.update({ where: { id }, data });
  const row = { tenantId, enrollmentId: id, poolName: 'images', scaleSetName: 'unheld-images' };
  await unsafeDb().enrollmentPool.create({ data: { ...row, minRunners: 0, maxRunners: 1 } });
  await wake(unsafeDb(), 'enrollment', id);
  expect(
    await eventually(
      'not ready',
      () => namespaceReady(id, false),
      waitMs,
      () => rowOf(id),
    ),
  ).toMatchObject({
    status: 'False',
    reason: 'RunnerPodsUnheld',
    waitingFor: 'operator',
  });
  expect(await heldIn()).toBe(false);
  // Its namespace admits no such pod, and its set is not made.
  expect(await levelOf('dind-unheld')).toBe('restricted');
  expect(
    await listObjects(await admin(), 'AutoscalingRunnerSet', 'actions.github.com/v1alpha1', 'dind-unheld', ''),
  ).toEqual([]);

  const body = { ...rights, metadata: { name } };
  await (await admin()).call({ method: 'PUT', path: `${rbac}/clusterroles/${name}`, body }, 'rights');
  const held = async () => {
    await wake(unsafeDb(), 'enrollment', id);
    const found = await namespaceReady(id);
    return found && found.reason === 'AsWanted' && found;
  };
  // What was refused is asked again after fifteen seconds at most.
  const found = await eventually('held', held, waitMs, () => rowOf(id));
  expect(found.message).toBe('Namespaces runners-unheld and dind-unheld with quota, limits and network policies.');
  expect(await levelOf('dind-unheld')).toBe('privileged');
  expect(await heldIn()).toBe(true);
}, 120_000);
