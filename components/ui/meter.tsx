import clsx from 'clsx';

type MeterProps = { label: string; used: number; limit: number; text: string; note?: string };

/** How much of a limit is used. Drawn by attributes and not by style, which the content security policy refuses. */
export function Meter({ label, used, limit, text, note }: MeterProps) {
  const share = limit <= 0 ? (used > 0 ? 1 : 0) : Math.min(used / limit, 1);
  const over = used > limit;
  const fill = over ? 'fill-bad' : share >= 0.9 ? 'fill-warn' : 'fill-accent';
  return (
    <div className="grid gap-1">
      <div className="flex justify-between gap-4 text-sm">
        <span className="text-ink-2">{label}</span>
        <span className={clsx('tabular', over ? 'font-medium text-bad' : 'text-ink-2')}>{text}</span>
      </div>
      <svg
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={limit}
        aria-valuenow={Math.min(used, limit)}
        aria-valuetext={text}
        className="h-2 w-full rounded-sm"
      >
        <rect width="100%" height="100%" className="fill-sunken" />
        <rect width={`${(share * 100).toFixed(1)}%`} height="100%" className={fill} />
      </svg>
      {note ? <p className={clsx('text-sm', over ? 'text-bad' : 'text-ink-3')}>{note}</p> : null}
    </div>
  );
}
