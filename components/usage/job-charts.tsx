import clsx from 'clsx';
import Link from 'next/link';
import type { JobSeries, SeriesWindow } from '#lib/usage/index.ts';
import { Behind, Chart } from '#components/ui/chart.tsx';
import { roundedUpSeconds, seconds } from '#components/ui/duration.ts';
import { Section, Stat, Stats } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export type Shown = { path: string; window: SeriesWindow; pool: string; labels: string[] };

const windowWords: Record<SeriesWindow, string> = { hour: 'Last hour', day: 'Last day', month: 'Last month' };
const windows = Object.keys(windowWords) as SeriesWindow[];

function addressOf({ path }: Pick<Shown, 'path'>, window: SeriesWindow, pool: string): string {
  return `${path}?${new URLSearchParams({ window, ...(pool === '' ? {} : { pool }) }).toString()}`;
}

/** How long jobs waited, how they ended and how many ran, over an hour, a day or a month. What is shown is in the address. */
export function JobCharts({ series, shown }: { series: JobSeries; shown: Shown }) {
  return (
    <>
      <Choice {...shown} />
      <Totals series={series} />
      {series.total.began + series.total.succeeded + series.total.failed + series.total.other === 0 &&
      series.total.busySeconds === 0 ? (
        <div className="mb-8">
          <EmptyState title="No job ran in this time">Choose a longer time, or all pools.</EmptyState>
        </div>
      ) : (
        <Charts series={series} window={shown.window} />
      )}
    </>
  );
}

function Choice({ path, window, pool, labels }: Shown) {
  return (
    <div className="mb-6 flex flex-wrap gap-x-6 gap-y-3">
      <nav aria-label="Time" className="flex flex-wrap gap-1">
        {windows.map((each) => (
          <Chip key={each} href={addressOf({ path }, each, pool)} isHere={each === window}>
            {windowWords[each]}
          </Chip>
        ))}
      </nav>
      <nav aria-label="Pool" className="flex flex-wrap gap-1">
        <Chip href={addressOf({ path }, window, '')} isHere={pool === ''}>
          All pools
        </Chip>
        {labels.map((label) => (
          <Chip key={label} href={addressOf({ path }, window, label)} isHere={label === pool}>
            <span className="font-mono">{label}</span>
          </Chip>
        ))}
      </nav>
    </div>
  );
}

function Chip({ href, isHere, children }: { href: string; isHere: boolean; children: React.ReactNode }) {
  return (
    <Link
      href={href}
      aria-current={isHere ? 'true' : undefined}
      className={clsx(
        'rounded-md border px-2.5 py-1 text-sm',
        isHere ? 'border-accent bg-accent-soft font-medium text-accent' : 'bg-surface text-ink-2 hover:bg-sunken',
      )}
    >
      {children}
    </Link>
  );
}

const orNone = (value: number | null) => (value === null ? '–' : seconds(value));
const count = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 1 });

function Totals({ series: { total } }: { series: JobSeries }) {
  return (
    <Stats>
      <Stat
        label="Jobs ended"
        value={count(total.succeeded + total.failed + total.other)}
        note={`${count(total.failed)} failed`}
      />
      <Stat label="Half waited less than" value={orNone(total.p50)} note="p50" />
      <Stat label="Nine of ten less than" value={orNone(total.p90)} note="p90" />
      <Stat label="99 of 100 less than" value={orNone(total.p99)} note="p99" />
    </Stats>
  );
}

/** A step's beginning, in UTC: the day where steps are days, else the hour and minute. */
export function stepName(at: string, window: SeriesWindow): string {
  return window === 'month' ? at.slice(5, 10) : at.slice(11, 16);
}

function Charts({ series, window }: { series: JobSeries; window: SeriesWindow }) {
  const { steps, byPool } = series;
  const names = steps.map(({ at }) => stepName(at, window));
  const of =
    window === 'month'
      ? 'each day of the last 30'
      : window === 'day'
        ? 'each hour of the last 24'
        : 'every two minutes of the last hour';
  return (
    <>
      <Section title="Waiting for a runner" note="From when the forge queued a job to when it began. Times are in UTC.">
        <Chart
          label={`Seconds that jobs waited for a runner, percentiles, ${of}`}
          steps={names}
          unit={seconds}
          roundUp={roundedUpSeconds}
          lines={[
            { name: 'p50', look: 'plain', values: steps.map(({ p50 }) => p50) },
            { name: 'p90', look: 'dashed', values: steps.map(({ p90 }) => p90) },
            { name: 'p99', look: 'dotted', values: steps.map(({ p99 }) => p99) },
          ]}
        />
      </Section>
      <Section title="Jobs that ended">
        <Chart
          label={`Jobs that ended, by result, ${of}`}
          steps={names}
          unit={count}
          bars={[
            { name: 'Succeeded', look: 'good', values: steps.map(({ succeeded }) => succeeded) },
            { name: 'Failed', look: 'bad', values: steps.map(({ failed }) => failed) },
            { name: 'Otherwise', look: 'idle', values: steps.map(({ other }) => other) },
          ]}
        />
      </Section>
      <Section title="Jobs at once" note="How many ran, on average over each step.">
        <Chart
          label={`Jobs that ran at once, on average, ${of}`}
          steps={names}
          unit={count}
          bars={[{ name: 'Running', look: 'accent', values: steps.map(({ busy }) => busy) }]}
        />
        <Behind title="All three as a table">
          <StepTable series={series} names={names} />
        </Behind>
      </Section>
      {byPool.length > 1 ? <ByPool byPool={byPool} /> : null}
    </>
  );
}

function StepTable({ series, names }: { series: JobSeries; names: string[] }) {
  return (
    <Table label="Jobs over time">
      <thead>
        <tr>
          <Th>From (UTC)</Th>
          <Th numeric>Began</Th>
          <Th numeric>p50 wait</Th>
          <Th numeric>p90 wait</Th>
          <Th numeric>p99 wait</Th>
          <Th numeric>Succeeded</Th>
          <Th numeric>Failed</Th>
          <Th numeric>Otherwise</Th>
          <Th numeric>At once</Th>
        </tr>
      </thead>
      <tbody>
        {series.steps.map((step, index) => (
          <Tr key={step.at}>
            <Td className="whitespace-nowrap">
              <time dateTime={step.at}>{names[index]}</time>
            </Td>
            <Td numeric>{step.began}</Td>
            <Td numeric>{orNone(step.p50)}</Td>
            <Td numeric>{orNone(step.p90)}</Td>
            <Td numeric>{orNone(step.p99)}</Td>
            <Td numeric>{step.succeeded}</Td>
            <Td numeric>{step.failed}</Td>
            <Td numeric>{step.other}</Td>
            <Td numeric>{count(step.busy)}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function ByPool({ byPool }: Pick<JobSeries, 'byPool'>) {
  return (
    <Section title="Waiting, by pool">
      <Table label="Waiting by pool">
        <thead>
          <tr>
            <Th>Label</Th>
            <Th numeric>Began</Th>
            <Th numeric>p50 wait</Th>
            <Th numeric>p90 wait</Th>
            <Th numeric>p99 wait</Th>
            <Th numeric>Failed</Th>
          </tr>
        </thead>
        <tbody>
          {byPool.map((pool) => (
            <Tr key={pool.label}>
              <Td className="font-mono text-sm whitespace-nowrap">{pool.label}</Td>
              <Td numeric>{pool.began}</Td>
              <Td numeric>{orNone(pool.p50)}</Td>
              <Td numeric>{orNone(pool.p90)}</Td>
              <Td numeric>{orNone(pool.p99)}</Td>
              <Td numeric>{pool.failed}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
