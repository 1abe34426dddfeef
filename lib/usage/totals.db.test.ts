import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { poolSeconds, secondsBetween, type Reading } from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
});
afterAll(() => rows?.stop());

const hour = Date.UTC(2026, 5, 1);
const at = (second: number) => new Date(hour + second * 1000);

type Kept = Reading & { poolName: string; tenantId: string };

let run = 0;
beforeEach(() => {
  run += 1;
});

/** Readings are append-only: each case has pods of its own, in a month of its own. */
async function keep(readings: Kept[]): Promise<void> {
  await unsafeDb().runnerReading.createMany({
    data: readings.map(({ runnerSeconds, ...each }) => ({
      ...each,
      enrollmentId: each.tenantId === acme.tenantId ? acme.enrollmentId : bolt.enrollmentId,
      startedAt: each.observedAt,
      runnerSeconds: runnerSeconds.toFixed(3),
    })),
    skipDuplicates: true,
  });
}

test('I6: the one statement says what the meter says, pod by pod, of any readings', async () => {
  const reading = fc.record({
    pod: fc.nat(4),
    second: fc.nat(100),
    millis: fc.nat(5_000_000),
    poolName: fc.constantFrom('docker', 'nix'),
    ofBolt: fc.boolean(),
  });
  const cases = fc.record({ readings: fc.array(reading, { maxLength: 30 }), from: fc.nat(100), length: fc.nat(100) });
  let count = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ readings, from, length }) => {
      count += 1;
      // A year apart: what one case kept is before or after every window of the others, and its pods are others.
      const base = 4 * 366 * 24 * 3600 * count;
      const byKey = new Map<string, Kept>();
      for (const { pod, second, millis, poolName, ofBolt } of readings) {
        // A pod is of one pool and one tenant for all its life.
        const podUid = `case-${count}-pod-${pod}-${poolName}-${ofBolt}`;
        const tenantId = ofBolt ? bolt.tenantId : acme.tenantId;
        const kept = {
          podUid,
          observedAt: at(base + second),
          runnerSeconds: new Decimal(millis).div(1000),
          poolName,
          tenantId,
        };
        const key = `${podUid}/${second}`;
        if (!byKey.has(key)) byKey.set(key, kept);
      }
      const kept = [...byKey.values()];
      await keep(kept);
      const window = [at(base + from), at(base + from + length)] as const;
      const meter = new Map<string, { runnerSeconds: Decimal; runners: number }>();
      const ours = kept.filter(({ tenantId }) => tenantId === acme.tenantId);
      for (const podUid of new Set(ours.map((each) => each.podUid))) {
        const ofPod = ours.filter((each) => each.podUid === podUid);
        const seconds = secondsBetween(ofPod, ...window);
        const pool = ofPod[0]?.poolName ?? '';
        const sum = meter.get(pool) ?? { runnerSeconds: new Decimal(0), runners: 0 };
        meter.set(pool, {
          runnerSeconds: sum.runnerSeconds.plus(seconds),
          runners: sum.runners + (seconds.gt(0) ? 1 : 0),
        });
      }
      const told = await poolSeconds(acme.tenantId, ...window);
      const asText = (entries: Iterable<[string, { runnerSeconds: Decimal; runners: number }]>) =>
        [...entries]
          .filter(([, { runnerSeconds }]) => runnerSeconds.gt(0))
          .map(([pool, { runnerSeconds, runners }]) => `${pool} ${runnerSeconds.toFixed(3)} ${runners}`)
          .toSorted();
      expect(asText(told.map((each) => [each.pool, each]))).toEqual(asText(meter));
    }),
    { numRuns: 40 },
  );
}, 60_000);

test('sums stay exact, however many there are and however small', async () => {
  const before = at(-3600);
  const many = Array.from({ length: 1000 }, (_, index) => ({
    podUid: `tenth-${run}-${index}`,
    observedAt: at(-1800),
    runnerSeconds: new Decimal('0.1'),
    poolName: 'nix-heavy',
    tenantId: acme.tenantId,
  }));
  await keep(many);
  const [told] = (await poolSeconds(acme.tenantId, before, at(-1))).filter(({ pool }) => pool === 'nix-heavy');
  expect([told?.runnerSeconds.toFixed(), told?.runners]).toEqual(['100', 1000]);
});
