import { createHash } from 'node:crypto';
import type { ReadyPool } from '#lib/model/index.ts';
import { cpuMillicores, formatCpu, formatMemory, memoryBytes, namespacesOf } from '#lib/model/index.ts';

/*
 * Every Kubernetes object that an enrollment stands for, as pure functions of values.
 *
 * Facts of ARC 0.14.2, from actions/actions-runner-controller at that release: charts/gha-runner-scale-set/templates
 * (names, labels, cleanup annotations and finalizers, manager Role), controllers/actions.github.com/autoscalingrunnerset_controller.go
 * (deletes a set whose version label is missing or of another minor). Pod profile: Pod Security Standards "restricted" and more.
 */

export type KubernetesObject = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
  };
  [field: string]: unknown;
};

export const managedBy = 'flywheel';
export const tenantLabel = 'flywheel.dev/tenant';
export const enrollmentLabel = 'flywheel.dev/enrollment';
export const poolLabel = 'flywheel.dev/pool';

/** Pinned, so that an upgrade of the cluster never changes what is admitted without a plan. */
const podSecurityVersion = 'v1.34';
const cleanupProtection = 'actions.github.com/cleanup-protection';
const runnerUid = 1001;
/** GitHub ends a self-hosted job after five days; nothing of ours outlives that. */
const runnerSecondsMost = 5 * 24 * 3600;

export type TenantInput = {
  slug: string;
  quota: { cpu: string; memory: string; runners: number };
  /** Where runners find the caches inside the cluster; absent when the cache is reached by 443 like anything else. */
  cacheEndpoint?: { namespace: string; port: number } | undefined;
  hasBazel: boolean;
};

export type ControllerInput = { version: string; namespace: string; serviceAccount: string };

/** An App's, or a token where no App may act: a GitHub enterprise. ARC refuses a Secret that has both, and one that has neither. */
export type GithubCredentials = { appId: string; installationId: string; privateKey: string } | { token: string };

export type GithubRegistration = {
  kind: 'github';
  configUrl: string;
  runnerGroup?: string | undefined;
  credentials: GithubCredentials;
  controller: ControllerInput;
};

/** What each runner proves itself with, by the runner's name (`runnerNamesOf`). */
export type GitlabRegistration = { kind: 'gitlab'; url: string; runners: Readonly<Record<string, { token: string }>> };

export type ForgejoRegistration = {
  kind: 'forgejo';
  url: string;
  runners: Readonly<Record<string, { uuid: string; token: string }>>;
  /** Whether the server forgets a runner when it has had its job (Forgejo 15). */
  ephemeral: boolean;
};

/** How the runners of an enrollment come to their forge: by ARC, or as the portal registered them. */
export type Registration = GithubRegistration | GitlabRegistration | ForgejoRegistration;

export type PoolInput = { pool: ReadyPool; scaleSetName: string; minRunners: number; maxRunners: number };

export type EnrollmentInput = {
  tenant: TenantInput;
  name: string;
  registration: Registration;
  pools: readonly PoolInput[];
  /** Environment of the runners that reaches the caches; kept in a Secret. */
  cacheEnv: Record<string, string>;
  bazel?: { sizeGib: number; user: string; password: string } | undefined;
};

function labels(slug: string, more: Record<string, string> = {}): Record<string, string> {
  return { 'app.kubernetes.io/managed-by': managedBy, [tenantLabel]: slug, ...more };
}

function sha256(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

function namespace(name: string, slug: string): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: labels(slug, {
        'pod-security.kubernetes.io/enforce': 'restricted',
        'pod-security.kubernetes.io/enforce-version': podSecurityVersion,
        'pod-security.kubernetes.io/audit': 'restricted',
        'pod-security.kubernetes.io/audit-version': podSecurityVersion,
        'pod-security.kubernetes.io/warn': 'restricted',
        'pod-security.kubernetes.io/warn-version': podSecurityVersion,
      }),
    },
  };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function resourceQuota(input: TenantInput, ns: string): KubernetesObject {
  const cpu = formatCpu(cpuMillicores(input.quota.cpu));
  const memory = formatMemory(memoryBytes(input.quota.memory));
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'flywheel', namespace: ns, labels: labels(input.slug) },
    spec: {
      hard: {
        'requests.cpu': cpu,
        'limits.cpu': cpu,
        'requests.memory': memory,
        'limits.memory': memory,
        pods: String(input.quota.runners),
        persistentvolumeclaims: '0',
        services: '0',
        'services.loadbalancers': '0',
        'services.nodeports': '0',
      },
    },
  };
}

/**
 * What a container gets that names no resources, and the most that one may name. No default may be above that: the API server
 * refuses such a LimitRange, and a quota may be small.
 */
function limitRange(input: TenantInput, ns: string): KubernetesObject {
  const cpuMost = cpuMillicores(input.quota.cpu);
  const memoryMost = memoryBytes(input.quota.memory);
  const atMost = (cpu: string, memory: string) => ({
    cpu: formatCpu(least(cpuMillicores(cpu), cpuMost)),
    memory: formatMemory(least(memoryBytes(memory), memoryMost)),
  });
  return {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'flywheel', namespace: ns, labels: labels(input.slug) },
    spec: {
      limits: [
        {
          type: 'Container',
          default: { ...atMost('1', '1Gi'), 'ephemeral-storage': '1Gi' },
          defaultRequest: { ...atMost('100m', '128Mi'), 'ephemeral-storage': '100Mi' },
          max: { cpu: formatCpu(cpuMost), memory: formatMemory(memoryMost) },
        },
      ],
    },
  };
}

type PolicySpec = { policyTypes: string[]; [field: string]: unknown };

function networkPolicy(name: string, slug: string, ns: string, spec: PolicySpec): KubernetesObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: ns, labels: labels(slug) },
    spec: { podSelector: {}, ...spec },
  };
}

/**
 * The public internet, less what only looks like it. IPv4: metadata services, private, shared and loopback ranges. IPv6: global
 * unicast alone, so that unique-local, link-local and metadata addresses are out, and IPv4-mapped ones, which Kubernetes 1.37
 * refuses to be named; 6to4 and Teredo, which carry an IPv4 address, are taken out of it.
 */
export const publicInternet = {
  v4: {
    cidr: '0.0.0.0/0',
    except: ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16'],
  },
  v6: { cidr: '2000::/3', except: ['2001::/32', '2002::/16'] },
};

function defaultDeny(slug: string, ns: string): KubernetesObject {
  return networkPolicy('default-deny', slug, ns, { policyTypes: ['Ingress', 'Egress'] });
}

/** DNS only at the cluster's own resolver: port 53 anywhere would be a tunnel. */
function allowDns(slug: string, ns: string): KubernetesObject {
  return networkPolicy('allow-dns', slug, ns, {
    policyTypes: ['Egress'],
    egress: [
      {
        to: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
            podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
          },
        ],
        ports: [
          { protocol: 'UDP', port: 53 },
          { protocol: 'TCP', port: 53 },
        ],
      },
    ],
  });
}

function allowPublicHttps(slug: string, ns: string): KubernetesObject {
  return networkPolicy('allow-public-https', slug, ns, {
    policyTypes: ['Egress'],
    egress: [
      {
        to: [{ ipBlock: publicInternet.v4 }, { ipBlock: publicInternet.v6 }],
        ports: [{ protocol: 'TCP', port: 443 }],
      },
    ],
  });
}

function allowNamespace(name: string, slug: string, ns: string, target: string, ports: number[]): KubernetesObject {
  return networkPolicy(name, slug, ns, {
    policyTypes: ['Egress'],
    egress: [
      {
        to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': target } }, podSelector: {} }],
        ports: ports.map((port) => ({ protocol: 'TCP', port })),
      },
    ],
  });
}

const bazelPorts = [8080, 9092];

/** The namespace of a tenant's runners and its fences. The first object is the namespace. */
export function tenantObjects(input: TenantInput): KubernetesObject[] {
  const ns = namespacesOf(input.slug);
  return [
    namespace(ns.runners, input.slug),
    resourceQuota(input, ns.runners),
    limitRange(input, ns.runners),
    defaultDeny(input.slug, ns.runners),
    allowDns(input.slug, ns.runners),
    allowPublicHttps(input.slug, ns.runners),
    ...(input.cacheEndpoint
      ? [
          allowNamespace('allow-cache', input.slug, ns.runners, input.cacheEndpoint.namespace, [
            input.cacheEndpoint.port,
          ]),
        ]
      : []),
    ...(input.hasBazel ? [allowNamespace('allow-bazel', input.slug, ns.runners, ns.bazel, bazelPorts)] : []),
  ];
}

export function credentialsSecretName(enrollment: string): string {
  return `${enrollment}-github`;
}

export function cacheSecretName(enrollment: string): string {
  return `${enrollment}-cache`;
}

function secret(name: string, input: EnrollmentInput, values: Record<string, string>): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name,
      namespace: namespacesOf(input.tenant.slug).runners,
      labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name }),
    },
    // `data`, not `stringData`: what is applied can then be compared with what is observed.
    data: Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}

function githubSecret(credentials: GithubCredentials): Record<string, string> {
  if ('token' in credentials) return { github_token: credentials.token };
  return {
    github_app_id: credentials.appId,
    github_app_installation_id: credentials.installationId,
    github_app_private_key: credentials.privateKey,
  };
}

/** The Secrets of an enrollment. They outlive the runner sets that need them. */
export function secretObjects(input: EnrollmentInput): KubernetesObject[] {
  const { registration } = input;
  return [
    ...(registration.kind === 'github'
      ? [secret(credentialsSecretName(input.name), input, githubSecret(registration.credentials))]
      : []),
    ...(Object.keys(input.cacheEnv).length > 0 ? [secret(cacheSecretName(input.name), input, input.cacheEnv)] : []),
  ];
}

/** ARC's manager acts in the tenant's namespace by this Role; without it nothing starts and nothing ends. */
export const managerRules = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'get'] },
  { apiGroups: [''], resources: ['pods/status'], verbs: ['get'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['create', 'delete', 'get', 'list', 'patch', 'update'] },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['create', 'delete', 'get', 'list', 'patch', 'update'] },
  {
    apiGroups: ['rbac.authorization.k8s.io'],
    resources: ['rolebindings'],
    verbs: ['create', 'delete', 'get', 'patch', 'update'],
  },
  {
    apiGroups: ['rbac.authorization.k8s.io'],
    resources: ['roles'],
    verbs: ['create', 'delete', 'get', 'patch', 'update'],
  },
];

function poolNames(scaleSetName: string) {
  return {
    manager: `${scaleSetName}-gha-rs-manager`,
    serviceAccount: `${scaleSetName}-gha-rs-no-permission`,
  };
}

function runnerPod(input: EnrollmentInput, { pool, scaleSetName }: PoolInput): Record<string, unknown> {
  const resources = { cpu: pool.cpu, memory: pool.memory, 'ephemeral-storage': pool.storage };
  const hasCache = Object.keys(input.cacheEnv).length > 0;
  return {
    metadata: {
      labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name, [poolLabel]: pool.name }),
    },
    spec: {
      serviceAccountName: poolNames(scaleSetName).serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      hostUsers: false,
      restartPolicy: 'Never',
      activeDeadlineSeconds: runnerSecondsMost,
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      securityContext: {
        runAsNonRoot: true,
        runAsUser: runnerUid,
        runAsGroup: runnerUid,
        fsGroup: runnerUid,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'runner',
          image: pool.image,
          imagePullPolicy: 'Always',
          command: ['/home/runner/run.sh'],
          ...(hasCache ? { envFrom: [{ secretRef: { name: cacheSecretName(input.name) } }] } : {}),
          resources: { requests: resources, limits: resources },
          securityContext: {
            allowPrivilegeEscalation: false,
            privileged: false,
            runAsNonRoot: true,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          },
          volumeMounts: [
            { name: 'work', mountPath: '/home/runner/_work' },
            { name: 'tmp', mountPath: '/tmp' },
          ],
        },
      ],
      volumes: [
        { name: 'work', emptyDir: { sizeLimit: pool.storage } },
        { name: 'tmp', emptyDir: { sizeLimit: '2Gi' } },
      ],
    },
  };
}

function poolMetadata(input: EnrollmentInput, { pool, scaleSetName }: PoolInput) {
  return {
    namespace: namespacesOf(input.tenant.slug).runners,
    labels: labels(input.tenant.slug, {
      [enrollmentLabel]: input.name,
      [poolLabel]: pool.name,
      'actions.github.com/scale-set-name': scaleSetName,
      'actions.github.com/scale-set-namespace': namespacesOf(input.tenant.slug).runners,
      'app.kubernetes.io/part-of': 'gha-rs',
    }),
  };
}

function autoscalingRunnerSet(input: EnrollmentInput, github: GithubRegistration, choice: PoolInput): KubernetesObject {
  const names = poolNames(choice.scaleSetName);
  const metadata = poolMetadata(input, choice);
  const template = runnerPod(input, choice);
  return {
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'AutoscalingRunnerSet',
    metadata: {
      ...metadata,
      name: choice.scaleSetName,
      labels: {
        ...metadata.labels,
        'app.kubernetes.io/name': choice.scaleSetName,
        'app.kubernetes.io/instance': choice.scaleSetName,
        'app.kubernetes.io/component': 'autoscaling-runner-set',
        'app.kubernetes.io/version': github.controller.version,
      },
      annotations: {
        'actions.github.com/cleanup-manager-role-binding': names.manager,
        'actions.github.com/cleanup-manager-role-name': names.manager,
        'actions.github.com/cleanup-no-permission-service-account-name': names.serviceAccount,
        // Nothing watches the Secret: only a change here makes the listener read a rotated key. At most 63 characters.
        'actions.github.com/values-hash': sha256([github.credentials, template]).slice(0, 63),
      },
    },
    spec: {
      githubConfigUrl: github.configUrl,
      githubConfigSecret: credentialsSecretName(input.name),
      ...(github.runnerGroup ? { runnerGroup: github.runnerGroup } : {}),
      // ARC fills it in where it is empty, and that would be drift.
      runnerScaleSetName: choice.scaleSetName,
      minRunners: choice.minRunners,
      maxRunners: choice.maxRunners,
      template,
    },
  };
}

/** One pool of GitHub: what ARC needs to accept the runner set and to clean it up, then the set itself. */
function githubPoolObjects(input: EnrollmentInput, github: GithubRegistration, choice: PoolInput): KubernetesObject[] {
  const names = poolNames(choice.scaleSetName);
  const metadata = poolMetadata(input, choice);
  // A finalizer always has its cleanup annotation on the set, or the object would never go.
  const protectedMetadata = { ...metadata, finalizers: [cleanupProtection] };
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { ...protectedMetadata, name: names.serviceAccount },
      automountServiceAccountToken: false,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { ...protectedMetadata, name: names.manager },
      rules: managerRules,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { ...protectedMetadata, name: names.manager },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: names.manager },
      subjects: [
        { kind: 'ServiceAccount', name: github.controller.serviceAccount, namespace: github.controller.namespace },
      ],
    },
    autoscalingRunnerSet(input, github, choice),
  ];
}

/** Everything of one pool, in an order in which each finds what it needs. */
export function poolObjects(input: EnrollmentInput, choice: PoolInput): KubernetesObject[] {
  const { registration } = input;
  if (registration.kind === 'github') return githubPoolObjects(input, registration, choice);
  throw new RangeError(`no runners of ${registration.kind} yet`);
}

export const runnerPrefix = 'flywheel-';

/**
 * The runners that the portal registers at the forge for a pool, by name. None at GitHub, where ARC does. One at GitLab,
 * whose manager makes a pod for each job. At Forgejo as many as may run at once: a process that holds another's registration
 * is the same runner twice.
 */
export function runnerNamesOf(
  kind: Registration['kind'],
  { scaleSetName, maxRunners }: Pick<PoolInput, 'scaleSetName' | 'maxRunners'>,
): string[] {
  if (kind === 'github') return [];
  const name = `${runnerPrefix}${scaleSetName}`;
  return kind === 'gitlab' ? [name] : Array.from({ length: maxRunners }, (_, index) => `${name}-${index + 1}`);
}

const bazelRemoteImage = 'buchgr/bazel-remote-cache:v2.6.2';
const bazelUid = 65_532;

/** bazel-remote reads Apache's {SHA}; the password is 256 random bits, so the fast hash gives nothing away. */
function htpasswdLine(user: string, password: string): string {
  return `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}`;
}

/** One bazel-remote for the tenant in a namespace of its own: its content store knows no tenants (bazel-remote 2.6.2). */
export function bazelObjects(input: EnrollmentInput): KubernetesObject[] {
  if (!input.bazel) return [];
  const { slug } = input.tenant;
  const ns = namespacesOf(slug);
  const name = 'bazel-remote';
  const selector = { 'app.kubernetes.io/name': name };
  const metadata = { name, namespace: ns.bazel, labels: labels(slug, { ...selector, [enrollmentLabel]: input.name }) };
  const storage = `${input.bazel.sizeGib}Gi`;
  return [
    namespace(ns.bazel, slug),
    {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'flywheel', namespace: ns.bazel, labels: labels(slug) },
      spec: {
        hard: {
          'limits.cpu': '4',
          'limits.memory': '4Gi',
          pods: '2',
          'requests.storage': storage,
          persistentvolumeclaims: '1',
          'services.loadbalancers': '0',
          'services.nodeports': '0',
        },
      },
    },
    defaultDeny(slug, ns.bazel),
    networkPolicy('allow-runners', slug, ns.bazel, {
      podSelector: { matchLabels: selector },
      policyTypes: ['Ingress'],
      ingress: [
        {
          from: [
            { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ns.runners } }, podSelector: {} },
          ],
          ports: bazelPorts.map((port) => ({ protocol: 'TCP', port })),
        },
      ],
    }),
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: { ...metadata, name: 'bazel-remote-htpasswd' },
      data: { htpasswd: Buffer.from(`${htpasswdLine(input.bazel.user, input.bazel.password)}\n`).toString('base64') },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector,
        ports: [
          { name: 'http', port: 8080, targetPort: 8080, protocol: 'TCP' },
          { name: 'grpc', port: 9092, targetPort: 9092, protocol: 'TCP' },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: labels(slug, selector) },
          spec: {
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: {
              runAsNonRoot: true,
              runAsUser: bazelUid,
              runAsGroup: bazelUid,
              fsGroup: bazelUid,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [
              {
                name,
                image: bazelRemoteImage,
                imagePullPolicy: 'Always',
                args: [
                  '--dir=/data',
                  `--max_size=${Math.max(1, Math.floor(input.bazel.sizeGib * 0.9))}`,
                  '--htpasswd_file=/etc/bazel-remote/htpasswd',
                  '--enable_endpoint_metrics',
                ],
                ports: [
                  { name: 'http', containerPort: 8080, protocol: 'TCP' },
                  { name: 'grpc', containerPort: 9092, protocol: 'TCP' },
                ],
                resources: {
                  requests: { cpu: '100m', memory: '256Mi', 'ephemeral-storage': '100Mi' },
                  limits: { cpu: '2', memory: '2Gi', 'ephemeral-storage': '1Gi' },
                },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                readinessProbe: { httpGet: { path: '/status', port: 'http' }, periodSeconds: 10 },
                volumeMounts: [
                  { name: 'data', mountPath: '/data' },
                  { name: 'htpasswd', mountPath: '/etc/bazel-remote', readOnly: true },
                ],
              },
            ],
            volumes: [
              { name: 'data', persistentVolumeClaim: { claimName: name } },
              { name: 'htpasswd', secret: { secretName: 'bazel-remote-htpasswd' } },
            ],
          },
        },
      },
    },
  ];
}

/** All objects of an enrollment in an order in which each finds what it needs. */
export function enrollmentObjects(input: EnrollmentInput): KubernetesObject[] {
  return [
    ...tenantObjects(input.tenant),
    ...bazelObjects(input),
    ...secretObjects(input),
    ...input.pools.flatMap((choice) => poolObjects(input, choice)),
  ];
}

export const sealedValue = '<sealed>';

/** The object as a person may see it: a Secret's values are never shown. */
export function redacted(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'Secret') return object;
  const data = (object['data'] ?? {}) as Record<string, string>;
  return { ...object, data: Object.fromEntries(Object.keys(data).map((key) => [key, sealedValue])) };
}
