import { objectPath, unlessMoved, type ClusterClient } from './client.ts';
import type { Guard } from './apply.ts';
import type { Observed } from './view.ts';

/*
 * A runner set that goes from one cluster to another leaves what it registered at the forge, since its namesake there has taken it
 * over by its name (Actions Runner Controller finds a scale set before it makes one).
 *
 * Facts of ARC 0.14.2 (autoscalingrunnerset_controller.go): a set that is deleted takes its scale set at GitHub with it, by the id in
 * an annotation, and none where the annotation is not there; a set that is not deleted and has no annotation is registered anew, by the
 * Secret that it names. So the annotation goes and another Secret is named in one write, and the set is deleted at exactly that
 * version: neither ARC nor a worker that dies in between can remove the scale set, or register it once more. What runs keeps the
 * Secret that it was made with, and ends its job.
 */

const scaleSetId = 'runner-scale-set-id';
/** No Secret has this name. */
const noSecret = 'moved-to-another-cluster';

/** The id of its scale set at the forge; undefined before it is registered. */
export function scaleSetIdOf({ metadata }: Observed): string | undefined {
  return metadata.annotations?.[scaleSetId];
}

/** Asks for the end of a runner set, and of nothing at the forge. Called again, it goes on where it was. */
export async function handOverSet(client: ClusterClient, set: Observed, guard: Guard): Promise<void> {
  const { name, deletionTimestamp } = set.metadata;
  const isReleased = scaleSetIdOf(set) === undefined && specOf(set).githubConfigSecret === noSecret;
  // Marked by somebody else before we came: what it would take with it is taken from it all the same.
  if (deletionTimestamp !== undefined && scaleSetIdOf(set) === undefined) return;
  await guard();
  const { uid: setUid, resourceVersion: version } = set.metadata;
  const release = {
    metadata: { uid: setUid, resourceVersion: version, annotations: { [scaleSetId]: null } },
    spec: { githubConfigSecret: noSecret },
  };
  const released = isReleased ? set : await client.mergePatch<Observed>(set, release);
  if (!released || deletionTimestamp !== undefined) return;
  await guard();
  const { uid, resourceVersion } = released.metadata;
  await client
    .call(
      {
        method: 'DELETE',
        path: objectPath(set),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          preconditions: { uid, resourceVersion },
          propagationPolicy: 'Background',
        },
      },
      `the removal of AutoscalingRunnerSet ${name}`,
    )
    .catch(unlessMoved);
}

function specOf(set: Observed): { githubConfigSecret?: string } {
  return set['spec'] ?? {};
}
