import { z } from 'zod';
import { keyIdOf, signAtticToken } from '#lib/cache/index.ts';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { netrc, nixConfig, type Substituter } from '#lib/model/index.ts';
import { may, type Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { atticServerOf, type OpenServer } from './server.ts';

/*
 * The list of tokens that Attic does not keep. A token is a statement that anybody may check and nobody can take back: what ends
 * it is its own end, or another key at the server, which ends all of them. So what revoking does is not to renew, and to say so.
 */

const dayMs = 24 * 3600_000;
/** More than a page of them is nobody's to read. */
const tokensShown = 1000;
/** Of one person in one tenant, at once. */
export const personTokensMost = 20;

/**
 * A runner's token reaches a pod when it starts and is read from the environment until it ends, at most five days later
 * (lib/cluster: runnerSecondsMost). So it must have more than five days left whenever a pod starts: it lives for seven and is
 * renewed after one. See docs/decisions/2026-11-25-attic-tokens.md.
 */
const runnerTokenMs = 7 * dayMs;
const renewBeforeMs = 6 * dayMs;

export const personTokenDaysMost = 30;
const soonMs = 3 * dayMs;
/** What has ended stays on the page for so long, so that who asks why something stopped finds it. */
const shownAfterMs = 7 * dayMs;

/** What a token may do, by the exact name of a view. */
export type ViewScope = Readonly<Record<string, 'r' | 'rw'>>;
const StoredScope = z.record(z.string(), z.enum(['r', 'rw']));

function flagsOf(scope: ViewScope): Record<string, { r: true; w: boolean }> {
  return Object.fromEntries(Object.entries(scope).map(([view, may]) => [view, { r: true, w: may === 'rw' }]));
}

/** The same scope reads the same, in whatever order it was put together. */
function sameScope(a: ViewScope, b: ViewScope): boolean {
  const text = (scope: ViewScope) => JSON.stringify(Object.entries(scope).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return text(a) === text(b);
}

type Held = {
  tenantId: string;
  kind: 'runner' | 'person';
  enrollmentId?: string;
  userId?: string;
  holder: string;
  usedIn: string;
  scope: ViewScope;
  /** What Attic writes beside everything that is pushed: the tenant, and which of its credentials. */
  subject: string;
};

/** Signed, and written down in the caller's transaction: what nobody wrote down, nobody holds. */
async function issue(
  tx: UnsafeTx,
  server: OpenServer,
  { subject, ...held }: Held,
  { issuedAt, expiresAt }: { issuedAt: Date; expiresAt: Date },
): Promise<{ token: string; tokenId: string }> {
  const { token, tokenId } = await signAtticToken({
    key: server.key,
    subject,
    expiresAt,
    caches: flagsOf(held.scope),
  });
  await tx.cacheToken.create({
    data: { id: tokenId, ...held, serverId: server.id, keyId: keyIdOf(server.key), issuedAt, expiresAt },
  });
  return { token, tokenId };
}

// ------------------------------------------------------------------------------------------------ runners

type RunnerToken = { tokenId: string | null; server: OpenServer; scope: ViewScope; now: Date };

/** Whether it may go on being given to runners: long enough to live, of the scope that is wanted, by the server's present key. */
export async function isRunnerTokenGood({ tokenId, server, scope, now }: RunnerToken): Promise<boolean> {
  if (tokenId === null) return false;
  const row = await unsafeDb().cacheToken.findUnique({ where: { id: tokenId } });
  return (
    row !== null &&
    row.revokedAt === null &&
    row.expiresAt.getTime() - now.getTime() > renewBeforeMs &&
    row.serverId === server.id &&
    row.keyId === keyIdOf(server.key) &&
    sameScope(StoredScope.parse(row.scope), scope)
  );
}

type RunnerWish = {
  tenantId: string;
  enrollmentId: string;
  enrollment: string;
  /** The Secret that it is written to: at most one token is the present one there. */
  usedIn: string;
  scope: ViewScope;
};

/** A new one, in the place of the one that the same Secret had: that is good until its end, and renewed no more. */
export async function issueRunnerToken(
  tx: UnsafeTx,
  server: OpenServer,
  { tenantId, enrollmentId, enrollment, usedIn, scope }: RunnerWish,
  now: Date,
): Promise<{ token: string; tokenId: string; expiresAt: Date }> {
  const expiresAt = new Date(now.getTime() + runnerTokenMs);
  await tx.cacheToken.updateMany({
    where: { tenantId, enrollmentId, usedIn, kind: 'runner', replacedAt: null },
    data: { replacedAt: now },
  });
  const subject = `${tenantId}/${enrollmentId}`;
  const held: Held = { tenantId, kind: 'runner', enrollmentId, holder: enrollment, usedIn, scope, subject };
  return { ...(await issue(tx, server, held, { issuedAt: now, expiresAt })), expiresAt };
}

// ------------------------------------------------------------------------------------------------ people

export const PersonTokenInput = z.strictObject({
  viewIds: z.array(z.uuid()).min(1, 'choose at least one').max(20),
  write: z
    .literal('yes')
    .optional()
    .transform((said) => said === 'yes'),
  days: z
    .string()
    .trim()
    .regex(/^\d{1,3}$/, 'is whole days')
    .transform(Number)
    .pipe(z.int().min(1, 'is at least one day').max(personTokenDaysMost, `is at most ${personTokenDaysMost} days`)),
  usedIn: z
    .string()
    .trim()
    .min(1, 'say where you will use it')
    .max(80)
    .regex(/^[^\p{Cc}\p{Cf}\p{Cs}]*$/u, 'has a character that cannot be shown'),
});

/** What a person copies once. */
export type PersonToken = {
  token: string;
  tokenId: string;
  expiresAt: string;
  netrc: string;
  nixConf: string;
  /** What Attic's own client is told, as runners are by their environment. */
  shell: string;
};

/** Shown to whoever asked for it, this once. Reading is for all who may see the caches, pushing for who may change them. */
export async function issuePersonToken(
  ctx: Ctx,
  { viewIds, write, days, usedIn }: z.infer<typeof PersonTokenInput>,
  now = new Date(),
): Promise<PersonToken> {
  const views = await ctx.db.cacheView.findMany({ where: { id: { in: viewIds }, plane: 'attic', removingAt: null } });
  if (views.length !== new Set(viewIds).size) throw notFound('This view');
  if (write && !may(ctx.role, 'cache:change')) throw invalidFields({ write: 'is for admins of this tenant' });
  const server = await atticServerOf(ctx.tenant);
  if (!server) throw noServer();
  const expiresAt = new Date(now.getTime() + days * dayMs);
  const { userId, name } = ctx.person;
  const scope = Object.fromEntries(views.map((view) => [view.name, write ? ('rw' as const) : ('r' as const)]));
  const subject = `${ctx.tenant.id}/person/${userId}`;
  const held: Held = { tenantId: ctx.tenant.id, kind: 'person', userId, holder: name, usedIn, scope, subject };
  const issued = await unsafeTransaction(async (tx) => {
    // Two at once take turns, so that neither passes the limit by.
    await tx.$queryRaw`select 1 from app_user where id = ${userId}::uuid for no key update`;
    const live = { tenantId: ctx.tenant.id, kind: 'person' as const, userId, expiresAt: { gt: now } };
    if ((await tx.cacheToken.count({ where: live })) >= personTokensMost)
      throw invalidFields({
        usedIn: `You have ${personTokensMost} tokens here that are accepted. Wait until one ends.`,
      });
    const made = await issue(tx, server, held, { issuedAt: now, expiresAt });
    await ctx.audit(tx, { action: 'cache-token:issue', target: `cache-token/${made.tokenId}`, after: { scope, days } });
    return made;
  });
  return {
    ...issued,
    expiresAt: expiresAt.toISOString(),
    netrc: netrc({ server: server.url, token: issued.token }),
    nixConf: nixConfig(views.flatMap(substituterOf)),
    shell: [
      `attic login flywheel ${server.url} ${issued.token}`,
      ...views.map(({ name: view }) => `attic use flywheel:${view}`),
    ].join('\n'),
  };
}

function substituterOf(view: { substituterUrl: string | null; publicKey: string | null }): Substituter[] {
  const { substituterUrl: url, publicKey } = view;
  return url === null || publicKey === null ? [] : [{ url, publicKey }];
}

function noServer(): AppError {
  return new AppError('conflict', {
    log: 'the cluster has no Attic server',
    screen: { happened: 'The operator has entered no Attic server for this cluster.' },
  });
}

// ------------------------------------------------------------------------------------------------ the list

export const tokenStandings = ['works', 'ends-soon', 'replaced', 'revoked', 'key-changed', 'ended'] as const;
export type TokenStanding = (typeof tokenStandings)[number];

export type TokenRow = {
  id: string;
  kind: 'runner' | 'person';
  holder: string;
  isOwn: boolean;
  scope: { view: string; may: 'r' | 'rw' }[];
  usedIn: string;
  issuedAt: string;
  expiresAt: string;
  standing: TokenStanding;
  /** Whether the server takes it still, whatever was said of it here. */
  isAccepted: boolean;
  revokedBy: string | null;
};

type Standing = { expiresAt: Date; replacedAt: Date | null; revokedAt: Date | null; keyId: string; kind: string };

function standingOf(row: Standing, keyId: string | undefined, now: Date): TokenStanding {
  if (row.expiresAt <= now) return 'ended';
  if (keyId !== undefined && row.keyId !== keyId) return 'key-changed';
  if (row.revokedAt !== null) return 'revoked';
  if (row.replacedAt !== null) return 'replaced';
  return row.kind === 'person' && row.expiresAt.getTime() - now.getTime() < soonMs ? 'ends-soon' : 'works';
}

/** All that the tenant's server takes, what ends first first, and what people had that has ended lately. */
export async function listTokens(ctx: Ctx, now = new Date()): Promise<TokenRow[]> {
  const server = await atticServerOf(ctx.tenant);
  const keyId = server ? keyIdOf(server.key) : undefined;
  const rows = await ctx.db.cacheToken.findMany({
    where: {
      OR: [
        { expiresAt: { gt: now } },
        // Runners have had another long before.
        { kind: 'person', expiresAt: { gt: new Date(now.getTime() - shownAfterMs) } },
      ],
    },
    // What ends last is in use: it is never what a bound cuts off.
    orderBy: [{ expiresAt: 'desc' }, { id: 'desc' }],
    take: tokensShown,
  });
  return rows.toReversed().map((row) => {
    const standing = standingOf(row, keyId, now);
    return {
      id: row.id,
      kind: row.kind === 'person' ? 'person' : 'runner',
      holder: row.holder,
      isOwn: row.userId === ctx.person.userId,
      scope: Object.entries(StoredScope.parse(row.scope)).map(([view, allowed]) => ({ view, may: allowed })),
      usedIn: row.usedIn,
      issuedAt: row.issuedAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
      standing,
      isAccepted: standing !== 'ended' && standing !== 'key-changed',
      revokedBy: row.revokedBy,
    };
  });
}

export const TokenId = z.strictObject({ tokenId: z.uuid() });

/** What was done, and what was not. */
export type Revoked = { acceptedUntil: string; isReplaced: boolean };

/**
 * It is not renewed, and a runner's is replaced at once; the server takes the old one until it ends by itself. People may
 * revoke their own, and who may change caches anybody's.
 */
export async function revokeToken(ctx: Ctx, { tokenId }: z.infer<typeof TokenId>, now = new Date()): Promise<Revoked> {
  const row = await ctx.db.cacheToken.findFirst({ where: { id: tokenId } });
  const isTheirs = row?.kind === 'person' && row.userId === ctx.person.userId;
  if (!row || !(isTheirs || may(ctx.role, 'cache:change'))) throw notFound('This token');
  const own = { tenantId: ctx.tenant.id };
  await unsafeTransaction(async (tx) => {
    const ended = await tx.cacheToken.updateMany({
      where: { ...own, id: tokenId, revokedAt: null, expiresAt: { gt: now } },
      data: { revokedAt: now, revokedBy: ctx.person.name },
    });
    if (ended.count !== 1) throw alreadyOver();
    if (row.enrollmentId !== null) {
      // The credential that holds it is due at once, so that the next pass gives runners another.
      await tx.credential.updateMany({ where: { ...own, externalId: tokenId }, data: { expiresAt: now } });
      await wake(tx, 'enrollment', row.enrollmentId);
    }
    const after = { acceptedUntil: row.expiresAt };
    await ctx.audit(tx, { action: 'cache-token:revoke', target: `cache-token/${tokenId}`, after });
  });
  return { acceptedUntil: row.expiresAt.toISOString(), isReplaced: row.enrollmentId !== null };
}

function alreadyOver(): AppError {
  return new AppError('conflict', {
    log: 'the token has ended or was revoked before',
    screen: { happened: 'This token has ended already, or was revoked before.', todo: 'Reload the page.' },
  });
}
