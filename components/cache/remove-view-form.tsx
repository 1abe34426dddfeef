'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** Asks for the name first: what was pushed to it alone is lost with it. */
export function RemoveViewForm({ action, viewId, name }: { action: FormAction; viewId: string; name: string }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      <input type="hidden" name="viewId" value={viewId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="typed"
        label={
          <>
            Type <span className="font-mono break-all">{name}</span> to remove it
          </>
        }
        error={form.errorAt('typed')}
        defaultValue={form.valueOf('typed', '')}
        className="font-mono"
        maxLength={60}
        required
      />
      <div>
        <SubmitButton pending={form.pending} look="danger">
          Remove the view
        </SubmitButton>
      </div>
    </form>
  );
}
