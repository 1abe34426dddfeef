import { randomBytes } from 'node:crypto';
import type { Obj } from '#sandbox/arc/kube.ts';
import type { GitlabRunner, KubernetesConfig } from './config.ts';

/** As much of a job as its pod is made of. */
export interface PodJob {
  id: number;
  name?: string;
  /** Of its page. */
  url?: string;
  projectId: number;
  image: string | null;
  services: string[];
  timeoutSeconds: number;
}

const helperImage = 'registry.gitlab.com/gitlab-org/gitlab-runner/gitlab-runner-helper:x86_64-v19.3.0';
export const jobPodLabel = 'job.runner.gitlab.com/pod';
export const managerNameLabel = 'manager.runner.gitlab.com/name';

/**
 * The pod that gitlab-runner 19's Kubernetes executor makes for a job: names, labels, containers, volumes and security contexts
 * as executors/kubernetes/kubernetes.go has them, and then the configured patches over it.
 */
export function jobPod(runner: GitlabRunner, job: PodJob): Obj {
  const of = runner.kubernetes;
  const name = podName(runner.token, job);
  const flag = runner.feature_flags['FF_USE_POD_ACTIVE_DEADLINE_SECONDS'] ?? false;
  const spec: Json = {
    restartPolicy: 'Never',
    serviceAccountName: of.service_account,
    ...(of.automount_service_account_token === undefined
      ? {}
      : { automountServiceAccountToken: of.automount_service_account_token }),
    nodeSelector: of.node_selector,
    ...(flag ? { activeDeadlineSeconds: job.timeoutSeconds + 1 } : {}),
    securityContext: podSecurity(of),
    initContainers: [container(of, 'init-permissions', helperImage, of.helper)],
    containers: [
      container(of, 'build', job.image ?? of.image, of.build),
      container(of, 'helper', helperImage, of.helper),
      ...job.services.map((image, index) => container(of, `svc-${index}`, image, {})),
    ],
    volumes: ['repo', 'scripts', 'logs'].map((volume) => ({ name: volume, emptyDir: {} })),
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: of.namespace,
      labels: {
        ...of.pod_labels,
        [jobPodLabel]: name,
        [managerNameLabel]: runner.name,
        'project.runner.gitlab.com/id': String(job.projectId),
      },
      annotations: {
        'job.runner.gitlab.com/id': String(job.id),
        'job.runner.gitlab.com/name': job.name ?? '',
        'job.runner.gitlab.com/url': job.url ?? '',
      },
    },
    spec: runner.feature_flags['FF_USE_ADVANCED_POD_SPEC_CONFIGURATION']
      ? of.pod_spec.reduce<Json>((at, { patch }) => patched(at, patch), spec)
      : spec,
  } as Obj;
}

function podName(token: string, { projectId }: PodJob): string {
  const short = token
    .replace(/^glrt-/, '')
    .slice(0, 8)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-');
  return `runner-${short}-project-${projectId}-concurrent-0-${randomBytes(4).toString('hex')}`;
}

function podSecurity({ pod_security_context: given }: KubernetesConfig): Json {
  const all = {
    runAsNonRoot: given.run_as_non_root,
    runAsUser: given.run_as_user,
    runAsGroup: given.run_as_group,
    fsGroup: given.fs_group,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

function container(of: KubernetesConfig, name: string, image: string, resources: object): Json {
  return {
    name,
    image,
    imagePullPolicy: 'Always',
    ...(name === 'init-permissions' ? {} : { command: ['sh', '-c', 'exec sh'], stdin: true }),
    resources,
    securityContext: {
      privileged: of.privileged,
      ...(of.allow_privilege_escalation === undefined
        ? {}
        : { allowPrivilegeEscalation: of.allow_privilege_escalation }),
      // What the runner drops by itself, and what it was told to.
      capabilities: { drop: [...new Set(['NET_RAW', ...of.cap_drop])] },
    },
    volumeMounts: [
      { name: 'repo', mountPath: '/tmp/builds' },
      { name: 'scripts', mountPath: '/tmp/scripts' },
      { name: 'logs', mountPath: '/tmp/logs' },
    ],
  };
}

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By what the items of a pod's lists are one (`patchMergeKey` of k8s.io/api/core/v1). */
const mergeKeys: Record<string, string> = {
  containers: 'name',
  initContainers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
};

/** A strategic merge patch of a pod's spec as far as it is used: lists that have a key merge by it, others are replaced. */
export function patched(at: Json, patch: Json): Json {
  const merged = Object.entries(patch).map(([key, value]) => {
    const before = at[key];
    if (isObject(value) && isObject(before)) return [key, patched(before, value)];
    const mergeKey = mergeKeys[key];
    if (mergeKey !== undefined && Array.isArray(value) && Array.isArray(before))
      return [key, byKey(mergeKey, before as Json[], value as Json[])];
    return [key, value];
  });
  return { ...at, ...Object.fromEntries(merged) };
}

function byKey(key: string, before: Json[], patches: Json[]): Json[] {
  const known = before.map((each) => {
    const patch = patches.find((one) => one[key] === each[key]);
    return patch ? patched(each, patch) : each;
  });
  return [...known, ...patches.filter((patch) => !before.some((each) => each[key] === patch[key]))];
}
