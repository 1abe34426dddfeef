import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { jobSeries, seriesWindows, type SeriesStep } from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
});
afterAll(() => rows?.stop());

type Ran = { pool: string; queued: number; wait: number; run: number; isOver: boolean; conclusion: string | null };

/** Linear between the two nearest, as Postgres has percentile_cont. */
function percentile(values: number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(place)] ?? 0, sorted[Math.ceil(place)] ?? 0];
  return low + (high - low) * (place - Math.floor(place));
}

const now = new Date('2026-08-15T12:34:56Z');
const second = (n: number) => new Date(now.getTime() + n * 1000);

/** What the series is to say of a step, told plainly: a pass over all jobs. */
function plainly(jobs: Ran[], from: number, to: number): Omit<SeriesStep, 'at'> {
  const began = jobs.map((job) => ({ ...job, start: job.queued + job.wait }));
  const waits = began.filter(({ start }) => start >= from && start < to).map(({ wait }) => wait);
  const ends = began.filter(({ isOver, start, run }) => isOver && start + run >= from && start + run < to);
  const busySeconds = began.reduce((sum, { start, run, isOver }) => {
    const end = isOver ? start + run : 0;
    return sum + Math.max(0, Math.min(end, to) - Math.max(start, from));
  }, 0);
  const failed = ends.filter(({ conclusion }) => conclusion === 'failure').length;
  const succeeded = ends.filter(({ conclusion }) => conclusion === 'success').length;
  return {
    began: waits.length,
    p50: percentile(waits, 0.5),
    p90: percentile(waits, 0.9),
    p99: percentile(waits, 0.99),
    succeeded,
    failed,
    other: ends.length - failed - succeeded,
    busy: busySeconds / (to - from),
  };
}

const close = (value: number | null) => (value === null ? null : Number(value.toFixed(6)));
const rounded = (step: Omit<SeriesStep, 'at'>) =>
  Object.fromEntries(Object.entries(step).map(([name, value]) => [name, close(value)]));

test('every step of every window says what a pass over all jobs says', async () => {
  const longest = 31 * 86_400;
  const ran = fc.record({
    pool: fc.constantFrom('acme-nix', 'acme-docker'),
    queued: fc.oneof(fc.integer({ min: -longest, max: -4000 }), fc.integer({ min: -4000, max: -1200 })),
    wait: fc.nat(600),
    run: fc.nat(600),
    isOver: fc.boolean(),
    conclusion: fc.constantFrom('success', 'failure', 'cancelled', null),
  });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(ran, { maxLength: 40 }), async (given) => {
      round += 1;
      // One that still runs began lately: no job runs for weeks.
      const jobs = given.map((job) => (job.queued < -5 * 86_400 ? { ...job, isOver: true } : job));
      await unsafeDb().job.deleteMany();
      await unsafeDb().job.createMany({
        data: [acme, bolt].flatMap((of, index) =>
          jobs.map(({ pool, queued, wait, run, isOver, conclusion }, n) => ({
            connectionId: 'forge',
            externalId: `${round}-${of.slug}-${n}`,
            tenantId: of.tenantId,
            enrollmentId: of.enrollmentId,
            scaleSetName: pool,
            repository: 'r',
            // Another tenant's jobs, of which none may count.
            state: isOver ? ('completed' as const) : ('running' as const),
            conclusion: isOver ? conclusion : null,
            queuedAt: second(queued - index),
            startedAt: second(queued + wait + index * 100),
            completedAt: isOver ? second(queued + wait + run + index * 100) : null,
          })),
        ),
      });
      for (const window of seriesWindows)
        for (const pool of ['', 'acme-nix']) {
          const series = await jobSeries(acme.tenantId, { window, pool }, now);
          const own = jobs.filter((job) => pool === '' || job.pool === pool);
          const offset = (Date.parse(series.from) - now.getTime()) / 1000;
          const expected = series.steps.map((_, step) => {
            const from = offset + step * series.stepSeconds;
            return rounded(plainly(own, from, from + series.stepSeconds));
          });
          expect(series.steps.map(({ at: _, ...step }) => rounded(step))).toEqual(expected);
          const { busySeconds: _, ...total } = series.total;
          const { busy: __, ...whole } = plainly(own, offset, offset + series.stepSeconds * series.steps.length);
          expect(rounded(total as never)).toEqual(rounded(whole as never));
        }
    }),
    { numRuns: 15 },
  );
}, 60_000);

test('the last step is the one that is under way', async () => {
  const { from, to, steps, stepSeconds } = await jobSeries(acme.tenantId, { window: 'hour', pool: '' }, now);
  expect([from, to, stepSeconds, steps.length]).toEqual([
    '2026-08-15T11:36:00.000Z',
    '2026-08-15T12:36:00.000Z',
    120,
    30,
  ]);
});

test('a job that the cluster alone told of has no wait: nobody knows when it was queued', async () => {
  const { tenantId, enrollmentId } = acme;
  await unsafeDb().job.deleteMany();
  const whose = { connectionId: 'forge', externalId: 'runner:uid', tenantId, enrollmentId };
  const when = { queuedAt: second(-100), startedAt: second(-100), completedAt: second(-40) };
  await unsafeDb().job.create({
    data: { ...whose, ...when, scaleSetName: 'acme-nix', repository: 'r', state: 'completed' },
  });
  const { total } = await jobSeries(tenantId, { window: 'hour', pool: '' }, now);
  expect(total).toMatchObject({ began: 0, p50: null, other: 1, busySeconds: 60 });
});
