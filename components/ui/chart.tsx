import type { ReactNode } from 'react';

/*
 * Charts over time, drawn by the server as SVG: no script, and so no weight on the page. What is drawn is in the table behind
 * it, which is how a keyboard and a screen reader have it. Placed by attributes and classes and never by `style`, which the
 * content security policy refuses; text is HTML, since the drawing is stretched to whatever width there is.
 */

export type ChartLine = { name: string; values: (number | null)[]; look: LineLook };
export type ChartBar = { name: string; values: number[]; look: BarLook };

/** Told apart by dash as well as by colour. */
export type LineLook = 'plain' | 'dashed' | 'dotted';
export type BarLook = 'good' | 'bad' | 'idle' | 'accent';

const lines: Record<LineLook, { className: string; dash?: string }> = {
  plain: { className: 'stroke-accent' },
  dashed: { className: 'stroke-warn', dash: '7 4' },
  dotted: { className: 'stroke-bad', dash: '2 3' },
};
const fills: Record<BarLook, string> = {
  good: 'fill-good',
  bad: 'fill-bad',
  idle: 'fill-line-strong',
  accent: 'fill-accent',
};

const width = 600;
const height = 160;

/** A round number at or above the largest value: 1, 2 or 5 and noughts. */
export function roundedUp(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((step) => step * power >= most * 0.999_999) ?? 10) * power;
}

type ChartProps = {
  /** What is measured, of what, in which unit: for whoever cannot see it. */
  label: string;
  /** When each step begins, as people read it. */
  steps: string[];
  lines?: ChartLine[];
  /** Stacked, the first at the bottom. */
  bars?: ChartBar[];
  /** A value as people read it, with its unit. */
  unit: (value: number) => string;
  /** Where the axis ends, for the largest value. */
  roundUp?: (most: number) => number;
  /** Where a step leads to. */
  links?: readonly string[] | undefined;
};

export function Chart({ label, steps, lines: drawn = [], bars = [], unit, roundUp = roundedUp, links }: ChartProps) {
  const stacked = steps.map((_, step) => bars.reduce((sum, { values }) => sum + (values[step] ?? 0), 0));
  const largest = Math.max(0, ...stacked, ...drawn.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const top = roundUp(largest);
  return (
    <figure aria-label={label} className="rounded-lg border bg-surface p-4">
      <Legend lines={drawn} bars={bars} />
      <div className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-2">
        <div aria-hidden className="tabular flex flex-col justify-between text-right text-xs text-ink-3">
          <span>{unit(top)}</span>
          <span>{unit(top / 2)}</span>
          <span>{unit(0)}</span>
        </div>
        <Drawing {...{ label, steps, unit, top, bars, drawn, stacked, links }} />
        <span />
        <div aria-hidden className="flex justify-between gap-2 pt-1 text-xs text-ink-3">
          <span>{steps[0]}</span>
          <span className="max-sm:hidden">{steps[Math.floor(steps.length / 2)]}</span>
          <span>{steps.at(-1)}</span>
        </div>
      </div>
    </figure>
  );
}

type DrawingProps = Pick<ChartProps, 'label' | 'steps' | 'unit' | 'links'> & {
  top: number;
  bars: ChartBar[];
  drawn: ChartLine[];
  stacked: number[];
};

function Drawing({ label, steps, unit, top, bars, drawn, stacked, links }: DrawingProps) {
  const column = width / Math.max(1, steps.length);
  const y = (value: number) => height - (value / top) * height;
  return (
    <svg
      // An image is one thing to a screen reader, and would hide the links in it.
      role={links ? 'group' : 'img'}
      aria-label={label}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      className="h-40 w-full overflow-visible"
    >
      {[0, 0.5, 1].map((share) => (
        <line
          key={share}
          x1={0}
          x2={width}
          y1={height * share}
          y2={height * share}
          vectorEffect="non-scaling-stroke"
          className="stroke-line"
        />
      ))}
      {steps.map((at, step) => (
        <Column key={at} {...{ step, column, y, bars }} />
      ))}
      {drawn.map(({ name, values, look }) => (
        <path
          key={name}
          d={pathOf(values, column, y)}
          fill="none"
          strokeWidth={2}
          strokeLinecap="round"
          strokeLinejoin="round"
          vectorEffect="non-scaling-stroke"
          strokeDasharray={lines[look].dash}
          className={lines[look].className}
        />
      ))}
      {steps.map((at, step) => (
        <Step
          key={at}
          x={step * column}
          width={column}
          says={valuesAt(at, step, { bars, drawn, stacked, unit })}
          href={links?.[step]}
        />
      ))}
    </svg>
  );
}

type StepProps = { x: number; width: number; says: string; href: string | undefined };

/** What a step says where the pointer or the focus is, over its whole height. */
function Step({ x, width: wide, says, href }: StepProps) {
  const area = (
    <rect
      x={x}
      width={wide}
      height={height}
      className="fill-ink/0 group-hover:fill-ink/10 group-focus-visible:fill-ink/10"
    >
      <title>{says}</title>
    </rect>
  );
  if (href === undefined) return area;
  return (
    <a href={href} className="group" aria-label={says.replaceAll('\n', ', ')}>
      {area}
    </a>
  );
}

type ColumnProps = { step: number; column: number; y: (value: number) => number; bars: ChartBar[] };

function Column({ step, column, y, bars }: ColumnProps) {
  let below = 0;
  return bars.map(({ name, values, look }) => {
    const value = values[step] ?? 0;
    if (value <= 0) return null;
    const from = below;
    below += value;
    return (
      <rect
        key={name}
        x={step * column + column * 0.12}
        width={column * 0.76}
        y={y(below)}
        height={y(from) - y(below)}
        className={fills[look]}
      />
    );
  });
}

/** A line through what is known; where a step has no value it breaks off, and one that stands alone is a dot. */
function pathOf(values: (number | null)[], column: number, y: (value: number) => number): string {
  return values
    .map((value, step) => {
      if (value === null) return '';
      const place = `${((step + 0.5) * column).toFixed(1)} ${y(value).toFixed(1)}`;
      const before = values[step - 1] ?? null;
      const next = values[step + 1] ?? null;
      if (before === null && next === null) return `M${place}h0.01`;
      return `${before === null ? 'M' : 'L'}${place}`;
    })
    .join('');
}

type ValuesOf = Pick<DrawingProps, 'bars' | 'drawn' | 'unit' | 'stacked'>;

function valuesAt(at: string, step: number, { bars, drawn, unit }: ValuesOf): string {
  const parts = [...bars, ...drawn].map(({ name, values }) => {
    const value = values[step] ?? null;
    return `${name}: ${value === null ? 'none' : unit(value)}`;
  });
  return [at, ...parts].join('\n');
}

function Legend({ lines: drawn, bars }: { lines: ChartLine[]; bars: ChartBar[] }) {
  return (
    <ul className="mb-3 flex flex-wrap gap-x-4 gap-y-1 text-sm text-ink-2">
      {bars.map(({ name, look }) => (
        <li key={name} className="flex items-center gap-1.5">
          <svg aria-hidden width={12} height={12}>
            <rect width={12} height={12} rx={2} className={fills[look]} />
          </svg>
          {name}
        </li>
      ))}
      {drawn.map(({ name, look }) => (
        <li key={name} className="flex items-center gap-1.5">
          <svg aria-hidden width={20} height={12}>
            <line
              x1={1}
              x2={19}
              y1={6}
              y2={6}
              strokeWidth={2}
              strokeLinecap="round"
              strokeDasharray={lines[look].dash}
              className={lines[look].className}
            />
          </svg>
          {name}
        </li>
      ))}
    </ul>
  );
}

/** The table behind a chart, shut until somebody wants it. */
export function Behind({ children, title }: { title: string; children: ReactNode }) {
  return (
    <details className="mt-2">
      <summary className="w-fit rounded-sm text-sm text-ink-2 underline hover:text-ink">{title}</summary>
      <div className="mt-2">{children}</div>
    </details>
  );
}
