'use client';

import { useActionState, type ReactNode } from 'react';
import type { ButtonLook } from '#components/ui/button.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import type { FormAction } from './use-action-form.ts';

type Props = {
  action: FormAction;
  fields?: Record<string, string>;
  look?: ButtonLook;
  small?: boolean;
  /** What is said once it is done, where the page itself would not show it. */
  done?: string;
  children: ReactNode;
};

/** One button that does one thing, and says so where it could not. */
export function ButtonForm({ action, fields = {}, look = 'primary', small = false, done, children }: Props) {
  const [state, submit] = useActionState(action, null);
  return (
    <form action={submit} className="grid gap-3">
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {state && !state.ok ? <ErrorCallout error={state.error} /> : null}
      {state?.ok && done !== undefined ? <Callout tone="good" role="status" title={done} /> : null}
      <div>
        <SubmitButton look={look} small={small}>
          {children}
        </SubmitButton>
      </div>
    </form>
  );
}
