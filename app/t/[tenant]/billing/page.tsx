import type { Metadata } from 'next';
import { CostQuery, dashboardOf, familyOf, type Dimension } from '#lib/billing/index.ts';
import { page } from '#lib/tenant/index.ts';
import { BillingTabs, tenantTabs } from '#components/billing/billing-tabs.tsx';
import {
  costAnswer,
  CostNumbers,
  CostSeries,
  CostSteps,
  CostTable,
  WasteTable,
} from '#components/billing/cost-view.tsx';
import { OutsideButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Billing', props.params);
}

const ownDimensions: Dimension[] = ['pool', 'repository', 'workflow', 'day', 'hour'];

export default page<Params>('billing:see', async (ctx, { searchParams }) => {
  const query = CostQuery.parse(searchParams);
  const { slug, displayName } = ctx.tenant;
  const family = await familyOf(ctx.tenant.id);
  const view = await dashboardOf(family, query, new Date());
  const dimensions: Dimension[] = family.length > 1 ? ['tenant', ...ownDimensions] : ownDimensions;
  const place = { path: `/t/${slug}/billing`, query, view, dimensions };
  const whose = family.length > 1 ? `${displayName} and those below it` : displayName;
  const focus = (format: string) => `/t/${slug}/billing/focus?period=${view.period}&format=${format}`;
  return (
    <>
      <PageHeader
        title="Billing"
        answer={costAnswer(view, whose)}
        actions={
          <>
            <OutsideButton href={focus('csv')} download>
              FOCUS CSV
            </OutsideButton>
            <OutsideButton href={focus('parquet')} download>
              FOCUS Parquet
            </OutsideButton>
          </>
        }
      />
      <BillingTabs tabs={tenantTabs(slug)} here="Cost" />
      <CostSteps {...place} />
      <CostNumbers view={view} />
      <CostSeries {...place} />
      <CostTable {...place} />
      <WasteTable {...place} />
    </>
  );
});
