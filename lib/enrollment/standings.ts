import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Cancel, Forge, MembershipScope, ScopeRole, TeamChoice } from '#lib/forge/index.ts';
import type { ScopeLevel } from '#lib/model/index.ts';
import {
  type FollowedIdentity,
  type ForgeStanding,
  followedTeams,
  followForgesBy,
  type PersonCtx,
  scopeKey,
  type Told,
  userToken,
} from '#lib/tenant/index.ts';
import { atScope } from './at-scope.ts';
import { actAs, openForge, openForgeFor } from './connections.ts';
import { ownAppStandings } from './github-app.ts';
import { type EnrollmentRow, withPosition } from './rows.ts';

/* What people are on a forge: where the roles of tenants come from. lib/tenant keeps them, and asks nothing itself. */

/** Everything that a person's own token tells of them there, and what only an organization's own App tells. */
export async function standingsBy(whose: Whose): Promise<Told> {
  const { connectionId, userToken, signal } = whose;
  const forge = await openForge(connectionId);
  const teamIds = await followedTeams(connectionId);
  const listed = await forge.listMembershipScopes({ userToken, teamIds, signal });
  const { standings: accounts, broken, limited } = await ownAppStandings(connectionId, listed);
  const scopes = await scopeStandings(forge, whose, accounts);
  const untold = new Set([...broken, ...limited, ...scopes.untold]);
  const standings = [...accounts, ...scopes.found];
  // The stricter of two: what can be asked again in a while proves nothing meanwhile.
  if (untold.size > broken.size) return { standings, untold, trouble: 'away' };
  return { standings, untold, trouble: broken.size > 0 ? 'untold' : null };
}

type Whose = Cancel & { connectionId: string; userId: string; userToken: string };

/** Levels at which somebody may administer a scope without owning the account that it belongs to. */
const ownLevels: ScopeLevel[] = ['repository', 'project', 'group', 'instance'];
const scopesMost = 50;

/**
 * Enrolled scopes that the person administers by themselves: a repository's admin, a project's Maintainer. Only of tenants that
 * they are in already, since nobody else enrolled them; ids are compared, since a path may be another's by now.
 */
async function scopeStandings(
  forge: Forge,
  { connectionId, userId, userToken, signal }: Whose,
  accounts: readonly MembershipScope[],
): Promise<{ found: ForgeStanding[]; untold: string[] }> {
  const owned = accounts.filter(({ of, role }) => of === 'account' && role === 'admin').map(({ ownerId }) => ownerId);
  const theirs = { members: { some: { userId, source: 'forge' as const } } };
  const rows = await unsafeDb().enrollment.findMany({
    where: { connectionId, state: { not: 'withdrawn' }, level: { in: ownLevels }, tenant: theirs },
    select: { level: true, path: true, scopeId: true, ownerId: true },
    take: scopesMost,
  });
  const found: ForgeStanding[] = [];
  const untold: string[] = [];
  for (const { level, path, scopeId, ownerId } of rows) {
    if (ownerId !== null && owned.includes(ownerId)) continue;
    const scope = await forge.findScope({ userToken, level, path, signal }).catch(whyNot);
    if (scope === 'untold') untold.push(scopeKey({ level, scopeId }));
    else if (scope?.role === 'admin' && scope.scopeId === scopeId)
      found.push({ of: 'scope', ownerId: scopeKey({ level, scopeId }), login: path, role: 'admin' });
  }
  return { found, untold };
}

/** One that they are refused (a sign-on of the organization's own, a list of addresses) says nothing of what else they are there. */
function whyNot(error: unknown): null | 'untold' {
  if (error instanceof AppError && error.code === 'not_found') return null;
  if (error instanceof AppError && (error.code === 'forbidden' || error.code === 'invalid')) return 'untold';
  throw error;
}

/**
 * The teams of an organization (subgroups of a group) that this person is shown, for a tenant to be bound to one: its `id` is
 * the tenant's `teamExternalId`. Whether they may bind it is the caller's to ask, by their role in the organization.
 */
export async function listTeamsOf(by: PersonCtx, connectionId: string, orgPath: string): Promise<TeamChoice[]> {
  const { forge, token } = await actAs(by, connectionId);
  return forge.listTeams({ userToken: token, path: orgPath });
}

// ------------------------------------------------------------------------------------------------ looking again

/** Called once where a process starts that serves people: from then on their roles are looked at again as they are used. */
export function followForges(): void {
  followForgesBy(askForge);
}

/**
 * What somebody is on a forge now: by their own token; where that has ended, was never kept, or is limited, by the credentials
 * of what their tenants enrolled there. Those tell of an account at a time, and some of none: such accounts are `untold`.
 */
export async function askForge(identity: FollowedIdentity, signal: AbortSignal): Promise<Told> {
  const forge = await openForge(identity.connectionId);
  try {
    return await standingsOf(identity, forge, signal);
  } catch (error) {
    if (!(error instanceof AppError) || !['unauthenticated', 'rate_limited'].includes(error.code)) throw error;
    const told = await askByScopes(identity, signal);
    // Who can sign in again to be told of is to do so; a forge that leaves no token tells nothing more by that.
    if (!forge.signIn.keepsToken) return { ...told, trouble: 'untold' };
    if (told.standings.length === 0 && told.untold.size > 0) throw error;
    return { ...told, trouble: error.code === 'rate_limited' ? 'limited' : 'ended' };
  }
}

/** Until when nothing is sent by a person's token, which its forge limits (F13); the process that sent it knows. */
const limitedUntilMs = new Map<string, number>();

async function standingsOf(identity: FollowedIdentity, forge: Forge, signal: AbortSignal): Promise<Told> {
  const leftMs = (limitedUntilMs.get(identity.id) ?? 0) - Date.now();
  if (leftMs > 0) throw stillLimited(leftMs);
  limitedUntilMs.delete(identity.id);
  try {
    const { connectionId, userId } = identity;
    const token = await userToken(identity, (refreshToken) => forge.signIn.refresh(refreshToken, { signal }));
    return await standingsBy({ connectionId, userId, userToken: token, signal });
  } catch (error) {
    if (error instanceof AppError && error.retryAfterMs !== undefined)
      limitedUntilMs.set(identity.id, Date.now() + error.retryAfterMs);
    throw error;
  }
}

function stillLimited(retryAfterMs: number): AppError {
  return new AppError('rate_limited', {
    log: `the person's limit lasts ${retryAfterMs} ms more`,
    retryAfterMs,
    screen: { happened: 'The forge answers no more questions about you for now.', todo: 'It goes on by itself.' },
  });
}

/** One enrollment may not be able to tell what another of the same account can; this many are tried. */
const triesMost = 5;

async function askByScopes(identity: FollowedIdentity, signal: AbortSignal): Promise<Omit<Told, 'trouble'>> {
  const { userId, connectionId } = identity;
  const rows = await unsafeDb().enrollment.findMany({
    where: { connectionId, state: { not: 'withdrawn' }, tenant: { members: { some: { userId, source: 'forge' } } } },
    include: withPosition,
  });
  const bound = await unsafeDb().tenant.findMany({
    where: { teamConnectionId: connectionId, members: { some: { userId, source: 'forge' } } },
    select: { teamExternalId: true },
  });
  // A credential is of an account: of the teams in it, it tells nothing.
  const untold = new Set(bound.flatMap(({ teamExternalId }) => teamExternalId ?? []));
  const standings: MembershipScope[] = [];
  const byOwner = Map.groupBy(rows, ({ ownerId }) => ownerId);
  for (const [ownerId, theirs] of byOwner) {
    if (ownerId === null) continue;
    const role = await roleAt(theirs.slice(0, triesMost), ownerId, identity, signal);
    if (role === null) untold.add(ownerId);
    else if (role !== 'none') standings.push({ of: 'account', ownerId, login: ownerId, role });
    // Who administers a repository alone is not told of by its organization's.
    if (role !== 'admin') for (const row of theirs) if (ownLevels.includes(row.level)) untold.add(scopeKey(row));
  }
  return { standings, untold };
}

async function roleAt(
  rows: readonly EnrollmentRow[],
  ownerId: string,
  person: FollowedIdentity,
  signal: AbortSignal,
): Promise<ScopeRole | null> {
  for (const row of rows) {
    const at = await atScope(row, signal);
    if (!at) continue;
    const role = await (await openForgeFor(row)).standingAt({ ...at, ownerId, person }).catch(asUntold);
    if (role !== null) return role;
  }
  return null;
}

/** A credential that is refused tells nothing; a forge that is away is away for all of them. */
function asUntold(error: unknown): null {
  if (error instanceof AppError && ['forbidden', 'unauthenticated', 'not_found', 'rate_limited'].includes(error.code))
    return null;
  throw error;
}
