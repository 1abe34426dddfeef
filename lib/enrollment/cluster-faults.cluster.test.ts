import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { applyObject } from '#lib/cluster/index.ts';
import { startFaultyProxy, type Fault, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, enrollmentView, makePlan, planView, savePools, startEnrollment } from './index.ts';

/* F3, F13: what the API server answers when it cannot, as a person reads it, and that it goes on by itself. */

let portal: TestPortal;
let proxy: FaultyProxy;

beforeAll(async () => {
  proxy = await startFaultyProxy((await testCluster({ arc: true })).portalKubeconfigPath);
  const kubeconfig = join(mkdtempSync(join(tmpdir(), 'flywheel-test-')), 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(configOf(proxy)));
  portal = await startTestPortal({ arc: true, kubeconfig });
  portal.startWorker();
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  await proxy?.stop();
});

function configOf({ url, token }: FaultyProxy): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'main',
    clusters: [{ name: 'main', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'portal', user: { token } }],
    contexts: [{ name: 'main', context: { cluster: 'main', user: 'portal' } }],
  };
}

const answer = (status: number, body?: object, headers: Record<string, string> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { kind: 'Status', code: status, ...body },
});
const moved = 'Operation cannot be fulfilled on resourcequotas "flywheel": the object has been modified';
const exceeded = 'quota "x" is forbidden: exceeded quota: flywheel, requested: pods=1, used: pods=1, limited: pods=1';
const byItself = (happened: string) => `${happened} Nothing needs doing: the portal tries again by itself.`;
const quota = (slug: string) => `ResourceQuota runners-${slug}/flywheel`;

test.each<[string, Fault, string, (slug: string) => string]>([
  ['away', { kind: 'refuse' }, 'Away', () => byItself('The cluster does not answer.')],
  [
    'internal-error',
    answer(500, { reason: 'InternalError', message: 'etcdserver: request timed out' }),
    'ServerFailed',
    (slug) => byItself(`The cluster failed at ${quota(slug)} (it answered 500).`),
  ],
  [
    'bare-error',
    answer(500),
    'ServerFailed',
    (slug) => byItself(`The cluster failed at ${quota(slug)} (it answered 500).`),
  ],
  [
    'busy',
    answer(429, { reason: 'TooManyRequests', message: 'Too many requests' }, { 'retry-after': '2' }),
    'RateLimited',
    (slug) => byItself(`The cluster is busy and asked to wait before ${quota(slug)}.`),
  ],
  [
    'moved',
    answer(409, { reason: 'Conflict', message: moved }),
    'ChangedMeanwhile',
    (slug) => byItself(`Somebody else changed ${quota(slug)} at the same moment.`),
  ],
  // F1: what a killed worker was making may be counted and not be there.
  [
    'over-quota',
    answer(403, { reason: 'Forbidden', message: exceeded }),
    'QuotaExceeded',
    (slug) => `The cluster refused ${quota(slug)}: ${exceeded}`,
  ],
])(
  '%s: said in words, waits for the cluster, and goes on by itself',
  async (kind, fault, reason, message) => {
    const slug = `fault-${kind}`;
    await portal.organization(slug);
    const ada = await portal.person('ada-tinyland');
    const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
    const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
    const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant });
    const ctx = await portal.member('ada-tinyland', slug);
    await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
    const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    const path = `/api/v1/namespaces/runners-${slug}/resourcequotas/flywheel`;
    proxy.fault = (asked) => (asked.method === 'PATCH' && asked.path === path ? fault : undefined);
    try {
      await approvePlan(ctx, planId);
      const phase = await eventually(
        'the condition',
        async () =>
          (await enrollmentView(ctx, enrollmentId)).phases.find(
            (each) => each.type === 'NamespaceReady' && each.reason === reason,
          ),
        20_000,
      );
      expect(phase).toMatchObject({ reason, waitingFor: 'cluster', message: message(slug) });
    } finally {
      proxy.fault = undefined;
    }
    await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 20_000);
    // Nothing half written: all is there as it was planned.
    const { counts } = await planView(ctx, await makePlan(ctx, { enrollmentId, kind: 'change' }));
    expect(counts).toMatchObject({ added: 0, changed: 0, removed: 0 });
  },
  90_000,
);

test('one that moved on between its read and its write is sent once more at once', async () => {
  let faults = 1;
  proxy.fault = ({ method }) =>
    method === 'PATCH' && faults-- > 0 ? answer(409, { reason: 'Conflict', message: moved }) : undefined;
  const labels = { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'fault-once' };
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'runners-fault-once', labels } };
  await expect(applyObject(proxy.client, object, true)).resolves.toMatchObject({
    metadata: { name: 'runners-fault-once' },
  });
  proxy.fault = undefined;
});
