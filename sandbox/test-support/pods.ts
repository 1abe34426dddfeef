// The pods of an enrolled tenant, as whoever makes them makes them.
import { gitlabConfig } from '#sandbox/runners/config.ts';
import { jobPod } from '#sandbox/runners/job-pod.ts';
import type { KubernetesObject } from '#lib/cluster/index.ts';

export type Container = Record<string, unknown> & { name: string };
export type Pod = {
  metadata: { labels?: Record<string, string> };
  spec: Record<string, unknown> & { containers: Container[] };
};
export type MadePod = { namespace: string; name: string; pod: Pod };

function templates(objects: readonly KubernetesObject[], kind: string): MadePod[] {
  return objects
    .filter((object) => object.kind === kind)
    .map(({ metadata, spec }) => ({
      namespace: metadata.namespace ?? '',
      name: metadata.name,
      pod: structuredClone((spec as { template: Pod }).template),
    }));
}

/** What ARC adds to its template: where the runner reads its registration (its resourcebuilder.go, 0.14.2). */
function withRegistration(made: MadePod): MadePod {
  const secretKeyRef = { name: `${made.name}-runner-x7k2m`, key: 'jitToken' };
  const [runner] = made.pod.spec.containers;
  if (runner)
    runner['env'] = [
      ...((runner['env'] as object[] | undefined) ?? []),
      { name: 'ACTIONS_RUNNER_INPUT_JITCONFIG', valueFrom: { secretKeyRef } },
      { name: 'GITHUB_ACTIONS_RUNNER_EXTRA_USER_AGENT', value: 'actions-runner-controller/0.14.2' },
    ];
  return made;
}

function gitlabJobs(objects: readonly KubernetesObject[]): MadePod[] {
  return objects.flatMap(({ kind, metadata, data }) => {
    const text = kind === 'Secret' ? (data as Record<string, string>)['config.toml'] : undefined;
    if (text === undefined) return [];
    const config = gitlabConfig(Buffer.from(text, 'base64').toString());
    const job = { id: 1, projectId: 2, image: null, services: ['postgres:18'], timeoutSeconds: 3600 };
    const { metadata: made, spec } = jobPod(config.runners[0], job) as unknown as Pod;
    // gitlab-runner sends these though nothing is configured (GetAffinity, getHostAliases of its executor).
    const sent = { ...spec, affinity: {}, hostAliases: [{ ip: '127.0.0.1', hostnames: ['postgres'] }] };
    return [
      {
        namespace: metadata.namespace ?? '',
        name: `${metadata.name}-job`,
        pod: { metadata: made.labels ? { labels: made.labels } : {}, spec: sent },
      },
    ];
  });
}

/** Pods of runner sets, of Deployments and of GitLab's jobs. */
export function podsOf(objects: readonly KubernetesObject[]): MadePod[] {
  return [
    ...templates(objects, 'AutoscalingRunnerSet').map(withRegistration),
    ...templates(objects, 'Deployment'),
    ...gitlabJobs(objects),
  ];
}
