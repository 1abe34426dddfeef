import { KubeConfig } from '@kubernetes/client-node';
import { env } from '#lib/env.ts';
import type { ClusterConnection } from './client.ts';

/**
 * A cluster by its id: the context of that name in KUBECONFIG, else the current one, else the service account of the pod
 * that we run in. Read anew when credentials are, so that a file which appears or is rotated later is found.
 */
export function clusterConnection(id: string): ClusterConnection {
  return {
    id,
    kubeConfig: () => {
      const config = new KubeConfig();
      const path = env().KUBECONFIG;
      if (path) config.loadFromFile(path);
      else config.loadFromCluster();
      if (config.getContextObject(id)) config.setCurrentContext(id);
      return config;
    },
  };
}
