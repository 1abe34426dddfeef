import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterClient, startFaultyProxy, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import {
  ClusterView,
  ensureObjects,
  objectPath,
  stamped,
  tenantObjects,
  type Change,
  type ClusterClient,
  type KubernetesObject,
  type Observed,
} from './index.ts';

const allowed = () => Promise.resolve();
const slug = `view-${randomBytes(3).toString('hex')}`;
const objects = tenantObjects({ slug, quota: { cpu: '4', memory: '8Gi', runners: 2 }, hasBazel: false });
const named = (name: string) => objects.find(({ metadata }) => metadata.name === name) as KubernetesObject;

let admin: ClusterClient;
let proxy: FaultyProxy;
let view: ClusterView;
const abort = new AbortController();
const changes: Change[] = [];

beforeAll(async () => {
  const cluster = await testCluster();
  admin = clusterClient(cluster.kubeconfigPath);
  proxy = await startFaultyProxy(cluster.portalKubeconfigPath);
  view = new ClusterView(proxy.client);
  view.onChange((change) => change.tenant === slug && changes.push(change));
}, 180_000);
afterAll(async () => {
  abort.abort();
  await view?.stopped();
  await proxy?.stop();
});

async function removed(object: KubernetesObject): Promise<void> {
  await admin.call({ method: 'DELETE', path: objectPath(object) }, object.metadata.name);
}

describe('a view of a real cluster', () => {
  test('F2: an API server that is away at the start is waited for', async () => {
    proxy.fault = () => ({ kind: 'refuse' });
    view.start(abort.signal);
    expect(await view.whenSynced(400)).toBe(false);
    proxy.fault = undefined;
    expect(await view.whenSynced(20_000)).toBe(true);
  });

  test('has all that was made, and a second pass sends nothing', async () => {
    expect(await ensureObjects(view, objects, allowed)).toEqual({ applied: objects.length, unchanged: 0 });
    const before = proxy.requests.filter((asked) => !asked.includes('watch')).length;
    expect(objects.filter((object) => !view.has(stamped(object)))).toEqual([]);
    expect(await ensureObjects(view, objects, allowed)).toEqual({ applied: 0, unchanged: objects.length });
    expect(proxy.requests.filter((asked) => !asked.includes('watch')).length).toBe(before);
  });

  test('one that starts later has it from its list, defaults and all', async () => {
    const later = new ClusterView(proxy.client);
    const ended = new AbortController();
    later.start(ended.signal);
    expect(await later.whenSynced(20_000)).toBe(true);
    expect(objects.filter((object) => !later.has(stamped(object)))).toEqual([]);
    ended.abort();
    await later.stopped();
  });

  test('tells of a removal, and a pass makes it anew', async () => {
    await removed(named('default-deny'));
    await eventually('the news', () => changes.some(({ name, deleted }) => name === 'default-deny' && deleted));
    expect(view.has(stamped(named('default-deny')))).toBe(false);
    expect(await ensureObjects(view, objects, allowed)).toEqual({ applied: 1, unchanged: objects.length - 1 });
  });

  test('tells of a field that somebody changed, and of one that we no longer want', async () => {
    const deny = named('default-deny');
    const opened = { spec: { podSelector: {}, policyTypes: ['Ingress'] } };
    const asked = { method: 'PATCH' as const, path: objectPath(deny), contentType: 'application/merge-patch+json' };
    await admin.call({ ...asked, body: opened }, 'the policy');
    await eventually('the news', () => !view.has(stamped(deny)));
    await admin.call({ ...asked, body: { spec: deny['spec'] } }, 'the policy');
    await eventually('the old', () => view.has(stamped(deny)));
    const { ['flywheel.dev/tenant']: _, ...fewer } = deny.metadata.labels ?? {};
    expect(view.has(stamped({ ...deny, metadata: { ...deny.metadata, labels: fewer } }))).toBe(false);
  });

  test('F7: goes on after its connections broke, and learns what it missed', async () => {
    changes.length = 0;
    let away = true;
    proxy.fault = () => (away ? { kind: 'refuse' } : undefined);
    expect(proxy.cutWatches()).toBeGreaterThan(10);
    await removed(named('allow-dns'));
    away = false;
    await eventually('the news', () => changes.some(({ name, deleted }) => name === 'allow-dns' && deleted), 25_000);
    expect(view.has(stamped(named('allow-dns')))).toBe(false);
    await ensureObjects(view, objects, allowed);
  });

  test('F7: lists again when the server has forgotten its version (410)', async () => {
    let told = 0;
    proxy.fault = ({ watch, path }) => {
      if (!watch || !path.endsWith('/networkpolicies') || told === 3) return undefined;
      told += 1;
      return { kind: 'answer', status: 410 };
    };
    proxy.cutWatches();
    await eventually('the third 410', () => told === 3, 25_000);
    changes.length = 0;
    await removed(named('allow-dns'));
    await eventually('the news', () => changes.some(({ name, deleted }) => name === 'allow-dns' && deleted), 25_000);
    expect(view.has(stamped(named('allow-dns')))).toBe(false);
    proxy.fault = undefined;
    await ensureObjects(view, objects, allowed);
  }, 90_000);

  test('F8: what an older answer says is not taken in', async () => {
    const old = await admin.call<Observed>({ method: 'GET', path: objectPath(named('flywheel')) }, 'the quota');
    const bigger = tenantObjects({ slug, quota: { cpu: '8', memory: '8Gi', runners: 2 }, hasBazel: false });
    await ensureObjects(view, bigger, allowed);
    await view.learn(named('flywheel'), () => Promise.resolve(old));
    expect(bigger.filter((object) => !view.has(stamped(object)))).toEqual([]);
  });

  test('sees nothing that is not ours', async () => {
    const foreign = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `${slug}-foreign` } };
    await admin.call({ method: 'POST', path: '/api/v1/namespaces', body: foreign }, 'a namespace');
    await ensureObjects(
      view,
      tenantObjects({ slug, quota: { cpu: '9', memory: '8Gi', runners: 2 }, hasBazel: false }),
      allowed,
    );
    expect(view.get(foreign)).toBeUndefined();
    const names = [...view.all('Namespace')].map(({ metadata }) => metadata.labels?.['app.kubernetes.io/managed-by']);
    expect(new Set(names)).toEqual(new Set(['flywheel']));
  });
});
