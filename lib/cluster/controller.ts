import type { ClusterClient } from './client.ts';
import type { ControllerInput } from './manifests.ts';
import type { Observed } from './view.ts';

/**
 * ARC's controller as installed, found by the labels that its chart sets for exactly this (gha-runner-scale-set-controller
 * 0.14.2); null when there is none. Its version decides which runner sets it does not delete at sight.
 */
export async function findController(client: ClusterClient): Promise<ControllerInput | null> {
  const list = await client.call<{ items: Observed[] }>(
    {
      method: 'GET',
      path: '/apis/apps/v1/deployments',
      query: { labelSelector: 'app.kubernetes.io/part-of=gha-rs-controller' },
    },
    'the list of controllers',
  );
  for (const { metadata } of list.items) {
    const labels = metadata.labels ?? {};
    const version = labels['app.kubernetes.io/version'];
    const serviceAccount = labels['actions.github.com/controller-service-account-name'];
    if (version && serviceAccount) {
      const namespace = labels['actions.github.com/controller-service-account-namespace'] ?? metadata.namespace ?? '';
      return { version, namespace, serviceAccount };
    }
  }
  return null;
}
