import { basename, dirname } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { env } from '#lib/env.ts';
import type { ClusterConnection } from './client.ts';
import { contextsOf, KubeconfigRefused, ownAccount, readKubeconfig } from './kubeconfig.ts';

/** Which kubeconfig of those that are mounted, and which context there; null is the portal's own cluster. */
export type ClusterWay = { kubeconfig: string; context: string } | null;

/** A file of the folder itself: no path leads elsewhere. */
export const kubeconfigName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

/**
 * A cluster by its id, and the way that an operator entered for it: a kubeconfig that is mounted, by its name and context. With no
 * way of its own it is the portal's own cluster: the context of its id in KUBECONFIG, else the current one, else the service
 * account of the pod that we run in. Read anew when credentials are, so that a file which appears or is rotated later is found.
 */
export function clusterConnection(id: string, wayOf: () => Promise<ClusterWay> = async () => null): ClusterConnection {
  return {
    id,
    kubeConfig: async () => {
      const way = await wayOf();
      return way ? mounted(way) : own(id);
    },
  };
}

/** Throws, in words, where the way leads nowhere or is not one that is gone. */
export function mounted({ kubeconfig, context }: NonNullable<ClusterWay>): KubeConfig {
  const folder = env().FLYWHEEL_CLUSTERS_DIR;
  if (!kubeconfigName.test(kubeconfig)) throw new KubeconfigRefused(`${kubeconfig} is not the name of a file`);
  return readKubeconfig({ folder }, kubeconfig, context);
}

function own(id: string): KubeConfig {
  const { KUBECONFIG: path, FLYWHEEL_SANDBOX } = env();
  if (!path) return ownAccount();
  const folder = { folder: dirname(path), isLax: FLYWHEEL_SANDBOX === '1' };
  const file = basename(path);
  const { names } = contextsOf(folder, file);
  return readKubeconfig(folder, file, names.includes(id) ? id : null);
}
