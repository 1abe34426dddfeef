// A scope of GitLab or Forgejo, enrolled and approved as its admin would, for tests.
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import {
  approvePlan,
  enterPersonToken,
  makePlan,
  savePlanes,
  savePools,
  startEnrollment,
} from '#lib/enrollment/index.ts';
import type { Planes, ScopeLevel } from '#lib/model/index.ts';
import type { TestPortal } from './portal.ts';

export type ScopeWish = {
  forge: 'gitlab' | 'forgejo';
  level: ScopeLevel;
  path: string;
  by: string;
  slug: string;
  pools?: string[];
  maxRunners?: number;
  planes?: Planes;
  /** Of a GitLab token; with `api` where left out. */
  scopes?: ('create_runner' | 'manage_runner' | 'read_api' | 'api')[];
};

export type EnrolledScope = { id: string; ctx: Ctx; by: PersonCtx; token: string };

const forgejoScopes = ['read:user', 'write:user', 'read:organization', 'write:organization', 'write:repository'];

/** What a person would make at the forge's own page. */
export function tokenFor(
  portal: TestPortal,
  { forge, level, path, by, scopes: wished }: Omit<ScopeWish, 'slug'>,
): string {
  if (forge === 'forgejo') return portal.forgejo.token(by, forgejoScopes);
  const scopes = wished ?? ['create_runner', 'manage_runner', 'read_api', 'api'];
  return portal.gitlab.accessToken(level === 'instance' ? { login: by, scopes } : { path, scopes });
}

/** A draft with its pools and planes, before anything is planned. */
export async function draftOf(portal: TestPortal, wish: ScopeWish): Promise<EnrolledScope> {
  const { forge, level, path, slug } = wish;
  const by = await portal.person(wish.by, forge);
  const token = tokenFor(portal, wish);
  if (forge === 'forgejo') await enterPersonToken(by, { connectionId: forge, token });
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const own = forge === 'gitlab' ? { token } : {};
  const { enrollmentId: id } = await startEnrollment(by, { connectionId: forge, level, path, tenant, ...own });
  const ctx = await tenantCtx(by, slug);
  if (!ctx) throw new Error(`${wish.by} is no member of ${slug}`);
  await savePools(ctx, { enrollmentId: id, pools: poolsOf(wish) });
  await savePlanes(ctx, { enrollmentId: id, planes: wish.planes ?? {} });
  return { id, ctx, by, token };
}

export function poolsOf({ pools = ['docker'], maxRunners = 1 }: Pick<ScopeWish, 'pools' | 'maxRunners'>) {
  return pools.map((pool) => ({ pool, minRunners: 0, maxRunners }));
}

/** Approved, and not yet looked at. */
export async function approvedScope(portal: TestPortal, wish: ScopeWish): Promise<EnrolledScope> {
  const scope = await draftOf(portal, wish);
  await approve(scope, 'enroll');
  return scope;
}

export async function approve({ ctx, id }: EnrolledScope, kind: 'enroll' | 'change' | 'withdraw'): Promise<void> {
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind }));
}

/** Another set of pools, approved. */
export async function changePools(scope: EnrolledScope, wish: Pick<ScopeWish, 'pools' | 'maxRunners'>): Promise<void> {
  await savePools(scope.ctx, { enrollmentId: scope.id, pools: poolsOf(wish) });
  await approve(scope, 'change');
}
