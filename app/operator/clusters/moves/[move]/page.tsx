import type { Metadata } from 'next';
import Link from 'next/link';
import { limitWords, moveView, progressOf, type MoveView } from '#lib/tenancy/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { MoveStateBadge } from '#components/cluster/cluster-state.tsx';
import { LiveMove } from '#components/cluster/live-move.tsx';
import { PlanChanges } from '#components/enrollment/plan-changes.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { TypedForm } from '#components/form/typed-form.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { abandon, applyAway, callOff, discardAway } from '../../actions.ts';

export const metadata: Metadata = { title: 'Move · Operator' };

type Params = { move: string };

export default operatorPage<Params>('operator:see', async (by, { params }) => {
  const move = await moveView(by, params.move);
  const { displayName, from, to, state } = move;
  return (
    <>
      <PageHeader
        above={<Link href={`/operator/clusters/${from}`}>Cluster {from}</Link>}
        title={`${displayName}: from ${from} to ${to}`}
        answer={answerOf(move)}
        actions={<MoveStateBadge state={state} />}
      />
      {state === 'planned' ? <Decision move={move} /> : null}
      {state === 'planned' || state === 'discarded' ? null : <UnderWay move={move} />}
      <WhatItMoves move={move} />
      <Plan move={move} />
      <TheEnd move={move} />
    </>
  );
});

function answerOf({ state, displayName, from, to, plan, said }: MoveView): string {
  const { arriving, leaving } = plan;
  if (state === 'planned')
    return `${arriving.length} ${arriving.length === 1 ? 'object' : 'objects'} would be made on ${to}, and then ${leaving.length} taken away on ${from}. Nothing has been changed.`;
  if (state === 'discarded') return 'Overtaken or discarded. Nothing was changed.';
  if (state === 'done') return said ?? `${displayName} runs on ${to}, and nothing of it is left on ${from}.`;
  if (state === 'called_off') return said ?? `${displayName} stays on ${from}, and nothing of it is left on ${to}.`;
  if (state === 'leaving') return `${displayName} runs on ${to}; what is left on ${from} goes.`;
  if (state === 'calling_off') return `${displayName} stays on ${from}; what was made on ${to} goes.`;
  return `${displayName} still runs on ${from}.`;
}

function Decision({ move: { id } }: { move: MoveView }) {
  return (
    <div className="mb-8 flex flex-wrap items-start gap-3">
      <ButtonForm action={applyAway} fields={{ moveId: id }}>
        Apply this plan
      </ButtonForm>
      <ButtonForm action={discardAway} fields={{ moveId: id }} look="secondary">
        Discard this plan
      </ButtonForm>
    </div>
  );
}

function UnderWay({ move }: { move: MoveView }) {
  const { id, from, to, state, decidedAt } = move;
  return (
    <Section title="Progress">
      <LiveMove url={`/api/views/operator/moves/${id}`} first={progressOf(move)} of={{ from, to, decidedAt }} />
      {state === 'preparing' ? (
        <div className="mt-4">
          <ButtonForm action={callOff} fields={{ moveId: id }} look="secondary">
            Call it off
          </ButtonForm>
        </div>
      ) : null}
    </Section>
  );
}

function WhatItMoves({ move }: { move: MoveView }) {
  const { plan, limitMinutes, createdAt, createdBy, decidedAt, decidedBy } = move;
  return (
    <Section title="What it moves">
      <Card className="grid grid-cols-1 gap-4">
        <Facts
          rows={[
            ...plan.tenants.map(({ slug, displayName, enrollments }): [React.ReactNode, React.ReactNode] => [
              <Link key={slug} href={`/t/${slug}`} className="text-accent hover:underline">
                {displayName}
              </Link>,
              enrollments.length === 0
                ? 'nothing is enrolled'
                : enrollments.map(({ name, labels }) => `${name} (${labels.join(', ')})`).join('; '),
            ]),
            ['Runners now', plan.running === 0 ? 'none, when it was planned' : `${plan.running}, when it was planned`],
            ['Runners at most', `${plan.most} on both together, while it moves`],
            ['Jobs under way', limitMinutes === 0 ? 'are ended' : `may go on for ${limitWords(limitMinutes)}`],
            [
              'Planned',
              <span key="planned">
                <RelativeTime at={createdAt} /> by {createdBy}
              </span>,
            ],
            ...(decidedAt
              ? [
                  [
                    'Applied',
                    <span key="applied">
                      <RelativeTime at={decidedAt} /> by {decidedBy}
                    </span>,
                  ] as [React.ReactNode, React.ReactNode],
                ]
              : []),
          ]}
        />
        {plan.notes.length > 0 ? (
          <ul className="grid list-disc grid-cols-1 gap-1 pl-5">
            {plan.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        ) : null}
      </Card>
    </Section>
  );
}

function Plan({ move: { plan, from, to } }: { move: MoveView }) {
  const groups = [
    { where: 'cluster' as const, title: `Made on ${to}`, changes: plan.arriving },
    { where: 'cluster' as const, title: `Taken away on ${from}`, changes: plan.leaving },
  ];
  return (
    <Section title="The plan">
      {plan.arrivingChecked ? null : (
        <div className="mb-4">
          <Callout tone="warn" title={`${to} did not answer, so this was not tried there.`} />
        </div>
      )}
      <PlanChanges groups={groups.filter(({ changes }) => changes.length > 0)} />
      {plan.arriving.length + plan.leaving.length === 0 ? (
        <p className="text-ink-2">Nothing of it is in any cluster: only where it is placed changes.</p>
      ) : null}
    </Section>
  );
}

/** What cannot be taken back, at the end. */
function TheEnd({ move: { id, state, from, to } }: { move: MoveView }) {
  if (state !== 'leaving' && state !== 'calling_off') return null;
  const left = state === 'leaving' ? from : to;
  return (
    <details className="rounded-lg border bg-surface p-4">
      <summary className="cursor-pointer font-medium">{left} will never answer again</summary>
      <div className="mt-4 grid gap-4">
        <p className="max-w-prose text-ink-2">
          The move ends without it. What is left there stays, and if it comes back it serves the same labels as a second
          one: only for a cluster that is gone.
        </p>
        <TypedForm
          action={abandon}
          fields={{ moveId: id }}
          typed={left}
          toDo="to give up what is there"
          button="Give up what is there"
        />
      </div>
    </details>
  );
}
