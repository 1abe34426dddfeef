import type { Metadata } from 'next';
import { ownAppsOf } from '#lib/enrollment/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { KeyForm } from '#components/forge/key-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { tenantTitle } from '../../title.ts';
import { replaceKey } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('GitHub Apps', props.params);
}

export default page<Params>('settings:see', async (ctx) => {
  const apps = await ownAppsOf(ctx);
  const act = replaceKey.bind(null, ctx.tenant.slug);
  return (
    <>
      <PageHeader title="GitHub Apps" answer="Apps of your organizations’ own, which register their runners." />
      {apps.length === 0 ? (
        <EmptyState title="None" action={<LinkButton href="/enroll">Enroll an organization</LinkButton>}>
          The shared App serves this tenant. An organization that is enrolled with an App of its own shares no key with
          anybody.
        </EmptyState>
      ) : null}
      {apps.map(({ id, slug, account, forge, enrollments, createdAt, keyReplacedAt }) => (
        <Section key={id} title={slug}>
          <Card>
            <Facts
              rows={[
                ['Organization', `${account} on ${forge}`],
                ['Enrollments', String(enrollments)],
                ['Made', <RelativeTime key="made" at={createdAt} />],
                ['Key', keyReplacedAt ? <RelativeTime key="key" at={keyReplacedAt} /> : 'The first one'],
              ]}
            />
          </Card>
          {may(ctx.role, 'settings:change') ? (
            <div className="mt-4">
              <KeyForm action={act} fields={{ githubAppId: id }} label="New private key" />
            </div>
          ) : null}
        </Section>
      ))}
    </>
  );
});
