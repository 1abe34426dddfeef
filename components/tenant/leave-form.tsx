'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** The last button of a tenant. */
export function LeaveForm({ action, slug }: { action: FormAction; slug: string }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="typed"
        label={
          <>
            Type <code className="font-mono">{slug}</code> to leave with all of this
          </>
        }
        error={form.errorAt('typed')}
        defaultValue={form.valueOf('typed', '')}
        className="max-w-80 font-mono"
        required
      />
      <div>
        <SubmitButton pending={form.pending} look="danger">
          Leave the platform
        </SubmitButton>
      </div>
    </form>
  );
}
