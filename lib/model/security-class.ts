/*
 * How much a pool's pods may do beyond a runner's own work: guarantees of isolation, and what each costs. The words are those
 * that people read before they choose.
 */

export const securityClasses = ['restricted', 'builds', 'dind'] as const;
export type SecurityClass = (typeof securityClasses)[number];

/** A class whose pods have a daemon beside the runner, in a namespace of their own, once an operator allowed it the tenant. */
export type DaemonClass = Exclude<SecurityClass, 'restricted'>;

export function hasDaemon(securityClass: SecurityClass): securityClass is DaemonClass {
  return securityClass !== 'restricted';
}

export type ClassWords = { title: string; gives: string; costs: string };

export const securityClassWords: Record<SecurityClass, ClassWords> = {
  restricted: {
    title: 'Restricted',
    gives:
      'Jobs with no privilege at all: Kubernetes’ own standard “restricted” holds every pod, and a user namespace or a kernel of its own.',
    costs: 'Nothing. Container images are built only by what needs no daemon, such as Nix.',
  },
  builds: {
    title: 'Builds',
    gives:
      'Container images, by a rootless BuildKit beside each runner: jobs find it in BUILDKIT_HOST. No container is privileged, and no user of the pod is one of the node.',
    costs:
      'BuildKit’s container has no seccomp and no AppArmor profile, so that more of the node’s kernel is within a build’s reach. The pods live in a namespace of their own that enforces no Pod Security standard: the cluster’s admission policy holds them instead. An operator allows it a tenant.',
  },
  dind: {
    title: 'Docker in Docker',
    gives: 'A Docker daemon of its own beside each runner: jobs find it in DOCKER_HOST, and may run any container.',
    costs:
      'The daemon’s container is privileged, so whoever runs a job is root in its pod: the pod must be a virtual machine (Kata Containers, or another that the operator states) on nodes that run nothing else. An operator allows it a tenant.',
  },
};
