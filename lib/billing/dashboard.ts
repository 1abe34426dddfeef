import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import { unsafeDb, type JobState } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { gapsBetween, gapsOf, meterWords, type Gap, type UseLine } from '#lib/usage/index.ts';
import { Exact, sumOf } from './exact.ts';
import { forecastOf } from './forecast.ts';
import { monthCosts, type MonthCost } from './month.ts';
import { boundsOf, daysOf, monthsFrom, Period, periodAt } from './period.ts';
import type { Cost } from './price.ts';
import { wasteOf, type Waste } from './waste.ts';

export const dimensions = ['pool', 'repository', 'workflow', 'tenant', 'day', 'hour'] as const;
export type Dimension = (typeof dimensions)[number];

const Name = z.string().max(300).optional().catch(undefined);

/** A view of cost, as its address says it; what cannot be read is as if it were not said. */
export const CostQuery = z.object({
  period: Period.optional().catch(undefined),
  by: z.enum(dimensions).catch('pool'),
  pool: Name,
  repository: Name,
  day: z.iso.date().optional().catch(undefined),
});
export type CostQuery = z.infer<typeof CostQuery>;

/** Costs are exact decimals; a share is of the whole, 0 to 1. */
export type CostRow = {
  key: string;
  label: string;
  runnerSeconds: string;
  own: string;
  shared: string;
  cost: string;
  share: number;
};
export type CostPoint = { at: string; cost: string };

export type Dashboard = {
  period: Period;
  currency: string;
  /** Whether the month goes on. */
  isOpen: boolean;
  total: string;
  listCost: string;
  commitment: string;
  forecast: { total: string; basis: string } | null;
  /** The month before, to the same day and whole. */
  before: { period: Period; toDate: string; whole: string };
  series: CostPoint[];
  rows: CostRow[];
  waste: Waste[];
  gaps: Gap[];
  /** What has no rate in force. */
  unpriced: { what: string; quantity: string; unit: string }[];
  unattributed: string;
  /** Runner-seconds of idle time that the operator bears. */
  byOperatorSeconds: string;
  /** Currencies of tenants that this view leaves out. */
  otherCurrencies: string[];
};

type Known = { months: MonthCost[]; costs: Cost[]; currency: string };

/** Months of one currency, and what of their costs the query asks for. */
function selected(months: readonly MonthCost[], { pool, repository, day }: CostQuery): Known {
  const currency = months.find(({ uses }) => uses.length > 0)?.payer.currency ?? months[0]?.payer.currency ?? 'USD';
  const own = months.filter(({ payer }) => payer.currency === currency);
  const costs = own
    .flatMap(({ priced }) => priced.costs)
    .filter(({ use }) => pool === undefined || (use.pool ?? '') === pool)
    .filter(({ use }) => repository === undefined || use.repository === repository)
    .filter(({ use }) => day === undefined || use.at.toISOString().startsWith(day));
  return { months: own, costs, currency };
}

const costSum = (costs: readonly Cost[]) => sumOf(costs.map((each) => each.contractedCost));

/** A line of use by the name that it has in this dimension, and what people call it. */
function placeOf(use: UseLine, by: Dimension, names: ReadonlyMap<string | null, string>): [string, string] {
  const named = (name: string | null): [string, string] => {
    if (name !== null) return [name, name];
    if (use.kind === 'idle') return ['(idle)', 'Idle runners'];
    return use.kind === 'plane' ? ['(plane)', 'Caches'] : ['(unattributed)', 'Not attributed'];
  };
  if (by === 'pool') return use.pool === null ? [use.meter, meterWords[use.meter].label] : [use.pool, use.pool];
  if (by === 'tenant') return [use.tenantId ?? '', names.get(use.tenantId) ?? 'No tenant'];
  if (by === 'repository') return named(use.repository);
  if (by === 'workflow') {
    const name = use.repository === null ? null : `${use.repository} · ${use.workflow ?? 'no workflow'}`;
    return named(name);
  }
  const at = use.at.toISOString();
  return by === 'day' ? [at.slice(0, 10), at.slice(0, 10)] : [at.slice(11, 13), `${at.slice(11, 13)}:00`];
}

type Sum = { label: string; seconds: Decimal; own: Decimal; shared: Decimal };

function rowsOf({ months, costs }: Known, by: Dimension): CostRow[] {
  const names = new Map(months.map(({ payer }) => [payer.id, payer.displayName]));
  const sums = new Map<string, Sum>();
  const add = (key: string, label: string, amount: Partial<Sum>) => {
    const sum = sums.get(key) ?? { label, seconds: new Exact(0), own: new Exact(0), shared: new Exact(0) };
    sum.seconds = sum.seconds.plus(amount.seconds ?? 0);
    sum.own = sum.own.plus(amount.own ?? 0);
    sum.shared = sum.shared.plus(amount.shared ?? 0);
    sums.set(key, sum);
  };
  for (const { use, contractedCost } of costs) {
    const [key, label] = placeOf(use, by, names);
    const seconds = use.meter === 'runnerSeconds' ? use.quantity : new Exact(0);
    add(key, label, { seconds, own: contractedCost });
  }
  const total = costSum(costs);
  const rows = [...sums].map(([key, { label, seconds, own, shared }]) => {
    const cost = own.plus(shared);
    const share = total.isZero() ? 0 : cost.div(total).toNumber();
    const [runnerSeconds, ...amounts] = [seconds, own, shared, cost].map((each) => each.toFixed());
    const [ownText = '0', sharedText = '0', costText = '0'] = amounts;
    return { key, label, runnerSeconds: runnerSeconds ?? '0', own: ownText, shared: sharedText, cost: costText, share };
  });
  return by === 'day' || by === 'hour' ? rows.toSorted(byName) : rows.toSorted(byCost);
}

/** By repository the idle time of each pool is shared by the pool's rule. */
function repositoryRows({ months, costs }: Known): CostRow[] {
  const base = new Map(rowsOf({ months, costs, currency: '' }, 'repository').map((row) => [row.key, row]));
  const total = costSum(costs);
  const keys = { repository: '', idle: '(idle)', plane: '(plane)', unattributed: '(unattributed)' };
  const sums = new Map<string, CostRow>();
  for (const { repository, label, own, shared } of months.flatMap(({ attributed }) => attributed)) {
    const key = repository ?? keys[label];
    const row = sums.get(key) ?? { ...(base.get(key) ?? blank(key)), own: '0', shared: '0', cost: '0' };
    const [ownSum, sharedSum] = [own.plus(row.own), shared.plus(row.shared)];
    const cost = ownSum.plus(sharedSum);
    const share = total.isZero() ? 0 : cost.div(total).toNumber();
    sums.set(key, { ...row, own: ownSum.toFixed(), shared: sharedSum.toFixed(), cost: cost.toFixed(), share });
  }
  return [...sums.values()].toSorted(byCost);
}

const blank = (key: string): CostRow => ({
  key,
  label: key === '(idle)' ? 'Idle runners' : key,
  runnerSeconds: '0',
  own: '0',
  shared: '0',
  cost: '0',
  share: 0,
});
const byName = (a: CostRow, b: CostRow) => (a.key < b.key ? -1 : 1);
const byCost = (a: CostRow, b: CostRow) => new Exact(b.cost).comparedTo(a.cost) || byName(a, b);

/** The cost of each day that has begun, or of each hour of one day. */
function seriesOf(
  costs: readonly Cost[],
  { period, day }: { period: Period; day?: string | undefined },
  now: Date,
): CostPoint[] {
  const length = day === undefined ? 10 : 13;
  const sums = new Map<string, Decimal>();
  for (const { use, contractedCost } of costs) {
    const at = use.at.toISOString().slice(0, length);
    sums.set(at, (sums.get(at) ?? new Exact(0)).plus(contractedCost));
  }
  const hours = Array.from({ length: 24 }, (_, hour) => `${day}T${String(hour).padStart(2, '0')}`);
  const points = day === undefined ? daysOf(period, now) : hours;
  return points.map((at) => ({ at, cost: (sums.get(at) ?? new Exact(0)).toFixed() }));
}

function unpricedIn(months: readonly MonthCost[]): Dashboard['unpriced'] {
  return months.flatMap(({ priced }) =>
    priced.unpriced.map(({ pool, meter, quantity }) => ({
      what: pool ?? meterWords[meter].label,
      quantity: quantity.toFixed(),
      unit: meterWords[meter].unit,
    })),
  );
}

/** What these tenants cost in a month; null is all of them, with what belongs to none. */
export async function dashboardOf(
  tenantIds: readonly string[] | null,
  query: CostQuery,
  now: Date,
): Promise<Dashboard> {
  const period = query.period ?? periodAt(now);
  const { from, to } = boundsOf(period);
  const isOpen = now >= from && now < to;
  const end = isOpen ? new Date(now.getTime() + 1) : to;
  const before = monthsFrom(period, -1);
  const start = boundsOf(before).from.getTime();
  const sameSpan = new Date(Math.min(from.getTime(), start + (end.getTime() - from.getTime())));
  const bucket = query.by === 'hour' || query.day !== undefined ? 'hour' : 'day';
  const detail = query.by === 'tenant' ? 'pool' : 'workflow';
  const [months, toDate, whole, gaps] = await Promise.all([
    monthCosts({ tenantIds, period, detail, bucket, to: end }),
    monthCosts({ tenantIds, period: before, detail: 'pool', to: sameSpan }),
    monthCosts({ tenantIds, period: before, detail: 'pool' }),
    gapsFor(tenantIds, from, end < now ? end : now),
  ]);
  const known = selected(months, query);
  const { costs, currency } = known;
  const totalOf = (all: readonly MonthCost[]) =>
    sumOf(all.filter(({ payer }) => payer.currency === currency).map((month) => month.contractedCost)).toFixed();
  const isNarrow = query.pool !== undefined || query.repository !== undefined || query.day !== undefined;
  return {
    period,
    currency,
    isOpen,
    total: costSum(costs).toFixed(),
    listCost: sumOf(costs.map((each) => each.listCost)).toFixed(),
    commitment: isNarrow ? '0' : sumOf(known.months.map((month) => month.commitment)).toFixed(),
    forecast: isOpen && query.day === undefined ? forecastIn(costs, period, now) : null,
    before: {
      period: before,
      toDate: totalOf(toDate),
      whole: totalOf(whole),
    },
    series: seriesOf(
      costs,
      {
        period,
        day: query.day,
      },
      now,
    ),
    rows: query.by === 'repository' && !isNarrow ? repositoryRows(known) : rowsOf(known, query.by),
    waste: wasteOf(known.months, costs),
    gaps,
    unpriced: unpricedIn(known.months),
    unattributed: costSum(costs.filter(({ use }) => use.kind === 'unattributed')).toFixed(),
    byOperatorSeconds: sumOf(known.months.flatMap(({ byOperator }) => byOperator).map(secondsOf)).toFixed(),
    otherCurrencies: [
      ...new Set(
        months
          .filter(({ payer, uses }) => payer.currency !== currency && uses.length > 0)
          .map(({ payer }) => payer.currency),
      ),
    ],
  };
}

function secondsOf(use: UseLine): Decimal {
  return use.meter === 'runnerSeconds' ? use.quantity : new Exact(0);
}

function forecastIn(costs: readonly Cost[], period: Period, now: Date): Dashboard['forecast'] {
  const daily = seriesOf(costs, { period }, now).map(({ cost }) => new Exact(cost));
  const dayShare = (now.getTime() % 86_400_000) / 86_400_000;
  const forecast = forecastOf(daily, daysOf(period).length, dayShare);
  return forecast && { total: forecast.total.toFixed(), basis: forecast.basis };
}

/** Of all clusters, or of those that these tenants stood on at the time; what several of them stood on is told once. */
async function gapsFor(tenantIds: readonly string[] | null, from: Date, to: Date): Promise<Gap[]> {
  if (tenantIds === null) {
    const clusters = await unsafeDb().cluster.findMany({ select: { id: true } });
    const ids = clusters.map(({ id }) => id);
    return gapsBetween(ids, from, to);
  }
  const where = { id: { in: [...tenantIds] } };
  const tenants = await unsafeDb().tenant.findMany({ where, select: { id: true, clusterId: true } });
  const gaps = [...(await gapsOf(tenants, from, to)).values()].flat();
  return [...new Map(gaps.map((gap) => [JSON.stringify(gap), gap])).values()];
}

export type JobCost = {
  /** `<connection>/<id>`. */
  job: string;
  name: string | null;
  repository: string;
  workflow: string | null;
  state: JobState;
  /** How it ended, where anybody told. */
  conclusion: string | null;
  pool: string | null;
  runnerSeconds: string;
  cost: string;
  currency: string;
};

const jobsMost = 20;

/** The jobs that cost most in a month, the dearest first. */
export async function dearestJobs(
  tenantIds: readonly string[] | null,
  query: CostQuery,
  now: Date,
): Promise<JobCost[]> {
  const period = query.period ?? periodAt(now);
  const { costs, currency } = selected(await monthCosts({ tenantIds, period, detail: 'job' }), query);
  const byJob = Map.groupBy(
    costs.filter(({ use }) => use.job !== null),
    ({ use }) => use.job ?? '',
  );
  const dearest = [...byJob]
    .map(([job, own]) => ({ job, own, cost: costSum(own) }))
    .toSorted((a, b) => b.cost.comparedTo(a.cost) || (a.job < b.job ? -1 : 1))
    .slice(0, jobsMost);
  const rows = await jobRows(dearest.map(({ job }) => job));
  return dearest.map(({ job, own, cost }) => ({
    job,
    name: rows.get(job)?.name ?? null,
    repository: own[0]?.use.repository ?? '',
    workflow: own[0]?.use.workflow ?? null,
    state: rows.get(job)?.state ?? 'completed',
    conclusion: rows.get(job)?.conclusion ?? null,
    pool: own[0]?.use.pool ?? null,
    runnerSeconds: sumOf(own.map(({ use }) => secondsOf(use))).toFixed(),
    cost: cost.toFixed(),
    currency,
  }));
}

async function jobRows(jobs: readonly string[]) {
  const OR = jobs.map((job) => {
    const [connectionId = '', ...externalId] = job.split('/');
    return { connectionId, externalId: externalId.join('/') };
  });
  const rows = OR.length === 0 ? [] : await unsafeDb().job.findMany({ where: { OR } });
  return new Map(rows.map((row) => [`${row.connectionId}/${row.externalId}`, row]));
}

export type JobDetail = JobCost & {
  tenant: string;
  runner: string | null;
  queuedAt: string;
  startedAt: string | null;
  completedAt: string | null;
  parts: { meter: string; unit: string; quantity: string; listCost: string; cost: string; rate: string }[];
};

/** GitHub ends a job after five days: it is in two months at most. */
const monthsMost = 2;

/** One job of a tenant, or of one below it: what it took, in whichever months, and how its cost comes about. */
export async function jobCost(tenantIds: readonly string[], job: string, now: Date): Promise<JobDetail> {
  const split = job.indexOf('/');
  const where = {
    tenantId: { in: [...tenantIds] },
    externalId: job.slice(split + 1),
    ...(split > 0 ? { connectionId: job.slice(0, split) } : {}),
  };
  const row = await unsafeDb().job.findFirst({ where });
  if (!row) throw notFound('This job');
  const id = `${row.connectionId}/${row.externalId}`;
  const first = periodAt(row.startedAt ?? row.queuedAt);
  const last = periodAt(row.completedAt ?? now);
  const periods = Array.from({ length: monthsMost }, (_, by) => monthsFrom(first, by)).filter((each) => each <= last);
  const asked = periods.map((period) => monthCosts({ tenantIds: [row.tenantId], period, detail: 'job' }));
  const months = (await Promise.all(asked)).flat();
  const own = months.flatMap(({ priced }) => priced.costs).filter(({ use }) => use.job === id);
  return {
    job: id,
    tenant: months[0]?.payer.slug ?? '',
    name: row.name,
    repository: row.repository,
    workflow: row.workflow,
    state: row.state,
    conclusion: row.conclusion,
    runner: row.runnerName,
    pool: own[0]?.use.pool ?? null,
    queuedAt: row.queuedAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    completedAt: row.completedAt?.toISOString() ?? null,
    runnerSeconds: sumOf(own.map(({ use }) => secondsOf(use))).toFixed(),
    cost: costSum(own).toFixed(),
    currency: months[0]?.payer.currency ?? 'USD',
    parts: [...Map.groupBy(own, ({ rate }) => rate.id).values()].flatMap(partOf),
  };
}

/** Of all its days under one price. */
function partOf(costs: Cost[]): JobDetail['parts'] {
  const [first] = costs;
  if (!first) return [];
  const { label, unit } = meterWords[first.use.meter];
  return [
    {
      meter: label,
      unit,
      quantity: sumOf(costs.map(({ use }) => use.quantity)).toFixed(),
      listCost: sumOf(costs.map(({ listCost }) => listCost)).toFixed(),
      cost: costSum(costs).toFixed(),
      rate: first.rate.unitPrice.toFixed(),
    },
  ];
}
