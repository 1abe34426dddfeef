import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { systemClock } from '#lib/clock.ts';
import {
  applyObject,
  findController,
  handOverSet,
  inParallel,
  listObjects,
  objectPath,
  scaleSetIdOf,
  tenantLabel,
  type KubernetesObject,
} from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { askForProof, examineEnrollment, proveEnrollment } from '#lib/doctor/index.ts';
import { approvePlan, clusterLook, exportTenant, makePlan, savePools } from '#lib/enrollment/index.ts';
import { lookAtCluster } from '#lib/fleet/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { clusterClient, startFaultyProxy, type FaultyProxy, type Heard } from '#sandbox/test-support/cluster.ts';
import { approve, drafted } from '#sandbox/test-support/crash-world.ts';
import { approvedScope } from '#sandbox/test-support/enrolled.ts';
import { eventually, startTestPortal, type TestPortal, type TestWorker } from '#sandbox/test-support/portal.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import type { Offer, RepairKind } from '../lib/doctor/facts.ts';
import { send, stepsOf } from '../lib/doctor/steps.ts';

/*
 * cluster/portal-rights.yaml, held to what the portal asks for. It is watched through a whole life of three tenants, one at each
 * forge, and every right must be one that it used or granted; then each is taken away by itself, and what it was used for is
 * asked of the API server once more, by somebody who has all of them but that one.
 */

/** One verb on one resource, as `patch apps/deployments` or `get core/pods/log`. */
type Right = string;
type Rule = { apiGroups: string[]; resources: string[]; verbs: string[] };

function rightsOf(rules: readonly Rule[]): Right[] {
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group === '' ? 'core' : group}/${resource}`)),
    ),
  );
}

function ruleOf(right: Right): Rule {
  const [, verb = '', group = '', resource = ''] = /^(\w+) ([^/]+)\/(.+)$/.exec(right) ?? [];
  return { apiGroups: [group === 'core' ? '' : group], resources: [resource], verbs: [verb] };
}

const place =
  /^\/(?:api\/v1|apis\/(?<group>[^/]+)\/[^/]+)(?:\/namespaces\/[^/]+(?=\/))?\/(?<resource>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<sub>[^/]+))?)?$/;
const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** What a request needs. One that makes what it patches needs both rights; its version a cluster tells everybody. */
function neededFor({ method, url, status }: Heard): Right[] {
  if (url.pathname === '/version') return [];
  const { group = 'core', resource, name, sub } = place.exec(url.pathname)?.groups ?? {};
  const read = name !== undefined ? 'get' : url.searchParams.get('watch') === 'true' ? 'watch' : 'list';
  const of = `${group}/${resource}${sub === undefined ? '' : `/${sub}`}`;
  const verb = verbs[method] ?? read;
  return verb === 'patch' && status === 201 ? [`${verb} ${of}`, `create ${of}`] : [`${verb} ${of}`];
}

const manifest = readFileSync(join(import.meta.dirname, 'cluster/portal-rights.yaml'), 'utf8');
const [role] = parseAllDocuments(manifest).map((document) => document.toJS() as { rules: Rule[] });
const held = rightsOf(role?.rules ?? []);

/** By right, a request that needed it. */
const used = new Map<Right, Heard>();
/** By right, a Role that grants it. */
const granted = new Map<Right, Heard>();
const refused: string[] = [];

function hear(heard: Heard): void {
  if (heard.status === 403) refused.push(`${heard.method} ${heard.url.pathname}`);
  for (const right of neededFor(heard)) {
    // What is tried in the plan's own namespace, or made by its own verb, can be asked again.
    if (!used.has(right) || heard.url.pathname.includes('/flywheel-plan/') || heard.method === 'POST')
      used.set(right, heard);
  }
  if (heard.method !== 'PATCH' || !heard.url.pathname.includes('/flywheel-plan/roles/')) return;
  const { rules = [] } = JSON.parse(heard.body) as { rules?: Rule[] };
  for (const right of rightsOf(rules)) granted.set(right, heard);
}

let proxy: FaultyProxy;
let portal: TestPortal;
let worker: TestWorker;
const folder = mkdtempSync(join(tmpdir(), 'flywheel-rights-'));
const suffix = randomBytes(3).toString('hex');
const slugs = { gitlab: `rights-gl-${suffix}`, forgejo: `rights-fj-${suffix}` };

beforeAll(async () => {
  const cluster = await testCluster({ arc: true });
  proxy = await startFaultyProxy(cluster.portalKubeconfigPath);
  proxy.heard = hear;
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, proxy.kubeconfig, { mode: 0o600 });
  portal = await startTestPortal({ arc: true, kubeconfig, runnersOf: Object.values(slugs) });
  worker = portal.startWorker();
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  await proxy?.stop();
  rmSync(folder, { recursive: true });
});

const rowOf = (id: string) => unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
const ready = (id: string) => eventually('ready', async () => (await rowOf(id)).readyAt, 60_000);
const withdrawn = (id: string) => eventually('withdrawn', async () => (await rowOf(id)).state === 'withdrawn', 60_000);
const admin = async () => clusterClient((await testCluster({ arc: true })).kubeconfigPath);

function leaseOf(key: string): Lease {
  const { signal } = new AbortController();
  return { key, attempts: 1, signal, check: async () => {}, fence: async () => {} };
}

type Enrolled = { id: string; slug: string; ctx: Ctx };

async function atGithub(): Promise<Enrolled> {
  // As of an Enterprise Server with an authority of its own: a ConfigMap that ARC's manager may read.
  const authority = readFileSync(join(import.meta.dirname, '../lib/forge/fixtures/tls/authority.pem'), 'utf8').trim();
  await unsafeDb().forgeConnection.update({ where: { id: 'github' }, data: { caBundle: authority } });
  const draft = await drafted(portal);
  const ctx = await portal.member('ada-tinyland', draft.slug);
  await savePools(ctx, { enrollmentId: draft.id, pools: [{ pool: 'docker', minRunners: 1, maxRunners: 2 }] });
  await approve(portal, draft, 'enroll');
  await ready(draft.id);
  return { ...draft, ctx };
}

async function atOther(forge: 'gitlab' | 'forgejo'): Promise<Enrolled> {
  const slug = slugs[forge];
  const at = {
    gitlab: { level: 'project', path: 'tinyland/site', by: 'ada-tinyland' },
    forgejo: { level: 'repository', path: 'JessSullivan/cmux', by: 'JessSullivan' },
  } as const;
  const scope = await approvedScope(portal, { forge, slug, ...at[forge] });
  await ready(scope.id);
  return { id: scope.id, slug, ctx: scope.ctx };
}

/** What somebody took away comes back. */
async function mended({ slug }: Enrolled): Promise<void> {
  const client = await admin();
  const { runners } = namespacesOf(slug);
  const policies = () => listObjects(client, 'NetworkPolicy', 'networking.k8s.io/v1', runners, tenantLabel);
  const [first] = await policies();
  if (!first) throw new Error('no policy');
  await client.call({ method: 'DELETE', path: objectPath(first) }, 'a policy');
  const isBack = async () =>
    (await policies()).some(
      ({ metadata }) => metadata.name === first.metadata.name && metadata.uid !== first.metadata.uid,
    );
  await eventually('the policy', isBack, 30_000);
}

/** A pod that stands for a listener which does not come up and says nothing. */
async function silentListener({ slug, id }: Enrolled): Promise<string> {
  const client = await admin();
  const { namespace } = (await findController(client)) ?? { namespace: '' };
  const { runners } = namespacesOf(slug);
  const { scaleSetName: set } = await unsafeDb().enrollmentPool.findFirstOrThrow({ where: { enrollmentId: id } });
  const labels = {
    'app.kubernetes.io/managed-by': 'flywheel',
    [tenantLabel]: slug,
    'actions.github.com/scale-set-name': set,
    'actions.github.com/scale-set-namespace': runners,
  };
  const name = `${set}-silent`;
  const spec = { containers: [{ name: 'listener', image: 'listener' }] };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec };
  await applyObject(client, pod);
  const status = { phase: 'Running', containerStatuses: [containerStatus] };
  await client.call(
    {
      method: 'PATCH',
      path: `${objectPath(pod)}/status`,
      contentType: 'application/merge-patch+json',
      body: { status },
    },
    'its status',
  );
  await eventually('the pod in the view', () => worker.view.get(pod)?.status?.['phase'] === 'Running');
  return name;
}
const containerStatus = { name: 'listener', image: 'listener', imageID: '', ready: false, restartCount: 3 };

/** A runner set that goes to another cluster, and is made again by who still wants it here. Moves ask for nothing else of their own. */
async function handedOver({ slug }: Enrolled): Promise<void> {
  const { runners } = namespacesOf(slug);
  const set = () => [...worker.view.allIn(runners, 'AutoscalingRunnerSet')][0];
  const first = await eventually('a runner set', () => set(), 30_000);
  await handOverSet(proxy.client, first, async () => {});
  const isBack = () => {
    const next = set();
    return next && next.metadata.uid !== first.metadata.uid && scaleSetIdOf(next) !== undefined;
  };
  await eventually('the runner set', isBack, 30_000);
}

/** Each repair that touches the cluster, with objects that are there. A plan and the worker send the same requests. */
async function repaired(github: Enrolled, forgejo: Enrolled, listener: string): Promise<void> {
  const client = await admin();
  const { runners } = namespacesOf(github.slug);
  const { namespace: controllerNamespace } = (await findController(client)) ?? { namespace: '' };
  const at = { tenant: github.slug, controllerNamespace, forgeName: 'GitHub' };
  const runner = await eventually('a runner', () => [...worker.view.allIn(runners, 'EphemeralRunner')][0], 30_000);
  const own = namespacesOf(forgejo.slug).runners;
  const pod = await eventually('a pod', () => [...worker.view.allIn(own, 'Pod')][0], 30_000);
  const tried = (tenant: string, kind: RepairKind, params: Offer['params']) =>
    eventually(kind, async () => {
      const { requests } = await stepsOf(proxy.client, { ...at, tenant }, { kind, params });
      // ARC's part goes on writing meanwhile: a plan of an object that moved is made anew.
      const sent = send(proxy.client, requests, { dryRun: true });
      return (await sent.then(() => true, isMoved)) && requests.length === 1;
    });
  await tried(github.slug, 'restart-listener', { pod: listener });
  await tried(forgejo.slug, 'remove-orphans', { pods: [pod.metadata.name] });
  await tried(github.slug, 'restart-runners', { runners: [runner.metadata.name] });
  const finalizers = [...(runner.metadata.finalizers ?? []), 'test.example/held'];
  await client.mergePatch(runner, { metadata: { finalizers } });
  await client.call({ method: 'DELETE', path: objectPath(runner) }, 'a runner');
  const { apiVersion, kind, metadata } = runner;
  const { name, namespace = '' } = metadata;
  await tried(github.slug, 'drop-finalizer', { kind, apiVersion, name, namespace, finalizers: ['test.example/held'] });
  await client.mergePatch(runner, { metadata: { finalizers: [] } });
}

const isMoved = (error: unknown): boolean => {
  if (error instanceof AppError && error.code === 'stale') return false;
  throw error;
};

test('a whole life of three tenants, with no more than these rights and with nothing refused', async () => {
  const [github, gitlab, forgejo] = await Promise.all([atGithub(), atOther('gitlab'), atOther('forgejo')]);
  await mended(gitlab);
  await makePlan(github.ctx, { enrollmentId: github.id, kind: 'change' });
  await clusterLook(github.ctx);
  await exportTenant(github.ctx);
  const deps = { clock: systemClock, view: () => worker.view };
  await lookAtCluster(deps, leaseOf('main'));
  expect(await unsafeDb().cluster.findUniqueOrThrow({ where: { id: 'main' } })).toMatchObject({ trouble: null });
  await handedOver(github);
  const listener = await silentListener(github);
  await examineEnrollment(deps, leaseOf(github.id));
  await askForProof(github.ctx, { enrollmentId: github.id });
  await proveEnrollment(deps, leaseOf(github.id));
  await repaired(github, forgejo, listener);
  for (const each of [github, gitlab, forgejo]) {
    await approvePlan(each.ctx, await makePlan(each.ctx, { enrollmentId: each.id, kind: 'withdraw' }));
    await withdrawn(each.id);
  }
  expect(refused).toEqual([]);
}, 180_000);

test('every right is one that was used or granted, and none was used that is not here', () => {
  expect(new Set(held).size).toBe(held.length);
  expect(held.toSorted()).toEqual([...new Set([...used.keys(), ...granted.keys()])].toSorted());
  expect(held.filter((right) => right.includes('*'))).toEqual([]);
});

// ------------------------------------------------------------------------------------------------ without one of them

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const labels = { 'test.example/rights': suffix };

/** Everybody who has signed in is in it. */
const nobodys = 'system:authenticated';
const notHeld = 'attempting to grant RBAC permissions not currently held';

/** Who may all of it but one. */
async function withoutOne(name: string, rights: readonly Right[]): Promise<void> {
  const client = await admin();
  const metadata = { name, labels };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name }];
  await client.call(
    { method: 'POST', path: `${rbac}/clusterroles`, body: { metadata, rules: rights.map(ruleOf) } },
    name,
  );
  await client.call(
    { method: 'POST', path: `${rbac}/clusterrolebindings`, body: { metadata, roleRef, subjects } },
    name,
  );
}

/** The same request as somebody else, with nothing done unless it is to be. */
async function again(
  door: FaultyProxy,
  user: string,
  group: string,
  heard: Pick<Heard, 'method' | 'url' | 'body' | 'contentType'>,
  really = false,
) {
  const url = new URL(heard.url.pathname + heard.url.search, door.url);
  const isWrite = heard.method !== 'GET';
  if (!isWrite) url.searchParams.set(url.searchParams.get('watch') ? 'timeoutSeconds' : 'limit', '1');
  else if (!really) url.searchParams.set('dryRun', 'All');
  // Of a deletion's options those of the query are not read where there is a body.
  const options = { kind: 'DeleteOptions', apiVersion: 'v1', ...(really ? {} : { dryRun: ['All'] }) };
  const body = heard.method === 'DELETE' ? JSON.stringify(options) : heard.body;
  const headers: [string, string][] = [
    ['authorization', `Bearer ${door.token}`],
    ['impersonate-user', user],
    ['content-type', heard.contentType],
    ['impersonate-group', group],
  ];
  const answer = await fetch(url, { method: heard.method, headers, ...(isWrite ? { body } : {}) });
  return { status: answer.status, text: await answer.text() };
}

test('without any one of them the API server refuses what it was used for', async () => {
  await using door = await startFaultyProxy((await testCluster()).kubeconfigPath);
  const all = `rights-${suffix}-all`;
  const users = new Map(held.map((right, index) => [right, `rights-${suffix}-${index}`]));
  await inParallel([...users], ([right, name]) =>
    withoutOne(
      name,
      held.filter((each) => each !== right),
    ),
  );
  // The API server learns of them in their order.
  await withoutOne(all, held);
  const [, plain] = [...used].find(([right]) => right === 'list core/namespaces') ?? [];
  if (!plain) throw new Error('nothing was listed');
  await eventually('the rights', async () => (await again(door, all, nobodys, plain)).status === 200);
  const still: string[] = [];
  await inParallel([...users], async ([right, user]) => {
    const [verb, of = ''] = right.split(' ');
    const resource = of.slice(of.indexOf('/') + 1);
    for (const asked of [used.get(right), granted.get(right)]) {
      if (!asked) continue;
      const { status, text } = await again(door, user, nobodys, asked);
      const isMissed = text.includes(`cannot ${verb} resource \\"${resource}\\"`) || text.includes(notHeld);
      if (status !== 403 || !isMissed) still.push(`${right}: ${status} ${text}`);
      if ((await again(door, all, nobodys, asked)).status === 403) still.push(`${right}: refused to who has all`);
    }
  });
  expect(still).toEqual([]);
  for (const kind of ['clusterrolebindings', 'clusterroles'])
    await (
      await admin()
    ).call(
      { method: 'DELETE', path: `${rbac}/${kind}`, query: { labelSelector: `test.example/rights=${suffix}` } },
      kind,
    );
}, 60_000);

// ------------------------------------------------------------------------------------------------ the fence

describe('the fence', () => {
  const slug = `fence-${suffix}`;
  const runners = `runners-${slug}`;
  const account = 'system:serviceaccount:flywheel';
  const group = 'system:serviceaccounts:flywheel';
  const ours = { 'app.kubernetes.io/managed-by': 'flywheel', [tenantLabel]: slug };
  let door: FaultyProxy;

  beforeAll(async () => {
    const { kubeconfigPath } = await testCluster();
    door = await startFaultyProxy(kubeconfigPath);
    const client = clusterClient(kubeconfigPath);
    const made: KubernetesObject[] = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: runners, labels: ours } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'mine-forgejo', namespace: runners } },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `foreign-${slug}` } },
      // Somebody else's, who named it as we would.
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `runners-foreign-${slug}` } },
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'flywheel-plan', labels: ours } },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'kept', namespace: `foreign-${slug}` } },
    ];
    for (const object of made) await applyObject(client, object);
    const isUp = async () => (await asked('worker', configMap(`foreign-${slug}`))).status === 403;
    await eventually('the fence', isUp);
  }, 120_000);
  afterAll(() => door?.stop());

  type Asked = { method: string; path: string; body: object; really?: boolean };

  function asked(who: 'web' | 'worker', { method, path, body, really = false }: Asked) {
    const contentType = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json';
    const url = new URL(path, door.url);
    return again(
      door,
      `${account}:flywheel-${who}`,
      group,
      { method, url, contentType, body: JSON.stringify(body) },
      really,
    );
  }

  function applied(object: KubernetesObject, really?: boolean): Asked {
    return {
      method: 'PATCH',
      path: `${objectPath(object)}?fieldManager=flywheel`,
      body: object,
      really: really ?? false,
    };
  }
  const configMap = (namespace: string, really?: boolean) =>
    applied({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tried', namespace } }, really);
  const namespace = (name: string, labels: Record<string, string>, really?: boolean) =>
    applied({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }, really);
  const binding = (where: string) =>
    applied({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'mine', namespace: where },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'flywheel-portal' },
      subjects: [{ kind: 'ServiceAccount', name: 'default', namespace: where }],
    });
  // One that runner-pods.yaml has nothing against: the API server asks both policies in no order, and one refusal is told of.
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'mine', namespace: runners },
    spec: {
      serviceAccountName: 'mine-forgejo',
      automountServiceAccountToken: false,
      hostUsers: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'a',
          image: 'a',
          imagePullPolicy: 'Always',
          resources: { limits: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '1Gi' } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  };
  const podsPath = `/api/v1/namespaces/${runners}/pods`;
  const gone = (path: string): Asked => ({ method: 'DELETE', path, body: {} });

  test.each<[string, string, Asked]>([
    ['a namespace of another name', 'namespaces', namespace('kube-more', ours)],
    ['a namespace that it does not mark as a tenant’s', 'namespaces', namespace(`runners-x-${slug}`, {})],
    ['somebody’s namespace made its own', 'namespaces', namespace(`runners-foreign-${slug}`, ours)],
    ['the end of somebody’s namespace', 'namespaces', gone(`/api/v1/namespaces/runners-foreign-${slug}`)],
    ['an object in somebody’s namespace', 'elsewhere', configMap(`foreign-${slug}`)],
    ['an object in kube-system', 'elsewhere', configMap('kube-system')],
    ['rights in kube-system', 'elsewhere', binding('kube-system')],
    ['the end of somebody’s object', 'elsewhere', gone(`/api/v1/namespaces/foreign-${slug}/configmaps/kept`)],
    ['a pod', 'granted', { method: 'POST', path: podsPath, body: pod }],
    [
      'a way into a pod',
      'granted',
      { method: 'POST', path: `${podsPath}/any/exec?command=id&stdout=true`, body: {}, really: true },
    ],
  ])('refuses the portal %s', async (_, rule, what) => {
    for (const who of ['web', 'worker'] as const) {
      const { status, text } = await asked(who, what);
      expect([who, status, text]).toEqual([who, 403, expect.stringContaining(`denied request: ${rule}:`)]);
    }
  });

  test('lets the worker write in the namespaces of tenants, and make them', async () => {
    expect(await asked('worker', configMap(runners, true))).toMatchObject({ status: 201 });
    expect(await asked('worker', namespace(`runners-${slug}-more`, ours, true))).toMatchObject({ status: 201 });
    expect(await asked('worker', { ...gone(`/api/v1/namespaces/runners-${slug}-more`), really: true })).toMatchObject({
      status: 200,
    });
  });

  test('lets the web process try, and make nothing but what it tries in', async () => {
    expect(await asked('web', configMap(runners))).toMatchObject({ status: 200 });
    expect(await asked('web', configMap('flywheel-plan', true))).toMatchObject({ status: 201 });
    for (const what of [configMap(runners, true), namespace(`runners-${slug}-web`, ours, true)])
      expect(await asked('web', what)).toMatchObject({
        status: 403,
        text: expect.stringContaining('denied request: tried:'),
      });
  });
});
