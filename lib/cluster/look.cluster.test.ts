import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { clusterClient, plainClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { enrolAtAll } from '#sandbox/test-support/tenants.ts';
import { applyObject, lookAtTenant, type ClusterClient } from './index.ts';

/* What a tenant is shown of its namespaces, read with the portal's own rights. */

const slug = 'looked-at';
let portal: ClusterClient;
let admin: ClusterClient;
const look = (of: string) => lookAtTenant(portal, of, new Date());

beforeAll(async () => {
  const cluster = await testCluster();
  portal = clusterClient(cluster.portalKubeconfigPath);
  admin = clusterClient(cluster.kubeconfigPath);
  await enrolAtAll(cluster, slug);
  await enrolAtAll(cluster, `${slug}-other`);
}, 180_000);

describe('a tenant’s look into the cluster', () => {
  test('shows its namespaces, pods and events, and nobody else’s', async () => {
    const seen = await eventually('pods and events', async () => {
      const now = await look(slug);
      return now.pods.length >= 6 && now.events.length > 0 && now;
    });
    const names = [`bazel-${slug}`, `runners-${slug}`];
    expect(seen.namespaces).toEqual(names.map((name) => ({ name, leaving: false })));
    expect([...new Set(seen.pods.map(({ namespace }) => namespace))].toSorted()).toEqual(names);
    expect(seen.pods.map(({ pool }) => pool)).toEqual(expect.arrayContaining(['docker', 'nix', null]));
    expect(seen.events.every(({ key }) => names.some((name) => key.startsWith(`${name}/`)))).toBe(true);
    expect(seen.events.map(({ at }) => at)).toEqual(
      seen.events
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    );
    expect(seen.isPart).toBe(false);
    // There are no nodes, and nobody plays one here.
    expect(seen.pods[0]).toMatchObject({ phase: 'Pending', why: 'It waits for a node.', needsSomebody: false });
  });

  test('A23: and nothing of what pods are given', async () => {
    const text = JSON.stringify(await look(slug));
    for (const each of ['attic token', 'ATTIC_TOKEN', 'glrt-', 'private key', 'authority', 'secretRef', 'image'])
      expect(text).not.toContain(each);
  });

  test('A1: a namespace of that name that is not the tenant’s is not shown', async () => {
    const labels = { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'another' };
    for (const [name, bears] of [
      ['runners-foreign-look', {}],
      ['bazel-foreign-look', labels],
      // Its own label on a namespace that no tenant of that slug has.
      ['elsewhere-foreign-look', { ...labels, 'flywheel.dev/tenant': 'foreign-look' }],
    ] as const)
      await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: bears } });
    expect(await look('foreign-look')).toEqual({ namespaces: [], pods: [], events: [], isPart: false });
  });

  test('what needs somebody comes first', async () => {
    const [first] = (await look(slug)).pods.toReversed();
    const path = `/api/v1/namespaces/${first?.namespace}/pods/${first?.name}/status`;
    const status = { phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' };
    const contentType = 'application/merge-patch+json';
    await admin.call({ method: 'PATCH', path, contentType, body: { status } }, 'a pod');
    const found = (await look(slug)).pods.find(({ needsSomebody }) => needsSomebody);
    expect((await look(slug)).pods[0]).toEqual(found);
    expect(found).toMatchObject({ name: first?.name, phase: 'Failed' });
  });

  test('a cluster that is away is said to be away', async () => {
    const nowhere = lookAtTenant(plainClient('http://127.0.0.1:9'), slug, new Date());
    await expect(nowhere).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('and so is one that takes too long, before anybody has waited long', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const client = plainClient(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    const startedMs = performance.now();
    await expect(lookAtTenant(client, slug, new Date(), 200)).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    silent.closeAllConnections();
    silent.close();
  });
});
