import { isDeepStrictEqual } from 'node:util';
import { Decimal } from 'decimal.js';
import { z } from 'zod';
import { ratesOf, runnerCost } from '#lib/billing/index.ts';
import { notFound } from '#lib/errors.ts';
import {
  daysBetween,
  definitionOf,
  EnrollmentSpec,
  labelOf,
  nextEdge,
  runnersProblems,
  standingAt,
  standingMost,
  wallClock,
  warmMost,
  warmRunnerSeconds,
  warmSpans,
  weekAround,
  weekDayName,
  weekDays,
  type ForgeKind,
  type PoolChoice,
  type WarmSchedule,
} from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { approvedPools, poolsByName, sizeOf } from './catalog.ts';
import { adoptedOf } from './desired.ts';
import { saveWarmth, type WarmthInput } from './draft.ts';
import { makePlan } from './plan.ts';
import { scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';

/** One week of a pool as its schedule would have it: for a chart, its table, and what that costs. */
export type WeekPreview = {
  timeZone: string;
  /** Hours of this week in that zone: 168, or one more or less where the clocks are put. */
  hours: number;
  days: { label: string; atShare: number }[];
  spans: { from: string; to: string; fromShare: number; toShare: number; hours: number; runners: number }[];
  /** The largest of them, and the most that there may be. */
  most: number;
  maxRunners: number;
  runnerHours: string;
  /** Of this week, and of a month of its kind; null without a rate. */
  cost: string | null;
  monthCost: string | null;
  currency: string;
  /** Where the present moment is in it; null in another week. */
  nowShare: number | null;
};

export type PoolDetail = {
  enrollmentId: string;
  enrollment: string;
  path: string;
  forgeKind: ForgeKind;
  state: EnrollmentRow['state'];
  pool: string;
  description: string;
  label: string;
  size: string;
  /** What is approved: always warm, at most, and what was asked for where a share is less. */
  minRunners: number;
  maxRunners: number;
  asked: number;
  schedule: WarmSchedule | null;
  /** What stands now, and the next time that this changes. */
  warmNow: number;
  next: { at: string; wall: string; runners: number } | null;
  /** Why there is no schedule to be had; null where there is. */
  refusal: string | null;
  /** Taken over from somebody, with their pod template. */
  isAdopted: boolean;
  /** The catalog has moved on, and an operator has not brought it here yet. */
  isBehind: boolean;
  preview: WeekPreview;
};

const dayMs = 24 * 3600_000;
/** A year's twelfth, in days. */
const monthDays = new Decimal('365.25').div(12);

async function ownPool(
  ctx: Ctx,
  enrollmentId: string,
  pool: string,
): Promise<{ row: EnrollmentRow; choice: PoolChoice }> {
  const row = z.uuid().safeParse(enrollmentId).success
    ? await ctx.db.enrollment.findFirst({ where: { id: enrollmentId }, include: withPosition })
    : null;
  const drafted = row && EnrollmentSpec.safeParse(row.draft).data;
  if (!row) throw notFound('This pool');
  const choice = (specOf(row) ?? drafted)?.pools.find((each) => each.pool === pool);
  // One that is on its way out has no choice any more, and a row until it has gone.
  const held = row.pools.find(({ poolName }) => poolName === pool);
  if (choice) return { row, choice };
  if (!held) throw notFound('This pool');
  return { row, choice: { pool, minRunners: held.minRunners, maxRunners: held.maxRunners } };
}

/** One pool of one enrollment: what is approved of it, and a week of its schedule around an instant. */
export async function poolDetail(
  ctx: Ctx,
  { enrollmentId, pool, now, weekOf }: { enrollmentId: string; pool: string; now: Date; weekOf?: Date | undefined },
): Promise<PoolDetail> {
  const { row, choice } = await ownPool(ctx, enrollmentId, pool);
  const catalog = await poolsByName();
  const profile = approvedPools(row, catalog).get(pool);
  const latest = catalog.get(pool);
  const held = row.pools.find(({ poolName }) => poolName === pool);
  const { kind } = row.connection;
  const maxRunners = held?.maxRunners ?? choice.maxRunners;
  const approved = { ...choice, maxRunners };
  const edge = nextEdge(choice, now.getTime());
  const [problem] = runnersProblems(kind, [{ ...choice, minRunners: 0, schedule: choice.schedule ?? anySchedule }]);
  return {
    enrollmentId: row.id,
    enrollment: row.name,
    path: scopeOf(row).path,
    forgeKind: kind,
    state: row.state,
    pool,
    description: profile?.description ?? '',
    label: labelOf(row.tenant, pool),
    size: `${profile?.cpu ?? '?'} CPU, ${profile?.memory ?? '?'}`,
    minRunners: choice.minRunners,
    maxRunners,
    asked: choice.maxRunners,
    schedule: choice.schedule ?? null,
    warmNow: standingAt(kind, approved, now.getTime()),
    next:
      edge === null
        ? null
        : {
            at: new Date(edge).toISOString(),
            wall: wallClock(choice.schedule?.timeZone ?? 'UTC', edge),
            runners: standingAt(kind, approved, edge),
          },
    refusal: problem?.field === 'schedule' ? problem.message : null,
    isAdopted: adoptedOf(row, choice) !== undefined,
    isBehind:
      profile !== undefined && latest !== undefined && !isDeepStrictEqual(definitionOf(profile), definitionOf(latest)),
    preview: await weekOfChoice(ctx, kind, approved, now, weekOf ?? now),
  };
}

const anySchedule: WarmSchedule = {
  timeZone: 'UTC',
  windows: [{ days: ['mon'], from: '08:00', to: '18:00', runners: 1 }],
  holidays: [],
};

async function weekOfChoice(
  ctx: Pick<Ctx, 'tenant'>,
  kind: ForgeKind,
  choice: PoolChoice,
  now: Date,
  weekOf: Date,
): Promise<WeekPreview> {
  const timeZone = choice.schedule?.timeZone ?? 'UTC';
  const { fromMs, toMs } = weekAround(timeZone, weekOf.getTime());
  // Forgejo's runners without a schedule all stand, whatever is said to be kept warm.
  const always = kind === 'forgejo' && !choice.schedule ? { minRunners: choice.maxRunners } : choice;
  const spans = warmSpans(always, fromMs, toMs).map((span) => ({
    ...span,
    runners: Math.min(span.runners, standingMost(kind, choice.maxRunners)),
  }));
  const share = (ms: number) => (ms - fromMs) / (toMs - fromMs);
  const seconds = new Decimal(warmRunnerSeconds(spans));
  const { cost, currency } = await costOf(ctx, choice.pool, seconds, now);
  const weekInDays = (toMs - fromMs) / dayMs;
  const nowMs = now.getTime();
  return {
    timeZone,
    hours: (toMs - fromMs) / 3600_000,
    days: daysBetween(timeZone, fromMs, toMs).map(({ atMs, date }, index) => ({
      label: `${weekDayName(weekDays[index % 7] ?? 'mon').slice(0, 3)} ${date.slice(5)}`,
      atShare: share(atMs),
    })),
    spans: spans.map(({ fromMs: from, toMs: to, runners }) => ({
      from: wallClock(timeZone, from),
      to: wallClock(timeZone, to),
      fromShare: share(from),
      toShare: share(to),
      hours: (to - from) / 3600_000,
      runners,
    })),
    most: Math.max(0, ...spans.map(({ runners }) => runners)),
    maxRunners: standingMost(kind, choice.maxRunners),
    runnerHours: seconds.div(3600).toDecimalPlaces(2).toString(),
    cost: cost?.toString() ?? null,
    monthCost: cost?.div(weekInDays).mul(monthDays).toDecimalPlaces(6).toString() ?? null,
    currency,
    nowShare: nowMs >= fromMs && nowMs < toMs ? share(nowMs) : null,
  };
}

/** By the same function as a bill, at the rates in force. */
async function costOf(
  ctx: Pick<Ctx, 'tenant'>,
  pool: string,
  runnerSeconds: Decimal,
  at: Date,
): Promise<{ cost: Decimal | null; currency: string }> {
  const [{ currency, rates }, known] = await Promise.all([ratesOf(ctx.tenant.id), poolsByName()]);
  const defined = known.get(pool);
  return { cost: defined ? runnerCost(rates, sizeOf(defined), runnerSeconds, at) : null, currency };
}

/** A week of what somebody is about to ask for. Nothing is kept. */
export async function previewWarmth(ctx: Ctx, input: WarmthInput, now: Date, weekOf: Date): Promise<WeekPreview> {
  const { row, choice } = await ownPool(ctx, input.enrollmentId, input.pool);
  const { schedule: _, ...rest } = choice;
  const asked = {
    ...rest,
    minRunners: input.minRunners,
    ...(input.schedule ? { schedule: input.schedule } : {}),
    // More than the maximum is refused when it is planned; the picture shows it.
    maxRunners: Math.max(
      choice.maxRunners,
      warmMost({ minRunners: input.minRunners, schedule: input.schedule ?? undefined }),
    ),
  };
  return weekOfChoice(ctx, row.connection.kind, asked, now, weekOf);
}

/** Puts it into the enrollment's draft and makes a plan of that; answers the plan. */
export async function planWarmth(ctx: Ctx, input: WarmthInput): Promise<string> {
  await ownPool(ctx, input.enrollmentId, input.pool);
  await saveWarmth(ctx, input);
  return makePlan(ctx, { enrollmentId: input.enrollmentId, kind: 'change' });
}
