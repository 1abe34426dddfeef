import type { AtScope, Forge, ScopeProblem } from '#lib/forge/index.ts';
import { isOwned } from '#lib/cluster/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { webhookUrl } from './at-scope.ts';
import type { PhaseResult } from './conditions.ts';
import { clusterKnown, ok, wait, type PassScope, type Phase } from './pass.ts';
import { removeShared, removeView, untilGone } from './planes.ts';
import { dropAllRunners } from './registration.ts';
import { remove, removeKept, removePools, stuck } from './removal.ts';

async function setsGone(scope: PassScope): Promise<PhaseResult> {
  const away = await clusterKnown(scope);
  if (away) return away;
  return (await removePools(scope, () => true)) ?? ok('All runners are stopped and gone.');
}

async function secretsGone(scope: PassScope): Promise<PhaseResult> {
  const left = await removeKept(scope, () => true);
  return left ? stuck(left.kind, left) : ok('The credentials are gone from the cluster.');
}

async function forgeGone(scope: PassScope): Promise<PhaseResult> {
  const { row } = scope;
  const isOurs = row.connection.kind !== 'github';
  if (!isOurs && row.runnerGroup === null) return nothingLeft;
  const enrolled = await scope.at();
  if (!enrolled) return nothingLeft;
  const forge = await scope.forge();
  const now = await forge.observeScope(enrolled);
  if (now.problem) return withoutPower(scope, now.problem);
  const credential =
    now.installation === null
      ? enrolled.credential
      : { kind: 'installation' as const, installationId: now.installation.id };
  const at = { ...enrolled, credential, path: now.path };
  if (isOurs) {
    await dropAllRunners(scope);
    await scope.lease.check();
    await forge.removeWebhook({ ...at, url: webhookUrl(row) });
  } else await removeGroup(scope, forge, at);
  return nothingLeft;
}

const nothingLeft = ok('Nothing of ours is left at the forge.');

async function removeGroup({ row, lease }: PassScope, forge: Forge, at: AtScope): Promise<void> {
  const group = await forge.observeRunnerGroup({ ...at, name: row.runnerGroup ?? '' });
  if (!group) return;
  await lease.check();
  await forge.removeRunnerGroup({ ...at, id: group.id });
}

/**
 * Without the App we may neither look nor remove; what is left is an empty runner group that serves nobody. Without a token
 * that works, registrations would be left, so a new one is waited for; a scope that is gone took them with it.
 */
function withoutPower({ row }: PassScope, { reason, message }: ScopeProblem): PhaseResult {
  if (reason === 'ScopeGone') return ok(`${row.path} is gone from the forge, and our registrations with it.`);
  if (row.installationId !== null)
    return ok(`The App is gone from ${row.path}, and our way to its runner group with it.`);
  return wait(reason, `${message} Enter a working access token, so that our registrations can be removed.`, 'admin');
}

async function cacheGone(scope: PassScope): Promise<PhaseResult> {
  const { attic } = await scope.shared();
  return ok(attic ? 'The tenant’s view stays for its other enrollments.' : await removeView(scope));
}

async function namespaceGone(scope: PassScope): Promise<PhaseResult> {
  const { row, view } = scope;
  if (!(await scope.isLast()))
    return (await removeShared(scope)) ?? ok('The namespace stays for the tenant’s other enrollments.');
  const { runners, bazel } = namespacesOf(row.tenant.slug);
  const present = () =>
    [runners, bazel]
      .flatMap((name) => view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }) ?? [])
      .filter((namespace) => isOwned(namespace, row.tenant.slug));
  for (const namespace of present()) await remove(scope, namespace);
  await untilGone(scope, present);
  const left = present()[0];
  return left ? stuck('Namespace', left) : ok('The namespaces are gone.');
}

/** The only order that does not wedge: each step needs what the next ones take away. */
export const withdrawPhases: readonly Phase[] = [
  { type: 'SetsGone', label: 'Runners stopped', needs: [], run: setsGone },
  { type: 'SecretsGone', label: 'Credentials removed', needs: ['SetsGone'], run: secretsGone },
  { type: 'ForgeGone', label: 'Forge cleared', needs: ['SetsGone'], run: forgeGone },
  { type: 'CacheGone', label: 'Cache view removed', needs: ['SetsGone'], run: cacheGone },
  { type: 'NamespaceGone', label: 'Namespaces removed', needs: ['SecretsGone'], run: namespaceGone },
];
