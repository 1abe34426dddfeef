import {
  cpuMillicores,
  formatCpu,
  formatMemory,
  memoryBytes,
  namespacesOf,
  runnersNamespaceOf,
} from '#lib/model/index.ts';
import { subids } from './daemons.ts';
import {
  buildImagesAnnotation,
  dockerImagesAnnotation,
  dockerNodesAnnotation,
  enrollmentLabel,
  labels,
  poolLabel,
  runtimeClassesAnnotation,
  sandboxesAnnotation,
  tolerationsAnnotation,
  virtualMachinesAnnotation,
  type EnrollmentInput,
  type KubernetesObject,
  type PlacementInput,
  type PoolInput,
  type RunnersInput,
  type TenantInput,
} from './objects.ts';

/* The namespaces of a tenant's runners and their fences: quota, limits, network policies. */

/** Pinned, so that an upgrade of the cluster never changes what is admitted without a plan. */
const podSecurityVersion = 'v1.34';

/** Nothing where no pool says where it runs, or has a daemon. */
function placementAnnotations(placement: PlacementInput | undefined): { annotations?: Record<string, string> } {
  if (!placement) return {};
  const { runtimeClasses } = placement;
  const lists: [string, readonly string[]][] = [
    // Pods of no class are said only beside those of one.
    [runtimeClassesAnnotation, runtimeClasses.some((each) => each !== '') ? runtimeClasses : []],
    [tolerationsAnnotation, placement.tolerations],
    [sandboxesAnnotation, placement.sandboxes],
    [virtualMachinesAnnotation, placement.virtualMachines],
    [buildImagesAnnotation, placement.buildImages],
    [dockerImagesAnnotation, placement.dockerImages],
    [dockerNodesAnnotation, placement.dockerNodes],
  ];
  const said = lists.flatMap(([name, values]) => (values.length > 0 ? [[name, values.join(',')] as const] : []));
  return said.length > 0 ? { annotations: Object.fromEntries(said) } : {};
}

type PodSecurityLevel = 'restricted' | 'privileged';

/**
 * `baseline` refuses a container without seccomp, which BuildKit's is, and `privileged` is the one level above it: it enforces
 * nothing, so that the admission policy alone holds the pods of such a namespace, to all of `baseline` and most of `restricted`.
 */
function podSecurity(level: PodSecurityLevel): Record<string, string> {
  const modes = level === 'restricted' ? ['enforce', 'audit', 'warn'] : ['enforce'];
  return Object.fromEntries(
    modes.flatMap((mode) => [
      [`pod-security.kubernetes.io/${mode}`, level],
      [`pod-security.kubernetes.io/${mode}-version`, podSecurityVersion],
    ]),
  );
}

export function namespace(
  name: string,
  slug: string,
  placement?: PlacementInput,
  level: PodSecurityLevel = 'restricted',
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: labels(slug, podSecurity(level)), ...placementAnnotations(placement) },
  };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function scratchStorage(storage: string, managers: number): string {
  return formatMemory(memoryBytes(storage) + BigInt(managers) * memoryBytes(managerSize['ephemeral-storage']));
}

/**
 * Objects that nobody pays for, and that would fill etcd (MTB-PL1-CC-FNS-2): a bound that honest work does not meet. A runner
 * has a Secret, a GitLab job another for its registries, one that failed leaves one for a while; the rest is the enrollments'.
 */
export function objectQuota(pods: number): Record<string, string> {
  return {
    secrets: String(100 + 4 * pods),
    configmaps: '100',
    replicationcontrollers: '0',
    // Ours, and what an operator may put beside it.
    resourcequotas: '10',
  };
}

/** Of an extended resource a quota counts requests alone: they are its limits too (docs/concepts/policy/resource-quotas). */
function deviceQuota({ devices = {} }: RunnersInput): Record<string, string> {
  const sorted = Object.entries(devices).toSorted(([a], [b]) => a.localeCompare(b));
  return Object.fromEntries(sorted.map(([name, count]) => [`requests.${name}`, String(count)]));
}

/** What was given for runners there, and on top of it what the managers of those runners take. */
function resourceQuota(input: RunnersInput, slug: string, ns: string): KubernetesObject {
  const managers = input.managers ?? 0;
  const cpu = formatCpu(cpuMillicores(input.quota.cpu) + BigInt(managers) * cpuMillicores(managerSize.cpu));
  const memory = formatMemory(memoryBytes(input.quota.memory) + BigInt(managers) * memoryBytes(managerSize.memory));
  const storage = input.quota.storage && scratchStorage(input.quota.storage, managers);
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'flywheel', namespace: ns, labels: labels(slug) },
    spec: {
      hard: {
        'requests.cpu': cpu,
        'limits.cpu': cpu,
        'requests.memory': memory,
        'limits.memory': memory,
        pods: String(input.quota.runners + managers),
        ...(storage === undefined
          ? {}
          : { 'requests.ephemeral-storage': storage, 'limits.ephemeral-storage': storage }),
        ...objectQuota(input.quota.runners + managers),
        ...deviceQuota(input),
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
function limitRange(input: RunnersInput, slug: string, ns: string): KubernetesObject {
  const cpuMost = cpuMillicores(input.quota.cpu);
  const memoryMost = memoryBytes(input.quota.memory);
  const atMost = (cpu: string, memory: string) => ({
    cpu: formatCpu(least(cpuMillicores(cpu), cpuMost)),
    memory: formatMemory(least(memoryBytes(memory), memoryMost)),
  });
  return {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: 'flywheel', namespace: ns, labels: labels(slug) },
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

export type PolicySpec = { policyTypes: string[]; [field: string]: unknown };

export function networkPolicy(name: string, slug: string, ns: string, spec: PolicySpec): KubernetesObject {
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

export function defaultDeny(slug: string, ns: string): KubernetesObject {
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

/** A pod that gives jobs their pods and runs none itself. */
export const managerSize = { cpu: '200m', memory: '256Mi', 'ephemeral-storage': '256Mi' };

/** A policy that comes and goes with a pool. */
export function poolPolicy(
  input: EnrollmentInput,
  { pool }: PoolInput,
  name: string,
  spec: PolicySpec,
): KubernetesObject {
  const { slug } = input.tenant;
  const policy = networkPolicy(name, slug, runnersNamespaceOf(slug, pool.securityClass), spec);
  const own = { [enrollmentLabel]: input.name, [poolLabel]: pool.name };
  return { ...policy, metadata: { ...policy.metadata, labels: labels(slug, own) } };
}

/** The way to a forge that is not on the public internet at 443, for the pods of its enrollment. */
export function allowForge(input: EnrollmentInput, choice: PoolInput): KubernetesObject[] {
  const { forgeEndpoint } = input;
  if (!forgeEndpoint) return [];
  const peer =
    'cidr' in forgeEndpoint
      ? { ipBlock: { cidr: forgeEndpoint.cidr } }
      : {
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': forgeEndpoint.namespace } },
          podSelector: {},
        };
  return [
    poolPolicy(input, choice, `${choice.scaleSetName}-forge`, {
      podSelector: { matchLabels: { [enrollmentLabel]: input.name } },
      policyTypes: ['Egress'],
      egress: [{ to: [peer], ports: [{ protocol: 'TCP', port: forgeEndpoint.port }] }],
    }),
  ];
}

export const bazelPorts = [8080, 9092];

/** A tenant's namespaces of runners and their fences: of what has a daemon only where it may have one. */
export function tenantObjects(input: TenantInput): KubernetesObject[] {
  const { runners, dind } = namespacesOf(input.slug);
  const { builds } = input;
  return [
    namespace(runners, input.slug, input.placement),
    ...fences(input, runners, input),
    ...(builds
      ? [
          namespace(dind, input.slug, builds.placement, builds.isHeld === false ? 'restricted' : 'privileged'),
          ...fences(input, dind, builds),
          subids(input.slug),
        ]
      : []),
  ];
}

function fences({ slug, cacheEndpoint, hasBazel }: TenantInput, ns: string, given: RunnersInput): KubernetesObject[] {
  return [
    resourceQuota(given, slug, ns),
    limitRange(given, slug, ns),
    defaultDeny(slug, ns),
    allowDns(slug, ns),
    allowPublicHttps(slug, ns),
    ...(cacheEndpoint ? [allowNamespace('allow-cache', slug, ns, cacheEndpoint.namespace, [cacheEndpoint.port])] : []),
    ...(hasBazel ? [allowNamespace('allow-bazel', slug, ns, namespacesOf(slug).bazel, bazelPorts)] : []),
  ];
}
