import type { Metadata } from 'next';
import Link from 'next/link';
import { planView } from '#lib/enrollment/index.ts';
import { requestView, type RequestView } from '#lib/tenancy/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { WordsForm } from '#components/form/words-form.tsx';
import { RequestState } from '#components/tenant/request-state.tsx';
import { RequestSteps } from '#components/tenant/request-steps.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { requestTitle, wantedWords } from '../../../../request-words.ts';
import { answerBack, withdraw } from '../actions.ts';

export const metadata: Metadata = { title: 'Request' };

type Params = { tenant: string; request: string };

export default page<Params>('request:see', async (ctx, { params }) => {
  const request = await requestView(ctx, params.request);
  const { slug } = ctx.tenant;
  return (
    <>
      <PageHeader
        above={<Link href={`/t/${slug}/requests`}>Requests</Link>}
        title={requestTitle(request.kind)}
        answer={`${wantedWords(request)}.`}
        actions={<RequestState state={request.state} />}
      />
      <PlanLink ctx={ctx} request={request} />
      <Section title="What was said">
        <RequestSteps messages={request.messages} />
      </Section>
      {may(ctx.role, 'request:make') ? <Turn slug={slug} request={request} /> : null}
    </>
  );
});

async function PlanLink({ ctx, request }: { ctx: Ctx; request: RequestView }) {
  if (request.planId === null) return null;
  const plan = await planView(ctx, request.planId).catch(() => null);
  if (!plan) return <p className="mb-6 text-ink-2">Its plan is no more.</p>;
  return (
    <p className="mb-6">
      <LinkButton href={`/t/${ctx.tenant.slug}/enroll/${plan.enrollmentId}/plan?plan=${plan.id}`}>
        See the plan
      </LinkButton>
    </p>
  );
}

function Turn({ slug, request }: { slug: string; request: RequestView }) {
  const fields = { requestId: request.id };
  if (request.state !== 'open' && request.state !== 'asked_back') return null;
  return (
    <div className="grid max-w-2xl gap-6">
      {request.state === 'asked_back' ? (
        <Card>
          <WordsForm
            action={answerBack.bind(null, slug)}
            fields={fields}
            label="Your answer"
            button="Answer"
            look="primary"
          />
        </Card>
      ) : null}
      <ButtonForm action={withdraw.bind(null, slug)} fields={fields} look="quiet">
        Take this request back
      </ButtonForm>
    </div>
  );
}
