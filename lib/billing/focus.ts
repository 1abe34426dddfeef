import type { Decimal } from 'decimal.js';
import type { meterWords, UseLine } from '#lib/usage/index.ts';
import { distribute, Exact, sumOf } from './exact.ts';
import { boundsOf, type Period } from './period.ts';
import type { RateValue, Terms } from './price.ts';

/*
 * Cost and usage in the form that finance tools read: the columns of FOCUS 1.4, and with them ProviderName and PublisherName,
 * which readers of 1.0 to 1.3 ask for. https://focus.finops.org/focus-specification/
 */

export type FocusType = 'string' | 'decimal' | 'datetime' | 'json';
export type FocusValue = string | Date | Decimal | Record<string, string> | null;

const types: Record<Exclude<FocusType, 'string'>, readonly string[]> = {
  datetime: ['BillingPeriodEnd', 'BillingPeriodStart', 'ChargePeriodEnd', 'ChargePeriodStart'],
  decimal: [
    'BilledCost',
    'CommitmentDiscountQuantity',
    'ConsumedQuantity',
    'ContractedCost',
    'ContractedUnitPrice',
    'EffectiveCost',
    'ListCost',
    'ListUnitPrice',
    'PricingCurrencyContractedUnitPrice',
    'PricingCurrencyEffectiveCost',
    'PricingCurrencyListUnitPrice',
    'PricingQuantity',
  ],
  json: [
    'AllocatedMethodDetails',
    'AllocatedTags',
    'CommitmentProgramEligibilityDetails',
    'ContractApplied',
    'SkuPriceDetails',
    'Tags',
  ],
};

const names = [
  'AllocatedMethodDetails',
  'AllocatedMethodId',
  'AllocatedResourceId',
  'AllocatedResourceName',
  'AllocatedTags',
  'AvailabilityZone',
  'BilledCost',
  'BillingAccountId',
  'BillingAccountName',
  'BillingAccountType',
  'BillingCurrency',
  'BillingPeriodEnd',
  'BillingPeriodStart',
  'CapacityReservationId',
  'CapacityReservationStatus',
  'ChargeCategory',
  'ChargeClass',
  'ChargeDescription',
  'ChargeFrequency',
  'ChargePeriodEnd',
  'ChargePeriodStart',
  'CommitmentDiscountCategory',
  'CommitmentDiscountId',
  'CommitmentDiscountName',
  'CommitmentDiscountQuantity',
  'CommitmentDiscountStatus',
  'CommitmentDiscountType',
  'CommitmentDiscountUnit',
  'CommitmentProgramEligibilityDetails',
  'ConsumedQuantity',
  'ConsumedUnit',
  'ContractApplied',
  'ContractedCost',
  'ContractedUnitPrice',
  'EffectiveCost',
  'HostProviderName',
  'InvoiceDetailId',
  'InvoiceId',
  'InvoiceIssuerName',
  'ListCost',
  'ListUnitPrice',
  'PricingCategory',
  'PricingCurrency',
  'PricingCurrencyContractedUnitPrice',
  'PricingCurrencyEffectiveCost',
  'PricingCurrencyListUnitPrice',
  'PricingQuantity',
  'PricingUnit',
  'ProviderName',
  'PublisherName',
  'RegionId',
  'RegionName',
  'ResourceId',
  'ResourceName',
  'ResourceType',
  'ServiceCategory',
  'ServiceName',
  'ServiceProviderName',
  'ServiceSubcategory',
  'SkuId',
  'SkuMeter',
  'SkuPriceDetails',
  'SkuPriceId',
  'SubAccountId',
  'SubAccountName',
  'SubAccountType',
  'Tags',
];

function typeOf(name: string): FocusType {
  for (const type of ['datetime', 'decimal', 'json'] as const) if (types[type].includes(name)) return type;
  return 'string';
}

export const focusColumns: readonly { name: string; type: FocusType }[] = names.map((name) => ({
  name,
  type: typeOf(name),
}));

/** What is not named is null. */
export type FocusRow = Partial<Record<string, FocusValue>>;

/** A line of a statement, as far as a row is made of it. */
export type FocusLine = {
  key: string;
  kind: 'usage' | 'commitment' | 'correction';
  description: string;
  period: Period;
  meter: UseLine['meter'] | null;
  pool: string | null;
  rateId: string | null;
  quantity: Decimal | null;
  listCost: Decimal;
  contractedCost: Decimal;
};

export type FocusInput = {
  /** What people read for each meter. */
  words: typeof meterWords;
  issuer: string;
  account: { id: string; name: string };
  tenant: { id: string; slug: string; displayName: string; kind: string };
  cluster: { id: string; name: string };
  currency: string;
  period: Period;
  /** Null while the month is not closed. */
  invoiceNumber: string | null;
  lines: readonly FocusLine[];
  /** Use with the rate that it is charged by. */
  uses: readonly { use: UseLine; rate: RateValue }[];
  terms: Terms;
  tags: readonly { repository: string; key: string; value: string }[];
};

/** Digits behind the point of a quantity and of a billed share: a reader of 38 digits takes both. */
const quantityScale = 12;

/** Rows whose billed costs add up to each line of the statement exactly, and whose list costs are price times quantity. */
export function focusRows(input: FocusInput): FocusRow[] {
  const byRate = Map.groupBy(input.uses, ({ rate }) => rate.id);
  return input.lines.flatMap((line) => {
    const base = { ...common(input), ...ofLine(input, line) };
    const own = line.kind === 'usage' ? (byRate.get(line.rateId ?? '') ?? []) : [];
    const rate = own[0]?.rate;
    if (!rate || line.quantity === null) return [{ ...base, ...unpricedOf(line) }];
    return usageRows(
      input,
      line,
      own.map(({ use }) => use),
      rate,
      line.quantity,
    ).map((row) => ({ ...base, ...row }));
  });
}

function common({ issuer, account, tenant, cluster, currency, period }: FocusInput): FocusRow {
  const { from, to } = boundsOf(period);
  return {
    BillingAccountId: account.id,
    BillingAccountName: account.name,
    BillingAccountType: 'Billing Account',
    SubAccountId: tenant.id,
    SubAccountName: tenant.displayName,
    SubAccountType: `Tenant (${tenant.kind.replaceAll('_', ' ')})`,
    BillingCurrency: currency,
    BillingPeriodStart: from,
    BillingPeriodEnd: to,
    InvoiceIssuerName: issuer,
    ServiceProviderName: issuer,
    HostProviderName: issuer,
    ProviderName: issuer,
    PublisherName: issuer,
    RegionId: cluster.id,
    RegionName: cluster.name,
  };
}

function ofLine({ invoiceNumber, words }: FocusInput, line: FocusLine): FocusRow {
  const isCache = line.meter !== null && words[line.meter].service === 'cache';
  const { from, to } = boundsOf(line.period);
  return {
    ChargeDescription: line.description,
    ChargePeriodStart: from,
    ChargePeriodEnd: to,
    ChargeCategory: line.kind === 'commitment' || line.key.endsWith('/commitment') ? 'Adjustment' : 'Usage',
    ChargeClass: line.kind === 'correction' ? 'Correction' : null,
    ChargeFrequency: line.kind === 'commitment' ? 'Recurring' : 'Usage-Based',
    ServiceName: isCache ? 'Build caches' : 'CI runners',
    ServiceCategory: isCache ? 'Storage' : 'Developer Tools',
    ServiceSubcategory: isCache ? 'Other (Storage)' : 'Continuous Integration and Deployment',
    InvoiceId: invoiceNumber,
    InvoiceDetailId: invoiceNumber === null ? null : line.key,
  };
}

/** A row that is no product of a price: a correction, what is missing to a commitment. */
function unpricedOf({ listCost, contractedCost }: FocusLine): FocusRow {
  const cost = { BilledCost: contractedCost, EffectiveCost: contractedCost, ContractedCost: contractedCost };
  return { ...cost, ListCost: listCost };
}

type Part = { use: UseLine; tier: number; unitPrice: Decimal; quantity: Decimal };

function usageRows(
  input: FocusInput,
  line: FocusLine,
  uses: readonly UseLine[],
  rate: RateValue,
  whole: Decimal,
): FocusRow[] {
  const quantity = new Exact(whole).toDecimalPlaces(quantityScale);
  const parts = partsOf(uses, rate, quantity);
  const share = new Exact(1).minus(new Exact(input.terms.discountPercent).div(100));
  const weights = parts.map((part) => part.quantity.mul(part.unitPrice).mul(share));
  const billed = distribute(line.contractedCost, weights, quantityScale);
  return parts.map((part, index) => ({
    ...priceColumns(input.words, part, rate, share),
    ...placeColumns(input, part.use),
    BilledCost: billed[index] ?? new Exact(0),
    EffectiveCost: billed[index] ?? new Exact(0),
  }));
}

/** Each use in each tier that its charge reaches: so every row has one price. */
function partsOf(uses: readonly UseLine[], rate: RateValue, whole: Decimal): Part[] {
  const steps = [{ from: new Exact(0), unitPrice: rate.unitPrice }, ...rate.tiers].toSorted((a, b) =>
    a.from.comparedTo(b.from),
  );
  const weights = distribute(
    whole,
    uses.map((use) => use.quantity),
    quantityScale,
  );
  return steps.flatMap(({ from, unitPrice }, tier) => {
    const within = Exact.max(0, Exact.min(whole, steps[tier + 1]?.from ?? whole).minus(from));
    if (within.isZero() && tier > 0) return [];
    return distribute(within, weights, quantityScale).flatMap((quantity, index): Part[] => {
      const use = uses[index];
      return use && !(quantity.isZero() && uses.length > 1) ? [{ use, tier, unitPrice, quantity }] : [];
    });
  });
}

function priceColumns(
  words: typeof meterWords,
  { use, tier, unitPrice, quantity }: Part,
  { meter, pool }: RateValue,
  share: Decimal,
): FocusRow {
  const { label, unit } = words[meter];
  const sku = `${meter}/${pool ?? 'any'}`;
  const contracted = new Exact(unitPrice).mul(share);
  return {
    SkuId: sku,
    SkuMeter: label,
    SkuPriceId: `${sku}/tier-${tier + 1}`,
    SkuPriceDetails: { x_Tier: String(tier + 1) },
    PricingCategory: 'Standard',
    PricingQuantity: quantity,
    PricingUnit: unit,
    ConsumedQuantity: quantity,
    ConsumedUnit: unit,
    ListUnitPrice: unitPrice,
    ListCost: quantity.mul(unitPrice),
    ContractedUnitPrice: contracted,
    ContractedCost: quantity.mul(contracted),
    ChargePeriodStart: use.at,
    ChargePeriodEnd: new Date(use.at.getTime() + 864e5),
  };
}

/** Our own tags have this before them; nobody else's may. */
export const tagPrefix = 'flywheel/';

function placeColumns({ tenant, tags }: FocusInput, use: UseLine): FocusRow {
  const theirs = [
    ...tags.filter(({ repository }) => repository === ''),
    ...tags.filter(({ repository }) => repository !== '' && repository === use.repository),
  ];
  const own = Object.entries({ use: use.kind, repository: use.repository, workflow: use.workflow });
  const all = [
    ...theirs.map(({ key, value }) => [key, value] as const),
    ...own.flatMap(([key, value]) => (value === null ? [] : [[`${tagPrefix}${key}`, value] as const])),
  ];
  const name = use.pool ?? use.meter;
  return {
    ResourceId: `${tenant.slug}/${name}`,
    ResourceName: name,
    ResourceType: use.pool === null ? 'Cache' : 'Runner pool',
    Tags: Object.fromEntries(all),
  };
}

/** What the rows come to: for whoever checks them against a statement. */
export function billedSum(rows: readonly FocusRow[]): Decimal {
  return sumOf(rows.map((row) => row['BilledCost'] as Decimal));
}
