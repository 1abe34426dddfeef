'use client';

import { useFormStatus } from 'react-dom';
import { LoaderCircle } from 'lucide-react';
import type { ReactNode } from 'react';
import { Button, type ButtonLook } from './button.tsx';

type Props = {
  children: ReactNode;
  look?: ButtonLook;
  small?: boolean;
  disabled?: boolean;
  name?: string;
  value?: string;
};

/** Says what it does; while the form is under way it cannot be pressed twice. */
export function SubmitButton({ children, look = 'primary', disabled = false, ...rest }: Props) {
  const { pending } = useFormStatus();
  return (
    <Button type="submit" look={look} disabled={disabled || pending} aria-busy={pending} {...rest}>
      {pending ? <LoaderCircle size={16} className="animate-spin" aria-hidden /> : null}
      {children}
    </Button>
  );
}
