'use client';

import { useState } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = {
  apply: FormAction;
  planId: string;
  count: number;
  /** The name to type, where applying loses something. */
  confirm: string | null;
};

/** The one button that changes the world. Refused when the world has moved since the plan was made. */
export function ApplyForm({ apply, planId, count, confirm }: Props) {
  const form = useActionForm(apply);
  const [typed, setTyped] = useState('');
  const what = count === 1 ? '1 change' : `${count} changes`;
  return (
    <form {...form.form} className="grid gap-4">
      <input type="hidden" name="planId" value={planId} />
      {form.error && !form.errorAt('typed') ? <ErrorCallout error={form.error} /> : null}
      {confirm === null ? null : (
        <TextField
          name="typed"
          label={
            <>
              Type <code className="font-mono">{confirm}</code> to withdraw it
            </>
          }
          error={form.errorAt('typed')}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          className="max-w-80 font-mono"
        />
      )}
      <div>
        <SubmitButton pending={form.pending} look={confirm === null ? 'primary' : 'danger'}>
          {confirm === null ? `Apply ${what}` : `Withdraw and apply ${what}`}
        </SubmitButton>
      </div>
    </form>
  );
}
