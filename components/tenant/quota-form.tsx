'use client';

import { NoteField } from '#components/form/note-field.tsx';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { QuotaFields, type QuotaText } from './quota-fields.tsx';

type Props = {
  action: FormAction;
  first: QuotaText;
  fields?: Record<string, string>;
  button: string;
  note?: string;
  /** Whether somebody reads why. */
  isAsked?: boolean;
};

export function QuotaForm({ action, first, fields = {}, button, note, isAsked = false }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid gap-4">
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <QuotaFields form={form} first={first} {...(note ? { note } : {})} />
      {isAsked ? (
        <NoteField form={form} label="Why" help="Read by an operator where it is more than comes by itself." />
      ) : null}
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          {button}
        </SubmitButton>
      </div>
    </form>
  );
}
