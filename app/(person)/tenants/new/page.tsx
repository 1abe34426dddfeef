import type { Metadata } from 'next';
import { defaultQuota } from '#lib/enrollment/index.ts';
import { parentsFor } from '#lib/tenancy/index.ts';
import { personPage } from '#lib/tenant/index.ts';
import { NewTenantForm } from '#components/tenant/new-tenant-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { make } from './actions.ts';

export const metadata: Metadata = { title: 'New tenant' };

const share = { cpu: '4', memory: '8Gi', runners: 2, storage: '50Gi' };
const large = { cpu: '64', memory: '128Gi', runners: 32, storage: '1Ti' };

export default personPage(async (by, { searchParams }) => {
  const parents = await parentsFor(by, 'team');
  const asked = searchParams['parent'];
  const parent = parents.find(({ slug }) => slug === asked)?.slug ?? parents[0]?.slug ?? '';
  return (
    <div className="max-w-2xl">
      <PageHeader
        title="A team, an enterprise or a managed customer"
        answer="An organization’s tenant comes with its first enrollment; these are made, or asked for, here."
      />
      <NewTenantForm
        action={make}
        parents={parents}
        first={{ kind: parents.length > 0 ? 'team' : 'enterprise', parent }}
        quotas={{ team: share, enterprise: large, managed_customer: defaultQuota }}
      />
    </div>
  );
});
