import type { PhaseView } from '#lib/enrollment/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, StatusIcon, type Tone } from '#components/ui/status.tsx';

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

/** The reconciler's phases: state, since when, and while waiting for whom. */
export function Phases({ phases }: { phases: PhaseView[] }) {
  return (
    <ol className="divide-y rounded-lg border bg-surface">
      {phases.map((phase) => (
        <PhaseRow key={phase.type} phase={phase} />
      ))}
    </ol>
  );
}

function PhaseRow({ phase: { label, status, reason, message, waitingFor, since } }: { phase: PhaseView }) {
  const tone = toneOf(status, waitingFor, reason);
  const mover = movers[waitingFor];
  return (
    <li className="flex gap-3 px-4 py-3">
      <span className="mt-0.5">
        <StatusIcon tone={tone} size={18} />
      </span>
      <div className="min-w-0 grow">
        <p className="flex flex-wrap items-center justify-between gap-x-4">
          <span className="font-medium">{label}</span>
          <span className="flex items-center gap-2 text-sm text-ink-3">
            {words[tone]}
            {since ? <RelativeTime at={since} /> : null}
          </span>
        </p>
        <p className="text-ink-2">{message}</p>
        {tone === 'wait' ? (
          <p className="mt-1">
            <Badge tone="wait">Waits for {mover}</Badge>
          </p>
        ) : null}
      </div>
    </li>
  );
}
