import type { Metadata } from 'next';
import {
  costRules,
  listAgreements,
  listRates,
  listTenantNames,
  previewRate,
  RateInput,
  type RatePreview,
  type RateRow,
  periodAt,
} from '#lib/billing/index.ts';
import { AppError } from '#lib/errors.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { meterNames, meterWords } from '#lib/usage/index.ts';
import { BillingTabs, operatorTabs } from '#components/billing/billing-tabs.tsx';
import { AgreementForm, IdleRuleForm, RateForm } from '#components/billing/rate-forms.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../money.ts';
import { agree, enter, setRule, takeBack } from './actions.ts';

export const metadata: Metadata = { title: 'Prices' };

const ruleLabels = [
  { value: 'by-use', label: 'Shared by use' },
  { value: 'even', label: 'Shared evenly' },
  { value: 'operator', label: 'Borne by the operator' },
];

type Shown = {
  draft: Record<'meter' | 'pool' | 'currency' | 'unitPrice' | 'tiers' | 'validFrom', string>;
  preview: RatePreview | null;
  wrong: string | null;
};

/** What was typed stands in the address, and with it what last month would have cost. */
async function previewIn(searchParams: Record<string, unknown>, now: Date): Promise<Shown> {
  const typed = (name: string, first = '') =>
    typeof searchParams[name] === 'string' ? searchParams[name].slice(0, 500) : first;
  const tomorrow = new Date(now.getTime() + 86_400_000).toISOString().slice(0, 10);
  const draft = {
    meter: typed('meter', 'runnerSeconds'),
    pool: typed('pool'),
    currency: typed('currency', 'USD'),
    unitPrice: typed('unitPrice'),
    tiers: typed('tiers'),
    validFrom: typed('validFrom', tomorrow),
  };
  if (draft.unitPrice === '') return { draft, preview: null, wrong: null };
  const input = RateInput.safeParse(draft);
  if (!input.success)
    return {
      draft,
      preview: null,
      wrong: input.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; '),
    };
  try {
    return { draft, preview: await previewRate(input.data, now), wrong: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { draft, preview: null, wrong: Object.values(error.screen.fields ?? {}).join(' ') || error.screen.happened };
  }
}

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const now = new Date();
  const [rates, agreements, rules, tenants, shown] = await Promise.all([
    listRates(now),
    listAgreements(),
    costRules(now),
    listTenantNames(),
    previewIn(searchParams, now),
  ]);
  const coming = rates.filter(({ state }) => state === 'to-come').length;
  const inForce = rates.filter(({ state }) => state === 'in-force').length;
  return (
    <>
      <PageHeader
        title="Prices"
        answer={`${inForce} prices are in force, ${coming} to come. A price never changes what something cost: it begins on a day that has not come, or where there was none.`}
      />
      <BillingTabs tabs={operatorTabs} here="Prices" />
      <Section title="Rate card">
        {rates.length === 0 ? (
          <EmptyState title="No price yet">What has no price is shown and not charged.</EmptyState>
        ) : (
          <Rates rates={rates} />
        )}
      </Section>
      <Section title="Enter a price" id="enter">
        {shown.wrong ? (
          <div className="mb-4">
            <Callout tone="bad" title="This cannot be previewed" role="alert">
              {shown.wrong}
            </Callout>
          </div>
        ) : null}
        {shown.preview ? <Preview preview={shown.preview} currency={shown.draft.currency} /> : null}
        <RateForm
          action={enter}
          path="/operator/rates"
          draft={shown.draft}
          meters={meterNames.map((meter) => ({
            value: meter,
            label: `${meterWords[meter].label} (${meterWords[meter].unit})`,
          }))}
          pools={rules.map(({ pool }) => pool)}
        />
      </Section>
      <Section
        title="Agreements"
        note="A discount is off every price; what a month lacks to the least amount is charged at its end."
      >
        {agreements.length > 0 ? (
          <div className="mb-4">
            <Table label="Agreements">
              <thead>
                <tr>
                  <Th>Tenant</Th>
                  <Th>From</Th>
                  <Th numeric>Discount</Th>
                  <Th numeric>At least a month</Th>
                </tr>
              </thead>
              <tbody>
                {agreements.map(({ tenant, from, discountPercent, committedAmount }) => (
                  <Tr key={`${tenant} ${from}`}>
                    <Td>{tenant}</Td>
                    <Td>{from}</Td>
                    <Td numeric>{discountPercent} %</Td>
                    <Td numeric>{committedAmount}</Td>
                  </Tr>
                ))}
              </tbody>
            </Table>
          </div>
        ) : null}
        <AgreementForm
          action={agree}
          tenants={tenants.map(({ slug, name }) => ({ value: slug, label: name }))}
          period={periodAt(now)}
        />
      </Section>
      <Section title="Idle time" note="Who bears what a pool costs while no job runs in it, from this month on.">
        <div className="grid gap-3 sm:grid-cols-2">
          {rules.map(({ pool, idle }) => (
            <IdleRuleForm key={pool} action={setRule} pool={pool} idle={idle} rules={ruleLabels} />
          ))}
        </div>
      </Section>
    </>
  );
});

const stateBadge: Record<RateRow['state'], { tone: 'good' | 'busy' | 'idle'; label: string }> = {
  'in-force': { tone: 'good', label: 'In force' },
  'to-come': { tone: 'busy', label: 'To come' },
  past: { tone: 'idle', label: 'Past' },
};

function Rates({ rates }: { rates: RateRow[] }) {
  return (
    <Table label="Rate card">
      <thead>
        <tr>
          <Th>What</Th>
          <Th>Pool</Th>
          <Th numeric>Price of one</Th>
          <Th>Unit</Th>
          <Th>Tiers</Th>
          <Th>From</Th>
          <Th>State</Th>
          <Th>
            <span className="sr-only">Act</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {rates.map((rate) => (
          <Tr key={rate.id}>
            <Td>{rate.meter}</Td>
            <Td className="font-medium">{rate.pool ?? 'Any'}</Td>
            <Td numeric>
              {rate.unitPrice} {rate.currency}
            </Td>
            <Td>{rate.unit}</Td>
            <Td>
              {rate.tiers.length === 0
                ? '–'
                : rate.tiers.map((tier) => (
                    <span key={tier.from} className="block whitespace-nowrap">
                      from {tier.from}: {tier.unitPrice}
                    </span>
                  ))}
            </Td>
            <Td>{rate.validFrom.slice(0, 10)}</Td>
            <Td>
              <Badge tone={stateBadge[rate.state].tone}>{stateBadge[rate.state].label}</Badge>
            </Td>
            <Td>
              {rate.state === 'to-come' ? (
                <ButtonForm action={takeBack} fields={{ rateId: rate.id }} look="danger" small>
                  Take back
                  <span className="sr-only">
                    {' '}
                    {rate.meter} {rate.pool ?? ''} from {rate.validFrom.slice(0, 10)}
                  </span>
                </ButtonForm>
              ) : null}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function Preview({ preview, currency }: { preview: RatePreview; currency: string }) {
  const { rows, total, period } = preview;
  return (
    <div className="mb-6 grid gap-3" data-testid="rate-preview">
      <Callout
        tone="note"
        title={`With this price ${period} would have cost ${money(total.after, currency)} instead of ${money(total.before, currency)}`}
      >
        Nothing was changed.
      </Callout>
      {rows.length === 0 ? null : (
        <Table label={`Preview on ${period}`}>
          <thead>
            <tr>
              <Th>Tenant</Th>
              <Th numeric>Cost</Th>
              <Th numeric>With this price</Th>
              <Th numeric>Difference</Th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Tr key={row.tenant}>
                <Td className="max-w-72 break-words">{row.tenant}</Td>
                <Td numeric>{money(row.before, row.currency)}</Td>
                <Td numeric>{money(row.after, row.currency)}</Td>
                <Td numeric>{money(row.difference, row.currency)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </div>
  );
}
