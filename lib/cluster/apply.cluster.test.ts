import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clusterClient, startFaultyProxy, type FaultyProxy } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import {
  applyObject,
  ClusterView,
  deleteObject,
  dryRunObjects,
  ensureObjects,
  listObjects,
  objectPath,
  readObject,
  tenantObjects,
  type ClusterClient,
  type KubernetesObject,
  type Observed,
} from './index.ts';

const allowed = () => Promise.resolve();

let admin: ClusterClient;
let portal: ClusterClient;
let proxy: FaultyProxy;

beforeAll(async () => {
  const cluster = await testCluster();
  admin = clusterClient(cluster.kubeconfigPath);
  portal = clusterClient(cluster.portalKubeconfigPath);
  proxy = await startFaultyProxy(cluster.portalKubeconfigPath);
}, 180_000);
afterEach(() => {
  proxy.fault = undefined;
  proxy.requests.length = 0;
});
afterAll(() => proxy?.stop());

function freshSlug(): string {
  return `apply-${randomBytes(4).toString('hex')}`;
}

function objectsOf(slug: string, runners = 2): KubernetesObject[] {
  return tenantObjects({ slug, quota: { cpu: '4', memory: '8Gi', runners }, hasBazel: false });
}

/** A pass of a worker that has just begun: its view is empty, so that everything is sent. */
async function ensured(slug: string, client = portal, runners = 2) {
  return ensureObjects(new ClusterView(client), objectsOf(slug, runners), allowed);
}

const quotaOf = (slug: string) => firstOf(slug, 'ResourceQuota');
/** Of what the portal may remove by itself; a quota goes with its namespace. */
const policyOf = (slug: string) => firstOf(slug, 'NetworkPolicy');

function firstOf(slug: string, wanted: string) {
  const object = objectsOf(slug).find((each) => each.kind === wanted) as KubernetesObject;
  const { apiVersion, kind, metadata } = object;
  return { apiVersion, kind, metadata: { name: metadata.name, namespace: metadata.namespace ?? '' } };
}

function roleAndBinding(slug: string): [KubernetesObject, KubernetesObject] {
  const { namespace, labels } = (objectsOf(slug).at(-1) as KubernetesObject).metadata;
  const metadata = { name: 'nothing', namespace: namespace ?? '', labels: labels ?? {} };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'nothing' };
  const role = { apiVersion, kind: 'Role', metadata, rules: [] };
  return [role, { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [] }];
}

async function podsOf(slug: string): Promise<string | undefined> {
  const quota = await readObject(admin, quotaOf(slug));
  return (quota?.['spec'] as { hard: { pods?: string } } | undefined)?.hard.pods;
}

/** Somebody with kubectl, who means it. */
async function applyAs(manager: string, object: KubernetesObject): Promise<void> {
  const query = { fieldManager: manager, force: 'true' };
  const asked = {
    method: 'PATCH' as const,
    path: objectPath(object),
    query,
    contentType: 'application/apply-patch+yaml',
  };
  await admin.call({ ...asked, body: object }, object.metadata.name);
}

async function made(namespace: KubernetesObject): Promise<Observed> {
  return admin.call<Observed>({ method: 'POST', path: '/api/v1/namespaces', body: namespace }, namespace.metadata.name);
}

describe('F5: what somebody else made', () => {
  test.each<[string, Record<string, string> | undefined]>([
    ['nobody’s', undefined],
    ['another program’s', { 'app.kubernetes.io/managed-by': 'helm' }],
    ['another tenant’s', { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'another' }],
  ])('a namespace that is %s is refused, and left as it is', async (_, labels) => {
    const slug = freshSlug();
    const name = `runners-${slug}`;
    const before = await made({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, ...(labels ? { labels } : {}) },
    });
    await expect(ensured(slug)).rejects.toMatchObject({
      code: 'conflict',
      screen: { changed: 'Nothing was changed.' },
    });
    await expect(dryRunObjects(portal, objectsOf(slug))).rejects.toMatchObject({ code: 'conflict' });
    const after = await readObject(admin, before);
    expect(after?.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    expect(await listObjects(admin, 'NetworkPolicy', 'networking.k8s.io/v1', name, '')).toEqual([]);
  });

  test('one of our own that this worker did not know of is taken up', async () => {
    const slug = freshSlug();
    await ensured(slug);
    const again = await ensured(slug);
    expect(again.applied).toBe(objectsOf(slug).length);
  });

  test('F23: one that is going is waited for, not taken up', async () => {
    const slug = freshSlug();
    await ensured(slug);
    const [namespace] = objectsOf(slug);
    const held = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'held', finalizers: ['test.example/held'] } };
    const path = `/api/v1/namespaces/runners-${slug}/configmaps`;
    await admin.call({ method: 'POST', path, body: held }, 'held');
    await admin.call({ method: 'DELETE', path: objectPath(namespace as KubernetesObject) }, 'the namespace');
    await expect(ensured(slug)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('terminating') as string,
    });
    const patch = { metadata: { finalizers: null } };
    const letGo = {
      method: 'PATCH' as const,
      path: `${path}/held`,
      contentType: 'application/merge-patch+json',
      body: patch,
    };
    await admin.call(letGo, 'held');
    await eventually('its end', async () => !(await readObject(admin, namespace as KubernetesObject)));
    expect((await ensured(slug)).applied).toBe(objectsOf(slug).length);
  });
});

describe('F4: a field that somebody else owns', () => {
  test('is named, left as it is, and asked for once', async () => {
    const slug = freshSlug();
    await ensured(slug);
    await applyAs('somebody', { ...quotaOf(slug), spec: { hard: { pods: '99' } } });
    const refused = await ensured(slug, proxy.client, 3).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'conflict', screen: { changed: 'Those fields were left as they are.' } });
    expect(String(refused)).toContain('.spec.hard.pods');
    expect(String(refused)).toContain('somebody');
    expect(await podsOf(slug)).toBe('99');
    const asked = proxy.requests.filter(
      (request) => request.startsWith('PATCH') && request.endsWith('/resourcequotas/flywheel'),
    );
    expect(asked.length).toBe(1);
    // Once it is given up, the next pass puts it right.
    await applyAs('somebody', quotaOf(slug));
    await ensured(slug, portal, 3);
    expect(await podsOf(slug)).toBe('3');
  });

  test('and does not keep what else is missing from being put back', async () => {
    const slug = freshSlug();
    await ensured(slug);
    await applyAs('somebody', { ...quotaOf(slug), spec: { hard: { pods: '98' } } });
    // Written in a later stage than the quota.
    const [role, binding] = roleAndBinding(slug);
    const objects = [...objectsOf(slug, 3), role, binding];
    const pass = ensureObjects(new ClusterView(portal), objects, allowed);
    await expect(pass).rejects.toMatchObject({ code: 'conflict' });
    expect(await readObject(admin, binding)).toBeDefined();
    expect(await podsOf(slug)).toBe('98');
  });

  test('but what an earlier write of ours left is overruled', async () => {
    const slug = freshSlug();
    await ensured(slug);
    const patch = { method: 'PATCH' as const, path: objectPath(quotaOf(slug)), query: { fieldManager: 'flywheel' } };
    const body = { spec: { hard: { pods: '1' } } };
    await portal.call({ ...patch, contentType: 'application/merge-patch+json', body }, 'the quota');
    expect(await podsOf(slug)).toBe('1');
    await ensured(slug);
    expect(await podsOf(slug)).toBe('2');
  });
});

describe('a server, or a way to it, that fails', () => {
  test('F3: asks for time: once asked, its time is passed on', async () => {
    const slug = freshSlug();
    proxy.fault = ({ method }) =>
      method === 'POST' ? { kind: 'answer', status: 429, headers: { 'retry-after': '7' } } : undefined;
    await expect(ensured(slug, proxy.client)).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 7000 });
    expect(proxy.requests).toEqual(['POST /api/v1/namespaces']);
  });

  test('F2: refuses connections: nothing is there, and it may be tried again', async () => {
    const slug = freshSlug();
    proxy.fault = () => ({ kind: 'refuse' });
    await expect(ensured(slug, proxy.client)).rejects.toMatchObject({ code: 'unavailable' });
    proxy.fault = undefined;
    expect((await ensured(slug, proxy.client)).applied).toBe(objectsOf(slug).length);
  });

  test('F6: is reset after it did what was asked: again is the same, with nothing doubled', async () => {
    const slug = freshSlug();
    const total = objectsOf(slug).length;
    let lost = 0;
    // Each write is lost once: as many passes as that takes, and no more.
    const seen = new Set<string>();
    proxy.fault = ({ method, path }) => {
      if (method === 'GET' || seen.has(`${method} ${path}`)) return undefined;
      seen.add(`${method} ${path}`);
      lost += 1;
      return { kind: 'reset after' };
    };
    const failures: string[] = [];
    await eventually('a pass that gets through', () =>
      ensured(slug, proxy.client).catch((error: { code: string }) => {
        failures.push(error.code);
        return undefined;
      }),
    );
    expect(lost).toBeGreaterThanOrEqual(total);
    expect(failures.length).toBeLessThanOrEqual(total + 1);
    expect(new Set(failures)).toEqual(new Set(['unavailable']));
    const policies = await listObjects(admin, 'NetworkPolicy', 'networking.k8s.io/v1', `runners-${slug}`, '');
    expect(policies.length).toBe(objectsOf(slug).filter(({ kind }) => kind === 'NetworkPolicy').length);
    expect(policies.every(({ metadata }) => (metadata as { generation?: number }).generation === 1)).toBe(true);
  });

  test('I7: who may no longer write is stopped before the first write, and between stages', async () => {
    const slug = freshSlug();
    const lost = new Error('the lease was lost');
    const view = new ClusterView(proxy.client);
    await expect(ensureObjects(view, objectsOf(slug), () => Promise.reject(lost))).rejects.toBe(lost);
    expect(proxy.requests).toEqual([]);
    let stages = 0;
    const once = () => ((stages += 1) > 1 ? Promise.reject(lost) : Promise.resolve());
    await expect(ensureObjects(view, objectsOf(slug), once)).rejects.toBe(lost);
    expect(proxy.requests).toEqual(['POST /api/v1/namespaces']);
  });
});

describe('F8: removing', () => {
  test('hits the object that was seen, and not the namesake that came since', async () => {
    const slug = freshSlug();
    await ensured(slug);
    const seen = await readObject(portal, policyOf(slug));
    await admin.call({ method: 'DELETE', path: objectPath(policyOf(slug)) }, 'the policy');
    await ensured(slug);
    const namesake = await readObject(portal, policyOf(slug));
    expect(namesake?.metadata.uid).not.toBe(seen?.metadata.uid);
    expect(await deleteObject(portal, seen as Observed, slug)).toBe('gone');
    expect((await readObject(portal, policyOf(slug)))?.metadata.uid).toBe(namesake?.metadata.uid);
    await deleteObject(portal, namesake as Observed, slug);
    await eventually('its end', async () => !(await readObject(portal, policyOf(slug))));
    expect(await deleteObject(portal, namesake as Observed, slug)).toBe('gone');
  });

  test('touches nothing that does not bear our label for this tenant', async () => {
    const slug = freshSlug();
    await ensured(slug);
    const policy = (await readObject(portal, policyOf(slug))) as Observed;
    await deleteObject(portal, policy, 'another');
    await deleteObject(
      portal,
      { ...policy, metadata: { ...policy.metadata, labels: { 'flywheel.dev/tenant': slug } } },
      slug,
    );
    expect((await readObject(portal, policyOf(slug)))?.metadata.uid).toBe(policy.metadata.uid);
  });
});

describe('a plan', () => {
  test('writes nothing of what it plans, and says what each object would become', async () => {
    const slug = freshSlug();
    const planned = await dryRunObjects(proxy.client, objectsOf(slug));
    expect(planned.map(({ op }) => op)).toEqual(objectsOf(slug).map(() => '+'));
    const [namespace] = objectsOf(slug);
    expect(await readObject(admin, namespace as KubernetesObject)).toBeUndefined();

    await ensured(slug);
    expect((await dryRunObjects(portal, objectsOf(slug))).filter(({ op }) => op !== '=')).toEqual([]);
    const before = await readObject(admin, quotaOf(slug));
    const changed = (await dryRunObjects(portal, objectsOf(slug, 5))).filter(({ op }) => op !== '=');
    expect(changed.map(({ op, kind, fields }) => ({ op, kind, fields }))).toEqual([
      {
        op: '~',
        kind: 'ResourceQuota',
        fields: [
          { path: 'spec.hard.pods', before: '2', after: '5' },
          // A runner has Secrets of its own.
          { path: 'spec.hard.secrets', before: '108', after: '120' },
        ],
      },
    ]);
    expect(await readObject(admin, quotaOf(slug))).toEqual(before);
  });

  test('is refused by the API server itself where applying would be', async () => {
    const slug = freshSlug();
    const wrong = objectsOf(slug).map((object) =>
      object.kind === 'NetworkPolicy' ? { ...object, spec: { podSelector: {}, policyTypes: ['Sideways'] } } : object,
    );
    await expect(dryRunObjects(portal, wrong)).rejects.toMatchObject({ code: 'invalid' });
    const misspelt = objectsOf(slug).map((object) =>
      object.kind === 'ResourceQuota' ? { ...object, spec: { hards: {} } } : object,
    );
    await expect(dryRunObjects(portal, misspelt)).rejects.toMatchObject({ code: 'invalid' });
  });
});

test('the portal’s own rights are no more than it needs', async () => {
  for (const path of ['/api/v1/nodes', '/apis/rbac.authorization.k8s.io/v1/clusterroles', '/api/v1/endpoints'])
    await expect(portal.call({ method: 'GET', path }, path)).rejects.toMatchObject({ code: 'forbidden' });
  const binding = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'all', namespace: 'default' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [],
  };
  await expect(applyObject(portal, binding, true)).rejects.toMatchObject({ code: 'forbidden' });
});
