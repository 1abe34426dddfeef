import { createHash, randomBytes } from 'node:crypto';
import type { Meta, Obj, OwnerReference } from './kube.ts';

/*
 * The objects of actions.github.com/v1alpha1 as far as they are used here, and the objects that ARC 0.14.2 makes of them:
 * names, labels, finalizers and environment as its resource builder has them. Nothing here talks to anybody.
 */

export const group = 'actions.github.com/v1alpha1';
export const finalizers = {
  set: 'autoscalingrunnerset.actions.github.com/finalizer',
  listener: 'autoscalinglistener.actions.github.com/finalizer',
  runner: 'ephemeralrunner.actions.github.com/finalizer',
  registration: 'ephemeralrunner.actions.github.com/runner-registration-finalizer',
  cleanup: 'actions.github.com/cleanup-protection',
};
export const notes = {
  scaleSetId: 'runner-scale-set-id',
  groupName: 'actions.github.com/runner-group-name',
  scaleSetName: 'actions.github.com/runner-scale-set-name',
  changeHash: 'actions.github.com/change-hash',
  valuesHash: 'actions.github.com/values-hash',
  runnerHash: 'actions.github.com/runner-spec-hash',
};
export const versionLabel = 'app.kubernetes.io/version';
export const runnerPodLabel = 'actions-ephemeral-runner';

interface Pod {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: PodSpec;
}
export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  restartPolicy?: string;
  [field: string]: unknown;
}
export interface Container {
  name: string;
  image?: string;
  restartPolicy?: string;
  env?: { name: string; value?: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }[];
  [field: string]: unknown;
}
interface Overrides {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface AutoscalingRunnerSet extends Obj {
  spec: {
    githubConfigUrl: string;
    githubConfigSecret: string;
    runnerGroup?: string;
    runnerScaleSetName?: string;
    runnerScaleSetLabels?: string[];
    minRunners?: number;
    maxRunners?: number;
    template?: Pod;
    listenerTemplate?: Pod;
    proxy?: unknown;
    githubServerTLS?: unknown;
    ephemeralRunnerMetadata?: Overrides;
    ephemeralRunnerSetMetadata?: Overrides;
    ephemeralRunnerConfigSecretMetadata?: Overrides;
    autoscalingListener?: Overrides;
    [field: string]: unknown;
  };
  status?: Counts & { currentRunners?: number; phase?: string };
}
export interface Counts {
  pendingEphemeralRunners?: number;
  runningEphemeralRunners?: number;
  failedEphemeralRunners?: number;
}
export interface AutoscalingListener extends Obj {
  spec: {
    githubConfigUrl: string;
    githubConfigSecret: string;
    runnerScaleSetId: number;
    autoscalingRunnerSetNamespace: string;
    autoscalingRunnerSetName: string;
    ephemeralRunnerSetName: string;
    minRunners: number;
    maxRunners: number;
    image: string;
    template?: Pod;
  };
}
/** The number of a word that is acted on whatever was counted before it. */
export const forceful = 0;

export interface EphemeralRunnerSet extends Obj {
  spec: {
    replicas?: number;
    patchID: number;
    ephemeralRunnerSpec: EphemeralRunner['spec'];
    ephemeralRunnerMetadata?: Overrides;
  };
  status?: Counts & { currentReplicas: number; phase?: string };
}
export interface EphemeralRunner extends Obj {
  spec: {
    githubConfigUrl: string;
    githubConfigSecret: string;
    runnerScaleSetId: number;
    metadata?: Pod['metadata'];
    spec?: PodSpec;
    ephemeralRunnerConfigSecretMetadata?: Overrides;
    [field: string]: unknown;
  };
  status?: {
    phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Outdated';
    ready?: boolean;
    reason?: string;
    message?: string;
    runnerId?: number;
    runnerName?: string;
    failures?: Record<string, string>;
    jobId?: string;
  };
}
export interface RunningPod extends Obj {
  spec: PodSpec;
  status?: {
    phase?: string;
    startTime?: string;
    message?: string;
    containerStatuses?: {
      name: string;
      ready: boolean;
      state: { terminated?: { exitCode: number; message?: string } };
    }[];
  };
}
export interface Secret extends Obj {
  type?: string;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
}

export function hashOf(...values: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(values, sortedKeys)).digest('hex').slice(0, 10);
}

/** The API server sorts fields; what one is about to write must hash as what one will read. */
function sortedKeys(_: string, value: unknown): unknown {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMap ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) : value;
}

function fnv32a(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
}

function fiveLetters(): string {
  return [...randomBytes(5)].map((byte) => 'bcdfghjklmnpqrstvwxz2456789'[byte % 27]).join('');
}

export function ownerOf(owner: Obj): OwnerReference {
  const { name, uid = '' } = owner.metadata;
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true };
}

export function isOwnedBy(object: Obj, owner: Obj): boolean {
  return object.metadata.ownerReferences?.some((ref) => ref.uid === owner.metadata.uid) ?? false;
}

export function scaleSetName(set: AutoscalingRunnerSet): string {
  return set.spec.runnerScaleSetName || set.metadata.name;
}

export function listenerName(set: AutoscalingRunnerSet): string {
  const { namespace, name } = set.metadata;
  return `${name}-${fnv32a(`${namespace}@${set.spec.runnerGroup ?? ''}@${set.spec.githubConfigUrl}`).slice(0, 8)}-listener`;
}

/** Whatever changes this makes a new EphemeralRunnerSet. */
export function runnerHash(set: AutoscalingRunnerSet): string {
  const {
    template,
    githubConfigUrl,
    githubConfigSecret,
    runnerGroup,
    proxy,
    githubServerTLS,
    ephemeralRunnerMetadata,
  } = set.spec;
  return hashOf(
    template,
    githubConfigUrl,
    githubConfigSecret,
    runnerGroup,
    scaleSetName(set),
    proxy,
    githubServerTLS,
    ephemeralRunnerMetadata,
  );
}

/** Whatever changes this makes a new listener: any field of the spec, or the values hash that the portal turns. */
export function changeHash(set: AutoscalingRunnerSet): string {
  return hashOf(set.spec, set.metadata.annotations?.[notes.valuesHash]);
}

/** ARC gives a runner set's labels to everything that it makes of it. */
function inherited(set: AutoscalingRunnerSet, component: string): Record<string, string> {
  const { 'helm.sh/chart': _chart, ...labels } = set.metadata.labels ?? {};
  return {
    ...labels,
    ...scopeLabels(set.spec.githubConfigUrl),
    'app.kubernetes.io/component': component,
    'actions.github.com/scale-set-name': set.metadata.name,
    'actions.github.com/scale-set-namespace': set.metadata.namespace ?? '',
  };
}

export function scopeLabels(configUrl: string): Record<string, string> {
  const [owner = '', repository] = new URL(configUrl).pathname.split('/').filter(Boolean);
  if (repository === undefined) return { 'actions.github.com/organization': owner };
  if (owner.toLowerCase() === 'enterprises') return { 'actions.github.com/enterprise': repository };
  return { 'actions.github.com/organization': owner, 'actions.github.com/repository': repository };
}

function metadata(base: Meta, ...more: (Overrides | undefined)[]): Meta {
  const merged = (key: 'labels' | 'annotations'): Record<string, string> =>
    Object.assign({}, base[key], ...more.map((m) => m?.[key]));
  return { ...base, labels: merged('labels'), annotations: merged('annotations') };
}

export function runnerSetOf(set: AutoscalingRunnerSet, scaleSetId: number): EphemeralRunnerSet {
  const { namespace, name } = set.metadata;
  const { template } = set.spec;
  const base: Meta = {
    name: `${name}-${fiveLetters()}`,
    ...(namespace ? { namespace } : {}),
    labels: inherited(set, 'runner-set'),
    annotations: {
      [notes.runnerHash]: runnerHash(set),
      [notes.groupName]: set.metadata.annotations?.[notes.groupName] ?? 'Default',
      [notes.scaleSetName]: scaleSetName(set),
    },
    ownerReferences: [ownerOf(set)],
  };
  return {
    apiVersion: group,
    kind: 'EphemeralRunnerSet',
    metadata: metadata(base, set.spec.ephemeralRunnerSetMetadata),
    spec: {
      replicas: 0,
      patchID: 0,
      ...(set.spec.ephemeralRunnerMetadata ? { ephemeralRunnerMetadata: set.spec.ephemeralRunnerMetadata } : {}),
      ephemeralRunnerSpec: {
        githubConfigUrl: set.spec.githubConfigUrl,
        githubConfigSecret: set.spec.githubConfigSecret,
        runnerScaleSetId: scaleSetId,
        ...(template?.metadata ? { metadata: template.metadata } : {}),
        ...(template?.spec ? { spec: template.spec } : {}),
        ...(set.spec.ephemeralRunnerConfigSecretMetadata
          ? { ephemeralRunnerConfigSecretMetadata: set.spec.ephemeralRunnerConfigSecretMetadata }
          : {}),
      },
    },
  };
}

export function runnerOf(set: EphemeralRunnerSet): EphemeralRunner {
  const { name, namespace, labels, annotations } = set.metadata;
  const base: Meta = {
    name: `${name}-runner-${fiveLetters()}`,
    ...(namespace ? { namespace } : {}),
    labels: { ...labels, 'app.kubernetes.io/component': 'runner' },
    annotations: { ...annotations, 'actions.github.com/patch-id': String(set.spec.patchID) },
    finalizers: [finalizers.runner, finalizers.registration],
    ownerReferences: [ownerOf(set)],
  };
  return {
    apiVersion: group,
    kind: 'EphemeralRunner',
    metadata: metadata(base, set.spec.ephemeralRunnerMetadata),
    spec: set.spec.ephemeralRunnerSpec,
  };
}

export function jitSecretOf(runner: EphemeralRunner, jit: { runnerId: number; encoded: string }): Secret {
  const { name, namespace } = runner.metadata;
  const base: Meta = {
    name,
    ...(namespace ? { namespace } : {}),
    labels: { 'app.kubernetes.io/component': 'runner' },
    ownerReferences: [ownerOf(runner)],
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata(base, runner.spec.ephemeralRunnerConfigSecretMetadata),
    stringData: {
      jitToken: jit.encoded,
      runnerName: name,
      runnerId: String(jit.runnerId),
      scaleSetId: String(runner.spec.runnerScaleSetId),
    },
  };
}

export function podOf(runner: EphemeralRunner): RunningPod {
  const { name, namespace, labels } = runner.metadata;
  const template = runner.spec.metadata;
  const spec = runner.spec.spec ?? { containers: [] };
  const config = { name: 'ACTIONS_RUNNER_INPUT_JITCONFIG', valueFrom: { secretKeyRef: { name, key: 'jitToken' } } };
  const containers = spec.containers.map((container) =>
    container.name === 'runner' ? { ...container, env: [...(container.env ?? []), config] } : container,
  );
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      labels: { ...labels, ...template?.labels, [runnerPodLabel]: 'True' },
      annotations: {
        ...template?.annotations,
        [notes.groupName]: runner.metadata.annotations?.[notes.groupName] ?? 'Default',
      },
      ownerReferences: [ownerOf(runner)],
    },
    spec: { ...spec, containers, restartPolicy: 'Never' },
  };
}

export function listenerOf(
  set: AutoscalingRunnerSet,
  runnerSet: string,
  scaleSetId: number,
  namespace: string,
  version: string,
): AutoscalingListener {
  const base: Meta = {
    name: listenerName(set),
    namespace,
    labels: inherited(set, 'runner-scale-set-listener'),
    annotations: { [notes.changeHash]: listenerHash(set, runnerSet, scaleSetId) },
    finalizers: [finalizers.listener],
  };
  return {
    apiVersion: group,
    kind: 'AutoscalingListener',
    metadata: metadata(base, set.spec.autoscalingListener),
    spec: {
      githubConfigUrl: set.spec.githubConfigUrl,
      githubConfigSecret: set.spec.githubConfigSecret,
      runnerScaleSetId: scaleSetId,
      autoscalingRunnerSetNamespace: set.metadata.namespace ?? '',
      autoscalingRunnerSetName: set.metadata.name,
      ephemeralRunnerSetName: runnerSet,
      minRunners: set.spec.minRunners ?? 0,
      maxRunners: set.spec.maxRunners ?? 2_147_483_647,
      image: `ghcr.io/actions/gha-runner-scale-set-controller:${version}`,
      ...(set.spec.listenerTemplate ? { template: set.spec.listenerTemplate } : {}),
    },
  };
}

export function listenerHash(set: AutoscalingRunnerSet, runnerSet: string, scaleSetId: number): string {
  return hashOf(changeHash(set), runnerSet, scaleSetId);
}

/** What the listener's own account may do in the tenant's namespace: count runners up and down and say what they run. */
export function listenerRole(listener: AutoscalingListener): Obj[] {
  const { name, namespace } = listener.metadata;
  const there: Meta = {
    name,
    namespace: listener.spec.autoscalingRunnerSetNamespace,
    labels: { ...listener.metadata.labels },
  };
  const apiGroup = 'rbac.authorization.k8s.io';
  const rules = [
    {
      apiGroups: ['actions.github.com'],
      resources: ['ephemeralrunnersets'],
      resourceNames: [listener.spec.ephemeralRunnerSetName],
      verbs: ['patch'],
    },
    { apiGroups: ['actions.github.com'], resources: ['ephemeralrunners', 'ephemeralrunners/status'], verbs: ['patch'] },
  ];
  const role: Obj = { apiVersion: `${apiGroup}/v1`, kind: 'Role', metadata: there, rules } as Obj;
  const binding: Obj = {
    apiVersion: `${apiGroup}/v1`,
    kind: 'RoleBinding',
    metadata: there,
    roleRef: { apiGroup, kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  } as Obj;
  return [role, binding];
}

/** In the controller's namespace: the account, the configuration with the tenant's credentials in it, and the pod. */
export function listenerAccount(listener: AutoscalingListener): Obj {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: besideListener(listener, listener.metadata.name) };
}

export function listenerConfig(listener: AutoscalingListener, credentials: object): Secret {
  const { spec } = listener;
  const config = {
    configure_url: spec.githubConfigUrl,
    ...credentials,
    ephemeral_runner_set_namespace: spec.autoscalingRunnerSetNamespace,
    ephemeral_runner_set_name: spec.ephemeralRunnerSetName,
    min_runners: spec.minRunners,
    max_runners: spec.maxRunners,
    runner_scale_set_id: spec.runnerScaleSetId,
    runner_scale_set_name: spec.autoscalingRunnerSetName,
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: besideListener(listener, `${listener.metadata.name}-config`),
    stringData: { 'config.json': JSON.stringify(config) },
  };
}

export function listenerPod(listener: AutoscalingListener): RunningPod {
  const { name } = listener.metadata;
  const template = listener.spec.template;
  const given = template?.spec?.containers.find((c) => c.name === 'listener');
  const container: Container = {
    ...given,
    name: 'listener',
    image: given?.image ?? listener.spec.image,
    command: ['/ghalistener'],
    env: [...(given?.env ?? []), { name: 'LISTENER_CONFIG_PATH', value: '/etc/gha-listener/config.json' }],
    volumeMounts: [{ name: 'listener-config', mountPath: '/etc/gha-listener', readOnly: true }],
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(besideListener(listener, name), template?.metadata),
    spec: {
      ...template?.spec,
      serviceAccountName: name,
      containers: [container],
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 60,
      volumes: [{ name: 'listener-config', secret: { secretName: `${name}-config` } }],
    },
  };
}

function besideListener(listener: AutoscalingListener, name: string): Meta {
  const { namespace, labels } = listener.metadata;
  return { name, ...(namespace ? { namespace } : {}), labels: { ...labels }, ownerReferences: [ownerOf(listener)] };
}
