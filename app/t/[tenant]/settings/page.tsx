import type { Metadata } from 'next';
import Link from 'next/link';
import { namespacesOf, tenantKindLabel } from '#lib/model/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { RenameForm } from '#components/tenant/rename-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Mono } from '#components/ui/code.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';
import { rename } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Settings', props.params);
}

export default page<Params>('settings:see', async (ctx) => {
  const { slug, displayName, kind, isDefault, clusterId, quota, state } = ctx.tenant;
  const { runners, bazel } = namespacesOf(slug);
  return (
    <>
      <PageHeader title="Settings" answer={`${tenantKindLabel[kind]}, ${state}, on cluster ${clusterId}.`} />
      {may(ctx.role, 'settings:change') ? (
        <Section title="Name">
          <RenameForm action={rename.bind(null, slug)} displayName={displayName} />
        </Section>
      ) : null}
      <Section title="Fixed" note="These follow from the slug, or are the operator’s to set.">
        <Card>
          <Facts
            rows={[
              ['Slug', <Mono key="slug">{slug}</Mono>],
              ['Labels', <Mono key="labels">{isDefault ? '<pool>' : `${slug}-<pool>`}</Mono>],
              ['Namespaces', <Mono key="namespaces">{`${runners}, ${bazel}`}</Mono>],
              ['Quota', `${quota.cpu} CPU, ${quota.memory}, ${quota.runners} runners`],
            ]}
          />
        </Card>
      </Section>
      <Section title="Webhooks" note="What this tenant is told can be sent to a program of yours as well.">
        <LinkButton href={`/t/${slug}/settings/webhooks`}>See the webhooks</LinkButton>
      </Section>
      <Section title="Leave">
        <p className="max-w-prose text-ink-2">
          To leave, withdraw each{' '}
          <Link href={`/t/${slug}/enrollments`} className="text-accent underline">
            enrollment
          </Link>
          . Its page shows first what is removed. A tenant without enrollments costs nothing; its audit and bills are
          kept.
        </p>
      </Section>
    </>
  );
});
