'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { SelectField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; now: string | null; choices: { value: string; label: string }[] };

export function TeamForm({ action, now, choices }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField
        name="team"
        label="Follows"
        help="Its maintainers are admins here, and its members see."
        error={form.errorAt('team')}
        defaultValue={form.valueOf('team', now ?? '')}
      >
        <option value="">No team: only who is invited, and the organization’s admins</option>
        {choices.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </SelectField>
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Follow it
        </SubmitButton>
      </div>
    </form>
  );
}
