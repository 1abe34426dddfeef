import clsx from 'clsx';
import type { ReactNode } from 'react';

type PageHeaderProps = { title: ReactNode; answer?: ReactNode; actions?: ReactNode; above?: ReactNode };

/** Every page opens with the answer to the question that brought the person. */
export function PageHeader({ title, answer, actions, above }: PageHeaderProps) {
  return (
    <header className="mb-6 flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
      <div className="min-w-0">
        {above ? <div className="mb-1 text-sm text-ink-3">{above}</div> : null}
        <h1 className="text-2xl font-semibold tracking-tight">{title}</h1>
        {answer ? <div className="mt-1 max-w-prose text-lg text-ink-2">{answer}</div> : null}
      </div>
      {actions ? <div className="flex flex-wrap items-center gap-2">{actions}</div> : null}
    </header>
  );
}

type SectionProps = {
  title: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  id?: string;
  className?: string;
};

export function Section({ title, note, actions, children, id, className }: SectionProps) {
  return (
    <section id={id} className={clsx('mb-8', className)}>
      <div className="mb-3 flex flex-wrap items-baseline justify-between gap-2">
        <h2 className="text-lg font-semibold">{title}</h2>
        {actions}
      </div>
      {note ? <p className="-mt-2 mb-3 max-w-prose text-ink-2">{note}</p> : null}
      {children}
    </section>
  );
}

export function Card({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={clsx('rounded-lg border bg-surface p-4', className)}>{children}</div>;
}

/** A few numbers with their units, in one line where there is room. */
export function Stats({ children }: { children: ReactNode }) {
  return (
    <dl className="mb-8 grid grid-cols-2 gap-px overflow-hidden rounded-lg border bg-line md:grid-flow-col md:auto-cols-fr md:grid-cols-none">
      {children}
    </dl>
  );
}

export function Stat({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="flex flex-col bg-surface px-4 py-3 max-md:last:odd:col-span-2">
      <dt className="text-sm text-ink-3">{label}</dt>
      <dd className="tabular text-xl font-semibold">{value}</dd>
      {note ? <dd className="text-sm text-ink-3">{note}</dd> : null}
    </div>
  );
}

/** Names and values, for things that have a few of each. However long a name is, nearly half of the room is the values’. */
export function Facts({ rows }: { rows: [ReactNode, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,max-content)_minmax(45%,1fr)] gap-x-6 gap-y-2">
      {rows.map(([name, value], row) => (
        <div key={row} className="contents">
          <dt className="min-w-0 text-ink-3">{name}</dt>
          <dd className="min-w-0">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
