import type { Metadata } from 'next';
import { AuditQuery, listAllAudit, operatorPage } from '#lib/tenant/index.ts';
import { AuditRecords, ExportButtons } from '#components/audit/audit-records.tsx';
import { PageHeader } from '#components/ui/layout.tsx';

export const metadata: Metadata = { title: 'Audit of all tenants' };

const path = '/operator/audit';

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const query = AuditQuery.parse(searchParams);
  return (
    <>
      <PageHeader
        title="Audit"
        answer="What was changed in every tenant and in none, and who was denied what, newest first."
        actions={<ExportButtons path={path} query={query} />}
      />
      <AuditRecords path={path} query={query} page={await listAllAudit(query)} all />
    </>
  );
});
