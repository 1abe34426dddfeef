import clsx from 'clsx';
import Link from 'next/link';
import type { ComponentProps, ReactNode } from 'react';

/** Scrolls sideways within itself, so that a wide table never moves the page; relative, so that what only a screen reader sees stays within it too. */
export function Table({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div
      className="relative overflow-x-auto rounded-lg border bg-surface"
      role="region"
      aria-label={label}
      tabIndex={0}
    >
      <table className="w-full border-collapse text-left">{children}</table>
    </div>
  );
}

type CellProps = { numeric?: boolean };

export function Th({ numeric = false, className, ...rest }: CellProps & ComponentProps<'th'>) {
  return (
    <th
      scope="col"
      className={clsx(
        'sticky top-0 border-b bg-surface px-4 py-2 text-sm font-medium whitespace-nowrap text-ink-3',
        numeric && 'text-right',
        className,
      )}
      {...rest}
    />
  );
}

export function Td({ numeric = false, className, ...rest }: CellProps & ComponentProps<'td'>) {
  return (
    <td
      className={clsx(
        'border-b border-line px-4 py-2.5 align-top group-last:border-b-0',
        numeric && 'tabular text-right whitespace-nowrap',
        className,
      )}
      {...rest}
    />
  );
}

export function Tr({ className, ...rest }: ComponentProps<'tr'>) {
  return <tr className={clsx('group', className)} {...rest} />;
}

/** What a row is about, with its id where people use it. A name without a space breaks, so that the columns beside it keep their room. */
export function RowName({ href, name, id }: { href: string; name: string; id?: string }) {
  return (
    <div className="max-w-72 min-w-32 wrap-anywhere">
      <Link href={href} className="font-medium text-accent hover:underline">
        {name}
      </Link>
      {id === undefined ? null : <span className="block font-mono text-sm text-ink-3">{id}</span>}
    </div>
  );
}
