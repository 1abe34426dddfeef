import type { Metadata } from 'next';
import Link from 'next/link';
import { requestsOf } from '#lib/tenancy/index.ts';
import { page } from '#lib/tenant/index.ts';
import { RequestState } from '#components/tenant/request-state.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { requestTitle, wantedWords } from '../../../request-words.ts';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Requests', props.params);
}

export default page<Params>('request:see', async (ctx) => {
  const requests = await requestsOf(ctx);
  const { slug } = ctx.tenant;
  const questions = requests.filter(({ state }) => state === 'asked_back').length;
  const open = requests.filter(({ state }) => state === 'open').length;
  return (
    <>
      <PageHeader
        title="Requests"
        answer={
          questions > 0
            ? `${questions === 1 ? 'One waits' : `${questions} wait`} for your answer.`
            : open > 0
              ? `${open === 1 ? 'One waits' : `${open} wait`} for an operator.`
              : 'Nothing waits.'
        }
      />
      {requests.length === 0 ? (
        <EmptyState
          title="Nothing was asked for yet"
          action={<LinkButton href={`/t/${slug}/quota`}>See the quota</LinkButton>}
        >
          More quota, a scarce pool or a move to another tenant is asked of an operator; where it stands is told here.
        </EmptyState>
      ) : (
        <Table label="Requests">
          <thead>
            <tr>
              <Th>Request</Th>
              <Th>State</Th>
              <Th>Asked</Th>
              <Th>By</Th>
            </tr>
          </thead>
          <tbody>
            {requests.map((request) => (
              <Tr key={request.id}>
                <Td>
                  <Link href={`/t/${slug}/requests/${request.id}`} className="font-medium text-accent hover:underline">
                    {requestTitle(request.kind)}
                  </Link>
                  <span className="block text-sm text-ink-3">{wantedWords(request)}</span>
                </Td>
                <Td>
                  <RequestState state={request.state} />
                </Td>
                <Td>
                  <RelativeTime at={request.createdAt} />
                </Td>
                <Td className="text-sm text-ink-2">{request.createdBy}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </>
  );
});
