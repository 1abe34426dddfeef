import type { ReactNode } from 'react';
import { RelativeTime } from './relative-time.tsx';
import { StatusIcon, type Tone } from './status.tsx';

/** What is gone through one after the other. */
export function Stages({ children }: { children: ReactNode }) {
  return <ol className="divide-y rounded-lg border bg-surface">{children}</ol>;
}

type StageProps = { label: string; tone: Tone; words: string; at: string | null; children: ReactNode };

/** One of them: how far it is, since when, and what is to be said of it. */
export function Stage({ label, tone, words, at, children }: StageProps) {
  return (
    <li className="flex gap-3 px-4 py-3">
      <span className="mt-0.5">
        <StatusIcon tone={tone} size={18} />
      </span>
      <div className="min-w-0 grow">
        <p className="flex flex-wrap items-center justify-between gap-x-4">
          <span className="min-w-0 font-medium">{label}</span>
          <span className="flex items-center gap-2 text-sm text-ink-3">
            {words}
            {at ? <RelativeTime at={at} /> : null}
          </span>
        </p>
        {children}
      </div>
    </li>
  );
}
