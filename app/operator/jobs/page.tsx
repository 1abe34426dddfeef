import type { Metadata } from 'next';
import { operatorPage } from '#lib/tenant/index.ts';
import { JobQuery, listAllJobs } from '#lib/usage/index.ts';
import { JobExport, JobList } from '#components/job/job-list.tsx';
import { PageHeader } from '#components/ui/layout.tsx';

export const metadata: Metadata = { title: 'Jobs of all tenants' };

const path = '/operator/jobs';

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const query = JobQuery.parse(searchParams);
  return (
    <>
      <PageHeader
        title="Jobs"
        answer="What ran in every tenant, newest first: how long it waited, how long it ran, and how it ended."
        actions={<JobExport path={path} query={query} />}
      />
      <JobList path={path} query={query} page={await listAllJobs(query)} all />
    </>
  );
});
