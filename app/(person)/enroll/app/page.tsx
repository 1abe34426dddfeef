import type { Metadata } from 'next';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { TenantSlug } from '#lib/model/index.ts';
import { personPage, tenantsOf } from '#lib/tenant/index.ts';
import { AppChoice } from '#components/enrollment/app-choice.tsx';
import { TenantForm } from '#components/enrollment/tenant-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { sharingChoice } from '../../../sharing-words.ts';
import { wizardSteps } from '../steps.ts';
import { createOwnApp, install } from './actions.ts';

export const metadata: Metadata = { title: 'Enroll: App' };

const Asked = z.object({
  connection: z.string().min(1),
  path: z.string().regex(/^[^/]+$/),
  installed: z.literal('1').optional(),
});

/** Whose App an organization is served by, before the tenant is named: an App of its own belongs to a tenant. */
export default personPage(async (by, { searchParams }) => {
  const asked = Asked.safeParse(searchParams);
  if (!asked.success) redirect('/enroll');
  const { connection, path, installed } = asked.data;
  const mine = (await tenantsOf(by)).filter(({ role }) => role === 'admin');
  const slug = path.toLowerCase().slice(0, 30);
  const next = `/enroll/tenant?${new URLSearchParams({ connection, level: 'organization', path }).toString()}`;
  return (
    <div className="max-w-2xl">
      <Steps steps={wizardSteps()} at={1} />
      <PageHeader
        title={`Whose App registers runners for ${path}?`}
        answer="Runners are registered by a GitHub App, whose private key lies in the cluster for the runner controller."
      />
      <AppChoice
        organization={path}
        own={
          <TenantForm
            sharing={sharingChoice}
            action={createOwnApp}
            scope={{ connectionId: connection, level: 'organization', path }}
            tenants={mine.map(({ slug: each, displayName }) => ({ slug: each, displayName }))}
            suggested={{ slug: TenantSlug.safeParse(slug).success ? slug : '', displayName: path }}
          />
        }
        shared={
          installed ? (
            <LinkButton href={next} look="primary">
              Use the shared App
            </LinkButton>
          ) : (
            <ButtonForm action={install} fields={{ connectionId: connection, path }}>
              Install the shared App on {path}
            </ButtonForm>
          )
        }
      />
    </div>
  );
});
