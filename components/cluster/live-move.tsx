'use client';

import type { MoveProgress, MoveView } from '#lib/tenancy/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { RenderAnew } from '#components/app/render-anew.tsx';
import type { Tone } from '#components/ui/status.tsx';
import { Stage, Stages } from '#components/ui/stages.tsx';

type State = MoveProgress['state'];
const everyMs = 1_500;

type Props = { url: string; first: MoveProgress; of: Pick<MoveView, 'from' | 'to' | 'decidedAt'> };

/** How far a move is, and what it waits for. */
export function LiveMove({ url, first, of }: Props) {
  return (
    <Polled url={url} first={first} everyMs={({ isUnderWay }) => (isUnderWay ? everyMs : false)}>
      {(progress) => (
        <>
          <RenderAnew isOutdated={progress.state !== first.state} />
          <Stages>
            {stepsOf(progress, of).map(({ says, ...step }) => (
              <Stage key={step.label} {...step}>
                <p className="text-ink-2">{says}</p>
              </Stage>
            ))}
          </Stages>
        </>
      )}
    </Polled>
  );
}

type Step = { label: string; tone: Tone; words: string; says: string; at: string | null };

function stepsOf({ state, said, handedOverAt, endedAt }: MoveProgress, { from, to, decidedAt }: Props['of']): Step[] {
  if (state === 'calling_off' || state === 'called_off') {
    const isOver = state === 'called_off';
    return [
      {
        label: `Taken away from ${to}`,
        tone: isOver ? 'good' : 'busy',
        words: isOver ? 'Done' : 'Under way',
        says: said ?? (isOver ? `Nothing of it is left on ${to}; it runs on ${from} as before.` : 'It begins.'),
        at: isOver ? endedAt : null,
      },
    ];
  }
  const reached = ['preparing', 'closing', 'leaving', 'done'].indexOf(state);
  const step = (index: number, label: string, says: string, at: string | null): Step => {
    const isDone = reached > index;
    const isHere = reached === index;
    return {
      label,
      tone: isDone ? 'good' : isHere ? 'busy' : 'idle',
      words: isDone ? 'Done' : isHere ? 'Under way' : 'To come',
      says: isHere && said ? said : says,
      at: isDone ? at : null,
    };
  };
  return [
    step(0, `Made ready on ${to}`, `All objects, credentials and registrations, while ${from} serves.`, decidedAt),
    step(1, `${to} takes over`, 'New jobs run there from then on.', handedOverAt),
    step(2, `${from} is left`, leftWords(state, said), endedAt),
  ];
}

function leftWords(state: State, said: string | null): string {
  return (state === 'done' ? said : null) ?? 'When its jobs have ended, everything there is taken away.';
}
