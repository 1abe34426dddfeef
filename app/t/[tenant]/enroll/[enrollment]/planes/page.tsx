import type { Metadata } from 'next';
import { enrollmentDraft } from '#lib/enrollment/index.ts';
import { atticViewName } from '#lib/model/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { PlanesForm } from '#components/enrollment/planes-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { wizardSteps } from '../../../../../(person)/enroll/steps.ts';
import { choosePlanes } from '../../actions.ts';

export const metadata: Metadata = { title: 'Enroll: caches' };

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params }) => {
  const draft = await enrollmentDraft(ctx, params.enrollment);
  const { attic, bazel, untrusted = [] } = draft.draft.planes;
  const where = { slug: ctx.tenant.slug, enrollment: draft.id };
  return (
    <>
      <Steps steps={wizardSteps(where)} at={3} />
      <PageHeader
        above={`${draft.scope.path} on ${draft.forgeName}`}
        title="Which caches?"
        answer="Runners get the tokens by themselves; no repository has to keep one. Nothing is changed yet."
      />
      <PlanesForm
        action={choosePlanes.bind(null, ctx.tenant.slug)}
        enrollmentId={draft.id}
        viewName={atticViewName(ctx.tenant.slug)}
        attic={attic === undefined ? 'off' : attic.public ? 'public' : 'private'}
        hasAttic={draft.hasAttic}
        bazelSizeGib={bazel?.sizeGib ?? null}
        pools={draft.draft.pools.map(({ pool }) => ({ name: pool, isUntrusted: untrusted.includes(pool) }))}
        back={`/t/${where.slug}/enroll/${where.enrollment}/pools`}
        canEdit={may(ctx.role, 'enrollment:plan')}
      />
    </>
  );
});
