import { createHash, randomUUID } from 'node:crypto';
import { cache } from 'react';
import { Prisma, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import { appendAudit } from './audit.ts';
import type { AskingSession, Person, PersonCtx } from './ctx.ts';

const hour = 3_600_000;

/** ASVS 7.3.1 and 7.3.2: a session ends after this long unused, and after this long in any case. */
export const sessionIdleMs = 12 * hour;
export const sessionAbsoluteMs = 7 * 24 * hour;
/** Use is written down this often at most, so that reading a page is not a write. */
const seenEveryMs = 5 * 60_000;

/** The table keeps this alone, so that whoever reads it can open no session. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

export function isSecurePortal(): boolean {
  return env().PORTAL_URL.startsWith('https://');
}

/** `__Host-` binds a cookie to this host and to https; a browser refuses it on plain http. */
export function cookieName(name: string): string {
  return isSecurePortal() ? `__Host-flywheel.${name}` : `flywheel.${name}`;
}

type SessionTimes = { createdAt: Date; lastSeenAt: Date; expiresAt: Date };

export function isSessionLive(session: SessionTimes, now: Date): boolean {
  const at = now.getTime();
  return (
    at < session.expiresAt.getTime() &&
    at < session.lastSeenAt.getTime() + sessionIdleMs &&
    at < session.createdAt.getTime() + sessionAbsoluteMs
  );
}

/** `<connection>:<subject>`, separated by commas. */
export function isOperatorIdentity(operators: string, identity: { connectionId: string; subject: string }): boolean {
  const key = `${identity.connectionId}:${identity.subject}`;
  return operators
    .split(',')
    .map((part) => part.trim())
    .includes(key);
}

/**
 * What is read of a person to know who they are, of a row `u` of theirs: as one value, since each request begins with it and
 * four statements in a row would be most of what many a request costs.
 */
export const personSql = Prisma.sql`jsonb_build_object(
  'userId', u.id, 'name', u.name, 'imageUrl', u.image_url, 'isDisabled', u.disabled_at is not null,
  'identities', coalesce(
    (select jsonb_agg(
       jsonb_build_object('id', i.id, 'connectionId', i.connection_id, 'forge', c.kind, 'subject', i.subject, 'login', i.login)
       order by i.signed_in_at desc)
     from identity i join forge_connection c on c.id = i.connection_id where i.user_id = u.id),
    '[]'))`;

export type PersonRow = Omit<Person, 'isOperator'> & { isDisabled: boolean };

/** The person behind a session cookie, or null where there is none that still counts. */
export async function personOfToken(token: string, now: Date): Promise<Person | null> {
  return (await askerOfToken(token, now))?.person ?? null;
}

type Asker = { person: Person; session: AskingSession };

/** The same with the session itself. */
export async function askerOfToken(token: string, now: Date): Promise<Asker | null> {
  const [session] = await unsafeDb().$queryRaw<(SessionTimes & AskingSession & { person: PersonRow })[]>`
    /* prepared: asker_of_session */
    select s.id, s.created_at as "createdAt", s.last_seen_at as "lastSeenAt", s.expires_at as "expiresAt",
      s.authenticated_at as "authenticatedAt", ${personSql} as person
    from session s join app_user u on u.id = s.user_id
    where s.token_hash = ${tokenHash(token)}`;
  if (!session || session.person.isDisabled || !isSessionLive(session, now)) return null;
  if (now.getTime() - session.lastSeenAt.getTime() > seenEveryMs) {
    await unsafeDb().session.updateMany({ where: { id: session.id }, data: { lastSeenAt: now } });
  }
  const { person, id, authenticatedAt } = session;
  return { person: personOf(person), session: { id, authenticatedAt } };
}

/** A row of `personSql` as who asks. */
export function personOf({ isDisabled: _, ...row }: PersonRow): Person {
  const isOperator = row.identities.some((identity) => isOperatorIdentity(env().FLYWHEEL_OPERATORS, identity));
  return { ...row, isOperator };
}

/** Next is loaded when a request comes, never by the worker, which shares this room's audit. */
export async function requestId(): Promise<string> {
  const { headers } = await import('next/headers');
  return (await headers()).get('x-request-id') ?? randomUUID();
}

async function readPerson(): Promise<PersonCtx | null> {
  const { cookies } = await import('next/headers');
  const token = (await cookies()).get(cookieName('session'))?.value;
  if (!token) return null;
  const asker = await askerOfToken(token, new Date());
  return asker && { ...asker, requestId: await requestId() };
}

/** Who asks, looked up once a request, or null. */
export const currentPerson = cache(readPerson);

/** Ends one session at the server (ASVS 7.4.1); the cookie alone would end it in one browser's eyes. */
export async function endSession(token: string): Promise<void> {
  await unsafeDb().session.deleteMany({ where: { tokenHash: tokenHash(token) } });
}

/** Ends all of a person's own sessions. */
export async function endAllSessions(by: PersonCtx): Promise<void> {
  const { userId } = by.person;
  await unsafeTransaction(async (tx) => {
    const { count } = await tx.session.deleteMany({ where: { userId } });
    await appendAudit(tx, by, null, { action: 'session:end-all', target: `user/${userId}`, after: { count } });
  });
}

export type SessionRow = {
  id: string;
  userAgent: string | null;
  createdAt: string;
  lastSeenAt: string;
  /** The browser that asks. */
  isCurrent: boolean;
};

/** Where the person is signed in: every session that still opens something. */
export async function listSessions(by: PersonCtx, now = new Date()): Promise<SessionRow[]> {
  const rows = await unsafeDb().session.findMany({
    where: { userId: by.person.userId },
    orderBy: { lastSeenAt: 'desc' },
  });
  return rows
    .filter((row) => isSessionLive(row, now))
    .map(({ id, userAgent, createdAt, lastSeenAt }) => ({
      id,
      userAgent,
      createdAt: createdAt.toISOString(),
      lastSeenAt: lastSeenAt.toISOString(),
      isCurrent: id === by.session?.id,
    }));
}

/** Ends one of the person's own sessions, wherever it is (ASVS 7.5.2). Another person's is as absent as none. */
export async function endOwnSession(by: PersonCtx, id: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const ended = await tx.session.deleteMany({ where: { id, userId: by.person.userId } });
    if (ended.count !== 1) throw notFound('This session');
    await appendAudit(tx, by, null, { action: 'session:end', target: `session/${id}` });
  });
}

/** Ends every session of the person's but the one that asks. */
export async function endOtherSessions(by: PersonCtx): Promise<void> {
  const { userId } = by.person;
  const keep = by.session ? { id: { not: by.session.id } } : {};
  await unsafeTransaction(async (tx) => {
    const { count } = await tx.session.deleteMany({ where: { userId, ...keep } });
    await appendAudit(tx, by, null, { action: 'session:end-others', target: `user/${userId}`, after: { count } });
  });
}
