import type { Metadata } from 'next';
import Link from 'next/link';
import { tenantOverview } from '#lib/enrollment/index.ts';
import { monthToDate } from '#lib/billing/index.ts';
import { tenantKindLabel } from '#lib/model/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { LiveOverview } from '#components/tenant/live-overview.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { money } from '../../money.ts';
import { tenantTitle } from './title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle(null, props.params);
}

export default page<Params>('tenant:see', async (ctx) => {
  const { tenant, role } = ctx;
  return (
    <>
      <PageHeader above={tenantKindLabel[tenant.kind]} title={tenant.displayName} />
      {may(role, 'pool:see') ? <Work ctx={ctx} /> : <Money ctx={ctx} />}
    </>
  );
});

async function costOf(ctx: Ctx): Promise<{ total: string; note: string } | null> {
  if (!may(ctx.role, 'billing:see')) return null;
  const { total, currency, from } = await monthToDate(ctx);
  return { total: money(total, currency), note: `since ${from.slice(0, 10)}` };
}

async function Work({ ctx }: { ctx: Ctx }) {
  const [overview, cost, views] = await Promise.all([tenantOverview(ctx), costOf(ctx), ctx.db.cacheView.findMany()]);
  const { slug } = ctx.tenant;
  if (overview.enrollments.length === 0) {
    return (
      <EmptyState
        title="No scope is enrolled yet"
        action={
          <LinkButton href="/enroll" look="primary">
            Enroll a scope
          </LinkButton>
        }
      >
        Enroll a repository or organization, and its jobs find runners of this tenant by their label.
      </EmptyState>
    );
  }
  return (
    <>
      <LiveOverview url={`/api/views/overview/${slug}`} slug={slug} first={overview} cost={cost} />
      {views.length > 0 ? (
        <Section title="Caches">
          <ul className="divide-y rounded-lg border bg-surface">
            {views.map(({ id, name, isPublic }) => (
              <li key={id} className="flex flex-wrap items-center justify-between gap-x-4 px-4 py-2.5">
                <Link href={`/t/${slug}/caches`} className="font-mono text-sm text-accent hover:underline">
                  {name}
                </Link>
                <span className="text-ink-2">Attic view, {isPublic ? 'public' : 'private'}</span>
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
    </>
  );
}

async function Money({ ctx }: { ctx: Ctx }) {
  const cost = await costOf(ctx);
  return (
    <Callout tone="note" title={cost ? `This month cost ${cost.total}, ${cost.note}.` : 'Your role sees nothing here.'}>
      Your role is to see what is used and what it costs.
    </Callout>
  );
}
