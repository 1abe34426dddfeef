// The instances that a cluster has: what the Deployment and the Secret of a tenant's cache say, as their pod would read them.
import type { Kube } from '#sandbox/arc/kube.ts';
import type { Instance } from './index.ts';

type Deployment = { spec: { template: { spec: { containers: { args?: string[] }[] } } } };
type Secret = { data?: Record<string, string> };

/** Undefined where the tenant has no cache. */
export async function instanceIn(kube: Kube, namespace: string): Promise<Instance | undefined> {
  const get = <T>(path: string) => kube.call<T>({ method: 'GET', path }).catch(() => undefined);
  const deployment = await get<Deployment>(`/apis/apps/v1/namespaces/${namespace}/deployments/bazel-remote`);
  if (!deployment) return undefined;
  const secret = await get<Secret>(`/api/v1/namespaces/${namespace}/secrets/bazel-remote-htpasswd`);
  const args = deployment.spec.template.spec.containers[0]?.args ?? [];
  const htpasswd = secret?.data?.['htpasswd'];
  const gib = Number(args.find((arg) => arg.startsWith('--max_size='))?.split('=')[1] ?? 1);
  return {
    htpasswd: htpasswd === undefined ? undefined : Buffer.from(htpasswd, 'base64').toString(),
    allowUnauthenticatedReads: args.includes('--allow_unauthenticated_reads'),
    maxBytes: gib * 1024 ** 3,
  };
}
