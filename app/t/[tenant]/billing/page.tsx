import type { Metadata } from 'next';
import { monthToDate } from '#lib/billing/index.ts';
import { page } from '#lib/tenant/index.ts';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { hours, money } from '../../../money.ts';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Billing', props.params);
}

export default page<Params>('billing:see', async (ctx) => {
  const { byPool, from, total, currency } = await monthToDate(ctx);
  const dearest = byPool.toSorted((a, b) => Number(b.cost ?? 0) - Number(a.cost ?? 0))[0];
  return (
    <>
      <PageHeader
        title="Billing"
        answer={`${money(total, currency)} since ${from.slice(0, 10)}.${dearest ? ` The dearest pool is ${dearest.pool}.` : ''}`}
      />
      {byPool.length === 0 ? (
        <EmptyState title="Nothing to pay for this month">
          You pay for each second that a runner exists, and for nothing else.
        </EmptyState>
      ) : (
        <Section title="This month by pool" note="To this moment, in UTC months. No invoice is made of it yet.">
          <Table label="Cost by pool">
            <thead>
              <tr>
                <Th>Pool</Th>
                <Th numeric>Runner-hours</Th>
                <Th numeric>Cost</Th>
              </tr>
            </thead>
            <tbody>
              {byPool.map(({ pool, runnerSeconds, cost }) => (
                <Tr key={pool}>
                  <Td className="font-medium">{pool}</Td>
                  <Td numeric>{hours(runnerSeconds)}</Td>
                  <Td numeric>{cost === null ? <Badge tone="warn">No rate</Badge> : money(cost, currency)}</Td>
                </Tr>
              ))}
            </tbody>
            <tfoot>
              <tr className="border-t font-semibold">
                <Td>Total</Td>
                <Td />
                <Td numeric>{money(total, currency)}</Td>
              </tr>
            </tfoot>
          </Table>
        </Section>
      )}
    </>
  );
});
