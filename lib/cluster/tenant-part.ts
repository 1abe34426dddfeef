import { namespacesOf } from '#lib/model/index.ts';
import { isOwned, listObjects, readObject } from './apply.ts';
import { fieldManager, type ClusterClient, type Kind } from './client.ts';
import { managedBy, tenantLabel, type KubernetesObject } from './objects.ts';
import { ownedPart, type ManagedObject } from './owned-part.ts';

/** What is applied for tenants, in an order in which each finds what it needs. */
const applied: readonly [Kind, string][] = [
  ['ResourceQuota', 'v1'],
  ['LimitRange', 'v1'],
  ['NetworkPolicy', 'networking.k8s.io/v1'],
  ['ServiceAccount', 'v1'],
  ['Role', 'rbac.authorization.k8s.io/v1'],
  ['RoleBinding', 'rbac.authorization.k8s.io/v1'],
  ['ConfigMap', 'v1'],
  ['Secret', 'v1'],
  ['PersistentVolumeClaim', 'v1'],
  ['Service', 'v1'],
  ['Deployment', 'apps/v1'],
  ['AutoscalingRunnerSet', 'actions.github.com/v1alpha1'],
];

/** Every object of a tenant as the portal applied it, from the cluster itself: what others own of it is left out. */
export async function tenantPart(client: ClusterClient, slug: string): Promise<KubernetesObject[]> {
  const ours = `app.kubernetes.io/managed-by=${managedBy},${tenantLabel}=${slug}`;
  const parts: KubernetesObject[] = [];
  const take = (object: ManagedObject) => {
    const part = isOwned(object, slug) ? ownedPart(object, fieldManager) : null;
    if (part) parts.push(part);
    return part !== null;
  };
  for (const name of Object.values(namespacesOf(slug))) {
    const namespace = await readObject(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    if (!namespace || !take({ ...namespace, apiVersion: 'v1', kind: 'Namespace' })) continue;
    for (const [kind, apiVersion] of applied) {
      const found = await listObjects(client, kind, apiVersion, name, ours);
      for (const object of found.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) take(object);
    }
  }
  return parts;
}
