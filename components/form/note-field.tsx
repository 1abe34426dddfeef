'use client';

import { useId } from 'react';
import { Field, fieldIds, inputClass } from '#components/ui/field.tsx';
import type { ActionForm } from './use-action-form.ts';

type Props = { form: ActionForm; name?: string; label: string; help?: string; required?: boolean };

/** A few sentences. Its id is its own: a page may ask for words in several places, each with its label. */
export function NoteField({ form, name = 'note', label, help, required = false }: Props) {
  const id = useId();
  const own = { id, name, help, error: form.errorAt(name) };
  return (
    <Field {...own} label={label}>
      <textarea
        {...fieldIds(own)}
        rows={3}
        maxLength={2000}
        required={required}
        defaultValue={form.valueOf(name, '')}
        className={`${inputClass} py-2`}
      />
    </Field>
  );
}
