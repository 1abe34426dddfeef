import type { Metadata } from 'next';
import { catalog, poolsNow } from '#lib/enrollment/index.ts';
import { labelOf } from '#lib/model/index.ts';
import { page, type Ctx } from '#lib/tenant/index.ts';
import { LivePools } from '#components/pool/live-pools.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../../money.ts';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Pools', props.params);
}

export default page<Params>('pool:see', async (ctx) => {
  const now = await poolsNow(ctx);
  return (
    <>
      <PageHeader title="Pools" answer="Is there a runner for a job, and how near is the quota?" />
      <LivePools url={`/api/views/pools/${ctx.tenant.slug}`} first={now} />
      <Catalog ctx={ctx} />
    </>
  );
});

async function Catalog({ ctx }: { ctx: Ctx }) {
  const pools = await catalog();
  return (
    <Section title="Catalog" note="Pools that an enrollment may choose from, as the operator defined them.">
      <Table label="Catalog">
        <thead>
          <tr>
            <Th>Pool</Th>
            <Th>For</Th>
            <Th>Label</Th>
            <Th numeric>CPU</Th>
            <Th numeric>Memory</Th>
            <Th numeric>Per runner-hour</Th>
          </tr>
        </thead>
        <tbody>
          {pools.map(({ name, description, cpu, memory, pricePerRunnerHour, currency }) => (
            <Tr key={name}>
              <Td className="font-medium">{name}</Td>
              <Td className="text-ink-2">{description}</Td>
              <Td className="font-mono text-sm">{labelOf(ctx.tenant, name)}</Td>
              <Td numeric>{cpu ?? <Badge tone="idle">Not set</Badge>}</Td>
              <Td numeric>{memory ?? <Badge tone="idle">Not set</Badge>}</Td>
              <Td numeric>{pricePerRunnerHour ? money(pricePerRunnerHour, currency ?? 'USD') : '–'}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
