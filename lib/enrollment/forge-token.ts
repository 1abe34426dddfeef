import { z } from 'zod';
import { unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import type { Forge, ScopeChoice, TokenAdvice } from '#lib/forge/index.ts';
import type { ScopeLevel } from '#lib/model/index.ts';
import { keepPersonToken, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { actAs, identityAt, openForge } from './connections.ts';
import { keepCredential } from './credentials.ts';
import { withPosition, type EnrollmentRow } from './rows.ts';

/*
 * Access tokens that people enter: their own, where a forge's sign-in gives none that may be kept (Forgejo), and the one by
 * which the runners of a scope are registered. Checked against the forge before they are kept, sealed, never shown again.
 */

export type ForgeToken = { value: string; owner: string; expiresAt: Date | null };

function refuseToken(message: string, todo: string): AppError {
  return new AppError('invalid', {
    log: `token refused: ${message}`,
    screen: { happened: message, fields: { token: message }, todo },
  });
}

/** A refusal of the token by its forge, as the message at the field where it was entered. */
async function checked<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (!(error instanceof AppError) || !['unauthenticated', 'forbidden'].includes(error.code)) throw error;
    throw refuseToken('The forge does not accept this token.', 'Make a new one, and enter it whole.');
  });
}

function refuseMissing(missing: readonly string[], advice: { createUrl: string; scopes: string[] }): void {
  if (missing.length === 0) return;
  throw refuseToken(
    `The token lacks ${missing.join(', ')}.`,
    `Make one with ${advice.scopes.join(', ')} at ${advice.createUrl}.`,
  );
}

/**
 * The token that the runners of this scope will be registered by, proven to be able to: its scopes, its role there and the
 * server's version, before anything is written. Where people give a token of their own anyway, that one serves.
 */
export async function provenToken(
  by: PersonCtx,
  asked: { connectionId: string; token?: string | undefined },
  scope: Pick<ScopeChoice, 'level' | 'path' | 'scopeId'>,
): Promise<ForgeToken> {
  const forge = await openForge(asked.connectionId);
  const value = asked.token ?? (forge.signIn.keepsToken ? undefined : (await actAs(by, asked.connectionId)).token);
  if (value === undefined)
    throw invalidFields({ token: 'is needed' }, `The runners of ${scope.path} are registered by an access token.`);
  return tokenFor(forge, value, scope);
}

async function tokenFor(
  forge: Forge,
  value: string,
  { level, path, scopeId }: Pick<ScopeChoice, 'level' | 'path' | 'scopeId'>,
): Promise<ForgeToken> {
  const facts = await checked(forge.checkToken({ token: value, scopesFor: level }));
  const advice = forge.tokenAdvice(level, path);
  refuseMissing(facts.missingScopes, advice);
  const { problem } = await forge.observeScope({ credential: { kind: 'token', token: value }, level, path, scopeId });
  if (problem) throw refuseToken(problem.message, `The token is made at ${advice.createUrl}.`);
  return { value, owner: facts.login, expiresAt: facts.expiresAt };
}

export async function keepForgeToken(
  row: Pick<EnrollmentRow, 'id' | 'tenantId'>,
  { value, owner, expiresAt }: ForgeToken,
  tx?: UnsafeTx,
): Promise<void> {
  await keepCredential(row, 'forge-token', value, { owner, expiresAt }, tx);
}

export const ReplaceTokenInput = z.strictObject({
  enrollmentId: z.uuid(),
  token: z.string().trim().min(8).max(1000),
});

/** A new access token for an enrollment: proven first, so that the old one is in force until the new one works. */
export async function replaceForgeToken(ctx: Ctx, input: z.infer<typeof ReplaceTokenInput>): Promise<void> {
  const row = await ctx.db.enrollment.findFirst({ where: { id: input.enrollmentId }, include: withPosition });
  if (!row) throw notFound('This enrollment');
  if (row.state === 'withdrawn') throw refuseToken('This enrollment is gone.', 'Look at the list.');
  const token = await tokenFor(await openForge(row.connectionId), input.token, row);
  await unsafeTransaction(async (tx) => {
    await keepForgeToken(row, token, tx);
    await ctx.audit(tx, {
      action: 'credential:replace',
      target: `enrollment/${row.name}/forge-token`,
      after: { owner: token.owner, expiresAt: token.expiresAt?.toISOString() ?? null },
    });
    await wake(tx, 'enrollment', row.id);
  });
}

export const PersonTokenInput = z.strictObject({
  connectionId: z.string().min(1).max(100),
  token: z.string().trim().min(8).max(1000),
});

/** A person's own access token, for forges whose sign-in leaves none. It must be of the account that they signed in with. */
export async function enterPersonToken(by: PersonCtx, input: z.infer<typeof PersonTokenInput>): Promise<void> {
  const identity = identityAt(by, input.connectionId);
  const forge = await openForge(input.connectionId);
  if (forge.signIn.keepsToken)
    throw refuseToken('This forge needs no token from you.', 'Sign in again if it no longer answers for you.');
  const facts = await checked(forge.checkToken({ token: input.token, scopesFor: 'person' }));
  if (facts.subject !== identity.subject)
    throw refuseToken(
      `This token is ${facts.login}’s, and you signed in as ${identity.login}.`,
      `Make it while signed in as ${identity.login}.`,
    );
  refuseMissing(facts.missingScopes, forge.tokenAdvice('person', ''));
  await keepPersonToken(identity.id, input.token, facts.expiresAt);
}

export type TokenWish = TokenAdvice & {
  /** True where the token that the person gave already does. */
  given: boolean;
};

/** The token that has to be entered to enrol a scope of this level; null where an App registers its runners. */
export async function tokenWish(connectionId: string, level: ScopeLevel, path: string): Promise<TokenWish | null> {
  const forge = await openForge(connectionId);
  if (forge.kind === 'github' && level !== 'enterprise') return null;
  return { ...forge.tokenAdvice(level, path), given: !forge.signIn.keepsToken };
}

/** The token that a person has to give before their scopes can be listed; null where the sign-in gave one. */
export async function personTokenAdvice(connectionId: string): Promise<TokenAdvice | null> {
  const forge = await openForge(connectionId);
  return forge.signIn.keepsToken ? null : forge.tokenAdvice('person', '');
}
