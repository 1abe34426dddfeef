import type { Metadata } from 'next';
import type { ReactNode } from 'react';
import {
  enrollmentDraft,
  operatorReasons,
  planView,
  type EnrollmentDraft,
  type PlanView,
} from '#lib/enrollment/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { ApplyForm } from '#components/enrollment/apply-form.tsx';
import { Count, PlanChanges } from '#components/enrollment/plan-changes.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { WordsForm } from '#components/form/words-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { CopyButton } from '#components/ui/copy-button.tsx';
import { Card, PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { wizardSteps } from '../../../../../(person)/enroll/steps.ts';
import { approve, discard, plan as planAnew, planWithdrawal } from '../../actions.ts';

export const metadata: Metadata = { title: 'Plan' };

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params, searchParams }) => {
  const draft = await enrollmentDraft(ctx, params.enrollment);
  const asked = searchParams['plan'];
  const plan = typeof asked === 'string' ? await planView(ctx, asked) : null;
  const where = { slug: ctx.tenant.slug, enrollment: draft.id };
  const isWithdrawal = plan?.kind === 'withdraw';
  return (
    <>
      {isWithdrawal ? null : <Steps steps={wizardSteps(where)} at={4} />}
      {plan ? <Planned ctx={ctx} draft={draft} plan={plan} /> : <Unplanned ctx={ctx} draft={draft} />}
    </>
  );
});

type Props = { ctx: Ctx; draft: EnrollmentDraft };

function Unplanned({ ctx, draft }: Props) {
  return (
    <>
      <PageHeader title="No plan yet" answer="A plan shows exactly what would change before anything does." />
      <PlanAnew ctx={ctx} draft={draft} kind={draft.state === 'draft' ? 'enroll' : 'change'}>
        Make the plan
      </PlanAnew>
    </>
  );
}

type AnewProps = Props & { kind: PlanView['kind']; children: ReactNode; look?: 'primary' | 'secondary' };

function PlanAnew({ ctx, draft, kind, children, look = 'primary' }: AnewProps) {
  const { slug } = ctx.tenant;
  return kind === 'withdraw' ? (
    <ButtonForm action={planWithdrawal.bind(null, slug)} fields={{ enrollmentId: draft.id }} look={look}>
      {children}
    </ButtonForm>
  ) : (
    <ButtonForm action={planAnew.bind(null, slug)} fields={{ enrollmentId: draft.id, kind }} look={look}>
      {children}
    </ButtonForm>
  );
}

const titles: Record<PlanView['kind'], string> = {
  enroll: 'Plan to enroll',
  change: 'Plan to change',
  withdraw: 'Plan to withdraw',
};

function Planned({ ctx, draft, plan }: Props & { plan: PlanView }) {
  const { added, changed, removed } = plan.counts;
  const count = added + changed + removed;
  return (
    <div className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_18rem]">
      <div className="min-w-0">
        <PageHeader
          above={`${draft.scope.path} on ${draft.forgeName}`}
          title={`${titles[plan.kind]} ${draft.name}`}
          answer={
            <span className="flex flex-wrap gap-x-4">
              <Count op="+" count={added} />
              <Count op="~" count={changed} />
              <Count op="-" count={removed} />
            </span>
          }
          actions={<CopyButton text={yamlOf(plan)} label="Copy as YAML" />}
        />
        <Standing plan={plan} />
        <PlanChanges groups={plan.groups} />
      </div>
      <Decision ctx={ctx} draft={draft} plan={plan} count={count} />
    </div>
  );
}

function yamlOf(plan: PlanView): string {
  const documents = plan.groups.flatMap(({ changes }) => changes.flatMap(({ yaml }) => (yaml ? [yaml.trimEnd()] : [])));
  return `${documents.join('\n---\n')}\n`;
}

function Standing({ plan }: { plan: PlanView }) {
  if (plan.state !== 'open') {
    return (
      <div className="mb-6">
        <Callout
          tone={plan.state === 'approved' ? 'good' : 'warn'}
          title={
            {
              approved: 'This plan was applied.',
              waiting: 'This plan waits for an operator.',
              stale: 'What this plan was based on has changed since it was made.',
              discarded: 'Another plan was applied in place of this one.',
            }[plan.state]
          }
        >
          {plan.state === 'approved' || plan.state === 'waiting'
            ? null
            : 'It can no longer be applied. Nothing was changed by it; make a new plan.'}
        </Callout>
      </div>
    );
  }
  if (plan.clusterChecked) return null;
  return (
    <div className="mb-6">
      <Callout tone="warn" title="The cluster could not be asked.">
        This is what would be written, without what is there already. It can be applied, and then waits until the
        cluster is back.
      </Callout>
    </div>
  );
}

async function Decision({ ctx, draft, plan, count }: Props & { plan: PlanView; count: number }) {
  const isWithdrawal = plan.kind === 'withdraw';
  const { slug } = ctx.tenant;
  const reasons = plan.state === 'open' ? await operatorReasons(ctx, plan.id) : [];
  const mayApply = may(ctx.role, isWithdrawal ? 'enrollment:withdraw' : 'enrollment:approve');
  return (
    <div className="lg:sticky lg:top-6">
      <Card className="grid gap-4">
        <Cost draft={draft} kind={plan.kind} />
        {reasons.length > 0 && mayApply ? <AskOperator slug={slug} planId={plan.id} reasons={reasons} /> : null}
        {plan.state === 'waiting' ? (
          <LinkButton href={`/t/${slug}/requests`} look="secondary">
            See where it stands
          </LinkButton>
        ) : null}
        {plan.state === 'open' && mayApply && reasons.length === 0 ? (
          <ApplyForm
            apply={approve.bind(null, slug)}
            planId={plan.id}
            count={count}
            confirm={isWithdrawal ? draft.name : null}
          />
        ) : null}
        {mayApply ? null : <p className="text-ink-2">Only an admin of the tenant may apply this.</p>}
        {plan.state !== 'open' && plan.state !== 'waiting' && mayApply ? (
          <PlanAnew ctx={ctx} draft={draft} kind={plan.kind}>
            Make a new plan
          </PlanAnew>
        ) : null}
        <p className="text-sm text-ink-3">
          Made <RelativeTime at={plan.createdAt} />. It is checked again when you apply it, and refused if anything has
          moved.
        </p>
        <Retreat ctx={ctx} draft={draft} />
      </Card>
    </div>
  );
}

/** Nothing is applied by asking: the plan waits as it is, and is checked again when it is granted. */
function AskOperator({ slug, planId, reasons }: { slug: string; planId: string; reasons: string[] }) {
  return (
    <div className="grid gap-3">
      <ul className="grid gap-1 text-ink-2">
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
      <WordsForm
        action={approve.bind(null, slug)}
        fields={{ planId }}
        name="note"
        label="Why"
        help="The operator reads it beside the plan."
        button="Ask an operator"
        look="primary"
        required={false}
      />
    </div>
  );
}

const hoursPerMonth = 730;

function Cost({ draft, kind }: { draft: EnrollmentDraft; kind: PlanView['kind'] }) {
  if (kind === 'withdraw') {
    return (
      <p className="text-ink-2">
        Runners stop at once and running jobs are lost. What was used so far is still billed; after that this enrollment
        costs nothing. The audit record stays.
      </p>
    );
  }
  const rates = new Map(draft.pools.map(({ name, pricePerRunnerHour }) => [name, Number(pricePerRunnerHour ?? 0)]));
  const month = (which: 'minRunners' | 'maxRunners') =>
    draft.draft.pools.reduce((sum, choice) => sum + choice[which] * (rates.get(choice.pool) ?? 0), 0) * hoursPerMonth;
  const currency = draft.pools.find((pool) => pool.currency !== null)?.currency ?? 'USD';
  const money = (amount: number) => amount.toLocaleString('en', { style: 'currency', currency });
  return (
    <dl className="grid gap-1">
      <dt className="font-semibold">Cost a month</dt>
      <dd className="tabular text-xl font-semibold">
        {money(month('minRunners'))} to {money(month('maxRunners'))}
      </dd>
      <dd className="text-sm text-ink-3">From warm runners alone to all of them always running.</dd>
    </dl>
  );
}

function Retreat({ ctx, draft }: Props) {
  const { slug } = ctx.tenant;
  if (draft.state !== 'draft') {
    return (
      <LinkButton href={`/t/${slug}/enrollments/${draft.id}`} look="quiet">
        Back to the enrollment
      </LinkButton>
    );
  }
  return (
    <div className="grid justify-items-start gap-1 border-t pt-3 [&_a]:px-2 [&_button]:px-2">
      <LinkButton href={`/t/${slug}/enroll/${draft.id}/pools`} look="quiet">
        Change the choices
      </LinkButton>
      <ButtonForm action={discard.bind(null, slug)} fields={{ enrollmentId: draft.id }} look="quiet">
        Discard this draft
      </ButtonForm>
    </div>
  );
}
