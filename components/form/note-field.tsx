'use client';

import { Field, inputClass } from '#components/ui/field.tsx';
import type { ActionForm } from './use-action-form.ts';

type Props = { form: ActionForm; name?: string; label: string; help?: string; required?: boolean };

/** A few sentences. */
export function NoteField({ form, name = 'note', label, help, required = false }: Props) {
  const error = form.errorAt(name);
  return (
    <Field name={name} label={label} help={help} error={error}>
      <textarea
        id={name}
        name={name}
        rows={3}
        maxLength={2000}
        required={required}
        defaultValue={form.valueOf(name, '')}
        aria-invalid={error ? true : undefined}
        aria-describedby={error ? `${name}-error` : help ? `${name}-help` : undefined}
        className={`${inputClass} py-2`}
      />
    </Field>
  );
}
