'use client';

import { useFormStatus } from 'react-dom';
import { LoaderCircle } from 'lucide-react';
import type { ComponentProps, ReactNode } from 'react';
import { Button, type ButtonLook } from './button.tsx';

type Own = { children: ReactNode; look?: ButtonLook; small?: boolean; disabled?: boolean; pending?: boolean };
/** A name and a value say which of a form's buttons was pressed. */
type Props = Own & Pick<ComponentProps<'button'>, 'name' | 'value'>;

/** Says what it does; while the form is under way it cannot be pressed twice. */
export function SubmitButton({ children, look = 'primary', disabled = false, pending = false, ...rest }: Props) {
  const status = useFormStatus();
  const isPending = pending || status.pending;
  return (
    <Button type="submit" look={look} disabled={disabled || isPending} aria-busy={isPending} {...rest}>
      {isPending ? <LoaderCircle size={16} className="animate-spin" aria-hidden /> : null}
      {children}
    </Button>
  );
}
