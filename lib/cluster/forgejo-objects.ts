import { runnersNamespaceOf } from '#lib/model/index.ts';
import { daemonOf, partsOf, podSecurityOf, usersOf } from './daemons.ts';
import {
  authorityData,
  authorityEnv,
  authorityFile,
  authorityKey,
  cacheOfContainer,
  cacheSecretsOf,
  cacheVolumes,
  configHash,
  configHashOf,
  enrollmentLabel,
  imageOf,
  labels,
  placed,
  plainPod,
  poolLabel,
  registered,
  resourcesOf,
  restrictedContainer,
  runnerNamesOf,
  runnerSecondsMost,
  secret,
  type EnrollmentInput,
  type ForgejoRegistration,
  type KubernetesObject,
  type PoolInput,
} from './objects.ts';
import { allowForge } from './tenant-objects.ts';

/*
 * Forgejo's runners: for each that may run at once a registration, and a pod that holds it and runs its jobs.
 *
 * Facts of forgejo-runner 12, from Forgejo's docs/admin/actions/{registration,configuration}.md and the runner's own example
 * configuration: there is no Kubernetes executor, `docker://` labels want a Docker daemon, which a restricted namespace has
 * not, and `host` labels run a job where the runner runs. `one-job --wait` ends after a job; Forgejo 15 then forgets a runner
 * that was registered as ephemeral. The program is linked statically, so it runs in any pool's image.
 */

const runnerImage = 'data.forgejo.org/forgejo/runner:12';
const programFolder = '/flywheel/bin';
const configFolder = '/flywheel/config';
const workFolder = '/home/runner/_work';
/** How long a runner that is replaced waits for its job. */
const jobEndSeconds = 3600;

function accountName(label: string): string {
  return `${label}-forgejo`;
}

/** A forge that serves everybody asks for patience: Codeberg wants thirty seconds or more between two questions. */
const patientHosts = new Set(['codeberg.org']);

/** How often each runner asks for a job; 2 s is the runner's own. */
function fetchInterval(url: string): string {
  return patientHosts.has(URL.parse(url)?.hostname ?? '') ? '30s' : '2s';
}

/** JSON is YAML, and there nothing gets out of its quotes (A16). */
function config(forgejo: ForgejoRegistration, name: string, label: string): string {
  const { uuid, token } = registered(forgejo.runners, name);
  return JSON.stringify({
    log: { level: 'info' },
    runner: {
      capacity: 1,
      timeout: `${runnerSecondsMost}s`,
      shutdown_timeout: `${jobEndSeconds - 60}s`,
      fetch_interval: fetchInterval(forgejo.url),
    },
    cache: { enabled: false },
    container: { privileged: false, docker_host: '-', valid_volumes: [] },
    host: { workdir_parent: workFolder },
    server: { connections: { forge: { url: `${forgejo.url}/`, uuid, token, labels: [`${label}:host`] } } },
  });
}

function selectorOf(instance: string): Record<string, string> {
  return { 'app.kubernetes.io/name': 'forgejo-runner', 'app.kubernetes.io/instance': instance };
}

type Runner = { instance: string; configText: string; forgejo: ForgejoRegistration };

function runnerPod(
  input: EnrollmentInput,
  { pool, scaleSetName }: PoolInput,
  { instance, configText, forgejo }: Runner,
): Record<string, unknown> {
  const alike = (size: Record<string, string>) => ({ requests: size, limits: size });
  const own = partsOf(pool).runner;
  const resources = alike(resourcesOf(own));
  const withoutDevices = alike(resourcesOf({ ...own, devices: {} }));
  const work = { name: 'work', mountPath: workFolder };
  const daemon = daemonOf(pool, [work]);
  const program = { name: 'program', mountPath: programFolder };
  const cache = cacheSecretsOf(input, { pool });
  const { volumeMounts: cacheMounts, ...cacheEnv } = cacheOfContainer(cache);
  return {
    metadata: {
      labels: labels(input.tenant.slug, {
        [enrollmentLabel]: input.name,
        [poolLabel]: pool.name,
        ...selectorOf(instance),
      }),
      annotations: { [configHash]: configHashOf(input, configText) },
    },
    spec: {
      ...plainPod,
      ...placed(pool),
      serviceAccountName: accountName(scaleSetName),
      ...usersOf(pool),
      terminationGracePeriodSeconds: jobEndSeconds,
      securityContext: podSecurityOf(pool),
      initContainers: [
        {
          name: 'program',
          image: runnerImage,
          imagePullPolicy: 'Always',
          command: ['cp', '/bin/forgejo-runner', `${programFolder}/forgejo-runner`],
          // As much as the runner, since a pod takes the larger of the two and the quota counts it so.
          resources: withoutDevices,
          securityContext: { ...restrictedContainer, readOnlyRootFilesystem: true },
          volumeMounts: [program],
        },
        ...(daemon ? [daemon.container] : []),
      ],
      containers: [
        {
          name: 'runner',
          image: imageOf(pool),
          imagePullPolicy: 'Always',
          command: [
            `${programFolder}/forgejo-runner`,
            '--config',
            `${configFolder}/config.yml`,
            ...(forgejo.ephemeral ? ['one-job', '--wait'] : ['daemon']),
          ],
          workingDir: workFolder,
          env: [
            { name: 'HOME', value: workFolder },
            ...authorityEnv(input, forgejo.url),
            ...(daemon ? daemon.env : []),
          ],
          ...cacheEnv,
          resources,
          securityContext: restrictedContainer,
          volumeMounts: [
            { ...program, readOnly: true },
            { name: 'config', mountPath: configFolder, readOnly: true },
            ...(input.caBundle === undefined
              ? []
              : [{ name: 'config', mountPath: authorityFile, subPath: authorityKey, readOnly: true }]),
            work,
            { name: 'tmp', mountPath: '/tmp' },
            ...cacheMounts,
            ...(daemon ? daemon.mounts : []),
          ],
        },
      ],
      volumes: [
        { name: 'program', emptyDir: { sizeLimit: '256Mi' } },
        { name: 'config', secret: { secretName: `${instance}-forgejo` } },
        { name: 'work', emptyDir: { sizeLimit: own.storage } },
        { name: 'tmp', emptyDir: { sizeLimit: '2Gi' } },
        ...cacheVolumes(cache),
        ...(daemon ? daemon.volumes : []),
      ],
    },
  };
}

/** One runner: its registration, which no other pod sees, and its pod. */
function runnerObjects(
  input: EnrollmentInput,
  forgejo: ForgejoRegistration,
  choice: PoolInput,
  name: string,
  index: number,
): KubernetesObject[] {
  const { slug } = input.tenant;
  const instance = `${choice.scaleSetName}-${index + 1}`;
  const objectName = `${instance}-forgejo`;
  const own = { [poolLabel]: choice.pool.name };
  const namespace = runnersNamespaceOf(slug, choice.pool.securityClass);
  const configText = config(forgejo, name, choice.scaleSetName);
  return [
    secret(objectName, namespace, input, { 'config.yml': configText, ...authorityData(input) }, own),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: {
        name: objectName,
        namespace,
        labels: labels(slug, { [enrollmentLabel]: input.name, ...own }),
      },
      spec: {
        // Who is registered and does not stand waits for its hour; a job under way is let end by the pod's grace.
        replicas: index < (choice.standing ?? choice.maxRunners) ? 1 : 0,
        // Two pods of one registration are the same runner twice.
        strategy: { type: 'Recreate' },
        selector: { matchLabels: selectorOf(instance) },
        template: runnerPod(input, choice, { instance, configText, forgejo }),
      },
    },
  ];
}

/** One pool of Forgejo: an account that may nothing, then each runner with its registration. */
export function forgejoPoolObjects(
  input: EnrollmentInput,
  forgejo: ForgejoRegistration,
  choice: PoolInput,
): KubernetesObject[] {
  const { slug } = input.tenant;
  return [
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: accountName(choice.scaleSetName),
        namespace: runnersNamespaceOf(slug, choice.pool.securityClass),
        labels: labels(slug, { [enrollmentLabel]: input.name, [poolLabel]: choice.pool.name }),
      },
      automountServiceAccountToken: false,
    },
    ...allowForge(input, choice),
    ...runnerNamesOf('forgejo', choice).flatMap((name, index) => runnerObjects(input, forgejo, choice, name, index)),
  ];
}
