import type { Metadata } from 'next';
import Link from 'next/link';
import { CostQuery, dearestJobs, familyOf, jobCost, periodAt, type JobDetail } from '#lib/billing/index.ts';
import { page } from '#lib/tenant/index.ts';
import { BillingTabs, tenantTabs } from '#components/billing/billing-tabs.tsx';
import { Conclusion, costAddress, JobsTable } from '#components/billing/cost-view.tsx';
import { Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../../../money.ts';
import { tenantTitle } from '../../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Jobs by cost', props.params);
}

export default page<Params>('billing:see', async (ctx, { searchParams }) => {
  const query = CostQuery.parse(searchParams);
  const { slug } = ctx.tenant;
  const path = `/t/${slug}/billing/jobs`;
  const family = await familyOf(ctx.tenant.id);
  const wanted = typeof searchParams['job'] === 'string' ? searchParams['job'] : '';
  if (wanted !== '') return <OneJob job={await jobCost(family, wanted, new Date())} slug={slug} />;
  const now = new Date();
  const jobs = await dearestJobs(family, query, now);
  const period = query.period ?? periodAt(now);
  const [first] = jobs;
  const answer = first ? `The dearest job of ${period} ran in ${first.repository}.` : `No job of ${period} is known.`;
  return (
    <>
      <PageHeader title="Jobs by cost" answer={answer} />
      <BillingTabs tabs={tenantTabs(slug)} here="Jobs" />
      <JobsTable
        jobs={jobs}
        currency={jobs[0]?.currency ?? 'USD'}
        hrefOf={({ job }) => costAddress(path, query, { job })}
        csv={costAddress(`/t/${slug}/billing/export`, query, { table: 'jobs' })}
      />
    </>
  );
});

function OneJob({ job, slug }: { job: JobDetail; slug: string }) {
  const { currency, parts } = job;
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/billing/jobs`} className="hover:underline">
            Jobs by cost
          </Link>
        }
        title={job.name ?? job.job}
        answer={`It cost ${money(job.cost, currency)} for ${(Number(job.runnerSeconds) / 60).toFixed(1)} minutes of a runner.`}
      />
      <Section title="The job">
        <Facts
          rows={[
            [
              'Repository',
              <span key="r" className="break-words">
                {job.repository}
              </span>,
            ],
            ['Workflow', job.workflow ?? '–'],
            ['Came out', <Conclusion key="c" {...job} />],
            ['Pool', job.pool ?? '–'],
            [
              'Runner',
              <span key="n" className="font-mono break-all">
                {job.runner ?? '–'}
              </span>,
            ],
            ['Queued', <RelativeTime key="q" at={job.queuedAt} />],
            ['Started', job.startedAt ? <RelativeTime key="s" at={job.startedAt} /> : '–'],
            ['Ended', job.completedAt ? <RelativeTime key="e" at={job.completedAt} /> : '–'],
            ['Tenant', job.tenant],
          ]}
        />
      </Section>
      <Section title="How the cost comes about">
        {parts.length === 0 ? (
          <EmptyState title="No cost">No reading of its runner is known, or what it used has no price.</EmptyState>
        ) : (
          <Table label="Parts of the cost">
            <thead>
              <tr>
                <Th>What</Th>
                <Th numeric>Quantity</Th>
                <Th>Unit</Th>
                <Th numeric>Price of one</Th>
                <Th numeric>List</Th>
                <Th numeric>Cost</Th>
              </tr>
            </thead>
            <tbody>
              {parts.map((part) => (
                <Tr key={`${part.meter} ${part.rate} ${part.quantity}`}>
                  <Td>{part.meter}</Td>
                  <Td numeric>{part.quantity}</Td>
                  <Td>{part.unit}</Td>
                  <Td numeric>{part.rate}</Td>
                  <Td numeric>{money(part.listCost, currency)}</Td>
                  <Td numeric>{money(part.cost, currency)}</Td>
                </Tr>
              ))}
            </tbody>
          </Table>
        )}
      </Section>
    </>
  );
}
