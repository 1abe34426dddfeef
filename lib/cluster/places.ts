import { runnersNamespaceOf } from '#lib/model/index.ts';
import { usersOf } from './daemons.ts';
import {
  enrollmentLabel,
  labels,
  managedBy,
  placed,
  plainPod,
  poolLabel,
  resourcesOf,
  restrictedContainer,
  restrictedPod,
  type EnrollmentInput,
  type KubernetesObject,
  type PoolInput,
} from './objects.ts';

/*
 * Places that are held for jobs where no runner waits for one: pods that do nothing, as large as a job's, so that nodes are there
 * for them. Their class of priority is below that of every other pod, so that the scheduler ends one where a job's pod finds
 * no other room, and the job starts on a node that runs already. The Deployment makes another, which waits until there is
 * room again; an autoscaler adds nodes for it (its own cut-off is -10).
 *
 * Facts: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/ (a PriorityClass is of the whole
 * cluster; a pod that names none has the priority 0).
 */

export const placePriority = 'flywheel-place';
/** A Deployment's pods begin with its name, by which one that holds a place is known. */
export const placeSuffix = '-gitlab-place';
/** On what holds places, and on nothing else. */
export const placeLabel = 'flywheel.dev/place';
/** It waits for a signal, and nothing else: by its digest, since the policy lets no other hold a place. */
export const placeImage =
  'registry.k8s.io/pause:3.10.1@sha256:278fb9dbcca9518083ad1e11276933a2e96f23de604a3a08cc3c80002767d24c';

export function holdsPlace({ metadata }: { metadata: { labels?: Record<string, string> } }): boolean {
  return metadata.labels?.[placeLabel] !== undefined;
}

/** For an operator to apply, as the policy that says who may have it. */
export function placePriorityObject(): KubernetesObject {
  return {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: placePriority, labels: { 'app.kubernetes.io/managed-by': managedBy } },
    value: -1,
    globalDefault: false,
    // A place ends nobody else's.
    preemptionPolicy: 'Never',
    description: 'Holds a place for a runner’s job, and ends where the job needs it.',
  };
}

/** The places of one pool; nothing where it has no schedule. */
export function placeObjects(input: EnrollmentInput, choice: PoolInput): KubernetesObject[] {
  if (choice.holdsPlaces !== true) return [];
  const { pool, scaleSetName } = choice;
  const { slug } = input.tenant;
  const name = `${scaleSetName}${placeSuffix}`;
  const own = labels(slug, { [enrollmentLabel]: input.name, [poolLabel]: pool.name });
  const selector = { [placeLabel]: scaleSetName };
  const metadata = {
    name,
    namespace: runnersNamespaceOf(slug, pool.securityClass),
    labels: { ...own, ...selector },
  };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: choice.minRunners,
        // One of another kind takes the place of one that is gone, so that both together are never more.
        strategy: { type: 'Recreate' },
        selector: { matchLabels: selector },
        template: { metadata: { labels: metadata.labels }, spec: placePod(name, choice) },
      },
    },
  ];
}

function placePod(account: string, { pool }: PoolInput): Record<string, unknown> {
  const size = resourcesOf(pool);
  return {
    ...plainPod,
    ...placed(pool),
    ...usersOf(pool),
    serviceAccountName: account,
    priorityClassName: placePriority,
    terminationGracePeriodSeconds: 0,
    securityContext: restrictedPod(placeUid),
    containers: [
      {
        name: 'place',
        image: placeImage,
        imagePullPolicy: 'Always',
        resources: { requests: size, limits: size },
        securityContext: { ...restrictedContainer, readOnlyRootFilesystem: true },
      },
    ],
  };
}

/** The image's own. */
const placeUid = 65_535;
