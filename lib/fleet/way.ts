import { clusterConnection, type ClusterConnection, type ClusterWay } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';

/** A cluster as it is reached now: whatever an operator enters for it is followed when credentials are read anew. */
export function clusterAt(id: string): ClusterConnection {
  return clusterConnection(id, async () => {
    const select = { kubeconfig: true, context: true } as const;
    return wayOf(await unsafeDb().cluster.findUniqueOrThrow({ where: { id }, select }));
  });
}

function wayOf({ kubeconfig, context }: { kubeconfig: string | null; context: string | null }): ClusterWay {
  return kubeconfig === null || context === null ? null : { kubeconfig, context };
}
