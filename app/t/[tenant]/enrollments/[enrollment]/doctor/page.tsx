import type { Metadata } from 'next';
import Link from 'next/link';
import { doctorView, type FindingView } from '#lib/doctor/index.ts';
import { page } from '#lib/tenant/index.ts';
import { ImageForm } from '#components/doctor/image-form.tsx';
import { LiveDoctor } from '#components/doctor/live-doctor.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { apply, look, propose } from './actions.ts';

export const metadata: Metadata = { title: 'Doctor' };

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params, searchParams }) => {
  const { slug } = ctx.tenant;
  const view = await doctorView(ctx, params.enrollment);
  const { id, name, state } = view.enrollment;
  const isLive = state === 'active' || state === 'withdrawing';
  const plan = searchParams['plan'];
  return (
    <>
      <PageHeader
        above={<Link href={`/t/${slug}/enrollments/${id}`}>{name}</Link>}
        title="Doctor"
        answer="What keeps jobs from running, how we know, and what mends it."
        actions={
          isLive ? (
            <ButtonForm action={look.bind(null, slug)} fields={{ enrollmentId: id }} look="secondary">
              Look now
            </ButtonForm>
          ) : null
        }
      />
      <LiveDoctor
        key={typeof plan === 'string' ? plan : ''}
        url={`/api/views/doctor/${slug}/${id}`}
        first={view}
        propose={propose.bind(null, slug)}
        apply={apply.bind(null, slug)}
      />
      <Images findings={view.findings} slug={slug} />
    </>
  );
});

/** Where something is typed, nothing is refreshed under the hand. */
function Images({ findings, slug }: { findings: FindingView[]; slug: string }) {
  const given = findings.flatMap(({ id, title, offers }) =>
    offers.flatMap(({ image, mayApply }) => (image !== null && mayApply ? [{ id, title, image }] : [])),
  );
  if (given.length === 0) return null;
  return (
    <Section id="image" title="Set another image">
      <Card className="grid gap-6">
        {given.map(({ id, title, image }) => (
          <ImageForm key={id} action={propose.bind(null, slug)} findingId={id} title={title} image={image} />
        ))}
      </Card>
    </Section>
  );
}
