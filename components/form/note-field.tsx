'use client';

import { TextAreaField } from '#components/ui/field.tsx';
import type { ActionForm } from './use-action-form.ts';

type Props = { form: ActionForm; name?: string; label: string; help?: string; required?: boolean };

/** A few sentences. */
export function NoteField({ form, name = 'note', label, help, required = false }: Props) {
  return (
    <TextAreaField
      name={name}
      label={label}
      help={help}
      error={form.errorAt(name)}
      defaultValue={form.valueOf(name, '')}
      maxLength={2000}
      required={required}
    />
  );
}
