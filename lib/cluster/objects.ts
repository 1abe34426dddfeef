import { createHash } from 'node:crypto';
import type { OwnKernel, ReadyPool, SecurityClass, Toleration } from '#lib/model/index.ts';
import { cacheFolder, imageReference } from '#lib/model/index.ts';

/* What goes into an enrollment's objects, and what all of them have in common. */

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

/** GitHub ends a self-hosted job after five days; nothing of ours outlives that. */
export const runnerSecondsMost = 5 * 24 * 3600;
export const runnerUid = 1001;

/**
 * On a tenant's namespace: where its pods may run, and what the daemons among them are, for the cluster's admission policy to hold
 * them to. Separated by commas; an empty class is none. A list that is not there is one of nothing.
 */
export const runtimeClassesAnnotation = 'flywheel.dev/runtime-classes';
/** Keys of taints. */
export const tolerationsAnnotation = 'flywheel.dev/tolerations';
/** Runtime classes that give each pod a kernel of its own, as an operator states: a sandbox's, or a virtual machine's. */
export const sandboxesAnnotation = 'flywheel.dev/sandboxes';
export const virtualMachinesAnnotation = 'flywheel.dev/virtual-machines';
/** Images of BuildKit and of Docker, each by its digest. */
export const buildImagesAnnotation = 'flywheel.dev/build-images';
export const dockerImagesAnnotation = 'flywheel.dev/docker-images';
/** Labels of nodes that are a Docker daemon's alone: of each pool `key=value`, several of them separated by semicolons. */
export const dockerNodesAnnotation = 'flywheel.dev/docker-nodes';

export type PlacementInput = {
  runtimeClasses: readonly string[];
  tolerations: readonly string[];
  sandboxes: readonly string[];
  virtualMachines: readonly string[];
  buildImages: readonly string[];
  dockerImages: readonly string[];
  dockerNodes: readonly string[];
};

/** What pools of these together may ask for. */
export function placementOf(
  pools: Iterable<Pick<RenderedPool, 'securityClass' | 'daemonImage' | 'placement'>>,
): PlacementInput {
  const all = [...pools];
  const places = all.map(({ placement = {} }) => placement);
  const withKernel = (wanted: OwnKernel) =>
    sortedSet(places.flatMap(({ runtimeClass = [], kernel }) => (kernel === wanted ? runtimeClass : [])));
  const daemons = (of: SecurityClass) => all.filter(({ securityClass }) => securityClass === of);
  const images = (of: SecurityClass) => sortedSet(daemons(of).flatMap(({ daemonImage }) => daemonImage ?? []));
  return {
    runtimeClasses: sortedSet(places.map(({ runtimeClass = '' }) => runtimeClass)),
    tolerations: sortedSet(places.flatMap(({ tolerations = [] }) => tolerations.map(({ key }) => key))),
    sandboxes: withKernel('sandbox'),
    virtualMachines: withKernel('machine'),
    buildImages: images('builds'),
    dockerImages: images('dind'),
    dockerNodes: sortedSet(
      daemons('dind').map(({ placement = {} }) =>
        Object.entries(placement.nodeSelector ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .toSorted()
          .join(';'),
      ),
    ),
  };
}

function sortedSet(values: readonly string[]): string[] {
  return [...new Set(values)].toSorted();
}

/** What a namespace of runners is given. */
export type RunnersInput = {
  /** Where pools that run there may run; left out, nowhere in particular. */
  placement?: PlacementInput | undefined;
  /** `storage` is that of the runners' work folders; without it they are not counted. */
  quota: { cpu: string; memory: string; runners: number; storage?: string };
  /** Devices that the runners there may take together, by resource: 0 for those that the catalog knows and it has none of. */
  devices?: Readonly<Record<string, number>> | undefined;
  /** Pods there that run nobody's job (`managersOf`), over all enrollments of the tenant. None if left out. */
  managers?: number | undefined;
};

export type TenantInput = RunnersInput & {
  slug: string;
  /** Where runners find the caches inside the cluster; absent when the cache is reached by 443 like anything else. */
  cacheEndpoint?: { namespace: string; port: number } | undefined;
  hasBazel: boolean;
  /** The namespace of those with a daemon, and its part of what the tenant was given; none where no operator allowed it. */
  builds?: BuildsInput | undefined;
};

/** `isHeld` is false where the cluster lacks the policy that holds such pods: its namespace then admits none. */
export type BuildsInput = RunnersInput & { isHeld?: boolean | undefined };

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
export type GitlabRegistration = { kind: 'gitlab'; url: string; runners: Readonly<Record<string, GitlabRunners>> };

/** `name` is what the forge calls it, where that is not the runner's own. */
export type GitlabRunner = { token: string; name?: string | undefined };
/** `next` serves beside it and is to take its place. */
export type GitlabRunners = GitlabRunner & { next?: GitlabRunner | undefined };

export type ForgejoRegistration = {
  kind: 'forgejo';
  url: string;
  runners: Readonly<Record<string, { uuid: string; token: string }>>;
  /** Whether the server forgets a runner when it has had its job (Forgejo 15). */
  ephemeral: boolean;
};

/** How the runners of an enrollment come to their forge: by ARC, or as the portal registered them. */
export type Registration = GithubRegistration | GitlabRegistration | ForgejoRegistration;

/** A pool as its objects are made from it; who may have it, and how many, was decided before. */
export type RenderedPool = Pick<
  ReadyPool,
  'name' | 'description' | 'cpu' | 'memory' | 'storage' | 'image' | 'securityClass' | 'placement'
> &
  Partial<Pick<ReadyPool, 'imageDigest' | 'devices' | 'daemonImage'>>;

/**
 * A runner set that somebody else made and that was taken over: what of it another value would make its runners anew for
 * (ARC 0.14.2: the template, the Secret's name, the group), as it was found.
 */
export type AdoptedSet = { secretName: string; runnerGroup?: string | undefined; template: Record<string, unknown> };

export type PoolInput = {
  pool: RenderedPool;
  scaleSetName: string;
  minRunners: number;
  maxRunners: number;
  /** Of Forgejo's runners so many run now, the others are registered and wait for their hour; all where it is left out. */
  standing?: number | undefined;
  /** Of GitLab's: `minRunners` of the maximum are places that are held for jobs, and run none. */
  holdsPlaces?: boolean | undefined;
  adopted?: AdoptedSet | undefined;
};

/** The image of a pool's jobs, by its digest where that is known. */
export function imageOf({ image, imageDigest = null }: RenderedPool): string {
  return imageReference({ image, imageDigest });
}

/** What a runner takes of a node, requests and limits alike, devices among it. */
export function resourcesOf({ cpu, memory, storage, devices = {} }: RenderedPool): Record<string, string> {
  const counts = Object.entries(devices).map(([name, count]) => [name, String(count)] as const);
  return { cpu, memory, 'ephemeral-storage': storage, ...Object.fromEntries(counts) };
}

export type EnrollmentInput = {
  tenant: TenantInput;
  name: string;
  registration: Registration;
  pools: readonly PoolInput[];
  /** Where the forge is, when it is not on the public internet at 443. */
  forgeEndpoint?: { namespace: string; port: number } | { cidr: string; port: number } | undefined;
  /** PEM of the authorities that vouch for the forge, beside the system's own. */
  caBundle?: string | undefined;
  /** Environment of the runners that reaches the caches; kept in a Secret. */
  cacheEnv: Record<string, string>;
  /** The same in files, by name: in a Secret of its own, since a pod's environment takes every key of one. */
  cacheFiles?: Record<string, string> | undefined;
  /** What these pools are given in the place of both: their jobs are not trusted. */
  untrusted?:
    | { pools: readonly string[]; cacheEnv: Record<string, string>; cacheFiles: Record<string, string> }
    | undefined;
  /** `also` may come in beside what runners are given, while one login follows another. */
  bazel?:
    | {
        sizeGib: number;
        user: string;
        password: string;
        also: readonly { user: string; password: string }[];
        /** Who may read it beside the tenant's runners. */
        readers?: { namespace: string } | { cidr: string } | undefined;
      }
    | undefined;
};

export function labels(slug: string, more: Record<string, string> = {}): Record<string, string> {
  return { 'app.kubernetes.io/managed-by': managedBy, [tenantLabel]: slug, ...more };
}

export function sha256(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
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

/** Of a runner that the portal registered; without it nothing can be rendered, which is the caller's mistake. */
export function registered<T>(runners: Readonly<Record<string, T>>, name: string): T {
  const runner = Object.hasOwn(runners, name) ? runners[name] : undefined;
  if (runner === undefined) throw new RangeError(`runner ${name} is not registered`);
  return runner;
}

/** The Secrets by which a pool's jobs reach the caches; null where there is nothing to tell them. */
export function cacheSecretsOf(
  input: EnrollmentInput,
  { pool }: { pool: Pick<RenderedPool, 'name'> },
): { env: string | null; files: string | null } {
  const isUntrusted = input.untrusted?.pools.includes(pool.name) === true;
  const { cacheEnv, cacheFiles } = isUntrusted && input.untrusted ? input.untrusted : input;
  const names = cacheSecretNames(input.name)[isUntrusted ? 'untrusted' : 'trusted'];
  const isThere = (values: object | undefined) => values !== undefined && Object.keys(values).length > 0;
  return { env: isThere(cacheEnv) ? names.env : null, files: isThere(cacheFiles) ? names.files : null };
}

/** Of a container that runs jobs: `envFrom` and the mount of its cache files, each where there is something in it. */
export function cacheOfContainer({ env, files }: ReturnType<typeof cacheSecretsOf>): {
  envFrom?: object[];
  volumeMounts: object[];
} {
  return {
    ...(env === null ? {} : { envFrom: [{ secretRef: { name: env } }] }),
    volumeMounts: files === null ? [] : [{ name: cacheVolume, mountPath: cacheFolder, readOnly: true }],
  };
}

/** Mounted whole and not by `subPath`, so that a kubelet renews the files in pods that run. */
export function cacheVolumes({ files }: ReturnType<typeof cacheSecretsOf>): object[] {
  return files === null ? [] : [{ name: cacheVolume, secret: { secretName: files } }];
}

const cacheVolume = 'flywheel-cache';

/** Of every pod: no token of the cluster's API unless the pod is for that, no names of the namespace's services. */
export const plainPod = {
  automountServiceAccountToken: false,
  enableServiceLinks: false,
  nodeSelector: { 'kubernetes.io/os': 'linux' },
};

/** A pod's own words for where a pool's runners run; `plainPod`'s system is kept. */
export function placed({ placement = {} }: Pick<RenderedPool, 'placement'>): {
  runtimeClassName?: string;
  nodeSelector: Record<string, string>;
  tolerations?: object[];
} {
  const { runtimeClass, nodeSelector, tolerations = [] } = placement;
  return {
    ...(runtimeClass === undefined ? {} : { runtimeClassName: runtimeClass }),
    nodeSelector: { ...nodeSelector, ...plainPod.nodeSelector },
    ...(tolerations.length === 0 ? {} : { tolerations: tolerations.map(tolerated) }),
  };
}

function tolerated({ key, value, effect }: Toleration): Record<string, unknown> {
  const taint = value === undefined ? { key, operator: 'Exists' } : { key, operator: 'Equal', value };
  return effect === undefined ? taint : { ...taint, effect };
}

/** Pod Security Standards "restricted", for a pod whose processes are of one user. */
export function restrictedPod(uid: number): Record<string, unknown> {
  return {
    runAsNonRoot: true,
    runAsUser: uid,
    runAsGroup: uid,
    fsGroup: uid,
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

export const restrictedContainer = {
  allowPrivilegeEscalation: false,
  privileged: false,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** A forge's own authority: the key that it is kept under, and the folder of a runner's container in which it lies alone. */
export const authorityKey = 'ca.crt';
export const authorityFolder = '/flywheel/authority';
export const authorityFile = `${authorityFolder}/${authorityKey}`;

/**
 * What makes the programs of a runner's container trust the forge's own authority too. Go (crypto/x509) and .NET read every
 * folder that SSL_CERT_DIR lists, and the runners are written in these; actions are written for Node, which adds the file to
 * its own. To git a file is all that it trusts, so it is told of it for the forge's address alone (git-config: `http.<url>.*`,
 * GIT_CONFIG_COUNT).
 */
export function authorityEnv({ caBundle }: EnrollmentInput, forgeUrl: string): { name: string; value: string }[] {
  if (caBundle === undefined) return [];
  return [
    { name: 'SSL_CERT_DIR', value: `/etc/ssl/certs:${authorityFolder}` },
    { name: 'NODE_EXTRA_CA_CERTS', value: authorityFile },
    { name: 'GIT_CONFIG_COUNT', value: '1' },
    { name: 'GIT_CONFIG_KEY_0', value: `http.${forgeUrl}/.sslCAInfo` },
    { name: 'GIT_CONFIG_VALUE_0', value: authorityFile },
  ];
}

/** The authority as a Secret's or a ConfigMap's data; nothing where the forge has none of its own. */
export function authorityData({ caBundle }: EnrollmentInput): Record<string, string> {
  return caBundle === undefined ? {} : { [authorityKey]: caBundle };
}

/** On what is made anew when a Secret or a ConfigMap that it reads has changed. The second is ARC's own. */
export const configHash = 'flywheel.dev/config-hash';
export const valuesHash = 'actions.github.com/values-hash';
export const hashAnnotations = [configHash, valuesHash];

export function configHashOf({ caBundle }: EnrollmentInput, configText: string): string {
  return sha256(caBundle === undefined ? configText : [configText, caBundle]);
}

export function cacheSecretName(enrollment: string): string {
  return `${enrollment}-cache`;
}

/** All of an enrollment's, in the order in which they are applied. */
export function cacheSecretNames(enrollment: string) {
  const name = cacheSecretName(enrollment);
  return {
    trusted: { env: name, files: `${name}-files` },
    untrusted: { env: `${name}-untrusted`, files: `${name}-untrusted-files` },
  };
}

/** Those Secrets, with what is in them; none that would be empty. */
export function cacheSecrets(input: EnrollmentInput, namespace: string): KubernetesObject[] {
  const { trusted, untrusted } = cacheSecretNames(input.name);
  const all: [string, Record<string, string> | undefined][] = [
    [trusted.env, input.cacheEnv],
    [trusted.files, input.cacheFiles],
    [untrusted.env, input.untrusted?.cacheEnv],
    [untrusted.files, input.untrusted?.cacheFiles],
  ];
  return all.flatMap(([name, values]) =>
    values && Object.keys(values).length > 0 ? [secret(name, namespace, input, values)] : [],
  );
}

export function secret(
  name: string,
  namespace: string,
  input: EnrollmentInput,
  values: Record<string, string>,
  more: Record<string, string> = {},
): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: {
      name,
      namespace,
      labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name, ...more }),
    },
    // `data`, not `stringData`: what is applied can then be compared with what is observed.
    data: Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}

export const sealedValue = '<sealed>';

/** The object as a person may see it: a Secret's values are never shown. */
export function redacted(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'Secret') return object;
  const data = (object['data'] ?? {}) as Record<string, string>;
  return { ...object, data: Object.fromEntries(Object.keys(data).map((key) => [key, sealedValue])) };
}
