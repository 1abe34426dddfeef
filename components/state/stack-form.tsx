'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** A new stack. */
export function StackForm({ action }: { action: FormAction }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="name"
        label="Name"
        help="Small letters, digits and hyphens. It stands in the backend’s address and never changes."
        error={form.errorAt('name')}
        defaultValue={form.valueOf('name', '')}
        placeholder="cluster-main"
        className="font-mono"
        maxLength={63}
        required
      />
      <TextField
        name="description"
        label="What it is for"
        error={form.errorAt('description')}
        defaultValue={form.valueOf('description', '')}
        maxLength={300}
      />
      <div>
        <SubmitButton pending={form.pending} look="primary">
          Add the stack
        </SubmitButton>
      </div>
    </form>
  );
}
