import { observeAtticView } from '#lib/cache/index.ts';
import { atticServerOf } from '#lib/caching/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { atticViewName, untrustedViewName } from '#lib/model/index.ts';
import { atScope } from './at-scope.ts';
import { openForgeFor } from './connections.ts';
import { parsedConditions } from './conditions.ts';
import { groupName } from './plan.ts';
import { enrollmentRow } from './rows.ts';

/* What is still there of a tenant that was withdrawn, looked for outside and not in our own tables. */

/** One thing that was looked for: what, whether it is gone, and how we know. */
export type Evidence = { where: 'forge' | 'cluster' | 'cache'; what: string; gone: boolean; how: string };

/**
 * What an enrollment had at its forge. Where our power over the scope ended with it, the forge cannot be asked anew, and what
 * the withdrawal itself saw is all there is: it says so.
 */
export async function forgeStillThere(enrollmentId: string): Promise<Evidence> {
  const row = await enrollmentRow(enrollmentId);
  if (!row) throw new Error(`enrollment ${enrollmentId} is no more`);
  const what = `${row.path || row.connection.name} at ${row.connection.name}`;
  const seen = parsedConditions(row.conditions).find(({ type }) => type === 'ForgeGone');
  const kept: Evidence = {
    where: 'forge',
    what,
    gone: seen?.status === 'True',
    how: `When it was withdrawn: ${seen?.message ?? 'nothing was seen.'}`,
  };
  const at = row.connection.kind === 'github' ? await atScope(row) : null;
  if (!at) return kept;
  try {
    const forge = await openForgeFor(row);
    const now = await forge.observeScope(at);
    if (now.problem) return { ...kept, how: `${kept.how} The forge cannot be asked anew: ${now.problem.message}` };
    const group = await forge.observeRunnerGroup({ ...at, path: now.path, name: groupName(row) });
    return {
      where: 'forge',
      what,
      gone: group === null,
      how: `Asked anew: ${group ? `the runner group ${group.name} is there.` : 'no runner group of ours.'}`,
    };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { ...kept, how: `${kept.how} The forge cannot be asked anew: ${error.screen.happened}` };
  }
}

/** The Attic views that enrollments make, on the cluster's server; null where there is no such server. */
export async function cacheStillThere(tenantId: string): Promise<Evidence | null> {
  const tenant = await unsafeDb().tenant.findUniqueOrThrow({ where: { id: tenantId } });
  const server = await atticServerOf(tenant);
  if (!server) return null;
  const names = [atticViewName(tenant.slug), untrustedViewName(tenant.slug)];
  const views = await Promise.all(names.map((name) => observeAtticView({ server, name })));
  const there = views.flatMap((view) => (view ? [view.name] : []));
  return {
    where: 'cache',
    what: `Attic views ${names.join(', ')}`,
    gone: there.length === 0,
    how: there.length > 0 ? `Asked anew: ${there.join(', ')} is there.` : 'Asked anew: the server knows no such view.',
  };
}
