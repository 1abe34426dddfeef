import {
  findObject,
  holds,
  placePriority,
  runnerPodsObjects,
  runnerPodsPolicy,
  type ClusterClient,
  type ClusterView,
  type Observed,
  type Registration,
} from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';
import { hasDaemon, type Pool, type PoolChoice } from '#lib/model/index.ts';
import type { PhaseResult } from './conditions.ts';
import { wait } from './pass.ts';
import { classOf } from './runner-set.ts';

const wanted = runnerPodsObjects();

/**
 * What is to be said of the admission policy that keeps runners' pods to their profile; null where the cluster has it as this
 * version of the portal wants it. It is the operator's to apply, and restricted pools do not wait for it: Pod Security holds most
 * of it. Where pools have a daemon it is the only fence.
 */
export function podsUnheld(view: Pick<ClusterView, 'get'>): string | null {
  const found = wanted.map((object) => ({ object, observed: view.get(object) }));
  if (found.every(({ object, observed }) => observed !== undefined && holds(observed, object))) return null;
  const isThere = found.every(({ observed }) => observed !== undefined);
  const state = isThere ? 'is another than this portal’s' : 'is missing, or the portal may not see it';
  return `The cluster does not hold runners to their profile: its admission policy ${runnerPodsPolicy} ${state}. The operator applies runner-pods.yaml.`;
}

/** What is to be said of Deployments that hold places for jobs; null where the cluster knows their priority. */
export function placesUnheld(deployments: readonly Pick<Observed, 'metadata' | 'status'>[]): string | null {
  const without = deployments.filter(({ status }) => {
    const { conditions = [] } = (status ?? {}) as { conditions?: { type: string; message?: string }[] };
    // Said by the cluster's controllers, in the words of the API server, which admits no pod of a class that is not there.
    return conditions.some(
      ({ type, message = '' }) =>
        type === 'ReplicaFailure' && message.includes(`PriorityClass with name ${placePriority}`),
    );
  });
  if (without.length === 0) return null;
  const names = without.map(({ metadata }) => metadata.name).join(', ');
  return `The cluster has no PriorityClass ${placePriority}, so that ${names} holds no place for a job. The operator applies place-priority.yaml.`;
}

/** Whether any of these choices is of a class whose pods this policy alone holds. */
export function needsHold(choices: readonly PoolChoice[], pools: ReadonlyMap<string, Pool>): boolean {
  return choices.some(({ pool }) => hasDaemon(classOf(pools, pool)));
}

/**
 * A daemon keeps what a job left in it, and goes with its pod: where the forge does not forget a runner with its job, the pod has
 * the next one too. Which server that is, is known when a runner is registered. Null where all is well.
 */
export function lastingRunners(registration: Registration, hasDaemons: boolean): PhaseResult | null {
  if (!hasDaemons || registration.kind !== 'forgejo' || registration.ephemeral) return null;
  const message =
    'A runner of this server serves one job after another, and a daemon beside it would hand on what one job left to the next. Pools of the classes builds and dind are had where the server forgets a runner with its job: Forgejo 15. Leave them out.';
  return wait('RunnersLast', message, 'admin');
}

/** For a plan: throws where such pools would run and nothing would hold them. */
export async function refuseUnheld(client: ClusterClient): Promise<void> {
  const observed = new Map<string, Awaited<ReturnType<typeof findObject>>>();
  for (const object of wanted)
    observed.set(
      object.kind,
      await findObject(client, object).catch((error: unknown) => {
        if (error instanceof AppError && error.code === 'forbidden') return undefined;
        throw error;
      }),
    );
  const unheld = podsUnheld({ get: ({ kind }) => observed.get(kind) });
  if (unheld === null) return;
  throw new AppError('conflict', {
    log: 'pools with a daemon in a cluster that holds no pods to their profile',
    screen: { happened: `${unheld} ${withoutDaemons}`, todo: 'Ask an operator to apply it.' },
  });
}

export const withoutDaemons = 'Pools of the classes builds and dind do not run without it.';
