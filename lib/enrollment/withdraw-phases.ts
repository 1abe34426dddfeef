import { isLater } from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';
import type { AtScope, Forge, ScopeObservation, ScopeProblem } from '#lib/forge/index.ts';
import { webhookUrl } from './at-scope.ts';
import type { PhaseResult } from './conditions.ts';
import { clusterKnown, ok, wait, type PassScope, type Phase } from './pass.ts';
import { removeShared, removeViews, untilGone } from './planes.ts';
import { dropAllRunners, leaveRunners } from './registration.ts';
import { newerWords } from './found.ts';
import { namespacesThere, remove, removeKept, removePools, stopPods, stuck } from './removal.ts';

async function setsGone(scope: PassScope): Promise<PhaseResult> {
  const away = await clusterKnown(scope);
  if (away) return away;
  const waiting = await removePools(scope, () => true);
  // ARC sees to its own; what we started ourselves is told to end, since a withdrawal waits for no job.
  const left = scope.row.connection.kind === 'github' ? undefined : await stopPods(scope);
  if (waiting) return waiting;
  return left ? stuck('Pod', left) : ok('All runners are stopped and gone.');
}

async function secretsGone(scope: PassScope): Promise<PhaseResult> {
  const left = await removeKept(scope, () => true);
  return left ? stuck(left.kind, left) : ok('The credentials are gone from the cluster.');
}

async function forgeGone(scope: PassScope): Promise<PhaseResult> {
  const at = await scope.at();
  if (!at) return nothingLeft;
  const isGithub = scope.row.connection.kind === 'github';
  if (isGithub && scope.row.runnerGroup === null) return nothingLeft;
  const forge = await scope.forge();
  const now = await forge.observeScope(at);
  return isGithub ? groupGone(scope, forge, at, now) : registrationsGone(scope, forge, at, now);
}

const nothingLeft = ok('Nothing of ours is left at the forge.');

// ------------------------------------------------------------------------------------------------ GitHub: a runner group

async function groupGone(
  scope: PassScope,
  forge: Forge,
  at: AtScope,
  { problem, path, installation }: ScopeObservation,
): Promise<PhaseResult> {
  if (problem) return groupUnseen(scope, problem);
  const credential =
    installation === null ? at.credential : { kind: 'installation' as const, installationId: installation.id };
  await removeGroup(scope, forge, { ...at, credential, path });
  return nothingLeft;
}

async function removeGroup({ row, lease }: PassScope, forge: Forge, at: AtScope): Promise<void> {
  const group = await forge.observeRunnerGroup({ ...at, name: row.runnerGroup ?? '' });
  if (!group) return;
  await lease.check();
  await forge.removeRunnerGroup({ ...at, id: group.id });
}

/** What may be left is an empty group that serves nobody; who has only to give another token is waited for. */
function groupUnseen({ row }: PassScope, problem: ScopeProblem): PhaseResult {
  const { path, runnerGroup } = row;
  if (problem.reason === 'ScopeGone')
    return ok(`${path} is not visible any more; if it still exists, remove its runner group ${runnerGroup} there.`);
  if (row.installationId === null) return waitForToken(problem);
  return ok(
    `The App may no longer look at ${path}; if its runner group ${runnerGroup} is still there, it serves nobody and an owner may remove it.`,
  );
}

// ------------------------------------------------------------------------------------------------ elsewhere: registrations and a hook

/** What only another token, or more rights for it, heals. Whatever else is wrong, removing is tried. */
const tokenProblems: readonly ScopeProblem['reason'][] = ['TokenEnded', 'TokenScopeMissing', 'RoleMissing'];

async function registrationsGone(
  scope: PassScope,
  forge: Forge,
  at: AtScope,
  { problem, path }: ScopeObservation,
): Promise<PhaseResult> {
  if (problem?.reason === 'ScopeGone') return registrationsUnseen(scope);
  if (problem && tokenProblems.includes(problem.reason)) {
    await leaveRunners(scope);
    return waitForToken(problem);
  }
  try {
    await dropAllRunners(scope);
    await scope.lease.check();
    await forge.removeWebhook({ ...at, path, url: webhookUrl(scope.row) });
    return nothingLeft;
  } catch (error) {
    if (!problem || !isRefusal(error)) throw error;
    const who = problem.reason === 'ServerTooOld' ? 'operator' : 'admin';
    return wait(problem.reason, `${problem.message} Until then our registrations there cannot be removed.`, who);
  }
}

/** No retry heals it: the forge answered, and the answer was no. */
function isRefusal(error: unknown): boolean {
  return error instanceof AppError && ['forbidden', 'not_found', 'invalid'].includes(error.code);
}

function waitForToken({ reason, message }: ScopeProblem): PhaseResult {
  return wait(reason, `${message} Enter a working access token, so that our registrations can be removed.`, 'admin');
}

/**
 * A scope that is gone took all with it, and one that hides itself from our token did not; we cannot tell them apart. What a
 * registration can do for itself is done, and the rest is said.
 */
async function registrationsUnseen(scope: PassScope): Promise<PhaseResult> {
  const { path, level } = scope.row;
  const left = await leaveRunners(scope);
  if (level !== 'instance') left.push(`the webhook to ${webhookUrl(scope.row)}`);
  const seen = `${path} is not visible to our access token any more`;
  return ok(left.length === 0 ? `${seen}.` : `${seen}; if it still exists, remove ${left.join(' and ')} there.`);
}

async function cacheGone(scope: PassScope): Promise<PhaseResult> {
  const { attic } = await scope.shared();
  return ok(attic ? 'The tenant’s view stays for its other enrollments.' : await removeViews(scope));
}

async function namespaceGone(scope: PassScope): Promise<PhaseResult> {
  if (!(await scope.isLast()))
    return (await removeShared(scope)) ?? ok('The namespace stays for the tenant’s other enrollments.');
  const { decidedAt } = await scope.shared();
  const present = () => namespacesThere(scope).filter((namespace) => !isLater(namespace, decidedAt));
  for (const namespace of present()) await remove(scope, namespace);
  await untilGone(scope, present);
  const left = present()[0];
  if (left) return stuck('Namespace', left);
  const newer = namespacesThere(scope).map(({ metadata }) => metadata.name);
  return newer.length === 0 ? ok('The namespaces are gone.') : ok(newerWords(newer));
}

/** The only order that does not wedge: each step needs what the next ones take away. */
export const withdrawPhases: readonly Phase[] = [
  { type: 'SetsGone', label: 'Runners stopped', needs: [], run: setsGone },
  { type: 'SecretsGone', label: 'Credentials removed', needs: ['SetsGone'], run: secretsGone },
  { type: 'ForgeGone', label: 'Forge cleared', needs: ['SetsGone'], run: forgeGone },
  { type: 'CacheGone', label: 'Cache view removed', needs: ['SetsGone'], run: cacheGone },
  { type: 'NamespaceGone', label: 'Namespaces removed', needs: ['SecretsGone'], run: namespaceGone },
];
