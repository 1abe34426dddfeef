'use client';

import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { useActionForm, type FormAction } from './use-action-form.ts';

type Props = {
  action: FormAction;
  fields?: Record<string, string>;
  /** Under which the server asks for what was typed. */
  name?: string;
  /** What has to be typed: the name of what is lost. */
  typed: string;
  /** After `Type …`, such as `to remove it`. */
  toDo: string;
  button: string;
};

/** Asks for a name before what cannot be taken back. */
export function TypedForm({ action, fields = {}, name = 'typed', typed, toDo, button }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      {Object.entries(fields).map(([key, value]) => (
        <input key={key} type="hidden" name={key} value={value} />
      ))}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name={name}
        label={
          <>
            Type <span className="font-mono break-all">{typed}</span> {toDo}
          </>
        }
        error={form.errorAt(name)}
        defaultValue={form.valueOf(name, '')}
        className="font-mono"
        maxLength={300}
        required
      />
      <div>
        <SubmitButton pending={form.pending} look="danger">
          {button}
        </SubmitButton>
      </div>
    </form>
  );
}
