import type { Metadata } from 'next';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { tokenWish } from '#lib/enrollment/index.ts';
import { scopeLevels, TenantSlug } from '#lib/model/index.ts';
import { personPage, tenantsOf } from '#lib/tenant/index.ts';
import { TenantForm } from '#components/enrollment/tenant-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Callout } from '#components/ui/status.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { sharingChoice } from '../../../sharing-words.ts';
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
  // Of the forges that have repositories only GitHub asks for no token.
  const isSharedOnly = level === 'repository' && wish === null;
  const what = path === '' ? 'the whole instance' : path;
  return (
    <div className="max-w-2xl">
      <Steps steps={wizardSteps()} at={1} />
      <PageHeader
        title={`Who owns and pays for ${what}?`}
        answer="A tenant holds the quota, the namespaces and the bill. One tenant may have several enrollments."
      />
      {isSharedOnly ? (
        <div className="mb-6">
          <Callout tone="note" title="A repository is served by the shared App">
            Its key lies in the cluster beside the runners of everybody who chose that App: somebody who got hold of it
            there could register runners for all of them. Where an organization owns the repository, enrolling the
            organization with an App of its own is the way around that.
          </Callout>
        </div>
      ) : null}
      <TenantForm
        action={start}
        scope={{ connectionId: connection, level, path }}
        token={wish && !wish.given ? wish : null}
        tenants={mine.map(({ slug, displayName }) => ({ slug, displayName }))}
        sharing={sharingChoice}
        suggested={{ slug: suggestedSlug(path), displayName: path.split('/').at(-1) || connection }}
      />
    </div>
  );
});
