import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  gapsBetween,
  keepLook,
  keepPodMetrics,
  keepReadings,
  keepSources,
  keepStorage,
  poolSeconds,
  pruneReadings,
  refusalsSince,
  usedBetween,
  useLines,
  type GivenReading,
  type GivenSource,
  type PodMetrics,
} from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
});
afterAll(() => rows?.stop());

const hour = 3600;
const start = Date.UTC(2026, 5, 1);
const at = (second: number) => new Date(start + second * 1000);
const now = at(100 * hour);

let count = 0;
function source(change: Partial<GivenSource> = {}): GivenSource {
  count += 1;
  const { tenantId, enrollmentId } = acme;
  return {
    id: `source-${count}`,
    name: `runner-${count}`,
    clusterId: 'main',
    tenantId,
    enrollmentId,
    kind: 'runner',
    poolName: 'nix',
    cpuCores: '4',
    memoryGib: '8',
    gpuCount: 0,
    startedAt: at(0),
    endedAt: null,
    endedItself: null,
    ...change,
  };
}
const reading = (of: GivenSource, second: number, quantity: string | number): GivenReading => ({
  sourceId: of.id,
  meter: 'runnerSeconds',
  observedAt: at(second),
  quantity: typeof quantity === 'number' ? quantity.toFixed(3) : quantity,
});

async function usedOf(sources: readonly GivenSource[], from: Date, to: Date): Promise<string> {
  const ids = sources.map(({ id }) => id);
  const found = await unsafeDb().usageReading.findMany({ where: { sourceId: { in: ids } } });
  const kept = found.map((row) => ({
    ...row,
    meter: 'runnerSeconds' as const,
    quantity: new Decimal(row.quantity.toString()),
  }));
  return ids
    .reduce(
      (sum, id) =>
        sum.plus(
          usedBetween(
            kept.filter(({ sourceId }) => sourceId === id),
            from,
            to,
          ),
        ),
      new Decimal(0),
    )
    .toFixed(3);
}

/** A tenant of the case's own, since readings are never taken away. */
async function newTenant(): Promise<TenantRows> {
  count += 1;
  return addTenant(`case-${count}`);
}

async function told(tenantId: string, from: Date, to: Date): Promise<string> {
  const lines = await useLines({ tenantIds: [tenantId], from, to, bucket: 'day', detail: 'job' });
  return lines
    .filter(({ meter }) => meter === 'runnerSeconds')
    .reduce((sum, { quantity }) => sum.plus(quantity), new Decimal(0))
    .toFixed(3);
}

describe('keeping readings', () => {
  test('I6, F28: in any order, doubled, from two collectors and in any batches they come to the same, and never to more than ran', async () => {
    const pod = fc.record({
      begin: fc.nat(5 * hour),
      length: fc.nat(4 * hour),
      looks: fc.uniqueArray(fc.nat(12 * hour), { minLength: 1, maxLength: 8 }),
    });
    const cases = fc.record({
      pods: fc.array(pod, { minLength: 1, maxLength: 4 }),
      keys: fc.infiniteStream(fc.nat(1000)),
      lost: fc.nat(7),
      from: fc.nat(6),
      length: fc.integer({ min: 1, max: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ pods, keys, lost, from, length }) => {
        const one = await newTenant();
        const other = await newTenant();
        const of = (tenant: TenantRows) =>
          pods.map(({ begin }) =>
            source({ tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId, startedAt: at(begin) }),
          );
        const readingsOf = (sources: readonly GivenSource[], without = -1) =>
          pods.flatMap(({ begin, length: ran, looks }, index) =>
            looks
              .filter((second, look) => second >= begin && look !== without)
              .map((second) => reading(sources[index] as GivenSource, second, Math.min(second - begin, ran))),
          );
        const [inOrder, inDisorder] = [of(one), of(other)];
        await keepSources(inOrder);
        await keepReadings(readingsOf(inOrder), now);
        const shuffled = [...readingsOf(inDisorder), ...readingsOf(inDisorder, lost)]
          .map((each) => ({ each, key: keys.next().value }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ each }) => each);
        const middle = Math.floor(shuffled.length / 2);
        // Two at once, each with a part, then a restart that reads it all anew.
        await Promise.all([keepSources(inDisorder), keepSources(inDisorder.toReversed())]);
        await Promise.all([keepReadings(shuffled.slice(0, middle), now), keepReadings(shuffled.slice(middle), now)]);
        await keepReadings(shuffled, now);
        const window = [at(from * hour), at((from + length) * hour)] as const;
        const oracle = await usedOf(inOrder, ...window);
        expect(await told(one.tenantId, ...window)).toBe(oracle);
        expect(await told(other.tenantId, ...window)).toBe(oracle);
        const truth = pods.reduce((sum, each) => sum + each.length, 0);
        expect(Number(await told(one.tenantId, at(0), at(20 * hour)))).toBeLessThanOrEqual(truth);
      }),
      { numRuns: 12 },
    );
  }, 60_000);

  test('F28: without some of them it is the same or less', async () => {
    const tenant = await newTenant();
    const own = source({ tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId });
    await keepSources([own]);
    await keepReadings([reading(own, 600, 600)], now);
    expect(await told(tenant.tenantId, at(0), at(hour))).toBe('600.000');
    // Three hours later the collector is back, and what ran meanwhile is not lost.
    await keepReadings([reading(own, 4 * hour, 4 * hour)], now);
    expect(await told(tenant.tenantId, at(0), at(5 * hour))).toBe('14400.000');
  });

  test('sums stay exact, however many there are and however small', async () => {
    const tenant = await newTenant();
    const own = { tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId, poolName: 'nix-heavy' };
    const many = Array.from({ length: 1000 }, () => source(own));
    await keepSources(many);
    await keepReadings(
      many.map((each) => reading(each, 1800, '0.1')),
      now,
    );
    const [sum] = await poolSeconds(tenant.tenantId, at(0), at(hour));
    expect([sum?.pool, sum?.runnerSeconds.toFixed(), sum?.runners]).toEqual(['nix-heavy', '100', 1000]);
  });
});

describe('A25: what is not taken', () => {
  test.each<[string, (of: GivenSource) => GivenReading, string]>([
    ['the same again with another quantity', (of) => reading(of, 600, 599), 'read before with another quantity'],
    ['a negative one', (of) => reading(of, 700, '-5'), 'negative'],
    ['1e18', (of) => reading(of, 700, '1e18'), 'no decimal, or more than can be'],
    ['more than a second a second', (of) => reading(of, 700, 1_000_000), 'more than can be'],
    ['one of the future', (of) => reading(of, 200 * hour, 700), 'in the future'],
    ['one of 1970', (of) => ({ ...reading(of, 0, 700), observedAt: new Date(0) }), 'too long ago'],
    ['one from before its source began', (of) => reading(of, -hour, 0), 'before its source began'],
    [
      'one of a source that nobody told of',
      (of) => ({ ...reading(of, 700, 1), sourceId: 'stranger' }),
      'of an unknown source',
    ],
    [
      'one of a meter that there is not',
      (of) => ({ ...reading(of, 700, 1), meter: 'x' as 'runnerSeconds' }),
      'of an unknown meter',
    ],
  ])('%s is refused with its reason, and no sum is another', async (_, made, reason) => {
    const tenant = await newTenant();
    const own = source({ tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId });
    await keepSources([own]);
    await keepReadings([reading(own, 600, 600)], now);
    const since = new Date();
    expect(await keepReadings([made(own)], now)).toEqual({ kept: 0, refused: 1 });
    // Again: told once.
    await keepReadings([made(own)], now);
    expect(await told(tenant.tenantId, at(-10 * hour), at(300 * hour))).toBe('600.000');
    const [refusal] = await refusalsSince(new Date(since.getTime() - 1000));
    expect(await unsafeDb().usageRefusal.count({ where: { reason, sourceId: made(own).sourceId } })).toBe(1);
    expect(refusal).toBeDefined();
  });

  test('another tenant’s enrollment makes a source nobody’s, and neither tenant pays', async () => {
    const tenant = await newTenant();
    const sly = source({ tenantId: tenant.tenantId, enrollmentId: bolt.enrollmentId });
    await keepSources([sly]);
    await keepReadings([reading(sly, 600, 600)], now);
    expect(await told(tenant.tenantId, at(0), at(hour))).toBe('0.000');
    expect(await told(bolt.tenantId, at(0), at(hour))).toBe('0.000');
    const all = await useLines({ tenantIds: null, from: at(0), to: at(hour), bucket: 'day', detail: 'pool' });
    const nobodys = all.filter(
      ({ tenantId, kind, meter }) => tenantId === null && kind === 'unattributed' && meter === 'runnerSeconds',
    );
    expect(nobodys.map(({ quantity }) => quantity.toFixed())).toEqual(['600']);
    // Whose a source is was said when it was first seen.
    await keepSources([{ ...sly, enrollmentId: tenant.enrollmentId }]);
    expect(await told(tenant.tenantId, at(0), at(hour))).toBe('0.000');
  });
});

describe('lines of use', () => {
  test('a job’s time is its own, the rest idle, and what nobody told of unattributed: together all of it', async () => {
    const tenant = await newTenant();
    const own = { tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId };
    const [busy, warm, lost] = [
      source({ ...own, endedAt: at(1800), endedItself: true }),
      source(own),
      source({ ...own, endedAt: at(700), endedItself: true }),
    ];
    await keepSources([busy, warm, lost]);
    await keepReadings([reading(busy, 1800, 1800), reading(warm, 900, 900), reading(lost, 700, 700)], now);
    await unsafeDb().job.create({
      data: {
        ...own,
        connectionId: 'forge',
        externalId: `job-${count}`,
        scaleSetName: 'x',
        repository: 'case/app',
        workflow: 'ci',
        state: 'completed',
        conclusion: 'failure',
        runnerName: busy.name,
        queuedAt: at(0),
        startedAt: at(100),
        completedAt: at(1700),
      },
    });
    const lines = await useLines({
      tenantIds: [tenant.tenantId],
      from: at(0),
      to: at(hour),
      bucket: 'hour',
      detail: 'job',
    });
    const seconds = lines.filter(({ meter }) => meter === 'runnerSeconds');
    expect(
      seconds.map(({ kind, repository, hasFailed, quantity }) => [kind, repository, hasFailed, quantity.toFixed()]),
    ).toEqual([
      ['idle', null, false, '1100'],
      ['job', 'case/app', true, '1600'],
      ['unattributed', null, false, '700'],
    ]);
    // What they asked for goes with it.
    const cores = lines.filter(({ meter }) => meter === 'cpuCoreSeconds').map(({ quantity }) => quantity.toNumber());
    expect(cores).toEqual([4400, 6400, 2800]);
  });

  test('a job has its time however late it is read of, and several have theirs in their order: as reckoned hour by hour', async () => {
    const span = fc.record({ gap: fc.nat(3000), length: fc.nat(6000) });
    const looks = fc.uniqueArray(fc.integer({ min: 1, max: 8 * hour }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(span, { maxLength: 4 }), looks, fc.nat(3), async (spans, seconds, fromHour) => {
        const tenant = await newTenant();
        const own = { tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId };
        const runner = source(own);
        await keepSources([runner]);
        await keepReadings(
          seconds.map((second) => reading(runner, second, second)),
          now,
        );
        let clock = 0;
        const jobs = spans.map(({ gap, length }, index) => {
          const begin = clock + gap;
          clock = begin + length;
          return { id: `${runner.id}-${index}`, begin, end: clock };
        });
        await unsafeDb().job.createMany({
          data: jobs.map(({ id, begin, end }) => ({
            ...own,
            connectionId: 'forge',
            externalId: id,
            scaleSetName: 'x',
            repository: 'case/a',
            state: 'completed' as const,
            runnerName: runner.name,
            queuedAt: at(begin),
            startedAt: at(begin),
            completedAt: at(end),
          })),
        });
        // Hour by hour: what was read, given to the jobs that had run by its end and have not had theirs yet.
        const expected = new Map<string, number>();
        const had = new Map<string, number>();
        let read = 0;
        for (let each = 0; each < 9; each += 1) {
          const until = Math.max(0, ...seconds.filter((second) => second < (each + 1) * hour));
          let left = Math.max(0, until - read);
          read = Math.max(read, until);
          const add = (key: string, amount: number) =>
            each >= fromHour && amount > 0 && expected.set(key, (expected.get(key) ?? 0) + amount);
          for (const { id, begin, end } of jobs) {
            const due = Math.max(0, Math.min(end, (each + 1) * hour) - begin) - (had.get(id) ?? 0);
            const given = Math.min(left, due);
            had.set(id, (had.get(id) ?? 0) + given);
            left -= given;
            add(`forge/${id}`, given);
          }
          add('idle', left);
        }
        const lines = await useLines({
          tenantIds: [tenant.tenantId],
          from: at(fromHour * hour),
          to: at(9 * hour),
          bucket: 'month',
          detail: 'job',
        });
        const found = lines
          .filter(({ meter }) => meter === 'runnerSeconds')
          .map(({ job, quantity }) => [job ?? 'idle', quantity.toNumber()]);
        expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
      }),
      { numRuns: 25 },
    );
  }, 60_000);

  test('a job that the forge says ran longer than its runner has no more than the runner’s time', async () => {
    const tenant = await newTenant();
    const own = { tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId };
    const short = source(own);
    await keepSources([short]);
    await keepReadings([reading(short, 600, 600)], now);
    for (const id of ['a', 'b'])
      await unsafeDb().job.create({
        data: {
          ...own,
          connectionId: 'forge',
          externalId: `${short.id}-${id}`,
          scaleSetName: 'x',
          repository: `case/${id}`,
          state: 'running',
          runnerName: short.name,
          queuedAt: at(-hour),
          startedAt: at(-hour),
        },
      });
    expect(await told(tenant.tenantId, at(0), at(hour))).toBe('600.000');
  });
});

describe('what runners use', () => {
  const object = (of: GivenSource) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: of.name, namespace: 'runners-x', uid: of.id, resourceVersion: '1' },
  });
  const metrics = (of: GivenSource, second: number, cpu: string, memory: string): PodMetrics => ({
    metadata: { name: of.name, namespace: 'runners-x' },
    timestamp: at(second).toISOString(),
    containers: [{ usage: { cpu, memory } }, { usage: { cpu: '0', memory: 'nonsense' } }],
  });

  test('is the rate for as long as it held, once for each of the metrics server’s own instants, and not while nobody measured', async () => {
    const tenant = await newTenant();
    const own = source({ tenantId: tenant.tenantId, enrollmentId: tenant.enrollmentId });
    await keepSources([own]);
    const keep = (second: number, cpu: string, memory: string) =>
      keepPodMetrics([metrics(own, second, cpu, memory)], [object(own)], now);
    expect(await keep(60, '1500m', '2Gi')).toBe(2);
    const twice = await Promise.all([keep(120, '500000000n', '1Gi'), keep(120, '500000000n', '1Gi')]);
    expect(twice.reduce((sum, each) => sum + each)).toBe(2);
    expect(await keep(90, '8', '8Gi')).toBe(0);
    // After half an hour without a look five minutes count.
    await keep(1920, '1', '1Gi');
    const stranger = { ...metrics(own, 2000, '1', '1Gi'), metadata: { name: 'stranger', namespace: 'runners-x' } };
    expect(await keepPodMetrics([stranger], [object(own)], now)).toBe(0);
    const lines = await useLines({
      tenantIds: [tenant.tenantId],
      from: at(0),
      to: at(hour),
      bucket: 'day',
      detail: 'pool',
    });
    expect(lines.map(({ meter, quantity }) => [meter, quantity.toNumber()])).toEqual([
      ['cpuCoreSecondsUsed', 60 * 1.5 + 60 * 0.5 + 300],
      ['memoryGibSecondsUsed', 60 * 2 + 60 + 300],
    ]);
  });
});

describe('looks and storage', () => {
  test('a collector that was away for three hours leaves a gap, whoever looked when', async () => {
    const from = Date.UTC(2026, 6, 1);
    const look = (second: number) => keepLook('gappy', new Date(from + second * 1000));
    for (let second = 0; second <= 600; second += 60) await Promise.all([look(second), look(second + 15)]);
    for (let second = 3 * hour; second <= 3 * hour + 120; second += 15) await look(second);
    expect(
      await gapsBetween(['gappy', 'never'], new Date(from - 1000), new Date(from + 3 * hour * 1000 + 130_000)),
    ).toEqual([{ clusterId: 'gappy', from: '2026-07-01T00:10:15.000Z', to: '2026-07-01T03:00:00.000Z' }]);
  });

  test('a disk counts by the hour, once for all who look, and not while nobody looked', async () => {
    const tenant = await newTenant();
    const disk = {
      id: `disk-${count}`,
      tenantId: tenant.tenantId,
      kind: 'bazel' as const,
      name: 'bazel-remote',
      startedAt: at(1800),
      gib: new Decimal(50),
      meter: 'bazelGibHours' as const,
    };
    const look = (second: number) => keepStorage([disk], at(second), 'main');
    expect(await look(1900)).toBe(0);
    expect((await Promise.all([look(hour + 5), look(hour + 9)])).reduce((sum, each) => sum + each)).toBe(1);
    await look(2 * hour + 5);
    await look(9 * hour + 5);
    const lines = await useLines({
      tenantIds: [tenant.tenantId],
      from: at(0),
      to: at(24 * hour),
      bucket: 'day',
      detail: 'pool',
    });
    // Half an hour, one, and of the seven that nobody saw one.
    expect(lines.map(({ kind, meter, quantity }) => [kind, meter, quantity.toFixed()])).toEqual([
      ['plane', 'bazelGibHours', '125'],
    ]);
  });

  test('old months of readings go, and what was rolled up of them stays', async () => {
    const tenant = await newTenant();
    const old = source({
      tenantId: tenant.tenantId,
      enrollmentId: tenant.enrollmentId,
      startedAt: new Date('2026-02-01T00:00:00Z'),
    });
    await keepSources([old]);
    const observedAt = new Date('2026-02-01T01:00:00Z');
    await keepReadings([{ ...reading(old, 0, 3600), observedAt }], now);
    expect(await pruneReadings(new Date('2026-03-15T00:00:00Z'))).toBe(1);
    expect(await unsafeDb().usageReading.count({ where: { sourceId: old.id } })).toBe(0);
    expect(await told(tenant.tenantId, new Date('2026-02-01T00:00:00Z'), new Date('2026-03-01T00:00:00Z'))).toBe(
      '3600.000',
    );
  });
});
