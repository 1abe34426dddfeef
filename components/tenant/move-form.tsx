'use client';

import { NoteField } from '#components/form/note-field.tsx';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { SelectField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = {
  action: FormAction;
  choices: { slug: string; displayName: string }[];
  now: string | null;
  mayStandAlone: boolean;
};

/** Asks to be below another tenant, or to stand alone. */
export function MoveForm({ action, choices, now, mayStandAlone }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField
        name="parent"
        label="Below"
        help="Who is above pays and gives the quota; its admins become admins here."
        error={form.errorAt('parent')}
        defaultValue={form.valueOf('parent', now ?? '')}
      >
        {mayStandAlone ? <option value="">Nobody: it stands alone</option> : null}
        {choices.map(({ slug, displayName }) => (
          <option key={slug} value={slug}>
            {displayName} ({slug})
          </option>
        ))}
      </SelectField>
      <NoteField form={form} label="Why" />
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Ask an operator to move it
        </SubmitButton>
      </div>
    </form>
  );
}
