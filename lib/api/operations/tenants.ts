import { z } from 'zod';
import { documentsOf } from '#lib/enrollment/index.ts';
import { FlywheelDocument, TenantSlug } from '#lib/model/index.ts';
import {
  askForQuota,
  askForTenant,
  newTeam,
  NewTenantInput,
  QuotaInput,
  resume,
  suspend,
  SuspendInput,
} from '#lib/tenancy/index.ts';
import {
  listAllTenants,
  listMembers,
  listTenantTokens,
  operatorCtx,
  revokeTenantToken,
  tenantsOf,
  type Ctx,
} from '#lib/tenant/index.ts';
import {
  cut,
  operatorOperation,
  PageQuery,
  pageOf,
  personOperation,
  tenantOperation,
  type Operation,
} from '../operation.ts';
import {
  applied,
  AppliedShape,
  MemberShape,
  TenantChoiceShape,
  TenantRowShape,
  TenantShape,
  TokenShape,
} from '../shapes.ts';

function told({ tenant, role }: Pick<Ctx, 'tenant' | 'role'>) {
  const { id, slug, displayName, kind, isDefault, state, suspendReason, clusterId: cluster, quota } = tenant;
  return { id, slug, displayName, kind, isDefault, state, suspendReason, cluster, quota, role };
}

export const tenants: Operation[] = [
  personOperation(
    {
      id: 'listTenants',
      method: 'GET',
      path: '/tenants',
      tag: 'Tenants',
      summary: 'The tenants that you belong to',
      query: PageQuery,
      answer: pageOf(TenantChoiceShape),
    },
    async (by, { query }) => {
      const own = (await tenantsOf(by)).filter(({ id }) => by.token.tenantId === null || by.token.tenantId === id);
      const { items, nextCursor } = cut(own, query, ({ slug }) => slug);
      return { items: items.map(({ slug, displayName, role }) => ({ slug, displayName, role })), nextCursor };
    },
  ),
  personOperation(
    {
      id: 'createTenant',
      method: 'POST',
      path: '/tenants',
      tag: 'Tenants',
      summary: 'Make a team, or ask for an enterprise or a managed customer',
      description:
        'A team begins at once and takes its quota from its organization. An enterprise and a managed customer wait for an operator. An organization comes with its first enrollment.',
      body: NewTenantInput,
      answer: z.object({ slug: z.string() }),
      status: 201,
    },
    async (by, { body }) => ({ slug: await (body.kind === 'team' ? newTeam(by, body) : askForTenant(by, body)) }),
  ),
  tenantOperation(
    'tenant:see',
    {
      id: 'getTenant',
      method: 'GET',
      path: '/tenants/{tenant}',
      tag: 'Tenants',
      summary: 'A tenant, with its quota and your role',
      answer: TenantShape,
    },
    async (ctx) => told(ctx),
  ),
  tenantOperation(
    'request:make',
    {
      id: 'askForQuota',
      method: 'POST',
      path: '/tenants/{tenant}/quota',
      tag: 'Tenants',
      summary: 'Ask for another quota',
      description: 'Less than now, and no more than anybody gets, is had at once; more waits for an operator.',
      body: QuotaInput,
      answer: AppliedShape,
      status: 202,
    },
    async (ctx, { body }) => {
      const requestId = await askForQuota(ctx, body);
      return applied(requestId);
    },
  ),
  tenantOperation(
    'settings:see',
    {
      id: 'listDocuments',
      method: 'GET',
      path: '/tenants/{tenant}/documents',
      tag: 'Tenants',
      summary: 'What the tenant has, as the documents that ask for it',
      query: PageQuery,
      answer: pageOf(FlywheelDocument),
    },
    async (ctx, { query }) => cut(await documentsOf(ctx), query, ({ kind, metadata }) => `${kind}/${metadata.name}`),
  ),
  tenantOperation(
    'credential:see',
    {
      id: 'listTenantTokens',
      method: 'GET',
      path: '/tenants/{tenant}/tokens',
      tag: 'Tenants',
      summary: 'Tokens of this API that reach this tenant alone',
      query: PageQuery,
      answer: pageOf(TokenShape),
    },
    async (ctx, { query, now }) => cut(await listTenantTokens(ctx, now), query, ({ id }) => id),
  ),
  tenantOperation(
    'credential:change',
    {
      id: 'revokeTenantToken',
      method: 'DELETE',
      path: '/tenants/{tenant}/tokens/{token}',
      tag: 'Tenants',
      summary: 'Revoke one of them, at once',
    },
    async (ctx, { params, now }) => revokeTenantToken(ctx, params['token'] ?? '', now),
  ),
  tenantOperation(
    'member:see',
    {
      id: 'listMembers',
      method: 'GET',
      path: '/tenants/{tenant}/members',
      tag: 'Tenants',
      summary: 'Who may do what in a tenant: what the forge says of them, and what was set here',
      query: PageQuery,
      answer: pageOf(MemberShape),
    },
    async (ctx, { query }) => cut(await listMembers(ctx), query, ({ userId }) => userId),
  ),
  operatorOperation(
    'operator:see',
    {
      id: 'listAllTenants',
      method: 'GET',
      path: '/operator/tenants',
      tag: 'Tenants',
      summary: 'All tenants, by slug',
      query: PageQuery.extend({ cursor: TenantSlug.optional().describe('`nextCursor` of the page before.') }),
      answer: pageOf(TenantRowShape),
    },
    async (_by, { query }) => {
      const { rows, isMore } = await listAllTenants(query.cursor ?? '', query.limit);
      return { items: rows, nextCursor: isMore ? (rows.at(-1)?.slug ?? null) : null };
    },
  ),
  operatorOperation(
    'operator:see',
    {
      id: 'getAnyTenant',
      method: 'GET',
      path: '/operator/tenants/{tenant}',
      tag: 'Tenants',
      summary: 'Any tenant',
      answer: TenantShape,
    },
    async (by, { params }) => told(await operatorCtx(by, params['tenant'] ?? '')),
  ),
  operatorOperation(
    'operator:change',
    {
      id: 'suspendTenant',
      method: 'POST',
      path: '/operator/tenants/{tenant}/suspend',
      tag: 'Tenants',
      summary: 'Let no runner of a tenant start, nor of those below it',
      description: 'Nothing is removed. Its people read the reason.',
      body: SuspendInput.omit({ slug: true }),
    },
    async (by, { params, body }) => suspend(by, { slug: params['tenant'] ?? '', ...body }),
  ),
  operatorOperation(
    'operator:change',
    {
      id: 'resumeTenant',
      method: 'POST',
      path: '/operator/tenants/{tenant}/resume',
      tag: 'Tenants',
      summary: 'Let the runners of a suspended tenant start again',
    },
    async (by, { params }) => resume(by, { slug: params['tenant'] ?? '' }),
  ),
];
