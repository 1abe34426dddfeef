import { AppError, notFound } from '#lib/errors.ts';
import { apiScopeWords, besideOperator, scopeFor, type ApiScope, type TokenCtx } from './api-token.ts';
import type { Ctx, PersonCtx } from './ctx.ts';
import { notAllowed, recordDenial } from './door.ts';
import { askAnew } from './follow.ts';
import { tenantCtx } from './membership.ts';
import { isSensitive, may, type OperatorPermission, type Permission, type TenantPermission } from './permission.ts';
import { known } from './through.ts';

/*
 * The doors of the REST API. They ask what those of the pages ask, of the person whose token was shown, and beside that what
 * the token itself may. A fresh sign-in is asked for where the token is made, and its scopes stand for it from then on.
 */

type Wanted = {
  /** Another than what the permission asks for, where an answer gives more away than its permission says. */
  scope?: ApiScope | undefined;
  /** Whether it changes nothing: what one may not see is not there. */
  isRead: boolean;
};

/** A tenant as this token's person acts in it. Throws as for what does not exist where it is another's. */
export async function inTenant(
  by: TokenCtx,
  permission: TenantPermission,
  slug: string,
  { scope, isRead }: Wanted,
): Promise<Ctx> {
  requireScope(by, scope ?? scopeFor(permission));
  if (isSensitive(permission)) await askAnew(by, slug);
  const ctx = known(await tenantCtx(by, slug));
  const isReached = ctx !== null && (by.token.tenantId === null || by.token.tenantId === ctx.tenant.id);
  if (isReached && may(ctx.role, permission)) return ctx;
  await recordDenial(by, permission, slug);
  throw isReached && !isRead ? notAllowed() : notFound('This tenant');
}

/** Whoever is no operator finds nothing. The scope of operators says as whom; to change something wants its own beside, as ever. */
export async function asOperator(
  by: TokenCtx,
  permission: OperatorPermission,
  { scope }: Pick<Wanted, 'scope'> = {},
): Promise<PersonCtx> {
  if (!by.person.isOperator) {
    await recordDenial(by, permission, 'operator');
    throw notFound('This');
  }
  requireScope(by, scope ?? besideOperator(permission));
  return by;
}

/** Of what concerns no tenant in particular; a token of a tenant has no part in what is its person's own. */
export function asPerson(by: TokenCtx, wanted: Wanted & { reach: 'any' | 'personal' }): void {
  requireScope(by, wanted.scope ?? (wanted.isRead ? 'read' : 'write'));
  if (by.token.tenantId === null || wanted.reach === 'any') return;
  throw new AppError('forbidden', {
    log: 'a token of a tenant asks beside it',
    screen: { happened: 'This token reaches one tenant alone.', todo: 'Use a personal token for this.' },
  });
}

function requireScope({ token }: TokenCtx, scope: ApiScope): void {
  if (token.scopes.includes(scope)) return;
  throw new AppError('forbidden', {
    log: `token ${token.id} lacks the scope ${scope}`,
    screen: {
      happened: `This token lacks the scope ${scope}: to ${apiScopeWords[scope]}.`,
      todo: 'Make another token that has it.',
    },
  });
}

export type ApiPermission = Permission | 'person';
