import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import type { Kube, Obj } from './kube.ts';
import { podSchemas, type Schema } from './pod-schema.ts';

const serviceAccount = 'arc-gha-rs-controller';
const crds = ['autoscalingrunnersets', 'autoscalinglisteners', 'ephemeralrunnersets', 'ephemeralrunners'];

/** What the chart gha-runner-scale-set-controller leaves in a cluster. Returns the user name of the controller. */
export async function install(admin: Kube, namespace: string, version: string): Promise<string> {
  const pods = await podSchemas(admin);
  for (const name of crds) await admin.apply(customResource(name, pods));
  await admin.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  for (const object of controllerObjects(namespace, version)) await admin.apply(object);
  for (const name of crds) await served(admin, name);
  return `system:serviceaccount:${namespace}:${serviceAccount}`;
}

function customResource(name: string, pods: { template: Schema; spec: Schema }): Obj {
  const text = readFileSync(new URL(`./crds/${name}.yaml`, import.meta.url), 'utf8');
  const crd = parse(text) as Obj & { spec: { versions: { schema: { openAPIV3Schema: Schema } }[] } };
  for (const version of crd.spec.versions) fillPods(version.schema.openAPIV3Schema, pods);
  return crd;
}

/** Puts the schema of a pod where the file has an open object by one of the names that ARC gives to pods. */
function fillPods(schema: Schema, pods: { template: Schema; spec: Schema }): void {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const open = child['x-kubernetes-preserve-unknown-fields'] === true;
    const pod =
      name === 'template' || name === 'listenerTemplate' ? pods.template : name === 'spec' ? pods.spec : undefined;
    if (open && pod && schema.properties) schema.properties[name] = pod;
    else fillPods(child, pods);
  }
}

/** Waits until the API server answers for a kind that was just defined. */
async function served(admin: Kube, plural: string): Promise<void> {
  const path = `/apis/actions.github.com/v1alpha1/${plural}?limit=1`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      await admin.call({ method: 'GET', path });
      return;
    } catch (error) {
      if (attempt > 100) throw error;
      await sleep(100);
    }
  }
}

function controllerObjects(namespace: string, version: string): Obj[] {
  const labels = {
    'app.kubernetes.io/name': 'gha-rs-controller',
    'app.kubernetes.io/part-of': 'gha-rs-controller',
    'app.kubernetes.io/version': version,
    'app.kubernetes.io/component': 'controller-manager',
    'actions.github.com/controller-service-account-namespace': namespace,
    'actions.github.com/controller-service-account-name': serviceAccount,
  };
  const subjects = [{ kind: 'ServiceAccount', name: serviceAccount, namespace }];
  const rbac = 'rbac.authorization.k8s.io';
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccount, namespace, labels } },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'arc-gha-rs-controller', labels },
      rules: clusterRules,
    } as Obj,
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'arc-gha-rs-controller', labels },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'arc-gha-rs-controller' },
      subjects,
    } as Obj,
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: { name: 'arc-gha-rs-controller-listener', namespace, labels },
      rules: ownNamespaceRules,
    } as Obj,
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name: 'arc-gha-rs-controller-listener', namespace, labels },
      roleRef: { apiGroup: rbac, kind: 'Role', name: 'arc-gha-rs-controller-listener' },
      subjects,
    } as Obj,
    deployment(namespace, labels, version),
  ];
}

function deployment(namespace: string, labels: Record<string, string>, version: string): Obj {
  const selector = { 'app.kubernetes.io/name': 'gha-rs-controller', 'app.kubernetes.io/part-of': 'gha-rs-controller' };
  const container = {
    name: 'manager',
    image: `ghcr.io/actions/gha-runner-scale-set-controller:${version}`,
    command: ['/manager'],
    args: ['--auto-scaling-runner-set-only', '--log-level=debug', '--log-format=text', '--update-strategy=immediate'],
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: serviceAccount, namespace, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: { ...selector, 'app.kubernetes.io/version': version } },
        spec: { serviceAccountName: serviceAccount, containers: [container] },
      },
    },
  } as Obj;
}

const everything = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
const own = ['autoscalingrunnersets', 'autoscalinglisteners', 'ephemeralrunnersets', 'ephemeralrunners'];

/**
 * Outside its namespace the controller may only look at what belongs to others. Whatever it makes there it makes by the
 * manager Role that each tenant's namespace grants it: without that Role no runner starts and no runner set goes away.
 */
const clusterRules = [
  { apiGroups: ['actions.github.com'], resources: own, verbs: everything },
  { apiGroups: ['actions.github.com'], resources: own.map((name) => `${name}/finalizers`), verbs: ['patch', 'update'] },
  {
    apiGroups: ['actions.github.com'],
    resources: own.map((name) => `${name}/status`),
    verbs: ['get', 'patch', 'update'],
  },
  { apiGroups: [''], resources: ['pods', 'serviceaccounts'], verbs: ['list', 'watch'] },
  { apiGroups: ['rbac.authorization.k8s.io'], resources: ['rolebindings'], verbs: ['list', 'watch'] },
  { apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], verbs: ['list', 'watch', 'patch'] },
];

const ownNamespaceRules = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'get'] },
  { apiGroups: [''], resources: ['pods/status'], verbs: ['get'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'delete', 'get', 'patch', 'update'] },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['create', 'delete', 'get', 'patch', 'update'] },
];
