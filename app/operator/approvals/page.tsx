import type { Metadata } from 'next';
import Link from 'next/link';
import { tenantKindLabel } from '#lib/model/index.ts';
import { approvals } from '#lib/tenancy/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { RequestState } from '#components/tenant/request-state.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { requestTitle, wantedWords } from '../../request-words.ts';

export const metadata: Metadata = { title: 'Approvals · Operator' };

type Rows = Awaited<ReturnType<typeof approvals>>['open'];

export default operatorPage('operator:see', async () => {
  const { open, asked, decided } = await approvals();
  return (
    <>
      <PageHeader
        title="Approvals"
        answer={
          open.length === 0
            ? 'Nothing waits for you.'
            : `${open.length} ${open.length === 1 ? 'waits' : 'wait'} for you, the oldest first.`
        }
      />
      <Section title="Waiting for you">
        {open.length === 0 ? (
          <EmptyState title="Nothing to decide">
            Enterprises, managed customers, more quota than comes by itself and scarce pools are asked for here.
          </EmptyState>
        ) : (
          <Queue label="Waiting for you" rows={open} />
        )}
      </Section>
      {asked.length > 0 ? (
        <Section title="Waiting for an answer">
          <Queue label="Waiting for an answer" rows={asked} />
        </Section>
      ) : null}
      {decided.length > 0 ? (
        <Section title="Decided lately">
          <Queue label="Decided lately" rows={decided} />
        </Section>
      ) : null}
    </>
  );
});

function Queue({ label, rows }: { label: string; rows: Rows }) {
  return (
    <Table label={label}>
      <thead>
        <tr>
          <Th>Tenant</Th>
          <Th>Asks for</Th>
          <Th>State</Th>
          <Th>Asked</Th>
          <Th>By</Th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Tr key={row.id}>
            <Td>
              <Link href={`/t/${row.tenant.slug}`} className="font-medium text-accent hover:underline">
                {row.tenant.displayName}
              </Link>
              <span className="block text-sm text-ink-3">{tenantKindLabel[row.tenant.kind]}</span>
            </Td>
            <Td>
              <Link href={`/operator/approvals/${row.id}`} className="font-medium text-accent hover:underline">
                {requestTitle(row.kind)}
              </Link>
              <span className="block text-sm text-ink-3">{wantedWords(row)}</span>
            </Td>
            <Td>
              <RequestState state={row.state} />
            </Td>
            <Td>
              <RelativeTime at={row.createdAt} />
            </Td>
            <Td className="text-sm text-ink-2">{row.createdBy}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
