import type { Metadata } from 'next';
import Link from 'next/link';
import { rolloutView, type RolloutView } from '#lib/enrollment/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { Count, PlanChanges } from '#components/enrollment/plan-changes.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Card, PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, Callout, type Tone } from '#components/ui/status.tsx';
import { applyOut } from '../../../actions.ts';

export const metadata: Metadata = { title: 'Rollout' };

type Params = { pool: string; rollout: string };
type One = RolloutView['plans'][number];

export default operatorPage<Params>('operator:see', async (by, { params }) => {
  const rollout = await rolloutView(by, params.rollout);
  const open = rollout.plans.filter(({ state }) => state === 'open');
  return (
    <>
      <PageHeader
        above={<Link href={`/operator/pools/${rollout.pool}`}>{rollout.pool}</Link>}
        title={`Rollout of ${rollout.pool}`}
        answer={answerOf(rollout, open.length)}
      />
      <p className="mb-6 text-ink-3">
        Planned by {rollout.createdBy}, <RelativeTime at={rollout.createdAt} />. Each enrollment has a plan of its own,
        tried at the API server; one that the world overtakes is left as it is.
      </p>
      {open.length > 0 ? (
        <div className="mb-8">
          <ButtonForm action={applyOut} fields={{ rolloutId: rollout.id }}>
            Apply {open.length} {open.length === 1 ? 'plan' : 'plans'}
          </ButtonForm>
        </div>
      ) : null}
      <div className="grid gap-6">
        {rollout.plans.map((each) => (
          <Plan key={each.enrollmentId} each={each} />
        ))}
      </div>
    </>
  );
});

function answerOf({ plans }: RolloutView, open: number): string {
  const applied = plans.filter(({ state }) => state === 'approved').length;
  const left = plans.length - applied - open;
  const rest = left === 0 ? '' : ` ${left} cannot be applied as planned.`;
  if (open > 0) return `${open} of ${plans.length} plans wait to be read and applied.${rest}`;
  return `${applied} of ${plans.length} plans were applied.${rest}`;
}

const states: Record<NonNullable<One['state']>, [Tone, string]> = {
  open: ['wait', 'To be applied'],
  waiting: ['wait', 'Waits for an operator'],
  approved: ['good', 'Applied'],
  stale: ['warn', 'Overtaken'],
  discarded: ['idle', 'Discarded'],
};

function Plan({ each }: { each: One }) {
  const { tenant, enrollmentId, enrollment, problem, state, plan } = each;
  const [tone, words] = state ? states[state] : (['bad', 'No plan'] as const);
  return (
    <Card>
      <div className="mb-3 flex flex-wrap items-baseline gap-x-4 gap-y-1">
        <h2 className="text-lg font-semibold">
          <Link href={`/t/${tenant}/enrollments/${enrollmentId}`}>{enrollment}</Link>{' '}
          <span className="font-normal text-ink-3">of {tenant}</span>
        </h2>
        <Badge tone={tone}>{words}</Badge>
        {plan ? (
          <span className="flex flex-wrap gap-x-4 text-sm">
            <Count op="+" count={plan.counts.added} />
            <Count op="~" count={plan.counts.changed} />
            <Count op="-" count={plan.counts.removed} />
          </span>
        ) : null}
      </div>
      {problem ? <Callout tone="bad" title={problem} /> : null}
      {plan && !plan.clusterChecked ? (
        <Callout tone="warn" title="The cluster did not answer, so this was not tried there." />
      ) : null}
      {plan ? <PlanChanges groups={plan.groups} /> : null}
    </Card>
  );
}
