import type { Metadata } from 'next';
import { page } from '#lib/tenant/index.ts';
import { JobQuery, jobSeries, listJobs, poolLabels, type JobSeries } from '#lib/usage/index.ts';
import { JobExport, JobList } from '#components/job/job-list.tsx';
import { seconds } from '#components/ui/duration.ts';
import { PageHeader } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Jobs', props.params);
}

function answerOf({ total }: JobSeries): string {
  const ended = total.succeeded + total.failed + total.other;
  if (ended === 0 && total.began === 0) return 'No job ran in the last day.';
  const failed = total.failed === 0 ? 'none failed' : `${total.failed} failed`;
  const waited = total.p50 === null ? '' : ` Half of those that began waited less than ${seconds(total.p50)}.`;
  return `${ended} ${ended === 1 ? 'job' : 'jobs'} ended in the last day, ${failed}.${waited}`;
}

export default page<Params>('job:see', async (ctx, { searchParams }) => {
  const query = JobQuery.parse({ ...searchParams, tenant: '' });
  const path = `/t/${ctx.tenant.slug}/jobs`;
  const [series, jobs, labels] = await Promise.all([
    jobSeries(ctx.tenant.id, { window: 'day', pool: '' }, new Date()),
    listJobs(ctx, query),
    poolLabels(ctx),
  ]);
  return (
    <>
      <PageHeader title="Jobs" answer={answerOf(series)} actions={<JobExport path={path} query={query} />} />
      <JobList path={path} query={query} page={jobs} labels={labels} />
    </>
  );
});
