'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

export function RenameForm({ action, displayName }: { action: FormAction; displayName: string }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="displayName"
        label="Name"
        help="What people read. The slug names namespaces and labels and never changes."
        error={form.errorAt('displayName')}
        defaultValue={form.valueOf('displayName', displayName)}
        maxLength={80}
        required
      />
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Rename
        </SubmitButton>
      </div>
    </form>
  );
}
