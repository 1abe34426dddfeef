import { runnersNamespaceOf } from '#lib/model/index.ts';
import { daemonOf, partsOf, podSecurityOf, usersOf } from './daemons.ts';
import {
  authorityData,
  authorityEnv,
  authorityFolder,
  authorityKey,
  cacheOfContainer,
  cacheSecretsOf,
  cacheVolumes,
  enrollmentLabel,
  imageOf,
  labels,
  placed,
  poolLabel,
  resourcesOf,
  restrictedContainer,
  runnerSecondsMost,
  sha256,
  valuesHash,
  type EnrollmentInput,
  type GithubCredentials,
  type GithubRegistration,
  type KubernetesObject,
  type PoolInput,
  type RenderedPool,
} from './objects.ts';
import { allowForge } from './tenant-objects.ts';

/*
 * GitHub's runners, by Actions Runner Controller.
 *
 * Facts of ARC 0.14.2, from actions/actions-runner-controller at that release: charts/gha-runner-scale-set/templates
 * (names, labels, cleanup annotations and finalizers, manager Role), controllers/actions.github.com/autoscalingrunnerset_controller.go
 * (deletes a set whose version label is missing or of another minor). Pod profile: Pod Security Standards "restricted" and more.
 * Of an Enterprise Server's own authority (`githubServerTLS`) the chart also asks the runner to write it into the system's
 * store, which wants root: SSL_CERT_DIR takes that place.
 */

const cleanupProtection = 'actions.github.com/cleanup-protection';

export function credentialsSecretName(enrollment: string): string {
  return `${enrollment}-github`;
}

export function githubSecret(credentials: GithubCredentials): Record<string, string> {
  if ('token' in credentials) return { github_token: credentials.token };
  return {
    github_app_id: credentials.appId,
    github_app_installation_id: credentials.installationId,
    github_app_private_key: credentials.privateKey,
  };
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

/** The ConfigMap that holds a forge's own authority; it outlives the runner sets, as the Secrets do. */
export function authorityName(enrollment: string): string {
  return `${enrollment}-forge-ca`;
}

export function authorityObjects(input: EnrollmentInput, namespace: string): KubernetesObject[] {
  if (input.caBundle === undefined) return [];
  const { slug } = input.tenant;
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: authorityName(input.name),
        namespace,
        labels: labels(slug, { [enrollmentLabel]: input.name }),
      },
      data: authorityData(input),
    },
  ];
}

/** With an authority of the forge's own, ARC's manager reads that one ConfigMap. */
function rulesOf({ caBundle, name }: EnrollmentInput) {
  if (caBundle === undefined) return managerRules;
  const reads = { apiGroups: [''], resources: ['configmaps'], resourceNames: [authorityName(name)], verbs: ['get'] };
  return [...managerRules, reads];
}

function poolNames(scaleSetName: string) {
  return {
    manager: `${scaleSetName}-gha-rs-manager`,
    serviceAccount: `${scaleSetName}-gha-rs-no-permission`,
  };
}

function runnerPod(
  input: EnrollmentInput,
  { configUrl }: GithubRegistration,
  { pool, scaleSetName }: PoolInput,
): Record<string, unknown> {
  const cache = cacheSecretsOf(input, { pool });
  const { volumeMounts: cacheMounts, ...cacheEnv } = cacheOfContainer(cache);
  const hasAuthority = input.caBundle !== undefined;
  const own = partsOf(pool).runner;
  const resources = resourcesOf(own);
  const alike = { requests: resources, limits: resources };
  const work = { name: 'work', mountPath: '/home/runner/_work' };
  const daemon = daemonOf(pool, [work, { name: 'externals', mountPath: externals }]);
  const env = [...(hasAuthority ? authorityEnv(input, new URL(configUrl).origin) : []), ...(daemon ? daemon.env : [])];
  return {
    metadata: {
      labels: labels(input.tenant.slug, { [enrollmentLabel]: input.name, [poolLabel]: pool.name }),
    },
    spec: {
      serviceAccountName: poolNames(scaleSetName).serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...usersOf(pool),
      restartPolicy: 'Never',
      activeDeadlineSeconds: runnerSecondsMost,
      ...placed(pool),
      securityContext: podSecurityOf(pool),
      ...(daemon ? { initContainers: [...externalsOf(pool), daemon.container] } : {}),
      containers: [
        {
          name: 'runner',
          image: imageOf(pool),
          imagePullPolicy: 'Always',
          command: ['/home/runner/run.sh'],
          ...(env.length > 0 ? { env } : {}),
          ...cacheEnv,
          resources: alike,
          securityContext: restrictedContainer,
          volumeMounts: [
            work,
            { name: 'tmp', mountPath: '/tmp' },
            ...(hasAuthority ? [{ name: 'authority', mountPath: authorityFolder, readOnly: true }] : []),
            ...cacheMounts,
            ...(daemon ? daemon.mounts : []),
          ],
        },
      ],
      volumes: [
        { name: 'work', emptyDir: { sizeLimit: own.storage } },
        { name: 'tmp', emptyDir: { sizeLimit: '2Gi' } },
        ...(hasAuthority ? [{ name: 'authority', configMap: { name: authorityName(input.name) } }] : []),
        ...cacheVolumes(cache),
        ...(daemon ? daemon.volumes : []),
        ...(pool.securityClass === 'dind' ? [{ name: 'externals', emptyDir: { sizeLimit: '1Gi' } }] : []),
      ],
    },
  };
}

const externals = '/home/runner/externals';

/** Node and what else a job's own container is given of the runner's, where the Docker daemon finds it at the runner's path. */
function externalsOf(pool: RenderedPool): object[] {
  if (pool.securityClass !== 'dind') return [];
  const size = resourcesOf({ ...partsOf(pool).runner, devices: {} });
  return [
    {
      name: 'externals',
      image: imageOf(pool),
      imagePullPolicy: 'Always',
      command: ['cp', '-r', `${externals}/.`, '/flywheel/externals/'],
      resources: { requests: size, limits: size },
      securityContext: { ...restrictedContainer, readOnlyRootFilesystem: true },
      volumeMounts: [{ name: 'externals', mountPath: '/flywheel/externals' }],
    },
  ];
}

function authorityRef({ name }: EnrollmentInput) {
  return { configMapKeyRef: { name: authorityName(name), key: authorityKey } };
}

function poolMetadata(input: EnrollmentInput, { pool, scaleSetName }: PoolInput) {
  const namespace = runnersNamespaceOf(input.tenant.slug, pool.securityClass);
  return {
    namespace,
    labels: labels(input.tenant.slug, {
      [enrollmentLabel]: input.name,
      [poolLabel]: pool.name,
      'actions.github.com/scale-set-name': scaleSetName,
      'actions.github.com/scale-set-namespace': namespace,
      'app.kubernetes.io/part-of': 'gha-rs',
    }),
  };
}

function autoscalingRunnerSet(input: EnrollmentInput, github: GithubRegistration, choice: PoolInput): KubernetesObject {
  const names = poolNames(choice.scaleSetName);
  const metadata = poolMetadata(input, choice);
  const { adopted } = choice;
  const template = adopted?.template ?? runnerPod(input, github, choice);
  const runnerGroup = adopted ? adopted.runnerGroup : github.runnerGroup;
  const { caBundle } = input;
  const values = caBundle === undefined ? [github.credentials, template] : [github.credentials, template, caBundle];
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
        // Nothing watches the Secret or the ConfigMap: only a change here makes the listener read a rotated key or another
        // authority. At most 63 characters.
        [valuesHash]: sha256(values).slice(0, 63),
      },
    },
    spec: {
      githubConfigUrl: github.configUrl,
      githubConfigSecret: adopted?.secretName ?? credentialsSecretName(input.name),
      ...(runnerGroup ? { runnerGroup } : {}),
      ...(caBundle === undefined ? {} : { githubServerTLS: { certificateFrom: authorityRef(input) } }),
      // ARC fills it in where it is empty, and that would be drift.
      runnerScaleSetName: choice.scaleSetName,
      minRunners: choice.minRunners,
      maxRunners: choice.maxRunners,
      template,
    },
  };
}

/** One pool of GitHub: what ARC needs to accept the runner set and to clean it up, then the set itself. */
export function githubPoolObjects(
  input: EnrollmentInput,
  github: GithubRegistration,
  choice: PoolInput,
): KubernetesObject[] {
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
      rules: rulesOf(input),
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
    ...allowForge(input, choice),
    autoscalingRunnerSet(input, github, choice),
  ];
}
