'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { CredentialOnce, onceOf } from './credential-once.tsx';

/** A new credential of a stack, which is shown in the answer. */
export function CredentialForm({ action, stack }: { action: FormAction; stack: string }) {
  const form = useActionForm(action);
  const once = onceOf(form.value);
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      <input type="hidden" name="stack" value={stack} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {once ? (
        <CredentialOnce once={once}>
          Set both variables where OpenTofu or Terraform runs. They open this stack and no other.
        </CredentialOnce>
      ) : null}
      <div className="grid items-start gap-4 sm:grid-cols-3">
        <TextField
          name="name"
          label="Name"
          help="Who uses it, as the history will say."
          error={form.errorAt('name')}
          defaultValue={form.valueOf('name', '')}
          placeholder="ci"
          className="font-mono"
          maxLength={63}
          required
        />
        <SelectField
          name="access"
          label="May"
          error={form.errorAt('access')}
          defaultValue={form.valueOf('access', 'write')}
        >
          <option value="write">Read and write</option>
          <option value="read">Read</option>
        </SelectField>
        <SelectField name="days" label="Ends" error={form.errorAt('days')} defaultValue={form.valueOf('days', '365')}>
          <option value="90">In 90 days</option>
          <option value="365">In a year</option>
          <option value="never">When it is revoked</option>
        </SelectField>
      </div>
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Add the credential
        </SubmitButton>
      </div>
    </form>
  );
}
