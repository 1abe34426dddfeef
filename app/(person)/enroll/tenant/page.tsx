import type { Metadata } from 'next';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { tokenWish } from '#lib/enrollment/index.ts';
import { scopeLevels, TenantSlug } from '#lib/model/index.ts';
import { personPage, tenantsOf } from '#lib/tenant/index.ts';
import { TenantForm } from '#components/enrollment/tenant-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { wizardSteps } from '../steps.ts';
import { start } from './actions.ts';

export const metadata: Metadata = { title: 'Enroll: tenant' };

const Asked = z.object({ connection: z.string().min(1), level: z.enum(scopeLevels), path: z.string().default('') });

/** A slug that the path suggests, or none where it suggests no valid one. */
function suggestedSlug(path: string): string {
  const owner = path.split('/').at(-1) ?? '';
  const slug = owner
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 30)
    .replace(/-+$/, '');
  return TenantSlug.safeParse(slug).success ? slug : '';
}

export default personPage(async (by, { searchParams }) => {
  const asked = Asked.safeParse(searchParams);
  if (!asked.success) redirect('/enroll');
  const { connection, level, path } = asked.data;
  const mine = (await tenantsOf(by)).filter(({ role }) => role === 'admin');
  const wish = await tokenWish(connection, level, path);
  const what = path === '' ? 'the whole instance' : path;
  return (
    <div className="max-w-2xl">
      <Steps steps={wizardSteps()} at={1} />
      <PageHeader
        title={`Who owns and pays for ${what}?`}
        answer="A tenant holds the quota, the namespaces and the bill. One tenant may have several enrollments."
      />
      <TenantForm
        action={start}
        scope={{ connectionId: connection, level, path }}
        token={wish && !wish.given ? wish : null}
        tenants={mine.map(({ slug, displayName }) => ({ slug, displayName }))}
        suggested={{ slug: suggestedSlug(path), displayName: path.split('/').at(-1) || connection }}
      />
    </div>
  );
});
