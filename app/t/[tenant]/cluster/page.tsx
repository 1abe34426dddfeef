import type { Metadata } from 'next';
import { clusterLook } from '#lib/enrollment/index.ts';
import { presentMove } from '#lib/tenancy/index.ts';
import { page } from '#lib/tenant/index.ts';
import { LiveCluster } from '#components/cluster/live-cluster.tsx';
import { OutsideButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Callout } from '#components/ui/status.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Cluster', props.params);
}

export default page<Params>('cluster:see', async (ctx) => {
  const { slug } = ctx.tenant;
  const [look, move] = await Promise.all([clusterLook(ctx), presentMove(ctx)]);
  const hasSomething = !look.isAway && look.namespaces.length > 0;
  return (
    <>
      <PageHeader
        title="Cluster"
        answer="Do the runners start, and where one does not, why?"
        actions={
          hasSomething ? (
            <OutsideButton href={`/t/${slug}/cluster/export`} download>
              Export as OpenTofu
            </OutsideButton>
          ) : null
        }
      />
      {move ? (
        <div className="mb-6">
          <Callout tone="busy" title={`An operator moves this tenant from ${move.from} to ${move.to}.`}>
            Labels stay as they are, and jobs under way end where they run. What is shown here is of{' '}
            {ctx.tenant.clusterId}.
          </Callout>
        </div>
      ) : null}
      <LiveCluster url={`/api/views/cluster/${slug}`} slug={slug} first={look} />
    </>
  );
});
