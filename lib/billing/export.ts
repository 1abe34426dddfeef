import { z } from 'zod';
import { csvLine, type Cell } from '#lib/csv.ts';
import { CostQuery, dashboardOf, dearestJobs } from './dashboard.ts';

const Table = z.enum(['rows', 'series', 'waste', 'jobs']).catch('rows');

type Sheet = { columns: string[]; rows: Cell[][] };

const decimal = (text: string) => ({ decimal: text });

async function sheetOf(
  table: z.infer<typeof Table>,
  tenantIds: readonly string[] | null,
  query: CostQuery,
  now: Date,
): Promise<Sheet & { period: string }> {
  const view = await dashboardOf(tenantIds, query, now);
  const { period, currency } = view;
  if (table === 'series')
    return {
      period,
      columns: ['at', 'cost', 'currency'],
      rows: view.series.map(({ at, cost }) => [at, decimal(cost), currency]),
    };
  if (table === 'waste')
    return {
      period,
      columns: ['kind', 'what', 'cost', 'currency', 'todo'],
      rows: view.waste.map(({ kind, what, cost, todo }) => [kind, what, decimal(cost), currency, todo]),
    };
  if (table === 'jobs') {
    const jobs = await dearestJobs(tenantIds, query, now);
    return {
      period,
      columns: ['job', 'name', 'repository', 'workflow', 'conclusion', 'pool', 'runner_seconds', 'cost', 'currency'],
      rows: jobs.map((job) => [
        job.job,
        job.name,
        job.repository,
        job.workflow,
        job.conclusion,
        job.pool,
        decimal(job.runnerSeconds),
        decimal(job.cost),
        currency,
      ]),
    };
  }
  return {
    period,
    columns: [query.by, 'runner_seconds', 'own_cost', 'shared_cost', 'cost', 'currency'],
    rows: view.rows.map((row) => [
      row.label,
      decimal(row.runnerSeconds),
      decimal(row.own),
      decimal(row.shared),
      decimal(row.cost),
      currency,
    ]),
  };
}

export function fileResponse(body: BodyInit, name: string, type: string): Response {
  return new Response(body, {
    headers: {
      'content-type': type,
      'content-disposition': `attachment; filename="${name}"`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  });
}

export const csvType = 'text/csv; charset=utf-8';

/** Any table of a view of cost as a file, with every digit. */
export async function exportCosts(
  tenantIds: readonly string[] | null,
  asked: URLSearchParams,
  name: string,
  now: Date,
): Promise<Response> {
  const table = Table.parse(asked.get('table') ?? 'rows');
  const query = CostQuery.parse(Object.fromEntries(asked));
  const { period, columns, rows } = await sheetOf(table, tenantIds, query, now);
  const text = [columns, ...rows].map((row) => csvLine(row)).join('');
  return fileResponse(text, `cost-${name}-${period}-${table === 'rows' ? query.by : table}.csv`, csvType);
}
