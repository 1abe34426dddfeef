import clsx from 'clsx';
import { CircleAlert, CircleCheck, CircleDashed, Clock, LoaderCircle, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

/** good: as it should be · busy: moving by itself · wait: somebody must act · warn · bad · idle: nothing to say. */
export type Tone = 'good' | 'busy' | 'wait' | 'warn' | 'bad' | 'idle';

const icons = {
  good: CircleCheck,
  busy: LoaderCircle,
  wait: Clock,
  warn: TriangleAlert,
  bad: CircleAlert,
  idle: CircleDashed,
};

const inks: Record<Tone, string> = {
  good: 'text-good',
  busy: 'text-accent',
  wait: 'text-warn',
  warn: 'text-warn',
  bad: 'text-bad',
  idle: 'text-ink-3',
};

const grounds: Record<Tone, string> = {
  good: 'bg-good-soft text-good',
  busy: 'bg-accent-soft text-accent',
  wait: 'bg-warn-soft text-warn',
  warn: 'bg-warn-soft text-warn',
  bad: 'bg-bad-soft text-bad',
  idle: 'bg-sunken text-ink-2',
};

export function StatusIcon({ tone, size = 16 }: { tone: Tone; size?: number }) {
  const Icon = icons[tone];
  return <Icon size={size} aria-hidden className={clsx('shrink-0', inks[tone], tone === 'busy' && 'animate-spin')} />;
}

/** Icon and word together: a state is never told by colour alone. */
export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  const Icon = icons[tone];
  return (
    <span
      className={clsx(
        'inline-flex items-center gap-1 rounded-sm px-2 py-0.5 text-xs font-medium whitespace-nowrap',
        grounds[tone],
      )}
    >
      <Icon size={12} aria-hidden />
      {children}
    </span>
  );
}

export function Tag({ children, mono = false }: { children: ReactNode; mono?: boolean }) {
  return (
    <span className={clsx('inline-flex rounded-sm bg-sunken px-1.5 py-0.5 text-xs text-ink-2', mono && 'font-mono')}>
      {children}
    </span>
  );
}

type CalloutProps = {
  tone: Exclude<Tone, 'idle'> | 'note';
  title: ReactNode;
  children?: ReactNode;
  role?: 'alert' | 'status';
};

export function Callout({ tone, title, children, role }: CalloutProps) {
  const shown = tone === 'note' ? 'idle' : tone;
  return (
    <div
      role={role}
      tabIndex={role === 'alert' ? -1 : undefined}
      className={clsx(
        'flex gap-3 rounded-lg border px-4 py-3',
        tone === 'note' ? 'bg-sunken' : grounds[shown],
        'border-transparent',
      )}
    >
      <span className="mt-0.5">
        <StatusIcon tone={shown} />
      </span>
      <div className="min-w-0 grow">
        <p className="font-medium text-ink">{title}</p>
        {children ? <div className="mt-1 text-ink-2">{children}</div> : null}
      </div>
    </div>
  );
}
