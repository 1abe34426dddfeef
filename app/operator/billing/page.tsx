import type { Metadata } from 'next';
import { CostQuery, dashboardOf, type Dimension } from '#lib/billing/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { refusalsSince } from '#lib/usage/index.ts';
import { BillingTabs, operatorTabs } from '#components/billing/billing-tabs.tsx';
import {
  costAnswer,
  CostNumbers,
  CostSeries,
  CostSteps,
  CostTable,
  WasteTable,
} from '#components/billing/cost-view.tsx';
import { OutsideButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export const metadata: Metadata = { title: 'Cost' };

const dimensions: Dimension[] = ['tenant', 'pool', 'repository', 'workflow', 'day', 'hour'];
const weekMs = 7 * 86_400_000;

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const query = CostQuery.parse({ ...searchParams, by: searchParams['by'] ?? 'tenant' });
  const now = new Date();
  const [view, refusals] = await Promise.all([
    dashboardOf(null, query, now),
    refusalsSince(new Date(now.getTime() - weekMs)),
  ]);
  const place = { path: '/operator/billing', query, view, dimensions };
  const focus = (format: string) => `/operator/billing/focus?period=${view.period}&format=${format}`;
  return (
    <>
      <PageHeader
        title="Cost"
        answer={costAnswer(view, 'All tenants')}
        actions={
          <>
            <OutsideButton href={focus('csv')} download>
              FOCUS CSV
            </OutsideButton>
            <OutsideButton href={focus('parquet')} download>
              FOCUS Parquet
            </OutsideButton>
          </>
        }
      />
      <BillingTabs tabs={operatorTabs} here="Cost" />
      <CostSteps {...place} />
      <CostNumbers view={view} />
      <CostSeries {...place} />
      <CostTable {...place} />
      <WasteTable {...place} />
      {refusals.length > 0 ? <Refusals refusals={refusals} /> : null}
    </>
  );
});

function Refusals({ refusals }: { refusals: { reason: string; count: number; example: string }[] }) {
  return (
    <Section title="Readings that were refused in the last week" note="None of them is in a sum.">
      <Table label="Refused readings">
        <thead>
          <tr>
            <Th>Why</Th>
            <Th numeric>How many</Th>
            <Th>Of, for one</Th>
          </tr>
        </thead>
        <tbody>
          {refusals.map(({ reason, count, example }) => (
            <Tr key={reason}>
              <Td>{reason}</Td>
              <Td numeric>{count}</Td>
              <Td className="font-mono text-sm break-all">{example}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
