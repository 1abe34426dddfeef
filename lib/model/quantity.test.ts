import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultPools, isReady, PoolChoice, type Pool, type ReadyPool } from './pool.ts';
import {
  amountsOf,
  formatAmounts,
  leftOf,
  mostRunners,
  promisedBy,
  Quota,
  quotaOfAmounts,
  quotaProblems,
  sumOf,
} from './quota.ts';
import { EnrollmentSpec } from './enrollment.ts';
import { cpuMillicores, CpuQuantity, formatCpu, formatMemory, memoryBytes, MemoryQuantity } from './quantity.ts';

const Gi = 1024n ** 3n;

describe('A18: quantities', () => {
  test.each([
    '-1',
    '+1',
    '0',
    '0m',
    '0.0',
    '1e308',
    '1e3',
    'NaN',
    'Infinity',
    '',
    ' ',
    '1 ',
    ' 1',
    '1,5',
    '1_000',
    '0x10',
    '١',
    '１',
    '0.0000001',
    '0.0005',
    '0.5m',
    '1.5m',
    '1.',
    '.5',
    '1Ei',
    '1Gi',
    '4 cores',
    '1n',
    '1u',
    '1k',
    '100001',
    '9'.repeat(10),
    '9'.repeat(400),
    '1\n',
    '16\0',
  ])('%j is no CPU', (text) => {
    expect(CpuQuantity.safeParse(text).success).toBe(false);
    expect(() => cpuMillicores(text)).toThrow(RangeError);
  });

  test.each([
    '-1',
    '-1Gi',
    '0',
    '0Gi',
    '1e308',
    '1e9',
    'NaN',
    '',
    '1Ei',
    '1E',
    '1gi',
    '1GI',
    '1 Gi',
    '1Gi ',
    '1GiB',
    '500m',
    '1',
    '1023Ki',
    '1048576.5',
    '1.001Mi',
    '0.0000001',
    '0.0000001Gi',
    '0.0001Gi',
    '1.5',
    '2Pi',
    '1125899906842625',
    '9'.repeat(17),
    '9'.repeat(400),
    '32Gi\n',
    '٣Gi',
    'Gi',
  ])('%j is no memory', (text) => {
    expect(MemoryQuantity.safeParse(text).success).toBe(false);
    expect(() => memoryBytes(text)).toThrow(RangeError);
  });

  test.each([null, undefined, 16, 1e308, Number.NaN, ['16'], { cpu: '16' }, true])('%j is neither', (value) => {
    expect(CpuQuantity.safeParse(value).success).toBe(false);
    expect(MemoryQuantity.safeParse(value).success).toBe(false);
  });

  test.each([
    ['16', 16_000n],
    ['0.5', 500n],
    ['500m', 500n],
    ['1m', 1n],
    ['0.001', 1n],
    ['1.250', 1250n],
    ['100000', 100_000_000n],
    ['0016', 16_000n],
  ])('%s is %s millicores', (text, millicores) => expect(cpuMillicores(text)).toBe(millicores));

  test.each([
    ['1Mi', 1024n ** 2n],
    ['32Gi', 32n * Gi],
    ['1.5Gi', 1536n * 1024n ** 2n],
    ['1Pi', 1024n ** 5n],
    ['2M', 2_000_000n],
    ['1G', 1_000_000_000n],
    ['0.5Ti', 512n * Gi],
    ['1048576', 1024n ** 2n],
    ['0.125Gi', Gi / 8n],
  ])('%s is %s bytes', (text, bytes) => expect(memoryBytes(text)).toBe(bytes));

  test('what is formatted reads as the same number', () => {
    fc.assert(
      fc.property(fc.bigInt(1n, 100_000_000n), (millicores) => {
        expect(cpuMillicores(formatCpu(millicores))).toBe(millicores);
      }),
    );
    fc.assert(
      fc.property(fc.bigInt(1024n ** 2n, 1024n ** 5n), (bytes) => {
        expect(memoryBytes(formatMemory(bytes))).toBe(bytes);
      }),
    );
  });

  test('what is read is exact: no float stands between', () => {
    fc.assert(
      fc.property(fc.nat(99_999), fc.nat(999), (whole, thousandths) => {
        fc.pre(whole + thousandths > 0);
        expect(cpuMillicores(`${whole}.${String(thousandths).padStart(3, '0')}`)).toBe(
          BigInt(whole * 1000 + thousandths),
        );
      }),
    );
  });

  test('formats as a person would write it', () => {
    expect([16_000n, 500n, 1500n].map(formatCpu)).toEqual(['16', '500m', '1500m']);
    expect([32n * Gi, (3n * Gi) / 2n, Gi * 1024n].map(formatMemory)).toEqual(['32Gi', '1536Mi', '1Ti']);
  });

  test('a quota has all four, storage by default, and no more', () => {
    const quota = { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' };
    expect(Quota.parse(quota)).toEqual({ ...quota, storage: '250Gi' });
    for (const wrong of [
      { ...quota, cpu: undefined },
      { ...quota, runners: -1 },
      { ...quota, runners: 0.5 },
      { ...quota, runners: 10_001 },
      { ...quota, runners: Number.NaN },
      { ...quota, runners: '8' },
      { ...quota, pods: 1 },
    ])
      expect(Quota.safeParse(wrong).success).toBe(false);
  });
});

describe('choices of pools', () => {
  test.each([
    [{ pool: 'nix', minRunners: 3, maxRunners: 2 }, 'minRunners'],
    [{ pool: 'nix', minRunners: -1, maxRunners: 2 }, 'minRunners'],
    [{ pool: 'nix', minRunners: 0.5, maxRunners: 2 }, 'minRunners'],
    [{ pool: 'nix', maxRunners: 1001 }, 'maxRunners'],
    [{ pool: 'nix', maxRunners: Number.MAX_VALUE }, 'maxRunners'],
    [{ pool: 'nix', maxRunners: '4' }, 'maxRunners'],
    [{ pool: 'nix' }, 'maxRunners'],
    [{ pool: '../nix', maxRunners: 1 }, 'pool'],
  ])('%o is refused at %s', (choice, field) => {
    const result = PoolChoice.safeParse(choice);
    expect(new Set(result.error?.issues.map(({ path }) => path.join('.')))).toEqual(new Set([field]));
  });

  test('nothing stays warm unless it is asked for, and a field that there is not is refused', () => {
    expect(PoolChoice.parse({ pool: 'nix', maxRunners: 2 })).toEqual({ pool: 'nix', minRunners: 0, maxRunners: 2 });
    expect(PoolChoice.parse({ pool: 'nix', minRunners: 2, maxRunners: 2 }).minRunners).toBe(2);
    expect(PoolChoice.safeParse({ pool: 'nix', maxRunners: 2, image: 'mine' }).success).toBe(false);
  });

  test('an enrollment chooses at least one pool, none twice, at most a thousand (F25)', () => {
    const pools = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ pool: `p${index}`, maxRunners: 1 }));
    expect(EnrollmentSpec.safeParse({ pools: [] }).success).toBe(false);
    expect(EnrollmentSpec.safeParse({ pools: pools(1000) }).success).toBe(true);
    expect(EnrollmentSpec.safeParse({ pools: pools(1001) }).success).toBe(false);
    const [one] = pools(1);
    expect(EnrollmentSpec.safeParse({ pools: [one, one] }).success).toBe(false);
    expect(EnrollmentSpec.parse({ pools: pools(1) }).planes).toEqual({});
  });
});

describe('what fits in a quota', () => {
  const catalog = new Map(defaultPools.map((pool) => [pool.name, pool]));
  const pool = (name: string) => catalog.get(name) as ReadyPool;
  const quota = { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' };
  const choice = (name: string, maxRunners: number) => ({ pool: name, minRunners: 0, maxRunners });

  test('the five pools are the model’s, and two cannot be chosen yet', () => {
    const table = defaultPools.map(({ name, cpu, memory }) => [name, cpu, memory]);
    expect(table).toEqual([
      ['docker', '2', '4Gi'],
      ['nix', '4', '8Gi'],
      ['nix-heavy', '8', '16Gi'],
      ['gpu', null, null],
      ['kvm', null, null],
    ]);
    expect(defaultPools.filter(isReady).map(({ name }) => name)).toEqual(['docker', 'nix', 'nix-heavy']);
  });

  test.each([
    [[choice('docker', 4), choice('nix', 2)], []],
    [[choice('docker', 8)], []],
    [[choice('docker', 9)], ['cpu', 'memory', 'runners']],
    [
      [choice('docker', 4), choice('nix', 3)],
      ['cpu', 'memory'],
    ],
    [[choice('nix', 4), choice('docker', 0)], []],
    [[choice('gpu', 1000)], []],
    [[], []],
  ])('%o', (choices, problems) => {
    expect(quotaProblems(choices, catalog, quota).map(({ what }) => what)).toEqual(problems);
  });

  test('says what would be needed, in the units of the quota', () => {
    expect(formatAmounts(promisedBy([choice('docker', 4), choice('nix', 2)], catalog, 50))).toEqual({
      cpu: '16',
      memory: '32Gi',
      runners: '6',
      storage: '170Gi',
    });
    expect(quotaProblems([choice('nix-heavy', 3)], catalog, quota)).toEqual([
      { what: 'cpu', needed: '24', quota: '16' },
      { what: 'memory', needed: '48Gi', quota: '32Gi' },
    ]);
  });

  test('the most runners of a pool fit, and one more does not', () => {
    const quotas = fc.record({
      cpu: fc.integer({ min: 1, max: 500 }).map(String),
      memory: fc.integer({ min: 1, max: 1000 }).map((gi) => `${gi}Gi`),
      runners: fc.integer({ min: 0, max: 100 }),
      storage: fc.integer({ min: 1, max: 4000 }).map((gi) => `${gi}Gi`),
    });
    fc.assert(
      fc.property(quotas, fc.constantFrom('docker', 'nix', 'nix-heavy'), (held, name) => {
        const most = mostRunners(pool(name), held);
        expect(quotaProblems([choice(name, most)], catalog, held)).toEqual([]);
        expect(quotaProblems([choice(name, most + 1)], catalog, held)).not.toEqual([]);
      }),
    );
  });

  test('a choice added never makes room', () => {
    const choices = fc.array(fc.tuple(fc.constantFrom('docker', 'nix', 'nix-heavy'), fc.nat(50)), { maxLength: 6 });
    fc.assert(
      fc.property(choices, fc.nat(50), (taken, more) => {
        const before = taken.map(([name, count]) => choice(name, count));
        const problems = quotaProblems(before, catalog, quota).map(({ what }) => what);
        const after = quotaProblems([...before, choice('nix', more)], catalog, quota).map(({ what }) => what);
        expect(after).toEqual(expect.arrayContaining(problems));
      }),
    );
  });

  test('what a pool needs is counted exactly, where a float would drift', () => {
    const tenth: Pool = { ...pool('docker'), name: 'tenth', cpu: '0.1', memory: '0.1Gi' };
    const needed = promisedBy([choice('tenth', 3)], new Map([['tenth', { ...tenth, memory: '100Mi' }]]));
    expect(formatAmounts(needed)).toMatchObject({ cpu: '300m', memory: '300Mi' });
  });

  test('storage counts, of runners and of a Bazel cache alike', () => {
    const small = { ...quota, storage: '90Gi' };
    expect(quotaProblems([choice('docker', 4)], catalog, small)).toEqual([]);
    expect(quotaProblems([choice('docker', 4)], catalog, small, 20).map(({ what }) => what)).toEqual(['storage']);
    expect(mostRunners(pool('docker'), small)).toBe(4);
  });

  test('what is handed on is gone from the whole, to the last unit, and what is left is a quota', () => {
    const whole = amountsOf(quota);
    const share = amountsOf({ cpu: '500m', memory: '1536Mi', runners: 3, storage: '10Gi' });
    expect(quotaOfAmounts(leftOf(whole, share))).toEqual({
      cpu: '15500m',
      memory: '31232Mi',
      runners: 5,
      storage: '240Gi',
    });
    expect(leftOf(sumOf([share, share]), share)).toEqual(share);
    expect(Quota.safeParse(quotaOfAmounts(leftOf(whole, sumOf([whole, share])))).success).toBe(true);
  });
});
