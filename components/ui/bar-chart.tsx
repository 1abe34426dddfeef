import { scaleLinear } from 'd3-scale';

export type Bar = { key: string; label: string; value: number; text: string; href?: string | undefined };

type Props = { label: string; bars: Bar[]; tick: (value: number) => string; first: string; last: string };

/**
 * Bars over time. Drawn by attributes and in percent, so that it is as wide as its place and its words keep their size. Each
 * bar says its value where the pointer or the focus is; the same values stand in a table beside it.
 */
export function BarChart({ label, bars, tick, first, last }: Props) {
  const most = Math.max(0, ...bars.map(({ value }) => value));
  const scale = scaleLinear()
    .domain([0, most === 0 ? 1 : most])
    .nice(4)
    .range([0, 100]);
  const slot = 100 / Math.max(1, bars.length);
  return (
    <figure className="rounded-lg border bg-surface p-4">
      <figcaption className="sr-only">{label}</figcaption>
      <svg className="h-44 w-full overflow-visible text-xs" role="group" aria-label={label}>
        {most === 0
          ? null
          : scale.ticks(4).map((value) => (
              <g key={value} aria-hidden>
                <line
                  x1="0"
                  x2="100%"
                  y1={`${100 - scale(value)}%`}
                  y2={`${100 - scale(value)}%`}
                  className="stroke-line"
                />
                <text x="0" y={`${100 - scale(value)}%`} dy="-3" className="tabular fill-ink-3">
                  {value === 0 ? '' : tick(value)}
                </text>
              </g>
            ))}
        {bars.map((bar, index) => (
          <Slot key={bar.key} bar={bar} x={index * slot} width={slot} height={scale(bar.value)} />
        ))}
      </svg>
      <div aria-hidden className="mt-1 flex justify-between text-xs text-ink-3">
        <span>{first}</span>
        <span>{last}</span>
      </div>
    </figure>
  );
}

function Slot({ bar, x, width, height }: { bar: Bar; x: number; width: number; height: number }) {
  const shape = (
    <>
      <rect x={`${x}%`} width={`${width}%`} y="0" height="100%" className="fill-transparent" />
      <rect
        x={`${x + width * 0.12}%`}
        width={`${width * 0.76}%`}
        y={`${100 - height}%`}
        height={`${height}%`}
        className="fill-accent group-hover:fill-accent-hover group-focus-visible:fill-accent-hover"
      />
      <text
        x="100%"
        y="0"
        dy="-2"
        textAnchor="end"
        aria-hidden
        className="tabular fill-ink text-sm opacity-0 group-hover:opacity-100 group-focus-visible:opacity-100"
      >
        {bar.label}: {bar.text}
      </text>
    </>
  );
  if (bar.href === undefined)
    return (
      <g className="group" role="img" aria-label={`${bar.label}: ${bar.text}`}>
        {shape}
      </g>
    );
  return (
    <a href={bar.href} className="group" aria-label={`${bar.label}: ${bar.text}`}>
      {shape}
    </a>
  );
}
