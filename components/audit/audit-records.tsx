import Link from 'next/link';
import { Download } from 'lucide-react';
import type { ReactNode } from 'react';
import type { AuditPage, AuditQuery, AuditRow, FieldChange } from '#lib/tenant/index.ts';
import { Button, LinkButton, OutsideButton } from '#components/ui/button.tsx';
import { TextField } from '#components/ui/field.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

const filters = ['tenant', 'action', 'actor', 'target', 'from', 'to'] as const;

/** The address of the same records, filtered the same; what is empty is left out. */
function addressOf(path: string, query: AuditQuery, extra: Record<string, string> = {}): string {
  const set = filters.flatMap((name) => (query[name] === '' ? [] : [[name, query[name]]]));
  const search = new URLSearchParams([...set, ...Object.entries(extra)]).toString();
  return search === '' ? path : `${path}?${search}`;
}

export function isFiltered(query: AuditQuery): boolean {
  return filters.some((name) => query[name] !== '');
}

type Props = {
  path: string;
  query: AuditQuery;
  page: AuditPage;
  /** Operators see whose each record is. */ all?: boolean;
};

/** Filters, records and the way to older ones. The filters are in the address, so that a finding can be handed on. */
export function AuditRecords({ path, query, page, all = false }: Props) {
  const { rows, nextId } = page;
  return (
    <>
      <Filters path={path} query={query} actions={page.actions} all={all} />
      {rows.length === 0 ? <None path={path} query={query} /> : <Records rows={rows} all={all} />}
      <div className="mt-4 flex flex-wrap gap-2">
        {query.before === '' ? null : <LinkButton href={addressOf(path, query)}>Newest records</LinkButton>}
        {nextId ? <LinkButton href={addressOf(path, query, { before: nextId })}>Older records</LinkButton> : null}
      </div>
    </>
  );
}

/** Both forms of the file hold exactly what the filters leave. */
export function ExportButtons({ path, query }: Pick<Props, 'path' | 'query'>) {
  return (
    <>
      {(['csv', 'jsonl'] as const).map((format) => (
        <OutsideButton key={format} href={addressOf(`${path}/export`, query, { format })} download>
          <Download size={16} aria-hidden />
          {format === 'csv' ? 'CSV' : 'JSON lines'}
        </OutsideButton>
      ))}
    </>
  );
}

function Filters({ path, query, actions, all }: { path: string; query: AuditQuery; actions: string[]; all: boolean }) {
  return (
    <form action={path} role="search" aria-label="Filter the records" className="mb-6 grid gap-4">
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
        {all ? (
          <TextField name="tenant" label="Tenant" defaultValue={query.tenant} maxLength={30} placeholder="slug, or -" />
        ) : null}
        <TextField name="action" label="Action" defaultValue={query.action} maxLength={200} list="audit-actions" />
        <TextField name="actor" label="Who" defaultValue={query.actor} maxLength={200} />
        <TextField name="target" label="To what" defaultValue={query.target} maxLength={200} />
        <TextField type="date" name="from" label="From (UTC)" defaultValue={query.from} max="9999-12-31" />
        <TextField type="date" name="to" label="Until (UTC)" defaultValue={query.to} max="9999-12-31" />
        <datalist id="audit-actions">
          {actions.map((action) => (
            <option key={action}>{action}</option>
          ))}
        </datalist>
      </div>
      <div className="flex flex-wrap gap-2">
        <Button type="submit">Filter</Button>
        {isFiltered(query) ? (
          <LinkButton href={path} look="quiet">
            Clear filters
          </LinkButton>
        ) : null}
      </div>
    </form>
  );
}

function None({ path, query }: Pick<Props, 'path' | 'query'>) {
  if (!isFiltered(query) && query.before === '')
    return (
      <EmptyState title="No record yet">
        Every change leaves one here, and every denial one with the operators.
      </EmptyState>
    );
  return (
    <EmptyState title="No record fits" action={<LinkButton href={path}>Show all records</LinkButton>}>
      Nothing was recorded that fits all of these filters at once.
    </EmptyState>
  );
}

function Records({ rows, all }: { rows: AuditRow[]; all: boolean }) {
  return (
    <Table label="Audit records">
      <thead>
        <tr>
          <Th>When</Th>
          {all ? <Th>Tenant</Th> : null}
          <Th>Who</Th>
          <Th>Did</Th>
          <Th>To what</Th>
          <Th>What changed</Th>
          <Th numeric>No.</Th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Tr key={row.id}>
            <Td>
              <RelativeTime at={row.at} />
            </Td>
            {all ? <Td>{whose(row)}</Td> : null}
            <Td className="min-w-40 wrap-anywhere">{row.actor}</Td>
            <Td className="font-mono text-sm">{row.action}</Td>
            <Td className="min-w-48 text-sm">
              <Value text={row.target} />
            </Td>
            <Td className="min-w-56">
              <Changes changes={row.changes} requestId={row.requestId} />
            </Td>
            <Td numeric className="text-ink-3">
              {row.number}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function whose({ tenant }: AuditRow): ReactNode {
  if (!tenant) return <Tag>none</Tag>;
  return (
    <Link href={`/t/${tenant.slug}`} className="text-accent hover:underline">
      {tenant.displayName}
    </Link>
  );
}

const shownAtOnce = 3;

function Changes({ changes, requestId }: Pick<AuditRow, 'changes' | 'requestId'>) {
  const rest = changes.slice(shownAtOnce);
  return (
    <>
      {changes.length === 0 ? null : <ChangeList changes={changes.slice(0, shownAtOnce)} />}
      <details className={changes.length === 0 ? '' : 'mt-1'}>
        <summary className="text-sm text-ink-3 hover:text-ink">
          {rest.length > 0 ? `${rest.length} more ${rest.length === 1 ? 'field' : 'fields'}` : 'Request'}
        </summary>
        <ChangeList changes={rest} />
        <p className="mt-1 text-xs text-ink-3">
          {requestId ? (
            <>
              Request <span className="font-mono wrap-anywhere">{requestId}</span>
            </>
          ) : (
            'No request: the portal did this by itself.'
          )}
        </p>
      </details>
    </>
  );
}

function ChangeList({ changes }: { changes: FieldChange[] }) {
  return (
    <ul className="grid gap-1 text-sm">
      {changes.map((change) => (
        <li key={change.path} className="min-w-0">
          {change.path === '' ? null : <span className="font-mono wrap-anywhere text-ink-2">{change.path}: </span>}
          <Values {...change} />
        </li>
      ))}
    </ul>
  );
}

function Values({ before, after }: FieldChange) {
  return (
    <>
      {before === null ? null : (
        <del className="text-bad no-underline">
          <span aria-hidden>− </span>
          <span className="sr-only">was </span>
          <Value text={before} />
        </del>
      )}
      {before !== null && after !== null ? ' ' : null}
      {after === null ? null : (
        <ins className="text-good no-underline">
          <span aria-hidden>+ </span>
          <span className="sr-only">is </span>
          <Value text={after} />
        </ins>
      )}
    </>
  );
}

const longFrom = 160;

/** A long value opens on demand, and then scrolls within itself. */
function Value({ text }: { text: string }) {
  if (text.length <= longFrom)
    return <span className="font-mono wrap-anywhere whitespace-pre-wrap">{text === '' ? '""' : text}</span>;
  return (
    <details className="inline-block max-w-full align-top">
      <summary className="font-mono wrap-anywhere">
        {text.slice(0, 60)}… <span className="text-ink-3">({text.length.toLocaleString('en')} characters)</span>
      </summary>
      <pre
        tabIndex={0}
        className="max-h-60 overflow-auto rounded-sm bg-sunken p-2 text-xs wrap-anywhere whitespace-pre-wrap"
      >
        {text}
      </pre>
    </details>
  );
}
