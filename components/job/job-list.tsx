import Link from 'next/link';
import { Download } from 'lucide-react';
import type { JobPage, JobQuery, JobRow, JobStanding } from '#lib/usage/index.ts';
import { Button, LinkButton, OutsideButton } from '#components/ui/button.tsx';
import { seconds } from '#components/ui/duration.ts';
import { SelectField, TextField } from '#components/ui/field.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Tag, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

const filters = ['tenant', 'q', 'repository', 'workflow', 'pool', 'standing', 'from', 'to'] as const;

const words: Record<JobStanding, { tone: Tone; word: string }> = {
  queued: { tone: 'wait', word: 'Queued' },
  running: { tone: 'busy', word: 'Running' },
  success: { tone: 'good', word: 'Succeeded' },
  failure: { tone: 'bad', word: 'Failed' },
  cancelled: { tone: 'idle', word: 'Cancelled' },
  other: { tone: 'idle', word: 'Ended otherwise' },
  unknown: { tone: 'idle', word: 'Ended, not told how' },
};
const standings = Object.keys(words) as JobStanding[];

/** The address of the same jobs, filtered the same; what is empty is left out. */
function addressOf(path: string, query: JobQuery, extra: Record<string, string> = {}): string {
  const set = filters.flatMap((name) => (query[name] === '' ? [] : [[name, query[name]]]));
  const search = new URLSearchParams([...set, ...Object.entries(extra)]).toString();
  return search === '' ? path : `${path}?${search}`;
}

const isFiltered = (query: JobQuery) => filters.some((name) => query[name] !== '');

type Props = {
  path: string;
  query: JobQuery;
  page: JobPage;
  /** Of pools, to choose from. */
  labels?: string[];
  /** Operators see whose each job is. */
  all?: boolean;
};

/** Search, jobs and the way to older ones. What is searched for is in the address, so that a finding can be handed on. */
export function JobList({ path, query, page, labels = [], all = false }: Props) {
  const { rows, next } = page;
  return (
    <>
      <Filters path={path} query={query} labels={labels} all={all} />
      {rows.length === 0 ? <None path={path} query={query} all={all} /> : <Jobs rows={rows} all={all} />}
      <div className="mt-4 flex flex-wrap gap-2">
        {query.before === '' ? null : <LinkButton href={addressOf(path, query)}>Newest jobs</LinkButton>}
        {next ? <LinkButton href={addressOf(path, query, { before: next })}>Older jobs</LinkButton> : null}
      </div>
    </>
  );
}

/** The file holds exactly what the filters leave. */
export function JobExport({ path, query }: Pick<Props, 'path' | 'query'>) {
  return (
    <OutsideButton href={addressOf(`${path}/export`, query)} download>
      <Download size={16} aria-hidden />
      CSV
    </OutsideButton>
  );
}

type FilterProps = { path: string; query: JobQuery; labels: string[]; all: boolean };

function Filters({ path, query, labels, all }: FilterProps) {
  return (
    <form action={path} role="search" aria-label="Search the jobs" className="mb-6 grid gap-4">
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-4">
        <TextField
          name="q"
          label="Anywhere"
          defaultValue={query.q}
          maxLength={200}
          placeholder="repository, job, runner"
        />
        {all ? (
          <TextField name="tenant" label="Tenant" defaultValue={query.tenant} maxLength={30} placeholder="slug" />
        ) : null}
        <TextField name="repository" label="Repository" defaultValue={query.repository} maxLength={200} />
        <TextField name="workflow" label="Workflow" defaultValue={query.workflow} maxLength={200} />
        <TextField name="pool" label="Pool’s label" defaultValue={query.pool} maxLength={100} list="job-labels" />
        <SelectField name="standing" label="Result" defaultValue={query.standing}>
          <option value="">Any</option>
          {standings.map((standing) => (
            <option key={standing} value={standing}>
              {words[standing].word}
            </option>
          ))}
        </SelectField>
        <TextField type="date" name="from" label="Queued from (UTC)" defaultValue={query.from} max="9999-12-31" />
        <TextField type="date" name="to" label="Until (UTC)" defaultValue={query.to} max="9999-12-31" />
        <datalist id="job-labels">
          {labels.map((label) => (
            <option key={label}>{label}</option>
          ))}
        </datalist>
      </div>
      <div className="flex flex-wrap gap-2">
        <Button type="submit">Search</Button>
        {isFiltered(query) ? (
          <LinkButton href={path} look="quiet">
            Clear the search
          </LinkButton>
        ) : null}
      </div>
    </form>
  );
}

function None({ path, query, all }: Pick<Props, 'path' | 'query' | 'all'>) {
  if (!isFiltered(query) && query.before === '')
    return (
      <EmptyState title="No job yet">
        {all
          ? 'A job is here as soon as a forge tells of it, or a runner is seen with it.'
          : 'Write a pool’s label into a workflow, and each of its jobs is kept here: how long it waited, how long it ran, and how it ended.'}
      </EmptyState>
    );
  return (
    <EmptyState title="No job fits" action={<LinkButton href={path}>Show all jobs</LinkButton>}>
      No job fits all of these filters at once.
    </EmptyState>
  );
}

function Jobs({ rows, all = false }: { rows: JobRow[]; all?: boolean }) {
  return (
    <Table label="Jobs">
      <thead>
        <tr>
          <Th>Queued</Th>
          {all ? <Th>Tenant</Th> : null}
          <Th>Repository</Th>
          <Th>Job</Th>
          <Th>Pool’s label</Th>
          <Th>Result</Th>
          <Th numeric>Waited</Th>
          <Th numeric>Ran</Th>
          <Th>Runner</Th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Tr key={row.key}>
            <Td>
              <Queued row={row} />
            </Td>
            {all ? <Td>{whose(row)}</Td> : null}
            <Td className="min-w-40 wrap-anywhere">{row.repository}</Td>
            <Td className="min-w-36 wrap-anywhere">
              <span className="font-medium">{row.name ?? '–'}</span>
              {row.workflow ? <span className="block text-sm text-ink-3">{row.workflow}</span> : null}
            </Td>
            <Td className="font-mono text-sm whitespace-nowrap">{row.label}</Td>
            <Td>
              <Result row={row} />
            </Td>
            <Td numeric>{row.waitSeconds === null ? '–' : seconds(row.waitSeconds)}</Td>
            <Td numeric>{row.runSeconds === null ? '–' : seconds(row.runSeconds)}</Td>
            <Td className="min-w-40 font-mono text-xs wrap-anywhere text-ink-2">{row.runner ?? '–'}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

/** Where only the cluster told of a job, when it began stands in place of when it was queued. */
function Queued({ row }: { row: JobRow }) {
  if (row.queuedAt) return <RelativeTime at={row.queuedAt} />;
  return (
    <>
      {row.startedAt ? <RelativeTime at={row.startedAt} /> : '–'}
      <span className="block text-xs text-ink-3">began; the forge told nothing</span>
    </>
  );
}

function Result({ row: { standing, conclusion } }: { row: JobRow }) {
  const { tone, word } = words[standing];
  const isOwnWord =
    conclusion !== null && (standing === 'other' || !['success', 'failure', 'cancelled'].includes(conclusion));
  return <Badge tone={tone}>{isOwnWord ? conclusion.replaceAll('_', ' ') : word}</Badge>;
}

function whose({ tenant }: JobRow) {
  if (!tenant) return <Tag>gone</Tag>;
  return (
    <Link href={`/t/${tenant.slug}/jobs`} className="text-accent hover:underline">
      {tenant.displayName}
    </Link>
  );
}
