import type { Metadata } from 'next';
import { tenantKindLabel } from '#lib/model/index.ts';
import { operatorOverview, operatorPage, type OperatorOverview } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { WordsForm } from '#components/form/words-form.tsx';
import { TenantName, TenantStateBadge } from '#components/tenant/tenant-name.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { goOn, stop } from './actions.ts';

export const metadata: Metadata = { title: 'Tenants · Operator' };

export default operatorPage('operator:see', async () => {
  const { tenants } = await operatorOverview();
  const suspended = tenants.filter(({ state }) => state === 'suspended').length;
  return (
    <>
      <PageHeader
        title="Tenants"
        answer={`${tenants.length} ${tenants.length === 1 ? 'tenant' : 'tenants'}, ${suspended === 0 ? 'none' : suspended} suspended.`}
      />
      {tenants.length === 0 ? (
        <EmptyState title="No tenant yet">One comes with the first enrollment.</EmptyState>
      ) : (
        <Table label="Tenants">
          <thead>
            <tr>
              <Th>Tenant</Th>
              <Th>Kind</Th>
              <Th>State</Th>
              <Th numeric>Enrollments</Th>
              <Th>Suspend</Th>
            </tr>
          </thead>
          <tbody>
            {tenants.map((tenant) => (
              <Row key={tenant.slug} tenant={tenant} />
            ))}
          </tbody>
        </Table>
      )}
    </>
  );
});

function Row({ tenant }: { tenant: OperatorOverview['tenants'][number] }) {
  const { slug, displayName, kind, state, enrollments } = tenant;
  return (
    <Tr>
      <Td>
        <TenantName slug={slug} displayName={displayName} />
      </Td>
      <Td>{tenantKindLabel[kind]}</Td>
      <Td>
        <TenantStateBadge state={state} />
      </Td>
      <Td numeric>{enrollments}</Td>
      <Td>
        {state === 'active' ? (
          <details>
            <summary className="cursor-pointer text-accent">Suspend…</summary>
            <div className="mt-2 min-w-60 wrap-anywhere">
              <WordsForm
                action={stop}
                fields={{ slug }}
                name="reason"
                label={`Why ${displayName} is suspended`}
                help="Its people read it. No runner starts; nothing is removed."
                button={`Suspend ${slug}`}
                look="danger"
              />
            </div>
          </details>
        ) : state === 'suspended' ? (
          <ButtonForm action={goOn} fields={{ slug }} look="secondary" small>
            Resume {slug}
          </ButtonForm>
        ) : (
          '–'
        )}
      </Td>
    </Tr>
  );
}
