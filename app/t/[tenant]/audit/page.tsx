import type { Metadata } from 'next';
import { listAudit, page } from '#lib/tenant/index.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Audit', props.params);
}

const uuid = /^[0-9a-f-]{36}$/;

export default page<Params>('audit:see', async (ctx, { searchParams }) => {
  const before = searchParams['before'];
  const { rows, nextId } = await listAudit(ctx, typeof before === 'string' && uuid.test(before) ? before : undefined);
  return (
    <>
      <PageHeader title="Audit" answer="Who changed what, newest first. Records can be added and never changed." />
      {rows.length === 0 ? (
        <EmptyState title="No record yet">Every change of this tenant leaves one here.</EmptyState>
      ) : (
        <Table label="Audit records">
          <thead>
            <tr>
              <Th>When</Th>
              <Th>Who</Th>
              <Th>Did</Th>
              <Th>To</Th>
              <Th>What</Th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Tr key={row.id}>
                <Td>
                  <RelativeTime at={row.at} />
                </Td>
                <Td className="break-words">{row.actor}</Td>
                <Td className="font-mono text-sm">{row.action}</Td>
                <Td className="font-mono text-sm break-all">{row.target}</Td>
                <Td>
                  <Change before={row.before} after={row.after} />
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {nextId ? (
        <div className="mt-4">
          <LinkButton href={`/t/${ctx.tenant.slug}/audit?before=${nextId}`}>Older records</LinkButton>
        </div>
      ) : null}
    </>
  );
});

function Change({ before, after }: { before: unknown; after: unknown }) {
  if (before === null && after === null) return <span className="text-ink-3">–</span>;
  return (
    <details>
      <summary className="whitespace-nowrap text-accent">Show</summary>
      <pre className="mt-1 max-w-md overflow-x-auto rounded-sm bg-sunken p-2 font-mono text-xs">
        {before === null ? null : (
          <del className="block text-bad no-underline">− {JSON.stringify(before, null, 1)}</del>
        )}
        {after === null ? null : <ins className="block text-good no-underline">+ {JSON.stringify(after, null, 1)}</ins>}
      </pre>
    </details>
  );
}
