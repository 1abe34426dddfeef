import type { WeekPreview } from '#lib/enrollment/index.ts';
import { Behind } from '#components/ui/chart.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

const width = 880;
const height = 190;
const left = 28;
const top = 8;
const bottom = 20;
const plot = { width: width - left - 4, height: height - top - bottom };

const x = (share: number) => left + share * plot.width;

/** At most six lines, on whole runners. */
function ticksOf(most: number): number[] {
  const step = Math.max(1, Math.ceil(most / 5));
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

/** How many runners are kept warm through one week, with the table that says the same. Drawn by attributes alone. */
export function WeekChart({ week }: { week: WeekPreview }) {
  const most = Math.max(1, week.most);
  const y = (runners: number) => top + plot.height * (1 - runners / most);
  const name = `Runners kept warm, ${week.spans[0]?.from} to ${week.spans.at(-1)?.to}, ${week.timeZone}: at most ${week.most}`;
  return (
    <figure className="grid gap-3">
      {/* On a phone it scrolls within itself: smaller, nobody could read its words. */}
      <div className="overflow-x-auto" role="region" aria-label="Chart of the week" tabIndex={0}>
        <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={name} className="w-full min-w-180">
          {ticksOf(most).map((runners) => (
            <g key={runners}>
              <line x1={left} x2={width - 4} y1={y(runners)} y2={y(runners)} className="stroke-line" />
              <text x={left - 6} y={y(runners) + 4} textAnchor="end" className="fill-ink-3 text-xs">
                {runners}
              </text>
            </g>
          ))}
          {week.days.map(({ label, atShare }) => (
            <g key={label}>
              <line x1={x(atShare)} x2={x(atShare)} y1={top} y2={height - bottom} className="stroke-line" />
              <text x={x(atShare) + 4} y={height - 5} className="fill-ink-3 text-xs">
                {label}
              </text>
            </g>
          ))}
          {week.spans
            .filter(({ runners }) => runners > 0)
            .map(({ from, to, fromShare, toShare, runners }) => (
              <rect
                key={fromShare}
                x={x(fromShare)}
                y={y(runners)}
                width={Math.max(1, (toShare - fromShare) * plot.width)}
                height={top + plot.height - y(runners)}
                className="fill-accent/60 hover:fill-accent"
              >
                <title>{`${from} to ${to}: ${runners}`}</title>
              </rect>
            ))}
          {week.nowShare === null ? null : (
            <line x1={x(week.nowShare)} x2={x(week.nowShare)} y1={top} y2={height - bottom} className="stroke-warn">
              <title>Now</title>
            </line>
          )}
        </svg>
      </div>
      <figcaption className="text-sm text-ink-2">
        Runners kept warm, by the clocks of {week.timeZone}.{' '}
        {week.hours === 168 ? '' : `The clocks are put in this week: it has ${plain(week.hours)} hours. `}
        {week.nowShare === null ? '' : 'The upright line is now.'}
      </figcaption>
      <Behind title="The same as a table">
        <Table label="The week as a table">
          <thead>
            <tr>
              <Th>From</Th>
              <Th>To</Th>
              <Th numeric>Hours</Th>
              <Th numeric>Kept warm</Th>
            </tr>
          </thead>
          <tbody>
            {week.spans.map(({ from, to, hours, runners }) => (
              <Tr key={from}>
                <Td>{from}</Td>
                <Td>{to}</Td>
                <Td numeric>{plain(hours)}</Td>
                <Td numeric>{runners}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Behind>
    </figure>
  );
}

function plain(number: number): string {
  return number.toLocaleString('en', { maximumFractionDigits: 2 });
}
