import type { Metadata } from 'next';
import Link from 'next/link';
import { namespacesOf, quotaWords, tenantKindLabel } from '#lib/model/index.ts';
import { teamChoices } from '#lib/tenancy/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { TeamForm } from '#components/tenant/team-form.tsx';
import { RenameForm } from '#components/tenant/rename-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Mono } from '#components/ui/code.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';
import { follow, rename } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Settings', props.params);
}

export default page<Params>('settings:see', async (ctx) => {
  const { slug, displayName, kind, isDefault, clusterId, quota, state } = ctx.tenant;
  const { runners, bazel, dind } = namespacesOf(slug);
  return (
    <>
      <PageHeader title="Settings" answer={`${tenantKindLabel[kind]}, ${state}, on cluster ${clusterId}.`} />
      {may(ctx.role, 'settings:change') ? (
        <Section title="Name">
          <RenameForm action={rename.bind(null, slug)} displayName={displayName} />
        </Section>
      ) : null}
      {may(ctx.role, 'member:change') ? <Team ctx={ctx} /> : null}
      <Section title="Fixed" note="These follow from the slug, or are the operator’s to set.">
        <Card>
          <Facts
            rows={[
              ['Slug', <Mono key="slug">{slug}</Mono>],
              ['Labels', <Mono key="labels">{isDefault ? '<pool>' : `${slug}-<pool>`}</Mono>],
              [
                'Namespaces',
                <span key="namespaces">
                  <Mono>{`${runners}, ${bazel}`}</Mono>; <Mono>{dind}</Mono> where an operator allows pools with a
                  daemon
                </span>,
              ],
              [
                'Quota',
                <Link key="quota" href={`/t/${slug}/quota`} className="text-accent underline">
                  {quotaWords(quota)}
                </Link>,
              ],
            ]}
          />
        </Card>
      </Section>
      <Section title="Webhooks" note="What this tenant is told can be sent to a program of yours as well.">
        <LinkButton href={`/t/${slug}/settings/webhooks`}>See the webhooks</LinkButton>
      </Section>
      <Section title="API tokens" note="Programs of this tenant show one at the API and on the command line.">
        <LinkButton href={`/t/${slug}/settings/tokens`}>See the tokens</LinkButton>
      </Section>
      {may(ctx.role, 'tenant:leave') ? (
        <Section title="Leave">
          <Card className="grid justify-items-start gap-3">
            <p className="max-w-prose text-ink-2">
              Everything of this tenant is withdrawn in the order that leaves nothing behind, and a report says what was
              looked for. You see the list first; audit and bills are kept.
            </p>
            <LinkButton href={`/t/${slug}/settings/leave`}>
              {state === 'leaving' || state === 'left' ? 'See how it leaves' : 'See what would go'}
            </LinkButton>
          </Card>
        </Section>
      ) : null}
    </>
  );
});

/** Whose people a team's are. */
async function Team({ ctx }: { ctx: Ctx }) {
  const team = await teamChoices(ctx);
  if (!team) return null;
  return (
    <Section title="People from the forge" note={team.trouble ?? 'The teams of what the organization has enrolled.'}>
      <TeamForm action={follow.bind(null, ctx.tenant.slug)} now={team.now} choices={team.choices} />
    </Section>
  );
}
