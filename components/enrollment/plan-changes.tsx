import clsx from 'clsx';
import { Boxes, ChevronRight, Database, GitBranch } from 'lucide-react';
import type { ReactNode } from 'react';
import type { PlanView } from '#lib/enrollment/index.ts';

type Group = PlanView['groups'][number];
type Change = Group['changes'][number];
/** Plans keep what stays as it is for their stamp; it is not shown. */
type Op = Exclude<Change['op'], '='>;

const places: Record<Group['where'], { title: string; icon: ReactNode }> = {
  forge: { title: 'On the forge', icon: <GitBranch size={16} aria-hidden /> },
  cluster: { title: 'In the cluster', icon: <Boxes size={16} aria-hidden /> },
  cache: { title: 'In the caches', icon: <Database size={16} aria-hidden /> },
};

const words: Record<Op, string> = { '+': 'added', '~': 'changed', '-': 'removed' };
const inks: Record<Op, string> = { '+': 'text-good', '~': 'text-warn', '-': 'text-bad' };

/** What would change, by where it is; the fields of each on demand. */
export function PlanChanges({ groups }: { groups: (Group & { title?: string })[] }) {
  return groups.map(({ where, changes, title = places[where].title }) => (
    <section key={title} className="mb-6">
      <h2 className="mb-2 flex items-center gap-2 font-semibold">
        <span className="text-ink-3">{places[where].icon}</span>
        <span className="min-w-0">{title}</span>
        <Counts changes={changes} />
      </h2>
      <ul className="divide-y rounded-lg border bg-surface">
        {changes.map((change) => (
          <li key={`${change.op}/${change.kind}/${change.namespace ?? ''}/${change.name}`}>
            <ChangeRow change={change} />
          </li>
        ))}
      </ul>
    </section>
  ));
}

function Counts({ changes }: { changes: Change[] }) {
  return (
    <span className="ml-auto flex gap-3 text-sm font-normal">
      {(['+', '~', '-'] as const).map((op) => {
        const count = changes.filter((change) => change.op === op).length;
        return count === 0 ? null : <Count key={op} op={op} count={count} />;
      })}
    </span>
  );
}

export function Count({ op, count }: { op: Op; count: number }) {
  return (
    <span className={clsx('tabular whitespace-nowrap', count === 0 ? 'text-ink-3' : inks[op])}>
      <span className="font-mono">{op}</span> {count} {words[op]}
    </span>
  );
}

function ChangeRow({ change }: { change: Change }) {
  const { op, kind, name, namespace, fields } = change;
  if (op === '=') return null;
  return (
    <details className="group">
      <summary className="flex list-none items-center gap-3 px-4 py-2 hover:bg-sunken">
        <ChevronRight size={14} aria-hidden className="shrink-0 text-ink-3 group-open:rotate-90" />
        <span className={clsx('w-4 shrink-0 text-center font-mono font-semibold', inks[op])} title={words[op]}>
          {op}
          <span className="sr-only"> {words[op]}</span>
        </span>
        <span className="min-w-0 grow">
          <span className="text-ink-2">{kind}</span> <span className="font-mono text-sm break-all">{name}</span>
        </span>
        {namespace ? <span className="hidden truncate font-mono text-xs text-ink-3 sm:block">{namespace}</span> : null}
      </summary>
      <div className="overflow-x-auto border-t bg-sunken px-4 py-3">
        {fields.length === 0 ? (
          <p className="text-sm text-ink-3">No field of it is worth showing.</p>
        ) : (
          <FieldTable fields={fields} />
        )}
      </div>
    </details>
  );
}

function FieldTable({ fields }: { fields: Change['fields'] }) {
  return (
    <table className="text-sm">
      <thead className="sr-only">
        <tr>
          <th>Field</th>
          <th>Before and after</th>
        </tr>
      </thead>
      <tbody>
        {fields.map(({ path, before, after }) => (
          <tr key={path} className="align-top">
            <th scope="row" className="pr-6 text-left font-mono font-normal whitespace-nowrap text-ink-2">
              {path}
            </th>
            <td className="font-mono break-all">
              {before === undefined ? null : <del className="text-bad no-underline">− {before}</del>}
              {before !== undefined && after !== undefined ? <br /> : null}
              {after === undefined ? null : <ins className="text-good no-underline">+ {after}</ins>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
