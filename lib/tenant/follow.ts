import { type MembershipSource, type Role, unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { log } from '#lib/log.ts';
import { TenantSlug } from '#lib/model/index.ts';
import type { PersonCtx } from './ctx.ts';
import { forgeRolesOf, type ForgeStanding, syncMemberships } from './standings.ts';
import { confirmFirst, isFresh } from './step-up.ts';

/*
 * A role that follows a forge is as old as the last look there (A14). A look is due when it is used and older than 45 s; one at a
 * time for each account of a person, whoever of any number of processes comes first, and never for longer than four seconds.
 * Where the forge cannot be asked, what was known holds for seeing, for a stated time; what changes something asks anew each
 * time and is refused where it cannot.
 */

/** A role is looked at again when it is used and older than this: with the time a look may take, within a minute. */
export const checkEveryMs = 45_000;
/** How long a page waits for a look; it is answered by what was known before, then. */
const checkLimitMs = 4_000;
/** And how long what changes something waits. */
const askLimitMs = 10_000;
/** A look that did not come about is not begun again before this. */
const retryMs = 20_000;
/** Whoever's last look is no older than this was looked at just now. */
const currentMs = 60_000;
/** Seeing goes on for this long while the forge is away or limits us: longer than a primary limit of GitHub's lasts. */
export const seeingMs = 2 * 3_600_000;
/** And for this long since the last sign-in where nothing but signing in can tell (Forgejo, without any access token). */
export const untoldMs = 12 * 3_600_000;

export type FollowedIdentity = { id: string; userId: string; connectionId: string; subject: string; login: string };

/** Why a look told nothing, or not all. `untold`: nothing but signing in tells there. */
export type Trouble = 'away' | 'limited' | 'ended' | 'untold';

/** What a forge says of somebody, and the accounts that it could not be asked about, with the reason. */
export type Told = { standings: ForgeStanding[]; untold: ReadonlySet<string>; trouble: Trouble | null };

/** Asks a forge about one of its accounts. This room knows no forge: whoever starts the process says how. */
export type AskForge = (identity: FollowedIdentity, signal: AbortSignal) => Promise<Told>;

type Held = { flywheelAskForge?: AskForge; flywheelChecks?: Map<string, Promise<void>> };
// Next loads a module once for each bundle; there is one asker and one list of what is under way in a process.
const held = globalThis as typeof globalThis & Held;

export function followForgesBy(ask: AskForge): void {
  held.flywheelAskForge = ask;
}

// ------------------------------------------------------------------------------------------------ looking again

/** Before a role is used: looks again at what is due, and waits for it no longer than a page may take. */
export async function keepStandings({ person }: PersonCtx, now = new Date()): Promise<void> {
  if (!held.flywheelAskForge) return;
  const due = await dueIdentities(person.userId, now);
  await Promise.all(due.map((identity) => checkOnce(identity, now)));
}

async function dueIdentities(userId: string, now: Date): Promise<FollowedIdentity[]> {
  const before = new Date(now.getTime() - checkEveryMs);
  return unsafeDb().$queryRaw<FollowedIdentity[]>`
    /* prepared: due_identities */
    select i.id, i.user_id as "userId", i.connection_id as "connectionId", i.subject, i.login
    from identity i
    where i.user_id = ${userId}::uuid
      and (i.next_check_at is null or i.next_check_at <= ${now})
      and (i.check_wanted_at > coalesce(i.checked_at, 'epoch')
           or (coalesce(i.checked_at, 'epoch') <= ${before} and exists (
                 select from membership m
                 where m.user_id = i.user_id and m.source = 'forge'
                   and (m.forge_roles = '{}' or jsonb_exists(m.forge_roles, i.connection_id)))))`;
}

/** Those of the same process wait for the one that is under way; those of another go on with what is known. */
function checkOnce(identity: FollowedIdentity, now: Date): Promise<void> {
  const checks = (held.flywheelChecks ??= new Map());
  const running = checks.get(identity.id);
  if (running) return running;
  const work = check(identity, now).finally(() => checks.delete(identity.id));
  checks.set(identity.id, work);
  return work;
}

async function check(identity: FollowedIdentity, now: Date): Promise<void> {
  if (!(await claim(identity, now))) return;
  await ask(identity, now, checkLimitMs).catch((error: unknown) => noteTrouble(identity, error, now));
}

/** One of all processes; whoever dies with it lets go of it by the time that it names. */
async function claim({ id }: FollowedIdentity, now: Date): Promise<boolean> {
  const { count } = await unsafeDb().identity.updateMany({
    where: { id, OR: [{ nextCheckAt: null }, { nextCheckAt: { lte: now } }] },
    data: { nextCheckAt: new Date(now.getTime() + retryMs) },
  });
  return count === 1;
}

async function ask(identity: FollowedIdentity, now: Date, limitMs: number): Promise<Trouble | null> {
  const asker = held.flywheelAskForge;
  if (!asker) throw tooSlow('nobody can ask the forges');
  const { userId, connectionId } = identity;
  const told = await within(limitMs, (signal) => asker(identity, signal));
  await syncMemberships({ userId, connectionId, ...told, now });
  return told.trouble;
}

/** However the work behaves towards its signal. */
async function within<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(limitMs);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(tooSlow(`no answer within ${limitMs} ms`)), { once: true });
  });
  return Promise.race([work(signal), late]);
}

function tooSlow(reason: string): AppError {
  return new AppError('unavailable', { log: reason, screen: { happened: 'The forge does not answer in time.' } });
}

function troubleOf(error: unknown): Trouble {
  if (!(error instanceof AppError)) return 'away';
  if (error.code === 'rate_limited') return 'limited';
  return error.code === 'unauthenticated' ? 'ended' : 'away';
}

async function noteTrouble(identity: FollowedIdentity, error: unknown, now: Date): Promise<void> {
  const trouble = troubleOf(error);
  const waitMs = Math.max((error instanceof AppError ? error.retryAfterMs : undefined) ?? 0, retryMs);
  log().warn({ identityId: identity.id, trouble, reason: String(error) }, 'a role could not be looked at again');
  await unsafeDb().identity.updateMany({
    where: { id: identity.id },
    data: { checkTrouble: trouble, nextCheckAt: new Date(now.getTime() + waitMs) },
  });
}

/**
 * A webhook told that somebody's place on a forge has changed: the next use of their role looks, whenever the last look was. It is
 * a hint and no answer, and counts for people of the tenants that follow this account or a team of it: all of them where none
 * is named.
 */
export async function wantCheck(
  tx: UnsafeTx,
  { connectionId, accountId, subject }: { connectionId: string; accountId: string; subject: string | null },
  now = new Date(),
): Promise<void> {
  await tx.$executeRaw`
    update identity i
    set check_wanted_at = ${now},
        next_check_at = case when check_trouble = 'limited' then next_check_at end
    where i.connection_id = ${connectionId}
      and (${subject}::text is null or i.subject = ${subject})
      and exists (
        select from membership m
        where m.user_id = i.user_id and m.source = 'forge'
          and (m.tenant_id in (select e.tenant_id from enrollment e
                               where e.connection_id = ${connectionId} and e.owner_id = ${accountId})
               or m.tenant_id in (select t.id from tenant t
                                  where t.team_connection_id = ${connectionId}
                                    and (t.team_external_id = ${accountId}
                                         or starts_with(t.team_external_id, ${`${accountId}/`})))))`;
}

// ------------------------------------------------------------------------------------------------ what still counts

/** What has to be read of a membership to say whether its role still counts. */
export const heldFields = {
  role: true,
  source: true,
  forgeRoles: true,
  checkedAt: true,
  user: { select: { identities: { select: { connectionId: true, checkedAt: true, checkTrouble: true } } } },
} as const;

export type HeldRow = {
  role: Role | null;
  source: MembershipSource;
  forgeRoles: unknown;
  checkedAt: Date;
  user: { identities: { connectionId: string; checkedAt: Date | null; checkTrouble: string | null }[] };
};

/**
 * The role that still counts, for seeing. Throws `reauthenticate` where only signing in can tell any more, and `unavailable`
 * where the forge has been silent for too long. An operator needs no role.
 */
export function heldRole(by: PersonCtx, row: HeldRow | undefined, now: Date): Role | null {
  if (!row) return null;
  const refusal = refusalOf(row, now);
  if (!refusal) return row.role;
  if (by.person.isOperator) return null;
  throw refusal;
}

function refusalOf(row: HeldRow, now: Date): AppError | null {
  if (row.source !== 'forge' || row.role === null) return null;
  const roles = forgeRolesOf(row);
  const rests = row.user.identities.filter(
    ({ connectionId }) => connectionId in roles || Object.keys(roles).length === 0,
  );
  const looks = rests.map(({ checkedAt }) => (checkedAt ?? row.checkedAt).getTime());
  const ageMs = now.getTime() - Math.min(row.checkedAt.getTime(), ...looks);
  if (ageMs <= currentMs) return null;
  const troubles = rests.map(({ checkTrouble }) => checkTrouble);
  if (troubles.includes('ended')) return signInAgain();
  if (troubles.includes('untold')) return ageMs <= untoldMs ? null : signInAgain();
  return ageMs <= seeingMs ? null : silentTooLong();
}

function signInAgain(): AppError {
  return new AppError('reauthenticate', {
    log: 'the kept sign-in no longer tells what the person is on the forge',
    screen: {
      happened: 'Your forge no longer tells us whether you belong here.',
      todo: 'Sign in with it again, and you come back to this page. If it says the same then, ask the operator.',
    },
  });
}

function silentTooLong(): AppError {
  return new AppError('unavailable', {
    log: 'no look at the forge came about for too long',
    screen: {
      happened: 'Your forge has not told us for two hours whether you still belong here.',
      todo: 'This page comes back by itself when the forge answers again.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ before a change

/**
 * Before something sensitive: asks every forge that the person's roles follow, whenever the last look was. Throws where one
 * that the role in this tenant rests on could not be asked, so that nothing is changed by a role that may be gone.
 */
export async function askAnew(by: PersonCtx, slug: string, now = new Date()): Promise<void> {
  if (!TenantSlug.safeParse(slug).success) return;
  const { userId } = by.person;
  const identities = await followedIdentities(userId);
  const answers = await Promise.all(identities.map((identity) => askOrWhyNot(identity, now)));
  const row = await unsafeDb().membership.findFirst({ where: { userId, tenant: { slug } } });
  if (row ? row.source !== 'forge' : by.person.isOperator) return;
  const roles = row ? Object.keys(forgeRolesOf(row)) : [];
  const rests = answers.filter(({ connectionId }) => roles.length === 0 || roles.includes(connectionId));
  const refusal = rests.find(({ error }) => error !== null)?.error;
  if (refusal) throw refusal;
  // Everything that was told is in the row; one that was not looked at is of an account that nobody could be asked about.
  if (!row || row.checkedAt >= now) return;
  const trouble = rests.find((answer) => answer.trouble !== null)?.trouble ?? 'untold';
  if (trouble !== 'untold') throw cannotAsk(trouble, undefined);
  // Nothing but a sign-in tells there, so that the last one has to be fresh.
  if (!isFresh(by, now)) throw confirmFirst();
}

type Answer = { connectionId: string; error: AppError | null; trouble: Trouble | null };

async function followedIdentities(userId: string): Promise<(FollowedIdentity & Waits)[]> {
  const follows = await unsafeDb().membership.count({ where: { userId, source: 'forge' } });
  if (follows === 0) return [];
  return unsafeDb().identity.findMany({
    where: { userId },
    select: {
      id: true,
      userId: true,
      connectionId: true,
      subject: true,
      login: true,
      nextCheckAt: true,
      checkTrouble: true,
    },
  });
}

type Waits = { nextCheckAt: Date | null; checkTrouble: string | null };

async function askOrWhyNot(identity: FollowedIdentity & Waits, now: Date): Promise<Answer> {
  const { connectionId, nextCheckAt, checkTrouble } = identity;
  // F13: within a limit's window nothing is sent.
  if (checkTrouble === 'limited' && nextCheckAt && nextCheckAt > now)
    return { connectionId, trouble: null, error: cannotAsk('limited', nextCheckAt.getTime() - now.getTime()) };
  try {
    return { connectionId, error: null, trouble: await ask(identity, now, askLimitMs) };
  } catch (error) {
    await noteTrouble(identity, error, now);
    const retryAfterMs = error instanceof AppError ? error.retryAfterMs : undefined;
    return { connectionId, trouble: null, error: cannotAsk(troubleOf(error), retryAfterMs) };
  }
}

function cannotAsk(trouble: Trouble, retryAfterMs: number | undefined): AppError {
  if (trouble === 'ended') return signInAgain();
  const minutes = Math.ceil((retryAfterMs ?? 60_000) / 60_000);
  return new AppError('unavailable', {
    log: `the role could not be asked for anew: ${trouble}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    screen: {
      happened: 'Your forge could not be asked whether you still may do this.',
      todo: `Try again in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}; until then you see everything and change nothing.`,
    },
  });
}
