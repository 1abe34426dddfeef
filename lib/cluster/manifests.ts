import { bazelClaim, bazelIngress, bazelObjects } from './bazel-objects.ts';
import { forgejoPoolObjects } from './forgejo-objects.ts';
import { authorityObjects, credentialsSecretName, githubPoolObjects, githubSecret } from './github-objects.ts';
import { gitlabPoolObjects } from './gitlab-objects.ts';
import {
  cacheSecrets,
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
  type TenantInput,
} from './objects.ts';
export { managerSize, publicInternet } from './tenant-objects.ts';

/** The Secrets of an enrollment, and the ConfigMap of its forge's own authority. They outlive the runner sets that need them. */
export function secretObjects(input: EnrollmentInput): KubernetesObject[] {
  const { registration } = input;
  return [
    ...(registration.kind === 'github'
      ? [
          secret(credentialsSecretName(input.name), input, githubSecret(registration.credentials)),
          ...authorityObjects(input),
        ]
      : []),
    ...cacheSecrets(input),
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
