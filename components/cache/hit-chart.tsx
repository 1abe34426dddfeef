export type ChartDay = { day: string; hits: number; misses: number; rate: string };

const width = 640;
const height = 160;
const left = 48;
const bottom = 24;
const top = 8;

/** Of a round number that nothing is above: 1, 2 or 5 times a power of ten. */
function roundTop(most: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return ([1, 2, 5].find((step) => step * power >= most) ?? 10) * power;
}

/**
 * Hits and misses a day, one on the other. Drawn on the server by attributes, since the content security policy refuses styles;
 * the table that the page shows with it has the same in figures.
 */
type Props = { days: ChartDay[]; label: string; hits?: string; countsMisses?: boolean };

export function HitChart({ days, label, hits: hitsName = 'Hits', countsMisses = true }: Props) {
  const most = roundTop(Math.max(...days.map(({ hits, misses }) => hits + misses)));
  const plot = height - top - bottom;
  const step = (width - left) / Math.max(1, days.length);
  const y = (count: number) => top + plot * (1 - count / most);
  return (
    <figure className="rounded-lg border bg-surface p-4">
      <figcaption className="mb-2 flex flex-wrap gap-x-4 gap-y-1 text-sm text-ink-2">
        <span>{label}</span>
        <Key name={hitsName} fill="fill-accent" />
        {countsMisses ? <Key name="Misses" fill="fill-line-strong" /> : null}
      </figcaption>
      <div role="region" aria-label={`${label}, drawn`} tabIndex={0} className="overflow-x-auto">
        <svg
          viewBox={`0 0 ${width} ${height}`}
          role="img"
          aria-label={`${label}: the table below has the figures`}
          className="w-full min-w-120"
        >
          {[0, most / 2, most].map((count) => (
            <g key={count}>
              <line x1={left} x2={width} y1={y(count)} y2={y(count)} className="stroke-line" />
              <text x={left - 6} y={y(count) + 4} textAnchor="end" fontSize="11" className="tabular fill-ink-3">
                {count.toLocaleString('en', { notation: 'compact' })}
              </text>
            </g>
          ))}
          {days.map(({ day, hits, misses, rate }, index) => {
            const x = left + index * step + step * 0.15;
            const bar = { x, width: step * 0.7 };
            return (
              <g key={day}>
                <title>{`${day}: ${hits.toLocaleString('en')} ${hitsName.toLowerCase()}, ${rate}`}</title>
                <rect {...bar} y={y(hits)} height={y(0) - y(hits)} className="fill-accent" />
                <rect {...bar} y={y(hits + misses)} height={y(hits) - y(hits + misses)} className="fill-line-strong" />
                {index % 4 === 0 ? (
                  <text x={x} y={height - 6} fontSize="11" className="tabular fill-ink-3">
                    {day.slice(5)}
                  </text>
                ) : null}
              </g>
            );
          })}
        </svg>
      </div>
    </figure>
  );
}

function Key({ name, fill }: { name: string; fill: string }) {
  return (
    <span className="inline-flex items-center gap-1.5">
      <svg width="10" height="10" aria-hidden>
        <rect width="10" height="10" rx="2" className={fill} />
      </svg>
      {name}
    </span>
  );
}
