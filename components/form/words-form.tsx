'use client';

import type { ButtonLook } from '#components/ui/button.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { NoteField } from './note-field.tsx';
import { useActionForm, type FormAction } from './use-action-form.ts';

type Props = {
  action: FormAction;
  fields: Record<string, string>;
  name?: string;
  label: string;
  help?: string;
  button: string;
  look?: ButtonLook;
  required?: boolean;
};

/** Words and a button: an answer, a reason, a question. */
export function WordsForm(props: Props) {
  const { action, fields, name = 'text', label, help, button, look = 'secondary', required = true } = props;
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid gap-3">
      {Object.entries(fields).map(([key, value]) => (
        <input key={key} type="hidden" name={key} value={value} />
      ))}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <NoteField form={form} name={name} label={label} required={required} {...(help ? { help } : {})} />
      <div>
        <SubmitButton pending={form.pending} look={look}>
          {button}
        </SubmitButton>
      </div>
    </form>
  );
}
