import { holds, runnerPodsObjects, runnerPodsPolicy, type ClusterView } from '#lib/cluster/index.ts';

const wanted = runnerPodsObjects();

/**
 * What is to be said of the admission policy that keeps runners' pods to their profile; null where the cluster has it as this
 * version of the portal wants it. It is the operator's to apply, and nothing waits for it: Pod Security holds most of it.
 */
export function podsUnheld(view: Pick<ClusterView, 'get'>): string | null {
  const found = wanted.map((object) => ({ object, observed: view.get(object) }));
  if (found.every(({ object, observed }) => observed !== undefined && holds(observed, object))) return null;
  const isThere = found.every(({ observed }) => observed !== undefined);
  const state = isThere ? 'is another than this portal’s' : 'is missing, or the portal may not see it';
  return `The cluster does not hold runners to their profile: its admission policy ${runnerPodsPolicy} ${state}. The operator applies runner-pods.yaml.`;
}
