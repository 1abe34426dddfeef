import type { Metadata } from 'next';
import Link from 'next/link';
import { endpointsMost, listEndpoints, webhookKinds, type EndpointRow } from '#lib/notice/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { EndpointForm } from '#components/webhook/endpoint-form.tsx';
import { tenantTitle } from '../../title.ts';
import { add } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Webhooks', props.params);
}

function answerOf(endpoints: EndpointRow[]): string {
  const disabled = endpoints.filter((endpoint) => endpoint.disabled).length;
  if (endpoints.length === 0) return 'This tenant’s notices are sent nowhere but here.';
  const where = `Notices are sent to ${endpoints.length} ${endpoints.length === 1 ? 'address' : 'addresses'}.`;
  return disabled === 0 ? where : `${where} ${disabled} of them ${disabled === 1 ? 'is' : 'are'} disabled.`;
}

export default page<Params>('settings:see', async (ctx) => {
  const endpoints = await listEndpoints(ctx, new Date());
  const { slug } = ctx.tenant;
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/settings`} className="hover:underline">
            Settings
          </Link>
        }
        title="Webhooks"
        answer={answerOf(endpoints)}
      />
      {endpoints.length === 0 ? (
        <div className="mb-8">
          <EmptyState title="No webhook yet">
            A webhook brings what this tenant is told to a program of yours, signed in the Standard Webhooks form: to a
            chat, to a pager, to a ticket.
          </EmptyState>
        </div>
      ) : (
        <div className="mb-8">
          <Endpoints endpoints={endpoints} slug={slug} />
        </div>
      )}
      {may(ctx.role, 'settings:change') ? (
        <Section title={endpoints.length === 0 ? 'Add one' : 'Add another'}>
          <EndpointForm
            action={add.bind(null, slug)}
            kinds={webhookKinds}
            full={endpoints.length >= endpointsMost && endpointsMost}
          />
        </Section>
      ) : null}
    </>
  );
});

function Endpoints({ endpoints, slug }: { endpoints: EndpointRow[]; slug: string }) {
  return (
    <Table label="Webhooks">
      <thead>
        <tr>
          <Th>Address</Th>
          <Th>State</Th>
          <Th numeric>Kinds</Th>
          <Th>Added</Th>
        </tr>
      </thead>
      <tbody>
        {endpoints.map(({ id, url, kinds, disabled, givenUp, createdAt }) => (
          <Tr key={id}>
            <Td className="min-w-56">
              <Link
                href={`/t/${slug}/settings/webhooks/${id}`}
                className="font-medium break-all text-accent hover:underline"
              >
                {new URL(url).host}
              </Link>
              <span className="block font-mono text-sm break-all text-ink-3">{new URL(url).pathname}</span>
            </Td>
            <Td>
              {disabled ? (
                <Badge tone="bad">Disabled</Badge>
              ) : givenUp > 0 ? (
                <Badge tone="warn">{`${givenUp} given up`}</Badge>
              ) : (
                <Badge tone="good">Enabled</Badge>
              )}
            </Td>
            <Td numeric>{kinds.length}</Td>
            <Td>
              <RelativeTime at={createdAt} />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
