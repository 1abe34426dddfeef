// Tenants enrolled at all three forges at once, as the portal makes them, and the accounts that live there. For tests of what
// each may.
import { enrolled, forgeKinds, type ForgeKind } from '#lib/cluster/fixtures/tenants.ts';
import {
  applyObject,
  ClusterView,
  enrollmentObjects,
  ensureObjects,
  type ClusterClient,
  type EnrollmentInput,
  type KubernetesObject,
} from '#lib/cluster/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { accountClient, clusterClient } from './cluster.ts';
import type { TestCluster } from './index.ts';

/** Where ARC would be, with its account and none of its ClusterRole: what it may in a tenant's namespace, the tenant's Role says. */
export const arc = { namespace: 'arc-of-tenants', serviceAccount: 'controller' };

/** `enrolled`, or with pools of each class (`enrolledApart`). */
export type Enrolled = typeof enrolled;

function inputAt(kind: ForgeKind, slug: string, make: Enrolled): EnrollmentInput {
  const input = make(kind, slug, { name: `${slug}-at-${kind}`, caBundle: 'authority' });
  const { registration } = input;
  const known =
    registration.kind === 'github' ? { ...registration, controller: { version: '0.14.2', ...arc } } : registration;
  const { tenant } = input;
  const builds = tenant.builds && { builds: { ...tenant.builds, managers: input.pools.length } };
  return { ...input, registration: known, tenant: { ...tenant, managers: input.pools.length, ...builds } };
}

/** Each object once: the tenant's own are the same at each forge. */
export function objectsAtAll(slug: string, make: Enrolled = enrolled): KubernetesObject[] {
  const all = forgeKinds.flatMap((kind) => enrollmentObjects(inputAt(kind, slug, make)));
  const known = new Map(
    all.map((object) => [`${object.kind} ${object.metadata.namespace} ${object.metadata.name}`, object]),
  );
  return [...known.values()];
}

/**
 * Applies them with the portal's rights; runner sets are left out, since no ARC is there to serve them, and by wish what makes
 * pods at once.
 */
export async function enrolAtAll(
  cluster: TestCluster,
  slug: string,
  make: Enrolled = enrolled,
  leftOut: readonly string[] = [],
): Promise<KubernetesObject[]> {
  const admin = clusterClient(cluster.kubeconfigPath);
  const metadata = { name: arc.serviceAccount, namespace: arc.namespace };
  await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: arc.namespace } });
  await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const view = new ClusterView(clusterClient(cluster.portalKubeconfigPath));
  const objects = objectsAtAll(slug, make).filter(({ kind }) => ![...leftOut, 'AutoscalingRunnerSet'].includes(kind));
  await ensureObjects(view, objects, () => Promise.resolve());
  return objects;
}

export type Account = { namespace: string; name: string };

/** One account of each sort that there is in a tenant's namespaces, by what it is for. */
export function accountsOf(slug: string): Record<string, Account> {
  const { runners, bazel } = namespacesOf(slug);
  return {
    'a GitHub runner': { namespace: runners, name: `${slug}-docker-gha-rs-no-permission` },
    'a GitLab job': { namespace: runners, name: `${slug}-docker-gitlab-job` },
    'a GitLab manager': { namespace: runners, name: `${slug}-docker-gitlab` },
    'a Forgejo runner': { namespace: runners, name: `${slug}-docker-forgejo` },
    'nobody in particular': { namespace: runners, name: 'default' },
    'the Bazel cache': { namespace: bazel, name: 'default' },
  };
}

/** A client for each, once the accounts are there that the cluster makes by itself. */
export async function clientsOf(
  cluster: TestCluster,
  accounts: Record<string, Account>,
): Promise<Record<string, ClusterClient>> {
  const admin = clusterClient(cluster.kubeconfigPath);
  const clients: Record<string, ClusterClient> = {};
  for (const [what, account] of Object.entries(accounts)) {
    if (account.name === 'default')
      await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
    clients[what] = await accountClient(cluster.kubeconfigPath, account);
  }
  return clients;
}

export type Access = {
  verb: string;
  group?: string;
  resource: string;
  subresource?: string;
  /** Left out: in the whole cluster. */
  namespace?: string;
  name?: string;
};

async function review(client: ClusterClient, spec: object): Promise<boolean> {
  const { status } = await client.call<{ status: { allowed: boolean } }>(
    {
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec },
    },
    'an access review',
  );
  return status.allowed;
}

/** What the API server says that this client may (SelfSubjectAccessReview). */
export function may(client: ClusterClient, resourceAttributes: Access): Promise<boolean> {
  return review(client, { resourceAttributes });
}

/** The same of a path that is no resource. */
export function mayReach(client: ClusterClient, path: string): Promise<boolean> {
  return review(client, { nonResourceAttributes: { path, verb: 'get' } });
}

export type Resource = { group: string; resource: string; subresource?: string; namespaced: boolean; verbs: string[] };

type ResourceList = { resources: { name: string; namespaced: boolean; verbs: string[] }[] };

/** All that the API server serves, at the version that it prefers. */
export async function discovered(client: ClusterClient): Promise<Resource[]> {
  const get = <T>(path: string) => client.call<T>({ method: 'GET', path }, 'discovery');
  const { groups } = await get<{ groups: { name: string; preferredVersion: { groupVersion: string } }[] }>('/apis');
  const places = [
    { group: '', path: '/api/v1' },
    ...groups.map(({ name, preferredVersion }) => ({ group: name, path: `/apis/${preferredVersion.groupVersion}` })),
  ];
  const lists = await Promise.all(
    places.map(async ({ group, path }) => ({ group, list: await get<ResourceList>(path) })),
  );
  return lists.flatMap(({ group, list }) =>
    list.resources.map(({ name, namespaced, verbs }) => {
      const [resource = '', subresource] = name.split('/');
      return { group, resource, ...(subresource === undefined ? {} : { subresource }), namespaced, verbs };
    }),
  );
}
