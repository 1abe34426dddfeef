import type { Metadata } from 'next';
import Link from 'next/link';
import { monthsFrom, Period, periodAt, statementsOf, type Statement } from '#lib/billing/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { BillingTabs, operatorTabs } from '#components/billing/billing-tabs.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../money.ts';
import { close } from './actions.ts';

export const metadata: Metadata = { title: 'Statements' };

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const now = new Date();
  const period = Period.catch(monthsFrom(periodAt(now), -1)).parse(searchParams['period']);
  const statements = await statementsOf(period, now);
  const open = statements.filter(({ closed }) => closed === null);
  const ready = open.filter(({ missing }) => missing.length === 0).length;
  const path = (by: number) => `/operator/statements?period=${monthsFrom(period, by)}`;
  return (
    <>
      <PageHeader
        title="Statements"
        answer={
          open.length === 0
            ? `Every statement of ${period} is closed.`
            : `${open.length} of ${statements.length} statements of ${period} are open, ${ready} of them ready to be closed.`
        }
      />
      <BillingTabs tabs={operatorTabs} here="Statements" />
      <nav aria-label="Month" className="mb-6 flex flex-wrap items-center gap-2">
        <LinkButton small href={path(-1)}>
          ‹ {monthsFrom(period, -1)}
        </LinkButton>
        <span className="font-medium">{period}</span>
        {period < periodAt(now) ? (
          <LinkButton small href={path(1)}>
            {monthsFrom(period, 1)} ›
          </LinkButton>
        ) : null}
      </nav>
      <Section
        title={period}
        note="The portal closes each by itself two days after the month’s end, if nothing is missing."
      >
        {statements.length === 0 ? (
          <EmptyState title="Nothing was used">No tenant used anything that has a price in this month.</EmptyState>
        ) : (
          <Statements statements={statements} />
        )}
      </Section>
    </>
  );
});

function Statements({ statements }: { statements: Statement[] }) {
  return (
    <Table label="Statements">
      <thead>
        <tr>
          <Th>Tenant</Th>
          <Th>State</Th>
          <Th numeric>Total</Th>
          <Th>What is missing</Th>
          <Th>
            <span className="sr-only">Act</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {statements.map(({ tenant, period, closed, missing, total, currency }) => (
          <Tr key={tenant.slug}>
            <Td className="max-w-72 break-words">
              <Link
                href={`/t/${tenant.slug}/billing/statements/${period}`}
                className="font-medium text-accent hover:underline"
              >
                {tenant.displayName}
              </Link>
            </Td>
            <Td>{closed ? <Badge tone="good">Closed</Badge> : <Badge tone="wait">Draft</Badge>}</Td>
            <Td numeric>{money(total.toFixed(), currency)}</Td>
            <Td className="min-w-56 text-ink-2">{missing.join(' ')}</Td>
            <Td>
              {closed || missing.length > 0 ? null : (
                <ButtonForm action={close} fields={{ tenant: tenant.slug, period }} look="secondary" small>
                  Close<span className="sr-only"> {tenant.displayName}</span>
                </ButtonForm>
              )}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
