'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** Asks for the name first: what was sent is lost with it. */
export function RemoveForm({ action, endpointId, host }: { action: FormAction; endpointId: string; host: string }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      <input type="hidden" name="endpointId" value={endpointId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="host"
        label={
          <>
            Type <span className="font-mono">{host}</span> to remove it
          </>
        }
        error={form.errorAt('host')}
        defaultValue={form.valueOf('host', '')}
        className="font-mono"
        maxLength={300}
        required
      />
      <div>
        <SubmitButton pending={form.pending} look="danger">
          Remove the webhook
        </SubmitButton>
      </div>
    </form>
  );
}
