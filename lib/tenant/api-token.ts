import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit } from './audit.ts';
import type { Ctx, PersonCtx } from './ctx.ts';
import type { OperatorPermission, Permission } from './permission.ts';
import { personOf, type PersonRow, personSql, tokenHash } from './session.ts';

/*
 * Tokens that a person's programs show in their place. One never reaches more than its person does at that moment: roles are
 * looked at as for a page. A token of a tenant reaches that tenant alone, and its admins see and revoke it; a personal one
 * reaches all of its person's. See docs/decisions/2026-11-26-api-tokens.md.
 */

export const apiScopes = ['read', 'write', 'apply', 'credentials', 'operator'] as const;
export type ApiScope = (typeof apiScopes)[number];

export const apiScopeWords: Record<ApiScope, string> = {
  read: 'see what you see',
  write: 'plan, ask, and change settings, caches and budgets',
  apply: 'apply plans, withdrawals among them',
  credentials: 'rotate credentials, and make and revoke tokens of caches',
  operator: 'act as an operator, where you are one',
};

export const apiTokensMost = 50;
export const apiTokenDaysMost = 365;
const dayMs = 24 * 3600_000;
/** What has ended stays on the page for so long, so that who asks why something stopped finds it; of those the last so many. */
const shownAfterMs = 30 * dayMs;
const endedShown = 100;
/** Use is written down this often at most, so that reading is not a write. */
const usedEveryMs = 60_000;

/** Found by scanners of leaked secrets, and told apart by eye. */
const prefixes = { person: 'fwp_', tenant: 'fwt_' } as const;

const Days = z
  .union([
    z.int(),
    z
      .string()
      .regex(/^\d{1,3}$/, 'is whole days')
      .transform(Number),
  ])
  .pipe(z.int().min(1, 'is at least one day').max(apiTokenDaysMost, `is at most ${apiTokenDaysMost} days`));

export const ApiTokenInput = z.strictObject({
  // The audit says it beside its person: nothing in it turns or breaks that line.
  name: z
    .string()
    .trim()
    .min(1, 'is needed')
    .max(80, 'is at most 80 characters')
    .regex(/^[^\p{Cc}\p{Cf}\p{Cs}]*$/u, 'has a character that cannot be shown'),
  scopes: z.array(z.enum(apiScopes)).min(1, 'choose at least one'),
  days: Days,
});
export type ApiTokenInput = z.infer<typeof ApiTokenInput>;
export const ApiTokenId = z.strictObject({ tokenId: z.guid() });

export type ApiTokenOnce = { id: string; name: string; token: string; expiresAt: string };

export type ApiTokenRow = {
  id: string;
  name: string;
  /** Whose it is, and what it reaches: a tenant's slug, or null for all of its person's. */
  person: string;
  tenant: string | null;
  scopes: ApiScope[];
  createdAt: string;
  expiresAt: string;
  usedAt: string | null;
  standing: 'works' | 'ended' | 'revoked';
  revokedBy: string | null;
};

/** A new token, answered this once; within the transaction of what it is made for. `tenant` is given where it is a tenant's. */
async function add(
  tx: UnsafeTx,
  by: PersonCtx,
  tenant: Ctx['tenant'] | null,
  input: ApiTokenInput,
  now: Date,
): Promise<ApiTokenOnce> {
  const { userId } = by.person;
  refuseOperatorScope(by, tenant, input.scopes);
  const token = `${prefixes[tenant ? 'tenant' : 'person']}${randomBytes(32).toString('base64url')}`;
  const expiresAt = new Date(now.getTime() + input.days * dayMs);
  const scopes = apiScopes.filter((scope) => input.scopes.includes(scope));
  await refuseTooMany(tx, tenant ? { reachesId: tenant.id } : { userId, reachesId: null }, now);
  const data = { userId, reachesId: tenant?.id ?? null, name: input.name, scopes, expiresAt, createdAt: now };
  const { id } = await tx.apiToken.create({ data: { ...data, tokenHash: tokenHash(token) } });
  const after = { name: input.name, scopes, expiresAt };
  await appendAudit(tx, by, tenant?.id ?? null, { action: 'api-token:create', target: `api-token/${id}`, after });
  return { id, name: input.name, token, expiresAt: expiresAt.toISOString() };
}

/** Throws where these scopes are not this person's to give away. */
export function refuseOperatorScope(
  { person }: PersonCtx,
  tenant: Ctx['tenant'] | null,
  scopes: readonly ApiScope[],
): void {
  if (scopes.includes('operator') && (tenant !== null || !person.isOperator))
    throw invalidFields({ scopes: 'of an operator are for operators’ personal tokens' });
}

async function refuseTooMany(
  tx: UnsafeTx,
  whose: { reachesId: string } | { userId: string; reachesId: null },
  now: Date,
): Promise<void> {
  // Who makes several at once takes turns with themselves, so that none passes the limit by.
  await ('userId' in whose
    ? tx.$queryRaw`select 1 from app_user where id = ${whose.userId}::uuid for no key update`
    : tx.$queryRaw`select 1 from tenant where id = ${whose.reachesId}::uuid for no key update`);
  const live = await tx.apiToken.count({ where: { ...whose, revokedAt: null, expiresAt: { gt: now } } });
  if (live < apiTokensMost) return;
  throw new AppError('conflict', {
    log: 'too many tokens',
    screen: { happened: `There are ${live} tokens already.`, todo: 'Revoke one that nobody uses.' },
  });
}

export async function addPersonToken(by: PersonCtx, input: ApiTokenInput, now: Date): Promise<ApiTokenOnce> {
  return unsafeTransaction((tx) => addPersonTokenIn(tx, by, input, now));
}

export async function addPersonTokenIn(
  tx: UnsafeTx,
  by: PersonCtx,
  input: ApiTokenInput,
  now: Date,
): Promise<ApiTokenOnce> {
  return add(tx, by, null, input, now);
}

export async function addTenantToken(ctx: Ctx, input: ApiTokenInput, now: Date): Promise<ApiTokenOnce> {
  // It would never act as one, and so open nothing here.
  if (ctx.role === 'operator')
    throw new AppError('conflict', {
      log: 'a token of a tenant that its maker does not belong to',
      screen: {
        happened: 'You do not belong to this tenant, and a token of it would open nothing.',
        todo: 'Make one of your own with the scope operator, or have an admin make this one.',
      },
    });
  return unsafeTransaction((tx) => add(tx, ctx, ctx.tenant, input, now));
}

/** The person's personal ones. */
export async function listPersonTokens(by: PersonCtx, now: Date): Promise<ApiTokenRow[]> {
  return list({ userId: by.person.userId, reachesId: null }, now);
}

/** Those that reach this tenant alone, whoever made them. */
export async function listTenantTokens(ctx: Ctx, now: Date): Promise<ApiTokenRow[]> {
  return list({ reachesId: ctx.tenant.id }, now);
}

async function list(
  whose: { userId: string; reachesId: null } | { reachesId: string },
  now: Date,
): Promise<ApiTokenRow[]> {
  const since = { gt: new Date(now.getTime() - shownAfterMs) };
  const include = { user: { select: { name: true } }, reaches: { select: { slug: true } } } as const;
  // Each that works is there to be revoked, whatever ended since.
  const live = await unsafeDb().apiToken.findMany({
    where: { ...whose, revokedAt: null, expiresAt: { gt: now } },
    include,
  });
  const ended = await unsafeDb().apiToken.findMany({
    where: { ...whose, OR: [{ revokedAt: since }, { revokedAt: null, expiresAt: { ...since, lte: now } }] },
    include,
    orderBy: { createdAt: 'desc' },
    take: endedShown,
  });
  const rows = [...live, ...ended].toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  return rows.map(({ id, name, user, reaches, scopes, createdAt, expiresAt, usedAt, revokedAt, revokedBy }) => ({
    id,
    name,
    person: user.name,
    tenant: reaches?.slug ?? null,
    scopes: apiScopes.filter((scope) => scopes.includes(scope)),
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
    usedAt: usedAt?.toISOString() ?? null,
    standing: revokedAt ? 'revoked' : expiresAt <= now ? 'ended' : 'works',
    revokedBy,
  }));
}

/** At once and for good. */
export async function revokePersonToken(by: PersonCtx, tokenId: string, now: Date): Promise<void> {
  return revoke(by, null, { id: tokenId, userId: by.person.userId, reachesId: null }, now);
}

export async function revokeTenantToken(ctx: Ctx, tokenId: string, now: Date): Promise<void> {
  return revoke(ctx, ctx.tenant.id, { id: tokenId, reachesId: ctx.tenant.id }, now);
}

/** By the program that shows it, which needs it no more. */
export async function revokeShownToken(by: TokenCtx, now: Date): Promise<void> {
  const { id, tenantId } = by.token;
  return revoke(by, tenantId, { id, userId: by.person.userId, reachesId: tenantId }, now);
}

async function revoke(
  by: PersonCtx,
  tenantId: string | null,
  where: { id: string; userId?: string; reachesId: string | null },
  now: Date,
): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const data = { revokedAt: now, revokedBy: by.person.name };
    const ended = await tx.apiToken.updateMany({ where: { ...where, revokedAt: null, expiresAt: { gt: now } }, data });
    if (ended.count !== 1) throw notFound('This token');
    await appendAudit(tx, by, tenantId, { action: 'api-token:revoke', target: `api-token/${where.id}` });
  });
}

// ------------------------------------------------------------------------------------------------ showing one

/** The token that was shown, beside its person. */
export type ShownToken = { id: string; name: string; tenantId: string | null; scopes: ApiScope[]; expiresAt: Date };

export type TokenCtx = PersonCtx & { token: ShownToken };

/** Every token has 43 characters of base64url after its prefix. */
const tokenForm = /^Bearer (fw[pt]_[\w-]{43})$/i;

type FoundToken = {
  id: string;
  name: string;
  reachesId: string | null;
  scopes: string[];
  expiresAt: Date;
  usedAt: Date | null;
  person: PersonRow;
};

/** Who asks by an Authorization header; null for whatever does not count any more, and for what never did. */
export async function askerOfApiToken(
  authorization: string | null,
  requestId: string,
  now: Date,
): Promise<TokenCtx | null> {
  const [, token] = tokenForm.exec(authorization ?? '') ?? [];
  if (token === undefined) return null;
  const [row] = await unsafeDb().$queryRaw<FoundToken[]>`
    /* prepared: asker_of_token */
    select t.id, t.name, t.reaches_id as "reachesId", t.scopes, t.expires_at as "expiresAt", t.used_at as "usedAt", ${personSql} as person
    from api_token t join app_user u on u.id = t.user_id
    where t.token_hash = ${tokenHash(token)} and t.revoked_at is null and t.expires_at > ${now}`;
  if (!row || row.person.isDisabled) return null;
  if (row.usedAt === null || now.getTime() - row.usedAt.getTime() > usedEveryMs)
    await unsafeDb().apiToken.updateMany({ where: { id: row.id }, data: { usedAt: now } });
  const person = personOf(row.person);
  const { id, name, reachesId: tenantId, expiresAt } = row;
  const scopes = apiScopes.filter((scope) => row.scopes.includes(scope));
  // Without the scope an operator's program is a person's like any other.
  const isOperator = person.isOperator && scopes.includes('operator');
  return { person: { ...person, isOperator }, requestId, token: { id, name, tenantId, scopes, expiresAt } };
}

/** What a token must be allowed for this permission. */
export function scopeFor(permission: Permission | 'person'): ApiScope {
  if (permission.startsWith('operator:')) return 'operator';
  if (permission === 'person' || permission.endsWith(':see')) return 'read';
  if (permission === 'enrollment:approve' || permission === 'enrollment:withdraw' || permission === 'tenant:leave')
    return 'apply';
  return permission === 'credential:change' || permission === 'member:change' ? 'credentials' : 'write';
}

/** And beside the scope of operators. */
export function besideOperator(permission: OperatorPermission): ApiScope {
  return permission === 'operator:see' ? 'read' : 'write';
}

// ------------------------------------------------------------------------------------------------ how often

export type Allowance = { limit: number; left: number; isOver: boolean; resetSeconds: number };

export const allowanceMs = 60_000;

/** Counts one more request of this token within its minute, in whichever process it comes in. */
export async function countRequest({ token }: TokenCtx, limit: number, now: Date): Promise<Allowance> {
  const ended = new Date(now.getTime() - allowanceMs);
  const [row] = await unsafeDb().$queryRaw<{ since: Date; requests: number }[]>`
    /* prepared: count_request */
    insert into api_count as c (token_id, since, requests) values (${token.id}::uuid, ${now}, 1)
    on conflict (token_id) do update set
      since = case when c.since <= ${ended} then excluded.since else c.since end,
      requests = case when c.since <= ${ended} then 1 else c.requests + 1 end
    returning since, requests`;
  const { since, requests } = row ?? { since: now, requests: 1 };
  const resetSeconds = Math.max(1, Math.ceil((since.getTime() + allowanceMs - now.getTime()) / 1000));
  return { limit, left: Math.max(0, limit - requests), isOver: requests > limit, resetSeconds };
}

export const overAllowance = ({ limit, resetSeconds }: Allowance): AppError =>
  new AppError('rate_limited', {
    log: 'a token asks too often',
    retryAfterMs: resetSeconds * 1000,
    screen: {
      happened: `This token has asked ${limit} times within a minute.`,
      todo: `Go on in ${resetSeconds} seconds.`,
    },
  });
