import type { Metadata } from 'next';
import Link from 'next/link';
import { ownAppsOf, type OwnAppRow } from '#lib/enrollment/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { KeyForm } from '#components/forge/key-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { tenantTitle } from '../../title.ts';
import { replaceKey, replaceSecret } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('GitHub Apps', props.params);
}

export default page<Params>('settings:see', async (ctx) => {
  const apps = await ownAppsOf(ctx);
  return (
    <>
      <PageHeader title="GitHub Apps" answer="Apps of your organizations’ own, which register their runners." />
      {apps.length === 0 ? (
        <EmptyState title="None" action={<LinkButton href="/enroll">Enroll an organization</LinkButton>}>
          The shared App serves this tenant. An organization that is enrolled with an App of its own shares no key with
          anybody.
        </EmptyState>
      ) : null}
      {apps.map((app) => (
        <OwnApp key={app.id} app={app} slug={ctx.tenant.slug} mayChange={may(ctx.role, 'settings:change')} />
      ))}
    </>
  );
});

function OwnApp({ app, slug, mayChange }: { app: OwnAppRow; slug: string; mayChange: boolean }) {
  const { account, forgeName, enrollments, createdAt, keyReplacedAt, webhook } = app;
  return (
    <Section title={app.slug}>
      <Card>
        <Facts
          rows={[
            ['Organization', `${account} on ${forgeName}`],
            ['Enrollments', String(enrollments)],
            ['Made', <RelativeTime key="made" at={createdAt} />],
            ['Key', keyReplacedAt ? <RelativeTime key="key" at={keyReplacedAt} /> : 'The first one'],
            [
              'Webhook',
              // It may be a sentence.
              <span key="webhook" className="*:wrap-anywhere *:whitespace-normal">
                <Badge tone={webhook.tone}>{webhook.says}</Badge>
              </span>,
            ],
          ]}
        />
      </Card>
      {mayChange ? <Changes app={app} slug={slug} /> : null}
    </Section>
  );
}

/** Of an App that was deleted, whose key may also have been: a new key mends the one, a new App the other. */
function Changes({ app: { id, slug: name, account, forge, isGone }, slug }: { app: OwnAppRow; slug: string }) {
  const anew = `/enroll/app?${new URLSearchParams({ connection: forge, path: account }).toString()}`;
  return (
    <div className="mt-4 grid gap-4">
      {isGone ? (
        <Callout tone="bad" title="GitHub knows neither this App nor its key.">
          If its key was deleted, give it a new one. If the App itself was, make another for this tenant: it takes the
          place of this one, and its enrollments go on.{' '}
          <Link href={anew} className="text-accent underline">
            Make another App for {account}
          </Link>
        </Callout>
      ) : (
        <ButtonForm
          action={replaceSecret.bind(null, slug)}
          fields={{ githubAppId: id }}
          look="secondary"
          done={`GitHub signs the deliveries of ${name} with a new secret.`}
        >
          New webhook secret
        </ButtonForm>
      )}
      <KeyForm action={replaceKey.bind(null, slug)} fields={{ githubAppId: id }} label="New private key" />
    </div>
  );
}
