import { z } from 'zod';
import {
  addBudget,
  BudgetInput,
  changeBudget,
  ChangeBudgetInput,
  dashboardOf,
  dimensions,
  familyOf,
  listBudgets,
  listStatements,
  Period,
  removeBudget,
} from '#lib/billing/index.ts';
import { catalog, poolsNow } from '#lib/enrollment/index.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { isJobCursor, jobSeries, jobStandings, listJobs, seriesWindows, type JobQuery } from '#lib/usage/index.ts';
import { cut, PageQuery, pageOf, personOperation, tenantOperation, type Operation } from '../operation.ts';
import {
  BudgetShape,
  CatalogPoolShape,
  CostsShape,
  JobShape,
  PoolsNowShape,
  StatementShape,
  UsageShape,
} from '../shapes.ts';

const name = z.string().max(200);

const JobsQuery = PageQuery.extend({
  cursor: PageQuery.shape.cursor.refine((text) => text === undefined || isJobCursor(text), 'is none of a page'),
  q: name.default('').describe('In the repository, the workflow, the job’s name or its runner’s.'),
  repository: name.default(''),
  workflow: name.default(''),
  pool: name.default('').describe('A pool’s label.'),
  standing: z.enum(jobStandings).optional(),
  from: z.iso.date().optional().describe('A day in UTC.'),
  to: z.iso.date().optional().describe('A day in UTC, the last included.'),
});

const WantedBudget = z.strictObject({
  name: BudgetInput.shape.name,
  amount: BudgetInput.shape.amount,
  team: TenantSlug.or(z.literal(''))
    .default('')
    .describe('A team below, whose cost counts; the tenant itself where it is left out.'),
  repository: BudgetInput.shape.repository,
  thresholds: z
    .array(z.int().min(1).max(1000))
    .min(1)
    .max(10)
    .default([50, 80, 100])
    .describe('Percent that are told of.'),
  isLimit: z.boolean().default(false).describe('Whether it holds runners back, by steps that are announced.'),
});

const budget = '/tenants/{tenant}/budgets/{budget}';

export const use: Operation[] = [
  personOperation(
    {
      id: 'listPools',
      method: 'GET',
      path: '/pools',
      tag: 'Pools',
      summary: 'The catalog of pools, with their general price',
      query: PageQuery,
      answer: pageOf(CatalogPoolShape),
    },
    async (_by, { query, now }) => cut(await catalog(null, now), query, (pool) => pool.name),
  ),
  tenantOperation(
    'pool:see',
    {
      id: 'getPoolsNow',
      method: 'GET',
      path: '/tenants/{tenant}/pools',
      tag: 'Pools',
      summary: 'What runs now, against what may run',
      answer: PoolsNowShape,
    },
    async (ctx) => {
      const { tag: _, ...now } = await poolsNow(ctx);
      return now;
    },
  ),
  tenantOperation(
    'job:see',
    {
      id: 'listJobs',
      method: 'GET',
      path: '/tenants/{tenant}/jobs',
      tag: 'Jobs and usage',
      summary: 'The ledger of jobs, newest first',
      query: JobsQuery,
      answer: pageOf(JobShape),
    },
    async (ctx, { query: { limit, cursor = '', standing, from = '', to = '', ...filter } }) => {
      const query: JobQuery = { ...filter, standing: standing ?? '', from, to, tenant: '', before: cursor };
      const { rows, next } = await listJobs(ctx, query, limit);
      return { items: rows, nextCursor: next };
    },
  ),
  tenantOperation(
    'usage:see',
    {
      id: 'getUsage',
      method: 'GET',
      path: '/tenants/{tenant}/usage',
      tag: 'Jobs and usage',
      summary: 'How many runners had a job, how long jobs waited, and how they ended',
      query: z.strictObject({
        window: z.enum(seriesWindows).default('day'),
        pool: name.default('').describe('A pool’s label; empty for all.'),
      }),
      answer: UsageShape,
    },
    async (ctx, { query, now }) => jobSeries(ctx.tenant.id, query, now),
  ),
  tenantOperation(
    'billing:see',
    {
      id: 'getCosts',
      method: 'GET',
      path: '/tenants/{tenant}/costs',
      tag: 'Costs',
      summary: 'What a month costs, by a dimension; of the tenant and those below it',
      query: z.strictObject({
        period: Period.optional().describe('The present month where it is left out.'),
        by: z.enum(dimensions).default('pool'),
        pool: name.optional(),
        repository: z.string().max(300).optional(),
        day: z.iso.date().optional(),
      }),
      answer: CostsShape,
    },
    async (ctx, { query, now }) => {
      const {
        gaps: _,
        byOperatorSeconds: __,
        otherCurrencies: ___,
        ...costs
      } = await dashboardOf(await familyOf(ctx.tenant.id), query, now);
      return costs;
    },
  ),
  tenantOperation(
    'billing:see',
    {
      id: 'listStatements',
      method: 'GET',
      path: '/tenants/{tenant}/statements',
      tag: 'Costs',
      summary: 'The closed months, the newest first',
      query: PageQuery,
      answer: pageOf(StatementShape),
    },
    async (ctx, { query }) => cut(await listStatements(ctx), query, ({ number }) => number),
  ),
  tenantOperation(
    'billing:see',
    {
      id: 'listBudgets',
      method: 'GET',
      path: '/tenants/{tenant}/budgets',
      tag: 'Costs',
      summary: 'Budgets, and what of them is spent',
      query: PageQuery,
      answer: pageOf(BudgetShape),
    },
    async (ctx, { query, now }) => cut(await listBudgets(ctx, now), query, ({ id }) => id),
  ),
  tenantOperation(
    'budget:change',
    {
      id: 'addBudget',
      method: 'POST',
      path: '/tenants/{tenant}/budgets',
      tag: 'Costs',
      summary: 'Set a budget',
      body: WantedBudget,
      answer: z.object({ id: z.guid() }),
      status: 201,
    },
    async (ctx, { body }) => ({ id: await addBudget(ctx, body) }),
  ),
  tenantOperation(
    'budget:change',
    {
      id: 'changeBudget',
      method: 'PATCH',
      path: budget,
      tag: 'Costs',
      summary: 'Raise or lower a budget',
      body: ChangeBudgetInput.omit({ budgetId: true }),
    },
    async (ctx, { params, body, now }) => changeBudget(ctx, { budgetId: params['budget'] ?? '', ...body }, now),
  ),
  tenantOperation(
    'budget:change',
    { id: 'removeBudget', method: 'DELETE', path: budget, tag: 'Costs', summary: 'Remove a budget' },
    async (ctx, { params }) => removeBudget(ctx, params['budget'] ?? ''),
  ),
];
