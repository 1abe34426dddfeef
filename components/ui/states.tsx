import type { ReactNode } from 'react';
import { ConfirmLink } from './confirm-link.tsx';
import { Callout } from './status.tsx';

/** What it is for, and the one step to begin. */
export function EmptyState({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <div className="grid justify-items-start gap-3 rounded-lg border border-dashed border-line-strong/60 p-6">
      <p className="text-lg font-medium">{title}</p>
      <div className="max-w-prose text-ink-2">{children}</div>
      {action}
    </div>
  );
}

export type ShownError = {
  code?: string;
  happened: string;
  changed: string;
  todo?: string;
  fields?: Record<string, string>;
  requestId: string;
};

/** What happened, whether anything was changed, what to do, and the number to give to whoever helps. */
export function ErrorCallout({ error }: { error: ShownError }) {
  return (
    <Callout tone="bad" title={error.happened} role="alert">
      <p>
        {error.changed} {error.todo}
      </p>
      {error.code === 'reauthenticate' ? <ConfirmLink /> : null}
      <p className="mt-1 text-xs text-ink-3">
        Request <span className="font-mono">{error.requestId}</span>
      </p>
    </Callout>
  );
}

export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div className="appear-late grid gap-3" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <div key={line} className="h-4 rounded-sm bg-sunken last:w-2/3" />
      ))}
    </div>
  );
}
