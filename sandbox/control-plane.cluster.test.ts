import { KubeConfig, CoreV1Api, ApiException } from '@kubernetes/client-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';

function core(path: string): CoreV1Api {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return config.makeApiClient(CoreV1Api);
}

describe('the embedded Kubernetes API', () => {
  let admin: CoreV1Api;
  let portal: CoreV1Api;

  beforeAll(async () => {
    const cluster = await testCluster();
    admin = core(cluster.kubeconfigPath);
    portal = core(cluster.portalKubeconfigPath);
  });

  test('enforces Pod Security', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await admin.createNamespace({ body: { metadata: { name: 'sandbox-pod-security', labels } } });
    const spec = { containers: [{ name: 'a', image: 'a', securityContext: { privileged: true } }] };
    const created = admin.createNamespacedPod({
      namespace: 'sandbox-pod-security',
      body: { metadata: { name: 'bad' }, spec },
    });
    await expect(created).rejects.toThrow(/violates PodSecurity/);
  });

  test('counts quotas', async () => {
    await admin.createNamespace({ body: { metadata: { name: 'sandbox-quota' } } });
    const body = { metadata: { name: 'q' }, spec: { hard: { 'count/configmaps': '1' } } };
    // The one that there may be. Made while the quota is counted for the first time, it would be missed until the next count, in minutes.
    const root = { namespace: 'sandbox-quota', name: 'kube-root-ca.crt' };
    await eventually('the root’s certificate', () => admin.readNamespacedConfigMap(root).catch(() => null));
    await admin.createNamespacedResourceQuota({ namespace: 'sandbox-quota', body });
    await expect
      .poll(
        async () => {
          const quota = await admin.readNamespacedResourceQuota({ namespace: 'sandbox-quota', name: 'q' });
          return quota.status?.used?.['count/configmaps'];
        },
        { timeout: 15_000 },
      )
      .toBe('1');
    const second = admin.createNamespacedConfigMap({ namespace: 'sandbox-quota', body: { metadata: { name: 'x' } } });
    await expect(second).rejects.toThrow(/exceeded quota/);
  });

  test('gives the portal what it needs and no more', async () => {
    await expect(portal.listNamespace()).resolves.toBeDefined();
    await expect(portal.listNode()).rejects.toBeInstanceOf(ApiException);
    await expect(portal.listNode()).rejects.toMatchObject({ code: 403 });
  });
});
