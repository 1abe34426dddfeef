import Link from 'next/link';
import { Download } from 'lucide-react';
import type { CostQuery, CostRow, Dashboard, Dimension, JobCost } from '#lib/billing/index.ts';
import { Behind, Chart } from '#components/ui/chart.tsx';
import { LinkButton, OutsideButton } from '#components/ui/button.tsx';
import { Section, Stat, Stats } from '#components/ui/layout.tsx';
import { hours, money } from '#components/ui/money.ts';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export type CostPlace = {
  /** The page's own address. */
  path: string;
  query: CostQuery;
  view: Dashboard;
  /** Which ways there are to look at it. */
  dimensions: readonly Dimension[];
};

const dimensionLabel: Record<Dimension, string> = {
  pool: 'By pool',
  repository: 'By repository',
  workflow: 'By workflow',
  tenant: 'By tenant',
  day: 'By day',
  hour: 'By hour of the day',
};

/** The address of the same view, changed in this. */
export function costAddress(
  path: string,
  query: CostQuery,
  change: Partial<Record<keyof CostQuery | 'table' | 'job', string | undefined>>,
): string {
  const all = Object.entries({ ...query, ...change }).flatMap(([name, value]) => (value ? [[name, value]] : []));
  const search = new URLSearchParams(all).toString();
  return search === '' ? path : `${path}?${search}`;
}

const monthName = (period: string) =>
  new Date(`${period}-01T00:00:00Z`).toLocaleString('en', { month: 'long', year: 'numeric', timeZone: 'UTC' });

function step(period: string, by: number): string {
  const [year = 0, month = 0] = period.split('-').map(Number);
  return new Date(Date.UTC(year, month - 1 + by, 1)).toISOString().slice(0, 7);
}

/** The month before and after, and what narrows the view. */
export function CostSteps({ path, query, view }: CostPlace) {
  const narrow = (['pool', 'repository', 'day'] as const).filter((name) => query[name] !== undefined);
  return (
    <nav aria-label="Month and filters" className="mb-6 flex flex-wrap items-center gap-2">
      <LinkButton small href={costAddress(path, query, { period: step(view.period, -1), day: undefined })}>
        ‹ {monthName(step(view.period, -1))}
      </LinkButton>
      <span className="font-medium">{monthName(view.period)}</span>
      {view.isOpen ? null : (
        <LinkButton small href={costAddress(path, query, { period: step(view.period, 1), day: undefined })}>
          {monthName(step(view.period, 1))} ›
        </LinkButton>
      )}
      {narrow.map((name) => (
        <LinkButton key={name} small look="quiet" href={costAddress(path, query, { [name]: undefined })}>
          <span className="max-w-60 truncate">
            {name}: {query[name] === '' ? 'none' : query[name]}
          </span>{' '}
          ✕<span className="sr-only"> remove this filter</span>
        </LinkButton>
      ))}
    </nav>
  );
}

/** What it comes to, in one sentence. */
export function costAnswer({ total, currency, period, isOpen, forecast, rows }: Dashboard, whose: string): string {
  const when = isOpen ? 'so far this month' : `in ${monthName(period)}`;
  const [dearest] = rows;
  const first = `${whose} cost ${money(total, currency)} ${when}.`;
  const next = forecast ? ` The month will be about ${money(forecast.total, currency)}.` : '';
  return `${first}${next}${dearest && rows.length > 1 ? ` Most of it: ${dearest.label}.` : ''}`;
}

export function CostNumbers({ view }: { view: Dashboard }) {
  const { total, listCost, currency, forecast, before, commitment, isOpen } = view;
  const hasDiscount = Number(listCost) !== Number(total);
  return (
    <>
      <Stats>
        <Stat
          label={isOpen ? 'Month to date' : 'The month'}
          value={money(total, currency)}
          {...(hasDiscount ? { note: `${money(listCost, currency)} at list prices` } : {})}
        />
        <Stat
          label="Forecast"
          value={forecast ? money(forecast.total, currency) : '–'}
          note={isOpen ? (forecast?.basis ?? 'After the first whole day') : 'The month is over'}
        />
        <Stat
          label={`${monthName(before.period)}${isOpen ? ', to the same day' : ''}`}
          value={money(isOpen ? before.toDate : before.whole, currency)}
          note={changeNote(view)}
        />
        {Number(commitment) > 0 ? (
          <Stat
            label="Up to the commitment"
            value={money(commitment, currency)}
            note="Charged beside the use at the month’s end"
          />
        ) : null}
      </Stats>
      <CostWarnings view={view} />
    </>
  );
}

function changeNote({ total, before, isOpen, currency }: Dashboard): string {
  const was = Number(isOpen ? before.toDate : before.whole);
  if (was === 0) return 'Nothing to compare with';
  const change = Number(total) - was;
  const percent = Math.round((Math.abs(change) / was) * 100);
  if (percent === 0) return 'As much as now';
  return `${money(String(Math.abs(change)), currency)} (${percent} %) ${change > 0 ? 'less than now' : 'more than now'}`;
}

function CostWarnings({ view }: { view: Dashboard }) {
  const { gaps, unpriced, unattributed, currency, byOperatorSeconds, otherCurrencies } = view;
  const at = (iso: string) => `${iso.slice(0, 16).replace('T', ' ')} UTC`;
  return (
    <div className="mb-8 grid gap-3 empty:hidden">
      {gaps.length > 0 ? (
        <Callout
          tone="warn"
          title={`The cluster was not looked at ${gaps.length === 1 ? 'for a while' : `${gaps.length} times`}`}
        >
          <ul>
            {gaps.slice(0, 5).map((gap) => (
              <li key={`${gap.clusterId} ${gap.from}`}>
                {gap.clusterId}: from {at(gap.from)} to {at(gap.to)}
              </li>
            ))}
          </ul>
          <p>What ran through it is counted; what began and ended within it is not, and is not charged.</p>
        </Callout>
      ) : null}
      {unpriced.length > 0 ? (
        <Callout tone="warn" title="Something has no price">
          {unpriced
            .map(({ what, quantity, unit }) => `${what}: ${Number(quantity).toLocaleString('en')} ${unit}`)
            .join('; ')}
          . It is not in the cost, and the month cannot be closed until it has one.
        </Callout>
      ) : null}
      {Number(unattributed) > 0 ? (
        <Callout tone="note" title={`${money(unattributed, currency)} belongs to no repository`}>
          These runners ended as after a job, and no forge told which. They stand as a line of their own and are spread
          over nothing.
        </Callout>
      ) : null}
      {Number(byOperatorSeconds) > 0 ? (
        <Callout tone="note" title={`The operator bears ${hours(byOperatorSeconds)} hours of idle runners`}>
          They are not in the cost.
        </Callout>
      ) : null}
      {otherCurrencies.length > 0 ? (
        <Callout tone="note" title={`Tenants that pay in ${otherCurrencies.join(', ')} are left out`}>
          Costs in different currencies are not added. Each tenant’s own page shows its own.
        </Callout>
      ) : null}
    </div>
  );
}

function CsvLink({ path, query, table }: Pick<CostPlace, 'path' | 'query'> & { table: string }) {
  return (
    <OutsideButton small href={costAddress(`${path}/export`, query, { table })} download>
      <Download size={14} aria-hidden />
      CSV<span className="sr-only"> of {table}</span>
    </OutsideButton>
  );
}

/** Over time: as bars, and as a table behind them. */
export function CostSeries({ path, query, view }: CostPlace) {
  const { series, currency } = view;
  const label = query.day === undefined ? 'Cost by day' : `Cost by hour of ${query.day}`;
  const shown = (at: string) => (query.day === undefined ? at : `${at.slice(11)}:00`);
  // The table of parts says that nothing was used; bars of nothing would say it again.
  if (series.every(({ cost }) => Number(cost) === 0)) return null;
  const dayLink = (at: string) => costAddress(path, query, { day: at });
  return (
    <Section
      title={label}
      note="Days and hours are UTC."
      actions={<CsvLink path={path} query={query} table="series" />}
    >
      <Chart
        label={label}
        steps={series.map(({ at }) => shown(at))}
        bars={[{ name: 'Cost', look: 'accent', values: series.map(({ cost }) => Number(cost)) }]}
        unit={(value) => money(String(value), currency)}
        links={query.day === undefined ? series.map(({ at }) => dayLink(at)) : undefined}
      />
      <Behind title="The same as a table">
        <Table label={label}>
          <thead>
            <tr>
              <Th>{query.day === undefined ? 'Day' : 'Hour'}</Th>
              <Th numeric>Cost</Th>
            </tr>
          </thead>
          <tbody>
            {series.map(({ at, cost }) => (
              <Tr key={at}>
                <Td>
                  {query.day === undefined ? (
                    <Link href={dayLink(at)} className="text-accent hover:underline">
                      {shown(at)}
                    </Link>
                  ) : (
                    shown(at)
                  )}
                </Td>
                <Td numeric>{money(cost, currency)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Behind>
    </Section>
  );
}

/** Where a row leads: one step nearer to the jobs. */
function deeper({ path, query }: CostPlace, row: CostRow): string | null {
  if (row.key.startsWith('(') || row.key === '') return null;
  if (query.by === 'pool') return costAddress(path, query, { by: 'repository', pool: row.key });
  if (query.by === 'repository') return costAddress(path, query, { by: 'workflow', repository: row.key });
  if (query.by === 'day') return costAddress(path, query, { day: row.key, by: 'pool' });
  return null;
}

export function CostTable(place: CostPlace) {
  const { path, query, view, dimensions } = place;
  const isShared = view.rows.some((row) => Number(row.shared) !== 0);
  return (
    <Section title={dimensionLabel[query.by]} actions={<CsvLink path={path} query={query} table="rows" />}>
      <nav aria-label="Cost by" className="mb-3 flex flex-wrap gap-1">
        {dimensions.map((by) => (
          <LinkButton
            key={by}
            small
            look={by === query.by ? 'secondary' : 'quiet'}
            aria-current={by === query.by ? 'true' : undefined}
            href={costAddress(path, query, { by })}
          >
            {dimensionLabel[by]}
          </LinkButton>
        ))}
      </nav>
      {view.rows.length === 0 ? (
        <EmptyState title="Nothing was used">
          Each second that a runner exists is charged, and nothing of this month fits here.
        </EmptyState>
      ) : (
        <Table label={`Cost ${dimensionLabel[query.by].toLowerCase()}`}>
          <thead>
            <tr>
              <Th>{dimensionLabel[query.by].replace('By ', '').replace(/^./, (letter) => letter.toUpperCase())}</Th>
              <Th numeric>Runner-hours</Th>
              {isShared ? <Th numeric>Of its jobs</Th> : null}
              {isShared ? <Th numeric>Share of idle time</Th> : null}
              <Th numeric>Cost</Th>
              <Th numeric>Share</Th>
            </tr>
          </thead>
          <tbody>
            {view.rows.slice(0, rowsMost).map((row) => (
              <CostLine
                key={row.key}
                row={row}
                href={deeper(place, row)}
                currency={view.currency}
                isShared={isShared}
              />
            ))}
          </tbody>
          <tfoot>
            <tr className="border-t font-semibold">
              <Td>Total</Td>
              <Td />
              {isShared ? <Td /> : null}
              {isShared ? <Td /> : null}
              <Td numeric>{money(view.total, view.currency)}</Td>
              <Td />
            </tr>
          </tfoot>
        </Table>
      )}
      {view.rows.length > rowsMost ? (
        <p className="mt-2 text-sm text-ink-3">
          The dearest {rowsMost} of {view.rows.length} are shown; the CSV has all.
        </p>
      ) : null}
    </Section>
  );
}

/** A page shows the dearest; the file has all. */
const rowsMost = 200;

type LineProps = { row: CostRow; href: string | null; currency: string; isShared: boolean };

function CostLine({ row, href, currency, isShared }: LineProps) {
  return (
    <Tr>
      <Td className="max-w-96 font-medium break-words">
        {href ? (
          <Link href={href} className="text-accent hover:underline">
            {row.label}
          </Link>
        ) : (
          row.label
        )}
      </Td>
      <Td numeric>{hours(row.runnerSeconds)}</Td>
      {isShared ? <Td numeric>{money(row.own, currency)}</Td> : null}
      {isShared ? <Td numeric>{money(row.shared, currency)}</Td> : null}
      <Td numeric>{money(row.cost, currency)}</Td>
      <Td numeric>{(row.share * 100).toFixed(1)} %</Td>
    </Tr>
  );
}

const wasteLabel = { idle: 'Idle runners', failed: 'Runs for nothing', oversize: 'Pool too large' };

export function WasteTable({ path, query, view }: CostPlace) {
  if (view.waste.length === 0) return null;
  return (
    <Section title="What could be saved" actions={<CsvLink path={path} query={query} table="waste" />}>
      <Table label="What could be saved">
        <thead>
          <tr>
            <Th>What</Th>
            <Th>Where</Th>
            <Th numeric>Cost</Th>
            <Th>What to change</Th>
          </tr>
        </thead>
        <tbody>
          {view.waste.map(({ kind, what, cost, todo }) => (
            <Tr key={`${kind} ${what}`}>
              <Td className="whitespace-nowrap">{wasteLabel[kind]}</Td>
              <Td className="max-w-72 font-medium break-words">{what}</Td>
              <Td numeric>{money(cost, view.currency)}</Td>
              <Td className="min-w-64 text-ink-2">{todo}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

type JobsProps = { jobs: JobCost[]; currency: string; hrefOf: (job: JobCost) => string; csv?: string };

export function JobsTable({ jobs, currency, hrefOf, csv }: JobsProps) {
  return (
    <Section
      title="Dearest jobs"
      actions={
        csv === undefined ? null : (
          <OutsideButton small href={csv} download>
            <Download size={14} aria-hidden />
            CSV<span className="sr-only"> of jobs</span>
          </OutsideButton>
        )
      }
    >
      {jobs.length === 0 ? (
        <EmptyState title="No job ran">Jobs are known once their forge has told of them.</EmptyState>
      ) : (
        <Table label="Dearest jobs">
          <thead>
            <tr>
              <Th>Job</Th>
              <Th>Repository</Th>
              <Th>Pool</Th>
              <Th>Came out</Th>
              <Th numeric>Minutes</Th>
              <Th numeric>Cost</Th>
            </tr>
          </thead>
          <tbody>
            {jobs.map((job) => (
              <Tr key={job.job}>
                <Td className="max-w-72 font-medium break-words">
                  <Link href={hrefOf(job)} className="text-accent hover:underline">
                    {job.name ?? job.job}
                  </Link>
                  {job.workflow ? <span className="block text-sm text-ink-3">{job.workflow}</span> : null}
                </Td>
                <Td className="max-w-60 break-words">{job.repository}</Td>
                <Td>{job.pool ?? '–'}</Td>
                <Td>
                  <Conclusion {...job} />
                </Td>
                <Td numeric>{(Number(job.runnerSeconds) / 60).toFixed(1)}</Td>
                <Td numeric>{money(job.cost, currency)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Section>
  );
}

export function Conclusion({ state, conclusion }: Pick<JobCost, 'state' | 'conclusion'>) {
  if (state === 'queued') return <Badge tone="wait">Queued</Badge>;
  if (state === 'running') return <Badge tone="busy">Running</Badge>;
  if (conclusion === null) return <Badge tone="idle">Ended, not told how</Badge>;
  if (conclusion === 'success') return <Badge tone="good">Succeeded</Badge>;
  return <Badge tone="bad">{conclusion.replaceAll('_', ' ')}</Badge>;
}
