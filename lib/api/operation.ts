import { z } from 'zod';
import { invalidFields } from '#lib/errors.ts';
import {
  asOperator,
  asPerson,
  inTenant,
  type ApiScope,
  type Ctx,
  type OperatorPermission,
  type PersonCtx,
  type TenantPermission,
  type TokenCtx,
} from '#lib/tenant/index.ts';

/* What the API can do, as values: the same table is served, described and tested. */

export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
export const tags = [
  'Account',
  'Tenants',
  'Enrollments',
  'Approvals',
  'Pools',
  'Jobs and usage',
  'Costs',
  'Caches',
  'Credentials',
  'Audit',
  'State',
  'Operators',
] as const;
export type Tag = (typeof tags)[number];

type Shape = z.ZodType;
type Of<S extends Shape | undefined> = S extends Shape ? z.output<S> : undefined;

type Said<Q extends Shape | undefined, B extends Shape | undefined, A extends Shape | undefined> = {
  id: string;
  method: Method;
  /** Below /api/v1, with parameters in braces. */
  path: string;
  tag: Tag;
  summary: string;
  description?: string;
  query?: Q;
  body?: B;
  /** Left out where there is nothing to say: 204. */
  answer?: A;
  /** 200, or 204 without an answer, where it is left out. */
  status?: 200 | 201 | 202;
  scope?: ApiScope;
  /** A read that takes a body: under an idempotency key it would be kept for nothing. */
  changesNothing?: true;
};

export type Given<Q extends Shape | undefined, B extends Shape | undefined> = {
  params: Record<string, string>;
  query: Of<Q>;
  body: Of<B>;
  now: Date;
};

/** The operation past its door: who asks was found to be allowed, and it is done. */
export type Entered = (given: Given<Shape | undefined, Shape | undefined>) => Promise<unknown>;

export type Operation = Said<Shape | undefined, Shape | undefined, Shape | undefined> & {
  permission: TenantPermission | OperatorPermission | 'person';
  /** Before anything of the request but its address is looked at. Throws where it is not allowed. */
  enter: (by: TokenCtx, params: Record<string, string>) => Promise<Entered>;
};

type Run<C, Q extends Shape | undefined, B extends Shape | undefined, A extends Shape | undefined> = (
  ctx: C,
  given: Given<Q, B>,
) => Promise<A extends Shape ? z.input<A> : void>;

type Plain = Shape | undefined;

function isRead({ method }: { method: Method }): boolean {
  return method === 'GET';
}

/** Of one tenant, which is the parameter `tenant`. */
export function tenantOperation<Q extends Plain = undefined, B extends Plain = undefined, A extends Plain = undefined>(
  permission: TenantPermission,
  said: Said<Q, B, A>,
  run: Run<Ctx, Q, B, A>,
): Operation {
  return {
    ...said,
    permission,
    enter: async (by, params) => {
      const wanted = { scope: said.scope, isRead: isRead(said) };
      const ctx = await inTenant(by, permission, params['tenant'] ?? '', wanted);
      return (given) => run(ctx, given);
    },
  };
}

/** Of the operators. */
export function operatorOperation<
  Q extends Plain = undefined,
  B extends Plain = undefined,
  A extends Plain = undefined,
>(permission: OperatorPermission, said: Said<Q, B, A>, run: Run<PersonCtx, Q, B, A>): Operation {
  return {
    ...said,
    permission,
    enter: async (by) => {
      const ctx = await asOperator(by, permission, said);
      return (given) => run(ctx, given);
    },
  };
}

/** Of whoever's token it is. `reach`: whether a token of a tenant has a part in it too; by itself where it only sees. */
export function personOperation<Q extends Plain = undefined, B extends Plain = undefined, A extends Plain = undefined>(
  said: Said<Q, B, A>,
  run: Run<TokenCtx, Q, B, A>,
  { reach = isRead(said) ? 'any' : 'personal' }: { reach?: 'any' | 'personal' } = {},
): Operation {
  return {
    ...said,
    permission: 'person',
    enter: async (by) => {
      asPerson(by, { scope: said.scope, isRead: isRead(said), reach });
      return (given) => run(by, given);
    },
  };
}

// ------------------------------------------------------------------------------------------------ lists in pages

export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(50).describe('At most so many items.'),
  cursor: z.string().min(1).max(400).optional().describe('`nextCursor` of the page before.'),
});

export function pageOf<S extends Shape>(item: S) {
  return z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().describe('What asks for the next page; null on the last.'),
  });
}

/** A list that is short enough to be at hand whole, a page at a time. `keyOf` is unlike any other's and never changes. */
export function cut<T>(
  all: readonly T[],
  { limit, cursor }: z.output<typeof PageQuery>,
  keyOf: (item: T) => string,
): { items: T[]; nextCursor: string | null } {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString();
  const found = after === undefined ? -1 : all.findIndex((item) => keyOf(item) === after);
  // What was there is gone: to begin anew would let a program walk in a circle.
  if (after !== undefined && found < 0)
    throw invalidFields({ cursor: 'is of an item that is no longer there; begin with the first page again' });
  const start = found + 1;
  const items = all.slice(start, start + limit);
  const last = items.at(-1);
  const isMore = last !== undefined && start + limit < all.length;
  return { items, nextCursor: isMore ? Buffer.from(keyOf(last)).toString('base64url') : null };
}
