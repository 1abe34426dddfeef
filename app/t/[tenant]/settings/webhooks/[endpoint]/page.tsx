import type { Metadata } from 'next';
import Link from 'next/link';
import { endpointView, listMessages, webhookKinds, type EndpointRow } from '#lib/notice/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { EndpointForm } from '#components/webhook/endpoint-form.tsx';
import { LiveMessages } from '#components/webhook/live-messages.tsx';
import { TypedForm } from '#components/form/typed-form.tsx';
import { RotateForm } from '#components/webhook/rotate-form.tsx';
import { tenantTitle } from '../../../title.ts';
import { change, disable, enable, remove, replay, rotate, test } from '../actions.ts';

type Params = { tenant: string; endpoint: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Webhook', props.params);
}

function answerOf({ disabled, givenUp, kinds }: EndpointRow): string {
  if (disabled) return 'Disabled: nothing is sent.';
  if (givenUp > 0) return `The last ${givenUp === 1 ? 'message was' : `${givenUp} messages were`} given up.`;
  return `${kinds.length} ${kinds.length === 1 ? 'kind of notice is' : 'kinds of notices are'} sent here as they come.`;
}

export default page<Params>('settings:see', async (ctx, { params, searchParams }) => {
  const endpoint = await endpointView(ctx, params.endpoint, new Date());
  const before = typeof searchParams['before'] === 'string' ? searchParams['before'] : undefined;
  const messages = await listMessages(ctx, endpoint.id, before);
  const { slug } = ctx.tenant;
  const { id, url, disabled } = endpoint;
  const mayChange = may(ctx.role, 'settings:change');
  const path = `/t/${slug}/settings/webhooks`;
  return (
    <>
      <PageHeader
        above={
          <Link href={path} className="hover:underline">
            Webhooks
          </Link>
        }
        title={<span className="break-all">{new URL(url).host}</span>}
        answer={answerOf(endpoint)}
        actions={
          mayChange && !disabled ? (
            <ButtonForm action={test.bind(null, slug)} fields={{ endpointId: id }}>
              Send a test
            </ButtonForm>
          ) : null
        }
      />
      {disabled ? (
        <div className="mb-8">
          <Callout tone="bad" title={`Disabled ${disabled.at.slice(0, 16).replace('T', ' ')} UTC.`}>
            <p className="mb-3">{disabled.because} What is told meanwhile is not sent later.</p>
            {mayChange ? (
              <ButtonForm action={enable.bind(null, slug)} fields={{ endpointId: id }} look="secondary">
                Enable
              </ButtonForm>
            ) : null}
          </Callout>
        </div>
      ) : null}
      <Section
        title="What was sent"
        note="A message that is not taken is tried again for a day, less and less often, always under the same id. Kept for 30 days."
      >
        <LiveMessages
          url={`/api/views/webhooks/${slug}/${id}${before === undefined ? '' : `?before=${encodeURIComponent(before)}`}`}
          first={messages}
          replay={mayChange && !disabled ? replay.bind(null, slug) : null}
        />
        {messages.nextBefore ? (
          <div className="mt-4">
            <LinkButton href={`${path}/${id}?before=${encodeURIComponent(messages.nextBefore)}`}>Older</LinkButton>
          </div>
        ) : null}
      </Section>
      {mayChange ? <Changes slug={slug} endpoint={endpoint} /> : null}
    </>
  );
});

function Changes({ slug, endpoint }: { slug: string; endpoint: EndpointRow }) {
  const { id, url, kinds, previousUntil, disabled } = endpoint;
  return (
    <>
      <Section title="Address and kinds">
        <EndpointForm
          key={url}
          action={change.bind(null, slug)}
          kinds={webhookKinds}
          first={{ endpointId: id, url, kinds }}
        />
      </Section>
      <Section
        title="Signing secret"
        note="Each message is signed with it, in the Standard Webhooks form: webhook-id, webhook-timestamp, webhook-signature. A receiver that checks the signature knows that the message is ours, whole and new."
      >
        {previousUntil ? (
          <p className="mb-3 text-ink-2">
            The secret before it still signs too; it ends <RelativeTime at={previousUntil} />.
          </p>
        ) : null}
        <RotateForm action={rotate.bind(null, slug)} endpointId={id} />
      </Section>
      {disabled ? null : (
        <Section title="Pause" note="Nothing is sent until it is enabled again.">
          <ButtonForm action={disable.bind(null, slug)} fields={{ endpointId: id }} look="secondary">
            Disable
          </ButtonForm>
        </Section>
      )}
      <Section title="Remove" note="The secret and the list of what was sent are lost; the notices themselves stay.">
        <TypedForm
          action={remove.bind(null, slug)}
          fields={{ endpointId: id }}
          name="host"
          typed={new URL(url).host}
          toDo="to remove it"
          button="Remove the webhook"
        />
      </Section>
    </>
  );
}
