import type { Metadata } from 'next';
import { AuditQuery, listAudit, page } from '#lib/tenant/index.ts';
import { AuditRecords, ExportButtons } from '#components/audit/audit-records.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Audit', props.params);
}

export default page<Params>('audit:see', async (ctx, { searchParams }) => {
  const query = AuditQuery.parse({ ...searchParams, tenant: '' });
  const path = `/t/${ctx.tenant.slug}/audit`;
  return (
    <>
      <PageHeader
        title="Audit"
        answer="Who changed what, newest first. Each record is chained to the one before it, so that none can be changed or taken away unseen."
        actions={<ExportButtons path={path} query={query} />}
      />
      <AuditRecords path={path} query={query} page={await listAudit(ctx, query)} />
    </>
  );
});
