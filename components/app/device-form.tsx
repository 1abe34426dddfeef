'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** The short code that a terminal shows. */
export function DeviceForm({ action }: { action: FormAction }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-xs gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="code"
        label="Code"
        help="Eight letters; capitals and the hyphen do not matter."
        error={form.errorAt('code')}
        defaultValue={form.valueOf('code', '')}
        placeholder="BCDF-GHJK"
        className="font-mono tracking-widest uppercase placeholder:normal-case"
        autoCapitalize="characters"
        maxLength={20}
        required
      />
      <div>
        <SubmitButton pending={form.pending}>Show what asks</SubmitButton>
      </div>
    </form>
  );
}
