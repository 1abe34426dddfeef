import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runnerPodsObjects, type KubernetesObject, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { parsedConditions } from './conditions.ts';
import { operatorOverview } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { accountToken, clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { podsUnheld } from './held.ts';
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

async function namespaceReady(id: string) {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  const conditions = parsedConditions(row.conditions);
  const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady && conditions.find(({ type }) => type === 'NamespaceReady');
}
const heldIn = async () => (await operatorOverview()).clusters.map(({ holdsPods }) => holdsPods);

test('an enrollment is made all the same, and says so until the operator has given the right', async () => {
  expect(await heldIn()).toEqual([null]);
  const slug = 'unheld';
  await portal.organization(slug);
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const { enrollmentId: id } = await startEnrollment(await portal.person('ada-tinyland'), { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
  expect(await eventually('ready', () => namespaceReady(id), 30_000)).toMatchObject({
    status: 'True',
    reason: 'RunnerPodsUnheld',
    message: expect.stringContaining('flywheel-runner-pods is missing, or the portal may not see it') as string,
  });
  expect(await heldIn()).toEqual([false]);

  const body = { ...rights, metadata: { name } };
  await (await admin()).call({ method: 'PUT', path: `${rbac}/clusterroles/${name}`, body }, 'rights');
  const held = async () => {
    await wake(unsafeDb(), 'enrollment', id);
    const found = await namespaceReady(id);
    return found && found.reason === 'AsWanted' && found;
  };
  // What was refused is asked again after fifteen seconds at most.
  const found = await eventually('held', held, 40_000);
  expect(found.message).toBe('Namespace runners-unheld with quota, limits and network policies.');
  expect(await heldIn()).toEqual([true]);
}, 120_000);
