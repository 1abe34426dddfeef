import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UseLine } from '#lib/usage/index.ts';
import { attribute, billable, type IdleRule } from './attribute.ts';
import { costScale, distribute, sumOf, toCents } from './exact.ts';
import { forecastOf } from './forecast.ts';
import { graduated, keyOf, priceOf, rateFor, runnerCost, shortfall, type RateValue, type Terms } from './price.ts';

const day = (text: string) => new Date(`${text}T00:00:00Z`);
const noTerms: Terms = { discountPercent: new Decimal(0), committedAmount: new Decimal(0) };

function use(change: Partial<UseLine> & { seconds?: string } = {}): UseLine {
  const { seconds = '3600', ...rest } = change;
  return {
    tenantId: 't',
    kind: 'job',
    at: day('2026-06-02'),
    pool: 'nix',
    meter: 'runnerSeconds',
    repository: 'acme/app',
    workflow: 'ci',
    job: null,
    hasFailed: false,
    quantity: new Decimal(seconds),
    ...rest,
  };
}
function rate(change: Partial<Omit<RateValue, 'unitPrice'>> & { price?: string } = {}): RateValue {
  const { price = '0.000055555556', ...rest } = change;
  const validFrom = day('2026-01-01');
  return {
    id: 'r',
    meter: 'runnerSeconds',
    pool: 'nix',
    currency: 'USD',
    tiers: [],
    validFrom,
    validTo: null,
    unitPrice: new Decimal(price),
    ...rest,
  };
}

const decimals = (digits: number, scale: number) =>
  fc.bigInt(0n, 10n ** BigInt(digits) - 1n).map((value) => new Decimal(`${value}e-${scale}`));

describe('shares', () => {
  test('add up to the whole, to the last digit, whatever the weights', () => {
    fc.assert(
      fc.property(
        decimals(30, 18),
        fc.array(decimals(20, 6), { minLength: 1, maxLength: 40 }),
        fc.boolean(),
        (total, weights, minus) => {
          const whole = minus ? total.negated() : total;
          const shares = distribute(whole, weights, costScale);
          expect(sumOf(shares).toFixed()).toBe(sumOf([whole]).toFixed());
          const isWeighty = weights.some((weight) => !weight.isZero());
          const forNothing = shares.filter((share, index) => weights[index]?.isZero() && !share.isZero());
          expect(isWeighty ? forNothing : []).toEqual([]);
        },
      ),
    );
  });

  test('are those of cents where cents are asked for: who lacks most comes first, equals in their order', () => {
    const shares = (total: string, ...weights: number[]) =>
      distribute(
        new Decimal(total),
        weights.map((weight) => new Decimal(weight)),
        2,
      ).map((share) => share.toFixed());
    expect(shares('1', 1, 1, 1)).toEqual(['0.34', '0.33', '0.33']);
    expect(shares('0.02', 1, 1, 1)).toEqual(['0.01', '0.01', '0']);
    expect(shares('10', 2, 1)).toEqual(['6.67', '3.33']);
    expect(shares('5', 0, 0)).toEqual(['2.5', '2.5']);
    expect(() => shares('0.001', 1)).toThrow(RangeError);
  });
});

describe('price', () => {
  test('seconds times the rate, a charge a rate, to the last digit', () => {
    const uses = [use(), use({ pool: 'docker', seconds: '0.001' }), use({ seconds: '0.5' })];
    const { charges } = priceOf(
      '2026-06',
      uses,
      [rate(), rate({ id: 'd', pool: 'docker', price: '0.000027777778' })],
      noTerms,
    );
    expect(charges.map(({ key, listCost }) => [key, listCost.toFixed()])).toEqual([
      ['2026-06/runnerSeconds/docker/d', '0.000000027777778'],
      ['2026-06/runnerSeconds/nix/r', '0.200027779378'],
    ]);
  });

  test('A25: exact, where a float would drift, for the largest and the smallest that there are', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 23n - 1n), fc.bigInt(0n, 10n ** 20n - 1n), (micros, picos) => {
        const { charges } = priceOf(
          '2026-06',
          [use({ seconds: `${micros}e-6` })],
          [rate({ price: `${picos}e-12` })],
          noTerms,
        );
        const text = String(micros * picos).padStart(19, '0');
        expect(charges[0]?.listCost.toFixed(18)).toBe(`${text.slice(0, -18)}.${text.slice(-18)}`);
      }),
    );
  });

  test('a pool without a rate has its use and no cost: it is not free; any of its meters’ rates is its price', () => {
    const gpu = use({ pool: 'gpu', seconds: '10' });
    expect(priceOf('2026-06', [gpu], [rate()], noTerms)).toMatchObject({ charges: [], unpriced: [{ pool: 'gpu' }] });
    expect(priceOf('2026-06', [gpu], [rate({ pool: 'gpu', price: '0' })], noTerms).unpriced).toEqual([]);
    const cores = use({ pool: 'gpu', meter: 'cpuCoreSeconds', seconds: '40' });
    const perCore = rate({ pool: null, meter: 'cpuCoreSeconds', price: '2' });
    const { charges, unpriced } = priceOf('2026-06', [gpu, cores], [perCore], noTerms);
    expect([charges.map(({ listCost }) => listCost.toFixed()), unpriced]).toEqual([['80'], []]);
    const disk = use({ kind: 'plane', pool: null, meter: 'bazelGibHours' });
    expect(priceOf('2026-06', [disk], [perCore], noTerms).unpriced).toMatchObject([{ meter: 'bazelGibHours' }]);
  });

  test('an hour of a runner costs what all that it takes costs; without any price it has none', () => {
    const size = { pool: 'nix', cores: new Decimal(4), gib: new Decimal(8), gpus: 1 };
    const hour = (...rates: RateValue[]) =>
      runnerCost(rates, size, new Decimal(3600), day('2026-06-02'))?.toFixed() ?? null;
    const any = { pool: null, price: '1' };
    expect(hour()).toBeNull();
    expect(hour(rate({ pool: 'docker' }), rate({ validFrom: day('2026-06-03') }))).toBeNull();
    expect(hour(rate(any))).toBe('3600');
    expect(hour(rate({ ...any, meter: 'cpuCoreSeconds' }), rate({ ...any, meter: 'memoryGibSeconds' }))).toBe('43200');
    expect(hour(rate({ price: '2' }), rate(any), rate({ ...any, meter: 'gpuSeconds' }))).toBe('10800');
  });

  test('the rate is the newest in force, and a pool’s own before one of any pool', () => {
    const rates = [
      rate({ id: 'any', pool: null, validFrom: day('2026-05-01') }),
      rate({ id: 'old', validTo: day('2026-03-01') }),
      rate({ id: 'new', validFrom: day('2026-03-01') }),
      rate({ id: 'newest', validFrom: day('2026-06-03') }),
    ];
    const found = (at: string, pool = 'nix') => rateFor(rates, use({ at: day(at), pool }))?.id;
    expect([
      found('2025-12-31'),
      found('2026-02-28'),
      found('2026-03-01'),
      found('2026-06-02'),
      found('2026-06-03'),
    ]).toEqual([undefined, 'old', 'new', 'new', 'newest']);
    expect([found('2026-06-02', 'docker'), found('2026-04-30', 'docker')]).toEqual(['any', undefined]);
  });

  test('a rate that changes within a month reprices nothing that ran before it', () => {
    const rates = [rate({ price: '1' }), rate({ id: 'later', price: '2', validFrom: day('2026-06-16') })];
    const uses = [use({ at: day('2026-06-15'), seconds: '1000' }), use({ at: day('2026-06-16'), seconds: '5' })];
    const { charges } = priceOf('2026-06', uses, rates, noTerms);
    expect(sumOf(charges.map(({ listCost }) => listCost)).toFixed()).toBe('1010');
  });

  test('tiers: each unit at the price of the tier that it falls into', () => {
    const tiers = [
      { from: new Decimal(100), unitPrice: new Decimal('0.5') },
      { from: new Decimal(200), unitPrice: new Decimal('0.1') },
    ];
    const tiered = rate({ price: '1', tiers });
    const cost = (quantity: number) => graduated(new Decimal(quantity), tiered).toFixed();
    expect([cost(0), cost(100), cost(150), cost(200), cost(1000)]).toEqual(['0', '100', '125', '150', '230']);
    // The parts of a tiered charge add up to it, and however the month is cut it is the same charge.
    fc.assert(
      fc.property(fc.array(decimals(9, 6), { minLength: 1, maxLength: 12 }), (quantities) => {
        const uses = quantities.map((quantity) => use({ quantity }));
        const { charges, costs } = priceOf('2026-06', uses, [tiered], {
          ...noTerms,
          discountPercent: new Decimal('12.5'),
        });
        expect(sumOf(costs.map(({ contractedCost }) => contractedCost)).toFixed()).toBe(
          charges[0]?.contractedCost.toFixed(),
        );
        expect(charges[0]?.listCost.toFixed()).toBe(graduated(sumOf(quantities), tiered).toFixed());
      }),
    );
  });

  test('a discount is off each price, and a commitment is what is missing to it', () => {
    const terms = { discountPercent: new Decimal('10'), committedAmount: new Decimal('100') };
    const { charges } = priceOf('2026-06', [use({ seconds: '100' })], [rate({ price: '1' })], terms);
    const [charge] = charges;
    expect([charge?.listCost.toFixed(), charge?.contractedCost.toFixed()]).toEqual(['100', '90']);
    expect(shortfall(new Decimal(90), terms).toFixed()).toBe('10');
    expect(shortfall(new Decimal(101), terms).toFixed()).toBe('0');
  });

  test('a charge’s key does not depend on what was used', () => {
    expect(keyOf('2026-06', rate({ pool: null }))).toBe('2026-06/runnerSeconds//r');
  });

  test('cents are rounded half away from zero', () => {
    const cents = (text: string) => toCents(new Decimal(text)).toFixed(2);
    expect([cents('0.005'), cents('0.0049999'), cents('-0.005'), cents('2.675')]).toEqual([
      '0.01',
      '0.00',
      '-0.01',
      '2.68',
    ]);
  });
});

describe('attribution', () => {
  const kind = fc.constantFrom<UseLine['kind']>('job', 'idle', 'unattributed', 'plane');
  const line = fc
    .record({
      kind,
      pool: fc.constantFrom('nix', 'docker', 'gpu'),
      repository: fc.constantFrom('acme/a', 'acme/b', 'acme/c', null),
      quantity: decimals(12, 6),
    })
    .map((each) =>
      each.kind === 'plane'
        ? use({ ...each, pool: null, repository: null, meter: 'bazelGibHours' })
        : use({ ...each, repository: each.kind === 'job' ? each.repository : null }),
    );
  const rates = [
    rate(),
    rate({ id: 'd', pool: 'docker', price: '0.000027777778' }),
    rate({ id: 'b', pool: null, meter: 'bazelGibHours', price: '0.000333333333' }),
  ];
  const rules = fc.constantFrom<IdleRule>('by-use', 'even', 'operator').map((rule) => new Map([['nix', rule]]));

  test('I6: the parts add up to the whole exactly, and what belongs to nothing stays a part of its own', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), rules, (uses, idle) => {
        const { billed, byOperator } = billable(uses, idle);
        expect(billed.length + byOperator.length).toBe(uses.length);
        const { costs, charges } = priceOf('2026-06', billed, rates, {
          ...noTerms,
          discountPercent: new Decimal('7.7777'),
        });
        const parts = attribute(costs, idle);
        const whole = sumOf(charges.map(({ contractedCost }) => contractedCost));
        expect(sumOf(parts.flatMap(({ own, shared }) => [own, shared])).toFixed()).toBe(whole.toFixed());
        const lost = sumOf(
          costs
            .filter(
              (cost) => cost.use.kind === 'unattributed' || (cost.use.kind === 'job' && cost.use.repository === null),
            )
            .map(({ contractedCost }) => contractedCost),
        );
        const own = sumOf(parts.filter(({ label }) => label === 'unattributed').map((part) => part.own));
        expect(own.toFixed()).toBe(lost.toFixed());
      }),
    );
  });

  const two = [use({ repository: 'acme/a', seconds: '300' }), use({ repository: 'acme/b', seconds: '100' })];
  const idle = use({ kind: 'idle', repository: null, seconds: '100' });
  const shared = (rule: IdleRule, uses: UseLine[]) => {
    const own = new Map([['nix', rule]]);
    const { costs } = priceOf('2026-06', billable(uses, own).billed, [rate({ price: '1' })], noTerms);
    return attribute(costs, own).map((part) => [
      part.repository ?? part.label,
      part.own.toFixed(),
      part.shared.toFixed(),
    ]);
  };

  test.each<[IdleRule, string[][]]>([
    [
      'by-use',
      [
        ['acme/a', '300', '75'],
        ['acme/b', '100', '25'],
      ],
    ],
    [
      'even',
      [
        ['acme/a', '300', '50'],
        ['acme/b', '100', '50'],
      ],
    ],
    [
      'operator',
      [
        ['acme/a', '300', '0'],
        ['acme/b', '100', '0'],
      ],
    ],
  ])('idle time is shared %s', (rule, parts) => expect(shared(rule, [...two, idle])).toEqual(parts));

  test('where nobody used the pool, idle time is a line of its own', () => {
    expect(shared('by-use', [idle])).toEqual([['idle', '0', '100']]);
  });
});

describe('forecast', () => {
  const days = (...costs: number[]) => costs.map((cost) => new Decimal(cost));
  test('what it has cost, and the rest at the mean of the last whole days', () => {
    // Two days of 10, half of the third over with 4: 4 + 20 + (0.5 + 27) x 10.
    const { total, basis } = forecastOf(days(10, 10, 4), 30, 0.5) ?? {};
    expect([total?.toFixed(), basis]).toEqual([
      '299',
      'what it has cost, and the rest at the mean of the last 2 whole days',
    ]);
    expect(forecastOf(days(1000, 1, 1, 1, 1, 1, 1, 1, 0), 30, 1)?.total.toFixed()).toBe('1028');
  });
  test('none before a whole day is known, and at the end what it was', () => {
    expect(forecastOf(days(4), 30, 0.5)).toBeNull();
    expect(forecastOf(days(4, 6), 2, 1)?.total.toFixed()).toBe('10');
  });
});
