import type { PhaseView } from '#lib/enrollment/index.ts';
import { MeaningLink } from '#components/guide/meaning-link.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { Stage, Stages } from '#components/ui/stages.tsx';

type WaitingFor = PhaseView['waitingFor'];

/** Who has to move, as a person reads it. */
export const movers: Record<WaitingFor, string> = {
  nobody: '',
  portal: 'the portal',
  admin: 'you, an admin of the tenant',
  operator: 'the operator',
  forge: 'the forge',
  cluster: 'the cluster',
  cache: 'the cache server',
};

/** By itself, or only when somebody acts. */
export function toneOf(status: PhaseView['status'], waitingFor: WaitingFor, reason = ''): Tone {
  if (status === 'True') return 'good';
  if (reason === 'NotReached') return 'idle';
  return waitingFor === 'admin' || waitingFor === 'operator' ? 'wait' : 'busy';
}

const words: Record<Tone, string> = {
  good: 'Done',
  busy: 'Under way',
  wait: 'Waiting',
  warn: 'Waiting',
  bad: 'Failed',
  idle: 'To come',
};

/** As it should be, or simply not come to yet: nobody asks what that means. */
const isUsual = (status: PhaseView['status'], reason: string) =>
  reason === 'NotReached' || (status === 'True' && reason === 'AsWanted');

/** The reconciler's phases: state, since when, and while waiting for whom. */
export function Phases({ phases }: { phases: PhaseView[] }) {
  return (
    <Stages>
      {phases.map((phase) => (
        <PhaseRow key={phase.type} phase={phase} />
      ))}
    </Stages>
  );
}

function PhaseRow({ phase: { label, status, reason, message, waitingFor, since } }: { phase: PhaseView }) {
  const tone = toneOf(status, waitingFor, reason);
  const mover = movers[waitingFor];
  return (
    <Stage label={label} tone={tone} words={words[tone]} at={since}>
      <p className="text-ink-2">
        {message} {isUsual(status, reason) ? null : <MeaningLink word={reason} of={label} />}
      </p>
      {tone === 'wait' ? (
        <p className="mt-1">
          <Badge tone="wait">Waits for {mover}</Badge>
        </p>
      ) : null}
    </Stage>
  );
}
