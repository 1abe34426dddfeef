import {
  cpuMillicores,
  formatCpu,
  formatMemory,
  hasDaemon,
  memoryBytes,
  runnersNamespaceOf,
} from '#lib/model/index.ts';
import { daemonOf, partsOf, podSecurityOf, usersOf, type Daemon } from './daemons.ts';
import {
  authorityData,
  authorityKey,
  cacheOfContainer,
  cacheSecretsOf,
  cacheVolumes,
  configHash,
  enrollmentLabel,
  imageOf,
  labels,
  placed,
  plainPod,
  poolLabel,
  registered,
  restrictedContainer,
  restrictedPod,
  runnerNamesOf,
  runnerUid,
  secret,
  sha256,
  type EnrollmentInput,
  type GitlabRegistration,
  type GitlabRunner,
  type KubernetesObject,
  type PoolInput,
  type RenderedPool,
} from './objects.ts';
import { placeObjects } from './places.ts';
import { allowForge, managerSize, poolPolicy } from './tenant-objects.ts';
import { toml, type TomlTable } from './toml.ts';

/*
 * GitLab's runners: for each pool a manager, which is gitlab-runner with the Kubernetes executor and makes a pod for each job.
 *
 * Facts of gitlab-runner 19, from gitlabhq/gitlab-runner: docs/executors/kubernetes/_index.md (settings, the manager's rights,
 * pod_spec), docs/configuration/advanced-configuration.md (a changed file is read again within 3 s), feature-flags.md and
 * tls-self-signed.md, dockerfiles/runner/alpine (SIGQUIT lets jobs end), commands/config.go (`.runner_system_id` beside the
 * configuration is the manager's own id; it writes one where there is none).
 */

const managerImage = 'registry.gitlab.com/gitlab-org/gitlab-runner:alpine-v19.3.0';
const managerUid = 10_001;
const managerHome = '/home/gitlab-runner';
/** The Secret's folder and not its files: a kubelet renews what is mounted whole, and leaves a `subPath` as it was. */
const configFolder = '/flywheel/config';
const configFile = `${configFolder}/config.toml`;
const authorityFile = `${configFolder}/${authorityKey}`;
/** How long a manager that is replaced waits for its jobs; then they end with it. The chart's own figure. */
const jobsEndSeconds = 3600;

/**
 * What the Kubernetes executor does in its namespace: list and watch of pods for its informer, attach and exec for scripts, a
 * Secret a job for registries' credentials, events to say why a pod did not start. Not the services that its documentation
 * also names: only services with ports of their own want those, and the quota holds none.
 */
export const gitlabManagerRules = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['pods/attach'], verbs: ['create', 'delete', 'get', 'patch'] },
  { apiGroups: [''], resources: ['pods/exec'], verbs: ['create', 'delete', 'get', 'patch'] },
  { apiGroups: [''], resources: ['pods/log'], verbs: ['get', 'list'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'delete', 'get', 'update'] },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] },
  { apiGroups: [''], resources: ['events'], verbs: ['list'] },
];

function namesOf(label: string) {
  return { manager: `${label}-gitlab`, job: `${label}-gitlab-job` };
}

type Size = { cpu: bigint; memory: bigint; storage: bigint };

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

const mebibyte = 1024n ** 2n;

/**
 * A pool's size is that of a job's whole pod, as at GitHub, where the runner's own program is within it: what fetches and
 * uploads beside the job (the helper) takes an eighth of the CPU and a quarter of the memory, up to a limit, and the job the
 * rest. So the quota holds as many jobs as was said.
 */
export function jobSizes({ cpu, memory, storage }: RenderedPool): { build: Size; helper: Size } {
  const whole = { cpu: cpuMillicores(cpu), memory: memoryBytes(memory), storage: memoryBytes(storage) };
  const helper = {
    cpu: least(500n, whole.cpu / 8n),
    memory: least(512n * mebibyte, whole.memory / 4n),
    storage: least(1024n * mebibyte, whole.storage / 8n),
  };
  const build = {
    cpu: whole.cpu - helper.cpu,
    memory: whole.memory - helper.memory,
    storage: whole.storage - helper.storage,
  };
  return { build, helper };
}

/** Requests and limits alike: what a job may use is what is set aside for it, and what the quota counts. */
function resources(prefix: string, { cpu, memory, storage }: Size): TomlTable {
  return Object.fromEntries(
    ['request', 'limit'].flatMap((bound) => [
      [`${prefix}cpu_${bound}`, formatCpu(cpu)],
      [`${prefix}memory_${bound}`, formatMemory(memory)],
      [`${prefix}ephemeral_storage_${bound}`, formatMemory(storage)],
    ]),
  );
}

/** What a job may not choose for itself: an empty pattern turns its variable off. */
const nothingOverwritten: TomlTable = {
  namespace_overwrite_allowed: '',
  service_account_overwrite_allowed: '',
  pod_labels_overwrite_allowed: '',
  pod_annotations_overwrite_allowed: '',
  node_selector_overwrite_allowed: '',
  node_tolerations_overwrite_allowed: '',
  bearer_token_overwrite_allowed: false,
};

/** What config.toml has no word for, as a patch of the job's pod. */
function podPatch(input: EnrollmentInput, pool: RenderedPool): Record<string, unknown> {
  const { nodeSelector: _, ...where } = placed(pool);
  const cache = cacheSecretsOf(input, { pool });
  const { volumeMounts, ...build } = cacheOfContainer(cache);
  const daemon = jobDaemon(pool);
  const allMounts = [...volumeMounts, ...(daemon ? daemon.mounts : [])];
  const mounts = allMounts.length === 0 ? {} : { volumeMounts: allMounts };
  const volumes = [...cacheVolumes(cache), ...(daemon ? daemon.volumes : [])];
  const hasCache = cache.env !== null || cache.files !== null;
  const counts = Object.fromEntries(Object.entries(pool.devices ?? {}).map(([name, count]) => [name, String(count)]));
  const hasDevices = Object.keys(counts).length > 0;
  const devices = hasDevices ? { resources: { requests: counts, limits: counts } } : {};
  const { supplementalGroups } = podSecurityOf(pool);
  const groups = supplementalGroups === undefined ? {} : { supplementalGroups };
  return {
    ...where,
    ...usersOf(pool),
    enableServiceLinks: false,
    securityContext: { seccompProfile: { type: 'RuntimeDefault' }, ...groups },
    // From the Secret, so that a renewed token reaches the next job and the manager need not start anew.
    ...(hasCache || hasDevices || daemon ? { containers: [{ name: 'build', ...build, ...mounts, ...devices }] } : {}),
    // Beside what the runner makes itself: of its own settings, `privileged` would be every container's.
    ...(daemon ? { initContainers: [daemon.container] } : {}),
    ...(volumes.length === 0 ? {} : { volumes }),
  };
}

const buildsFolder = '/tmp/builds';

/** The folder of a job's sources is the volume `repo` (executors/kubernetes/kubernetes.go), and containers may mount it. */
function jobDaemon(pool: RenderedPool): Daemon | null {
  return daemonOf(pool, [{ name: 'repo', mountPath: buildsFolder }]);
}

function kubernetes(input: EnrollmentInput, { pool, scaleSetName }: PoolInput): TomlTable {
  const { build, helper } = jobSizes(partsOf(pool).runner);
  return {
    namespace: runnersNamespaceOf(input.tenant.slug, pool.securityClass),
    image: imageOf(pool),
    pull_policy: ['always'],
    allowed_pull_policies: ['always'],
    ...resources('', build),
    ...resources('helper_', helper),
    privileged: false,
    allow_privilege_escalation: false,
    cap_drop: ['ALL'],
    service_account: namesOf(scaleSetName).job,
    automount_service_account_token: false,
    ...nothingOverwritten,
    // A user of its own on the node has no right to make folders at the root of the file system.
    logs_base_dir: '/tmp',
    scripts_base_dir: '/tmp',
    // A node may have to be started first.
    poll_timeout: 600,
    retry_backoff_max: 10_000,
    retry_limits: { 'exceeded quota': 30 },
    node_selector: placed(pool).nodeSelector,
    pod_labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name, [poolLabel]: pool.name }),
    pod_security_context: {
      run_as_non_root: true,
      run_as_user: runnerUid,
      run_as_group: runnerUid,
      ...(hasDaemon(pool.securityClass) ? {} : { fs_group: runnerUid }),
    },
    pod_spec: [{ name: 'flywheel', patch_type: 'strategic', patch: JSON.stringify(podPatch(input, pool)) }],
  };
}

/**
 * A limit of 0 is none to gitlab-runner, and `concurrent` may not be 0: a pool of none has no manager instead. Places that are
 * held count against the quota as jobs do, so that both together are the maximum and no job is refused for a place.
 */
function config(input: EnrollmentInput, gitlab: GitlabRegistration, choice: PoolInput): string {
  const [name = ''] = runnerNamesOf('gitlab', choice);
  const { next, ...present } = registered(gitlab.runners, name);
  const places = choice.holdsPlaces === true ? choice.minRunners : 0;
  const atOnce = Math.max(1, choice.maxRunners - places);
  const section = (runner: GitlabRunner): TomlTable => ({
    name: runner.name ?? name,
    url: gitlab.url,
    token: runner.token,
    // Trusted beside the system's, by the manager and, handed on by it, by what fetches and uploads in a job.
    ...(input.caBundle === undefined ? {} : { 'tls-ca-file': authorityFile }),
    executor: 'kubernetes',
    limit: atOnce,
    builds_dir: buildsFolder,
    environment: ['HOME=/tmp', ...(jobDaemon(choice.pool)?.env ?? []).map(({ name: key, value }) => `${key}=${value}`)],
    feature_flags: {
      // The portal rotates; the runner could not write what it was given into a Secret.
      FF_DISABLE_AUTOMATIC_TOKEN_ROTATION: true,
      FF_USE_ADVANCED_POD_SPEC_CONFIGURATION: true,
      FF_USE_POD_ACTIVE_DEADLINE_SECONDS: true,
    },
    kubernetes: kubernetes(input, choice),
  });
  return toml({
    // Of both together, while one takes the other's place.
    concurrent: atOnce,
    check_interval: 3,
    log_format: 'json',
    runners: [present, ...(next ? [next] : [])].map(section),
  });
}

/** Given, since it cannot write one; and the same for the manager's whole life, so that GitLab shows one and not one a start. */
function systemId(slug: string, { scaleSetName }: PoolInput): string {
  return `r_${sha256(`${slug}/${scaleSetName}`).slice(0, 12)}`;
}

/** Addresses at which an API server may be: none of the public internet, and no metadata service. */
const clusterAddresses = ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

function managerPod(input: EnrollmentInput, choice: PoolInput): Record<string, unknown> {
  const names = namesOf(choice.scaleSetName);
  return {
    metadata: {
      // Without the pool's label: what bears it is a runner, and is metered.
      labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name, ...selectorOf(choice) }),
      // The configuration is read again when it changes, and no job is lost by it; an authority is read once.
      annotations: { [configHash]: sha256(input.caBundle ?? '') },
    },
    spec: {
      ...plainPod,
      serviceAccountName: names.manager,
      automountServiceAccountToken: true,
      terminationGracePeriodSeconds: jobsEndSeconds,
      securityContext: restrictedPod(managerUid),
      containers: [
        {
          name: 'manager',
          image: managerImage,
          imagePullPolicy: 'Always',
          command: ['gitlab-runner', 'run', '--config', configFile, '--working-directory', managerHome],
          env: [{ name: 'HOME', value: managerHome }],
          resources: { requests: managerSize, limits: managerSize },
          securityContext: { ...restrictedContainer, readOnlyRootFilesystem: true },
          volumeMounts: [
            { name: 'home', mountPath: managerHome },
            { name: 'config', mountPath: configFolder, readOnly: true },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'home', emptyDir: { sizeLimit: '64Mi' } },
        { name: 'config', secret: { secretName: names.manager } },
        { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
      ],
    },
  };
}

function selectorOf({ scaleSetName }: PoolInput): Record<string, string> {
  return { 'app.kubernetes.io/name': 'gitlab-runner', 'app.kubernetes.io/instance': scaleSetName };
}

/** One pool of GitLab: its manager's configuration and rights, the account of its jobs, then the manager. */
export function gitlabPoolObjects(
  input: EnrollmentInput,
  gitlab: GitlabRegistration,
  choice: PoolInput,
): KubernetesObject[] {
  const { slug } = input.tenant;
  const ns = runnersNamespaceOf(slug, choice.pool.securityClass);
  const names = namesOf(choice.scaleSetName);
  const own = { [poolLabel]: choice.pool.name };
  const metadata = { namespace: ns, labels: labels(slug, { [enrollmentLabel]: input.name, ...own }) };
  const files = { 'config.toml': config(input, gitlab, choice), '.runner_system_id': systemId(slug, choice) };
  const account = (name: string) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { ...metadata, name },
    automountServiceAccountToken: false,
  });
  return [
    secret(names.manager, ns, input, { ...files, ...authorityData(input) }, own),
    account(names.job),
    account(names.manager),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { ...metadata, name: names.manager },
      rules: gitlabManagerRules,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { ...metadata, name: names.manager },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: names.manager },
      subjects: [{ kind: 'ServiceAccount', name: names.manager, namespace: ns }],
    },
    apiServerPolicy(input, choice),
    ...allowForge(input, choice),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { ...metadata, name: names.manager },
      spec: {
        replicas: choice.maxRunners > 0 ? 1 : 0,
        // Two managers at once would run twice as many jobs as were bought.
        strategy: { type: 'Recreate' },
        selector: { matchLabels: selectorOf(choice) },
        template: managerPod(input, choice),
      },
    },
    ...placeObjects(input, choice),
  ];
}

/** The manager, and nothing that runs a job, reaches the API server, wherever in the cluster's own ranges it is. */
function apiServerPolicy(input: EnrollmentInput, choice: PoolInput): KubernetesObject {
  return poolPolicy(input, choice, namesOf(choice.scaleSetName).manager, {
    podSelector: { matchLabels: selectorOf(choice) },
    policyTypes: ['Egress'],
    egress: [
      {
        to: clusterAddresses.map((cidr) => ({ ipBlock: { cidr } })),
        ports: [443, 6443].map((port) => ({ protocol: 'TCP', port })),
      },
    ],
  });
}
