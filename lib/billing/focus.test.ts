import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UseLine } from '#lib/usage/index.ts';
import { meterWords } from '#lib/usage/index.ts';
import { sumOf, toCents } from './exact.ts';
import {
  focusColumns,
  focusRows,
  type FocusInput,
  type FocusLine,
  type FocusRow,
  type FocusType,
  type FocusValue,
} from './focus.ts';
import { graduated, priceOf, type RateValue } from './price.ts';

/*
 * The rules of FOCUS 1.4 (Cost and Usage) that can apply to what we charge, each written from the specification's text and
 * asked of every row that any month can make: https://focus.finops.org/focus-specification/ (columns, attributes).
 */

const day = (text: string) => new Date(`${text}T00:00:00Z`);

// ------------------------------------------------------------------------------------------------ months to ask

const rates: RateValue[] = [
  ['nix', '0.000055555556', []],
  ['docker', '0.000027777778', [{ from: new Decimal('1000.5'), unitPrice: new Decimal('0.00001') }]],
  ['nix-heavy', '0', []],
].map(([pool, price, tiers], index) => ({
  id: `00000000-0000-7000-8000-00000000000${index}`,
  meter: 'runnerSeconds' as const,
  pool: pool as string,
  currency: 'USD',
  unitPrice: new Decimal(price as string),
  tiers: tiers as RateValue['tiers'],
  validFrom: day('2026-01-01'),
  validTo: null,
}));
rates.push({
  id: '00000000-0000-7000-8000-000000000009',
  meter: 'bazelGibHours',
  pool: null,
  currency: 'USD',
  tiers: [],
  unitPrice: new Decimal('0.000333333333'),
  validFrom: day('2026-01-01'),
  validTo: null,
});

const use = fc
  .record({
    day: fc.integer({ min: 1, max: 30 }),
    pool: fc.constantFrom('nix', 'docker', 'nix-heavy', null),
    kind: fc.constantFrom<UseLine['kind']>('job', 'idle', 'unattributed'),
    micros: fc.bigInt(1n, 10n ** 13n),
    repository: fc.constantFrom('acme/app', '=cmd|x', 'acme/a"b,c'),
  })
  .map(({ day: date, pool, kind, micros, repository }): UseLine => ({
    tenantId: 't',
    at: day(`2026-06-${String(date).padStart(2, '0')}`),
    pool,
    job: null,
    hasFailed: false,
    kind: pool === null ? 'plane' : kind,
    meter: pool === null ? 'bazelGibHours' : 'runnerSeconds',
    repository: pool !== null && kind === 'job' ? repository : null,
    workflow: pool !== null && kind === 'job' ? 'ci' : null,
    quantity: new Decimal(micros.toString()).div(1e6),
  }));

type Month = typeof month extends fc.Arbitrary<infer T> ? T : never;
const month = fc.record({
  uses: fc.array(use, { maxLength: 25 }),
  discountPercent: fc.constantFrom('0', '12.5', '33.3333', '100').map((text) => new Decimal(text)),
  isClosed: fc.boolean(),
  extra: fc.constantFrom<'none' | 'commitment' | 'correction' | 'negative'>(
    'none',
    'commitment',
    'correction',
    'negative',
  ),
});

function inputOf({ uses, discountPercent, isClosed, extra }: Month): FocusInput {
  const terms = { discountPercent, committedAmount: new Decimal(0) };
  const { charges, costs } = priceOf('2026-06', uses, rates, terms);
  const plain = { meter: null, pool: null, rateId: null, quantity: null };
  const lines: FocusLine[] = charges.map(({ key, rate, quantity, listCost, contractedCost }) => ({
    key,
    kind: 'usage',
    description: 'Runner time',
    period: '2026-06',
    meter: rate.meter,
    pool: rate.pool,
    rateId: rate.id,
    quantity,
    listCost: toCents(listCost),
    contractedCost: toCents(contractedCost),
  }));
  const amount = new Decimal(extra === 'negative' ? '-0.9' : '12.34');
  const cost = { listCost: amount, contractedCost: amount };
  if (extra === 'commitment')
    lines.push({
      ...plain,
      ...cost,
      key: '2026-06/commitment',
      kind: 'commitment',
      description: 'Up to 100',
      period: '2026-06',
    });
  if (extra === 'correction' || extra === 'negative')
    lines.push({
      ...plain,
      ...cost,
      meter: 'runnerSeconds',
      pool: 'nix',
      kind: 'correction',
      description: 'Correction of 2026-05',
      period: '2026-05',
      key: '2026-06/correction/2026-05/runnerSeconds/nix/x',
    });
  return {
    words: meterWords,
    issuer: 'GloriousFlywheel',
    account: {
      id: 'account',
      name: 'Acme',
    },
    currency: 'USD',
    period: '2026-06',
    tenant: {
      id: 'tenant',
      slug: 'acme',
      displayName: 'Acme',
      kind: 'organization',
    },
    cluster: {
      id: 'main',
      name: 'Main',
    },
    invoiceNumber: isClosed ? '2026-06-acme' : null,
    lines,
    uses: costs,
    terms,
    tags: [
      {
        repository: '',
        key: 'team',
        value: 'all',
      },
      {
        repository: 'acme/app',
        key: 'team',
        value: 'app',
      },
      {
        repository: '',
        key: 'x',
        value: '=1+1',
      },
    ],
  };
}

type Say = (isKept: boolean, what: unknown) => void;

/** What of a rule some month breaks, by the smallest month that was found; nothing where every month keeps it. */
function broken(rule: (row: FocusRow, say: Say, input: FocusInput) => void): unknown[] {
  const problemsOf = (given: Month) => {
    const problems: unknown[] = [];
    const input = inputOf(given);
    for (const row of focusRows(input)) rule(row, (isKept, what) => isKept || problems.push(what), input);
    return problems;
  };
  const { counterexample } = fc.check(
    fc.property(month, (given) => problemsOf(given).length === 0),
    { numRuns: 60 },
  );
  return counterexample ? problemsOf(counterexample[0]) : [];
}

const at = (row: FocusRow, column: string) => row[column] ?? null;
const decimal = (row: FocusRow, column: string) => row[column] as Decimal;
const isNull = (row: FocusRow, column: string) => at(row, column) === null;

// ------------------------------------------------------------------------------------------------ the rules

/** Whether a value is of a type, as the specification has it. */
const isOf: Record<FocusType, (value: FocusValue) => boolean> = {
  decimal: (value) => Decimal.isDecimal(value) && value.isFinite(),
  datetime: (value) => value instanceof Date,
  json: (value) => Object.values(value as object).every((each) => typeof each === 'string'),
  string: (value) => typeof value === 'string' && value !== '' && value.trim() === value,
};

describe('columns', () => {
  test('are those of 1.4, and the two of before, each once', () => {
    const names = focusColumns.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(names.toSorted());
    // Mandatory in 1.2, and what 1.3 and 1.4 add or make so.
    const mandatory = `BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory
      ChargeClass ChargeDescription ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity
      PricingUnit ProviderName PublisherName ServiceCategory ServiceName ServiceProviderName HostProviderName InvoiceDetailId ListUnitPrice`;
    expect(names).toEqual(expect.arrayContaining(mandatory.split(/\s+/)));
    expect(names.length).toBe(67);
  });

  test('have the types of the specification, in every row; what is not named is null', () => {
    const types = new Map(focusColumns.map(({ name, type }) => [name, type]));
    const found = broken((row, say) => {
      for (const [name, value] of Object.entries(row)) {
        const type = types.get(name);
        say(type !== undefined && (value === null || value === undefined || isOf[type](value)), name);
      }
    });
    expect(found).toEqual([]);
  });
});

describe('what may be null, and what may not', () => {
  test('never null', () => {
    const always =
      `BilledCost BillingAccountId BillingAccountType BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory
      ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost ServiceCategory ServiceName ServiceSubcategory
      ServiceProviderName ProviderName PublisherName ChargeDescription ChargeFrequency`.split(/\s+/);
    expect(broken((row, say) => always.forEach((name) => say(!isNull(row, name), name)))).toEqual([]);
  });

  test('prices and quantities are there for use that is no correction, and only with a SKU price', () => {
    const priced =
      `ListUnitPrice ContractedUnitPrice PricingQuantity PricingUnit PricingCategory SkuId SkuPriceId SkuMeter SkuPriceDetails
      ConsumedQuantity ConsumedUnit`.split(/\s+/);
    const found = broken((row, say) => {
      const isOrdinary = row['ChargeCategory'] === 'Usage' && isNull(row, 'ChargeClass');
      for (const name of priced) say(isNull(row, name) === !isOrdinary, name);
    });
    expect(found).toEqual([]);
  });

  test('a name and a type are there with their id, and not without', () => {
    const found = broken((row, say) => {
      for (const thing of ['Resource', 'SubAccount'])
        for (const part of ['Name', 'Type']) say(isNull(row, thing + part) === isNull(row, `${thing}Id`), thing + part);
      say(isNull(row, 'RegionName') === isNull(row, 'RegionId'), 'RegionName');
    });
    expect(found).toEqual([]);
  });

  test('a row of an invoice names it and its line, and one of a draft neither', () => {
    const found = broken((row, say, { invoiceNumber }) => {
      say(at(row, 'InvoiceId') === invoiceNumber, 'InvoiceId');
      say(isNull(row, 'InvoiceDetailId') === (invoiceNumber === null), 'InvoiceDetailId');
    });
    expect(found).toEqual([]);
  });
});

describe('what is allowed', () => {
  test('values of lists', () => {
    const lists: Record<string, readonly (string | null)[]> = {
      ChargeCategory: ['Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment'],
      ChargeClass: ['Correction', null],
      ChargeFrequency: ['One-Time', 'Recurring', 'Usage-Based'],
      PricingCategory: ['Standard', null],
    };
    const services = ['Developer Tools/Continuous Integration and Deployment', 'Storage/Other (Storage)'];
    const found = broken((row, say) => {
      for (const [name, list] of Object.entries(lists)) say(list.includes(at(row, name) as string | null), name);
      say(
        services.includes(`${String(row['ServiceCategory'])}/${String(row['ServiceSubcategory'])}`),
        'ServiceSubcategory',
      );
      say(/^[A-Z]{3}$/.test(String(row['BillingCurrency'])), 'BillingCurrency');
    });
    expect(found).toEqual([]);
  });

  test('a billing period is the month, and a charge period lies in it, or before it where it corrects', () => {
    const found = broken((row, say) => {
      const ms = (name: string) => Number(row[name]);
      const [from, to] = [ms('BillingPeriodStart'), ms('BillingPeriodEnd')];
      say(from === Number(day('2026-06-01')) && to === Number(day('2026-07-01')), 'BillingPeriod');
      const [start, end] = [ms('ChargePeriodStart'), ms('ChargePeriodEnd')];
      const isCorrection = at(row, 'ChargeClass') === 'Correction';
      say(start < end && (isCorrection ? end <= from : start >= from && end <= to), 'ChargePeriod');
    });
    expect(found).toEqual([]);
  });

  test('keys of SKU price details begin with x_, and ours among the tags with our prefix; the nearer tag counts', () => {
    const found = broken((row, say) => {
      const keys = Object.keys(at(row, 'SkuPriceDetails') ?? {});
      say(
        keys.every((key) => /^x_[A-Z]/.test(key)),
        keys,
      );
      const tags = at(row, 'Tags') as Record<string, string> | null;
      if (tags === null) return;
      say(tags['team'] === (tags['flywheel/repository'] === 'acme/app' ? 'app' : 'all') && tags['x'] === '=1+1', tags);
      const ours = Object.keys(tags).filter((key) => !['team', 'x'].includes(key));
      say(
        ours.every((key) => key.startsWith('flywheel/')),
        ours,
      );
    });
    expect(found).toEqual([]);
  });

  test('prices are not negative, and costs are only where they correct', () => {
    const found = broken((row, say) => {
      for (const name of ['ListUnitPrice', 'ContractedUnitPrice'])
        say(isNull(row, name) || decimal(row, name).gte(0), name);
      say(!isNull(row, 'ChargeClass') || decimal(row, 'BilledCost').gte(0), 'BilledCost');
    });
    expect(found).toEqual([]);
  });
});

describe('sums between columns', () => {
  const same = (one: Decimal, other: Decimal) => one.toFixed() === other.toFixed();

  test('a cost is its price times its quantity, exactly', () => {
    const found = broken((row, say) => {
      if (isNull(row, 'PricingQuantity')) return;
      const product = (name: string) => sumOf([decimal(row, name)]).mul(decimal(row, 'PricingQuantity'));
      for (const kind of ['List', 'Contracted'])
        say(same(decimal(row, `${kind}Cost`), product(`${kind}UnitPrice`)), kind);
      say(same(decimal(row, 'ConsumedQuantity'), decimal(row, 'PricingQuantity')), 'ConsumedQuantity');
    });
    expect(found).toEqual([]);
  });

  test('nothing covers anything else: what is effective is what is billed', () => {
    expect(broken((row, say) => say(same(decimal(row, 'EffectiveCost'), decimal(row, 'BilledCost')), row))).toEqual([]);
  });

  test('without a discount the contracted cost is the list cost', () => {
    const found = broken((row, say, { terms }) =>
      say(!terms.discountPercent.isZero() || same(decimal(row, 'ContractedCost'), decimal(row, 'ListCost')), row),
    );
    expect(found).toEqual([]);
  });

  test('what is billed adds up to each line of the statement to the last digit, and the list to what its tiers come to', () => {
    fc.assert(
      fc.property(month, (given) => {
        const input = inputOf({ ...given, isClosed: true });
        const rows = focusRows(input);
        for (const line of input.lines) {
          const own = rows.filter((row) => row['InvoiceDetailId'] === line.key);
          expect(sumOf(own.map((row) => decimal(row, 'BilledCost'))).toFixed()).toBe(
            sumOf([line.contractedCost]).toFixed(),
          );
          const rate = rates.find(({ id }) => id === line.rateId);
          const list = rate && line.quantity ? graduated(line.quantity, rate) : line.listCost;
          expect(sumOf(own.map((row) => decimal(row, 'ListCost'))).toFixed()).toBe(sumOf([list]).toFixed());
        }
      }),
      { numRuns: 60 },
    );
  });

  test('a rule that is broken is found', () => {
    expect(broken((row, say) => say(isNull(row, 'ChargeClass'), 'a correction'))).toEqual(['a correction']);
  });
});
