import type { Metadata } from 'next';
import { monthToDate } from '#lib/billing/index.ts';
import { page } from '#lib/tenant/index.ts';
import { jobSeries, livePools, SeriesQuery } from '#lib/usage/index.ts';
import { JobCharts } from '#components/usage/job-charts.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { hours } from '../../../money.ts';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Usage', props.params);
}

export default page<Params>('usage:see', async (ctx, { searchParams }) => {
  const query = SeriesQuery.parse(searchParams);
  const [{ byPool, from }, series, pools] = await Promise.all([
    monthToDate(ctx),
    jobSeries(ctx.tenant.id, query, new Date()),
    livePools(ctx),
  ]);
  const seconds = byPool.reduce((sum, pool) => sum + Number(pool.runnerSeconds), 0);
  const runners = byPool.reduce((sum, pool) => sum + pool.runners, 0);
  return (
    <>
      <PageHeader
        title="Usage"
        answer={`${hours(String(seconds))} runner-hours by ${runners} ${runners === 1 ? 'runner' : 'runners'} since ${from.slice(0, 10)}.`}
      />
      <JobCharts
        series={series}
        shown={{ path: `/t/${ctx.tenant.slug}/usage`, ...query, labels: pools.map(({ label }) => label) }}
      />
      {byPool.length === 0 ? (
        <EmptyState title="Nothing ran this month">
          Each second that a runner exists is counted here, from readings that can only be too low.
        </EmptyState>
      ) : (
        <Section title="This month, by pool">
          <Table label="Usage by pool">
            <thead>
              <tr>
                <Th>Pool</Th>
                <Th numeric>Runners</Th>
                <Th numeric>Runner-hours</Th>
                <Th numeric>Runner-seconds</Th>
              </tr>
            </thead>
            <tbody>
              {byPool.map((pool) => (
                <Tr key={pool.pool}>
                  <Td className="font-medium">{pool.pool}</Td>
                  <Td numeric>{pool.runners}</Td>
                  <Td numeric>{hours(pool.runnerSeconds)}</Td>
                  <Td numeric>{Number(pool.runnerSeconds).toLocaleString('en')}</Td>
                </Tr>
              ))}
            </tbody>
          </Table>
        </Section>
      )}
    </>
  );
});
