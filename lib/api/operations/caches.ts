import { z } from 'zod';
import {
  cacheViews,
  changeView,
  createView,
  issuePersonToken,
  listTokens,
  personTokenDaysMost,
  removeView,
  revokeToken,
} from '#lib/caching/index.ts';
import { listCredentials, rotateCredential, RotateInput } from '#lib/enrollment/index.ts';
import { notFound } from '#lib/errors.ts';
import { ViewLabel, ViewSettings, viewTrusts } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { cut, PageQuery, pageOf, tenantOperation, type Operation } from '../operation.ts';
import { CacheTokenOnceShape, CacheTokenShape, CredentialShape, RevokedShape, ViewShape } from '../shapes.ts';

const daysMost = 24_855;

const Settings = ViewSettings.omit({ retentionSeconds: true }).extend({
  retentionDays: z
    .int()
    .min(0)
    .max(daysMost)
    .nullable()
    .default(null)
    .describe('Null is the server’s own; 0 is for ever.'),
});
const view = '/tenants/{tenant}/caches/{view}';

async function viewOf(ctx: Ctx, id: string) {
  const found = (await cacheViews(ctx)).find((each) => each.id === id);
  if (!found) throw notFound('This view');
  return found;
}

export const caches: Operation[] = [
  tenantOperation(
    'cache:see',
    {
      id: 'listCaches',
      method: 'GET',
      path: '/tenants/{tenant}/caches',
      tag: 'Caches',
      summary: 'The tenant’s cache views',
      query: PageQuery,
      answer: pageOf(ViewShape),
    },
    async (ctx, { query }) => cut(await cacheViews(ctx), query, ({ id }) => id),
  ),
  tenantOperation(
    'cache:change',
    {
      id: 'createCache',
      method: 'POST',
      path: '/tenants/{tenant}/caches',
      tag: 'Caches',
      summary: 'Make a further view',
      body: Settings.extend({ label: ViewLabel, trust: z.enum(viewTrusts).default('trusted') }),
      answer: z.object({ id: z.guid() }),
      status: 201,
    },
    async (ctx, { body }) => ({ id: (await createView(ctx, body)).viewId }),
  ),
  tenantOperation(
    'cache:see',
    { id: 'getCache', method: 'GET', path: view, tag: 'Caches', summary: 'A cache view', answer: ViewShape },
    async (ctx, { params }) => viewOf(ctx, params['view'] ?? ''),
  ),
  tenantOperation(
    'cache:change',
    {
      id: 'changeCache',
      method: 'PUT',
      path: view,
      tag: 'Caches',
      summary: 'Change how a view is set',
      body: Settings,
    },
    async (ctx, { params, body }) => changeView(ctx, { viewId: (await viewOf(ctx, params['view'] ?? '')).id, ...body }),
  ),
  tenantOperation(
    'cache:change',
    {
      id: 'removeCache',
      method: 'DELETE',
      path: view,
      tag: 'Caches',
      summary: 'Remove a view, with all that is in it',
      description: 'Views of enrollments go with the enrollment.',
      scope: 'apply',
    },
    async (ctx, { params }) => {
      const { id: viewId, name: typed } = await viewOf(ctx, params['view'] ?? '');
      await removeView(ctx, { viewId, typed });
    },
  ),
  tenantOperation(
    'cache:see',
    {
      id: 'listCacheTokens',
      method: 'GET',
      path: '/tenants/{tenant}/cache-tokens',
      tag: 'Caches',
      summary: 'Every token of the caches that the server takes now',
      query: PageQuery,
      answer: pageOf(CacheTokenShape),
    },
    async (ctx, { query, now }) => cut(await listTokens(ctx, now), query, ({ id }) => id),
  ),
  tenantOperation(
    'cache:see',
    {
      id: 'issueCacheToken',
      method: 'POST',
      path: '/tenants/{tenant}/cache-tokens',
      tag: 'Caches',
      summary: 'Make a token of the caches in your name',
      scope: 'credentials',
      body: z.strictObject({
        views: z.array(z.guid()).min(1).max(20).describe('Ids of views.'),
        write: z.boolean().default(false).describe('Also to push, which is for admins.'),
        days: z.int().min(1).max(personTokenDaysMost),
        usedIn: z.string().trim().min(1).max(80),
      }),
      answer: CacheTokenOnceShape,
      status: 201,
    },
    async (ctx, { body: { views: viewIds, ...rest }, now }) => issuePersonToken(ctx, { viewIds, ...rest }, now),
  ),
  tenantOperation(
    'cache:see',
    {
      id: 'revokeCacheToken',
      method: 'DELETE',
      path: '/tenants/{tenant}/cache-tokens/{token}',
      tag: 'Caches',
      summary: 'Revoke a token of the caches',
      description: 'It is not renewed; the server takes it until it ends by itself, and the answer says when that is.',
      scope: 'credentials',
      answer: RevokedShape,
    },
    async (ctx, { params, now }) => revokeToken(ctx, { tokenId: params['token'] ?? '' }, now),
  ),
  tenantOperation(
    'credential:see',
    {
      id: 'listCredentials',
      method: 'GET',
      path: '/tenants/{tenant}/credentials',
      tag: 'Credentials',
      summary: 'What the tenant’s enrollments act by; never a value',
      query: PageQuery,
      answer: pageOf(CredentialShape),
    },
    async (ctx, { query }) => cut(await listCredentials(ctx), query, ({ id }) => id),
  ),
  tenantOperation(
    'credential:change',
    {
      id: 'rotateCredential',
      method: 'POST',
      path: '/tenants/{tenant}/credentials/rotate',
      tag: 'Credentials',
      summary: 'Have the portal make a new one of what it makes itself',
      body: RotateInput,
    },
    async (ctx, { body }) => rotateCredential(ctx, body),
  ),
];
