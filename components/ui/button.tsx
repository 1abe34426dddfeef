import Link from 'next/link';
import clsx from 'clsx';
import type { ComponentProps } from 'react';

export type ButtonLook = 'primary' | 'secondary' | 'quiet' | 'danger';

const looks: Record<ButtonLook, string> = {
  primary: 'border-transparent bg-accent text-on-accent hover:bg-accent-hover',
  secondary: 'border-line-strong/60 bg-surface text-ink hover:bg-sunken',
  quiet: 'border-transparent bg-transparent text-ink-2 hover:bg-sunken hover:text-ink',
  danger: 'border-transparent bg-bad text-on-bad hover:bg-bad-hover',
};

export function buttonClass(look: ButtonLook, small = false): string {
  return clsx(
    'inline-flex items-center justify-center gap-2 rounded-md border font-medium whitespace-nowrap select-none',
    'disabled:opacity-50 aria-disabled:pointer-events-none aria-disabled:opacity-50',
    small ? 'min-h-7 px-2 text-sm' : 'min-h-9 px-4',
    looks[look],
  );
}

type Own = { look?: ButtonLook; small?: boolean };

export function Button({
  look = 'secondary',
  small = false,
  className,
  type = 'button',
  ...rest
}: Own & ComponentProps<'button'>) {
  return <button type={type} className={clsx(buttonClass(look, small), className)} {...rest} />;
}

export function LinkButton({
  look = 'secondary',
  small = false,
  className,
  ...rest
}: Own & ComponentProps<typeof Link>) {
  return <Link className={clsx(buttonClass(look, small), className)} {...rest} />;
}

/** Leaves the portal: a plain anchor, with nothing told to the other side. */
export function OutsideButton({ look = 'secondary', small = false, className, ...rest }: Own & ComponentProps<'a'>) {
  return <a rel="noreferrer" className={clsx(buttonClass(look, small), className)} {...rest} />;
}
