import { hasDaemon, namespacesOf } from '#lib/model/index.ts';
import { bazelClaim, bazelIngress, bazelObjects } from './bazel-objects.ts';
import { forgejoPoolObjects } from './forgejo-objects.ts';
import { authorityObjects, credentialsSecretName, githubPoolObjects, githubSecret } from './github-objects.ts';
import { gitlabPoolObjects } from './gitlab-objects.ts';
import {
  cacheSecrets,
  cacheSecretsOf,
  secret,
  type EnrollmentInput,
  type KubernetesObject,
  type PoolInput,
  type Registration,
} from './objects.ts';
import { tenantObjects } from './tenant-objects.ts';

/* Every Kubernetes object that an enrollment stands for, as pure functions of values. */

export { bazelClaim, bazelIngress, bazelObjects, credentialsSecretName, tenantObjects };
export { managerRules } from './github-objects.ts';
export { gitlabManagerRules } from './gitlab-objects.ts';
export {
  cacheSecretName,
  cacheSecretNames,
  enrollmentLabel,
  hashAnnotations,
  managedBy,
  placementOf,
  poolLabel,
  redacted,
  runnerNamesOf,
  runnerPrefix,
  sealedValue,
  tenantLabel,
  type AdoptedSet,
  type BuildsInput,
  type ControllerInput,
  type EnrollmentInput,
  type ForgejoRegistration,
  type GithubCredentials,
  type GithubRegistration,
  type GitlabRegistration,
  type KubernetesObject,
  type PlacementInput,
  type PoolInput,
  type Registration,
  type RunnersInput,
  type TenantInput,
} from './objects.ts';
export { managerSize, publicInternet } from './tenant-objects.ts';

/**
 * The Secrets of an enrollment, and the ConfigMap of its forge's own authority, in each namespace where its pools run. They
 * outlive the runner sets that need them. Beside daemons there is no more than those pools read.
 */
export function secretObjects(input: EnrollmentInput): KubernetesObject[] {
  const { runners, dind } = namespacesOf(input.tenant.slug);
  const fenced = input.pools.filter(({ pool }) => !hasDaemon(pool.securityClass));
  const apart = input.pools.filter(({ pool }) => hasDaemon(pool.securityClass));
  const read = new Set(apart.flatMap((choice) => Object.values(cacheSecretsOf(input, choice))));
  return [
    ...(fenced.length > 0 ? [...forgeSecrets(input, runners), ...cacheSecrets(input, runners)] : []),
    ...(apart.length > 0
      ? [...forgeSecrets(input, dind), ...cacheSecrets(input, dind).filter(({ metadata }) => read.has(metadata.name))]
      : []),
  ];
}

function forgeSecrets(input: EnrollmentInput, namespace: string): KubernetesObject[] {
  const { registration } = input;
  if (registration.kind !== 'github') return [];
  const credentials = githubSecret(registration.credentials);
  return [
    secret(credentialsSecretName(input.name), namespace, input, credentials),
    ...authorityObjects(input, namespace),
  ];
}

/** Everything of one pool, in an order in which each finds what it needs. */
export function poolObjects(input: EnrollmentInput, choice: PoolInput): KubernetesObject[] {
  const { registration } = input;
  if (registration.kind === 'github') return githubPoolObjects(input, registration, choice);
  if (registration.kind === 'gitlab') return gitlabPoolObjects(input, registration, choice);
  return forgejoPoolObjects(input, registration, choice);
}

/** Pods that stand beside the runners of these pools: GitLab's managers. */
export function managersOf(kind: Registration['kind'], pools: readonly Pick<PoolInput, 'maxRunners'>[]): number {
  return kind === 'gitlab' ? pools.filter(({ maxRunners }) => maxRunners > 0).length : 0;
}

/** All objects of an enrollment in an order in which each finds what it needs. */
export function enrollmentObjects(input: EnrollmentInput): KubernetesObject[] {
  return [
    ...tenantObjects(input.tenant),
    ...bazelObjects(input),
    ...secretObjects(input),
    ...input.pools.flatMap((choice) => poolObjects(input, choice)),
  ];
}
