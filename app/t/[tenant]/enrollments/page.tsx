import type { Metadata } from 'next';
import { listEnrollments } from '#lib/enrollment/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { EnrollmentList } from '#components/enrollment/enrollment-list.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Enrollments', props.params);
}

export default page<Params>('enrollment:see', async (ctx) => {
  const enrollments = await listEnrollments(ctx);
  const live = enrollments.filter(({ state }) => state !== 'withdrawn');
  const ready = live.filter((enrollment) => enrollment.ready).length;
  const enroll = may(ctx.role, 'enrollment:plan') ? (
    <LinkButton href="/enroll" look="primary">
      Enroll a scope
    </LinkButton>
  ) : null;
  return (
    <>
      <PageHeader
        title="Enrollments"
        answer={
          live.length === 0
            ? 'Nothing is enrolled.'
            : `${ready} of ${live.length} ${live.length === 1 ? 'is' : 'are'} ready.`
        }
        actions={enrollments.length > 0 ? enroll : null}
      />
      {enrollments.length === 0 ? (
        <EmptyState title="No enrollment yet" action={enroll}>
          An enrollment joins a forge scope to this tenant, with pools and caches.
        </EmptyState>
      ) : (
        <EnrollmentList slug={ctx.tenant.slug} enrollments={enrollments} />
      )}
    </>
  );
});
