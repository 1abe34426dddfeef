import { z } from 'zod';
import { type Prisma, type TenantState, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { appendAudit } from './audit.ts';
import type { PersonCtx } from './ctx.ts';
import { containing } from './same-text.ts';
import type { TenantKind } from '#lib/model/index.ts';

export type OperatorOverview = {
  tenants: {
    slug: string;
    displayName: string;
    kind: TenantKind;
    state: TenantState;
    cluster: string;
    enrollments: number;
    members: number;
  }[];
  forges: { id: string; name: string; kind: string; baseUrl: string; hasApp: boolean; enrollments: number }[];
  /** Requests that wait for an operator. */
  waiting: number;
  failing: { kind: string; key: string; attempts: number; lastError: string | null; dueAt: string }[];
};

const shownMost = 200;

export type TenantRow = {
  slug: string;
  displayName: string;
  kind: TenantKind;
  state: TenantState;
  cluster: string;
  enrollments: number;
};

/** Tenants by slug, those after one. */
export async function listAllTenants(after: string, size: number): Promise<{ rows: TenantRow[]; isMore: boolean }> {
  const found = await unsafeDb().tenant.findMany({
    where: { slug: { gt: after } },
    include: { _count: { select: { enrollments: true } } },
    orderBy: { slug: 'asc' },
    take: size + 1,
  });
  const rows = found.slice(0, size).map(({ slug, displayName, kind, state, clusterId, _count }) => ({
    slug,
    displayName,
    kind,
    state,
    cluster: clusterId,
    enrollments: _count.enrollments,
  }));
  return { rows, isMore: found.length > size };
}

/** What needs an operator, over all tenants. The door in front of it is operatorPage or operatorView. */
export async function operatorOverview(): Promise<OperatorOverview> {
  const db = unsafeDb();
  const [tenants, forges, failing, waiting] = await Promise.all([
    db.tenant.findMany({
      include: { _count: { select: { enrollments: true, members: true } } },
      orderBy: { slug: 'asc' },
      take: shownMost,
    }),
    db.forgeConnection.findMany({ include: { _count: { select: { enrollments: true } } }, orderBy: { id: 'asc' } }),
    db.task.findMany({ where: { lastError: { not: null } }, orderBy: { attempts: 'desc' }, take: shownMost }),
    db.approvalRequest.count({ where: { state: 'open' } }),
  ]);

  return {
    tenants: tenants.map(({ slug, displayName, kind, state, clusterId, _count }) => ({
      slug,
      displayName,
      kind,
      state,
      cluster: clusterId,
      ..._count,
    })),
    forges: forges.map(({ id, name, kind, baseUrl, appId, _count }) => ({
      id,
      name,
      kind,
      baseUrl,
      hasApp: appId !== null,
      enrollments: _count.enrollments,
    })),
    waiting,
    failing: failing.map(({ kind, key, attempts, lastError, dueAt }) => ({
      kind,
      key,
      attempts,
      lastError,
      dueAt: dueAt.toISOString(),
    })),
  };
}

// ------------------------------------------------------------------------------------------------ people

export type PersonRow = {
  userId: string;
  name: string;
  logins: { connectionId: string; login: string; subject: string }[];
  sessions: number;
  tenants: number;
  lastSeenAt: string | null;
  disabledAt: string | null;
};

const peoplePage = 100;

/** Everybody who ever signed in, by name; `query` is a part of a name or of a login. */
export async function listPeople(query = ''): Promise<{ rows: PersonRow[]; hasMore: boolean }> {
  const part = containing(query);
  const where: Prisma.UserWhereInput =
    query === '' ? {} : { OR: [{ name: part }, { identities: { some: { login: part } } }] };
  const found = await unsafeDb().user.findMany({
    where,
    include: {
      identities: { select: { connectionId: true, login: true, subject: true } },
      sessions: { select: { lastSeenAt: true }, orderBy: { lastSeenAt: 'desc' } },
      _count: { select: { members: { where: { role: { not: null } } } } },
    },
    orderBy: [{ name: 'asc' }, { id: 'asc' }],
    take: peoplePage + 1,
  });
  const rows = found.slice(0, peoplePage).map(({ id, name, identities, sessions, disabledAt, _count }) => ({
    userId: id,
    name,
    logins: identities,
    sessions: sessions.length,
    tenants: _count.members,
    lastSeenAt: sessions[0]?.lastSeenAt.toISOString() ?? null,
    disabledAt: disabledAt?.toISOString() ?? null,
  }));
  return { rows, hasMore: found.length > peoplePage };
}

export const PersonInput = z.strictObject({ userId: z.uuid() });

/** Ends every session of somebody (ASVS 7.4.5): they sign in again, if the forge still knows them. */
export async function endSessionsOf(by: PersonCtx, userId: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await named(tx, userId);
    const { count } = await tx.session.deleteMany({ where: { userId } });
    await appendAudit(tx, by, null, { action: 'user:end-sessions', target: `user/${userId}`, after: { count } });
  });
}

/** Keeps somebody out until they are enabled again; their sessions end with it (ASVS 7.4.2), and their programs' tokens for good. */
export async function disableUser(by: PersonCtx, userId: string): Promise<void> {
  if (userId === by.person.userId) throw ownself();
  const now = new Date();
  await unsafeTransaction(async (tx) => {
    await named(tx, userId);
    await tx.user.update({ where: { id: userId }, data: { disabledAt: now } });
    await tx.session.deleteMany({ where: { userId } });
    await tx.deviceLogin.deleteMany({ where: { userId } });
    const ended = { revokedAt: now, revokedBy: by.person.name };
    const { count: tokens } = await tx.apiToken.updateMany({ where: { userId, revokedAt: null }, data: ended });
    await appendAudit(tx, by, null, { action: 'user:disable', target: `user/${userId}`, after: { tokens } });
  });
}

export async function enableUser(by: PersonCtx, userId: string): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await named(tx, userId);
    await tx.user.update({ where: { id: userId }, data: { disabledAt: null } });
    await appendAudit(tx, by, null, { action: 'user:enable', target: `user/${userId}` });
  });
}

async function named(tx: Prisma.TransactionClient, id: string): Promise<void> {
  if (!(await tx.user.findUnique({ where: { id }, select: { id: true } }))) throw notFound('This person');
}

function ownself(): AppError {
  return new AppError('conflict', {
    log: 'an operator meant to disable themselves',
    screen: { happened: 'You cannot disable yourself.', todo: 'Ask another operator.' },
  });
}
