'use client';

import { useId } from 'react';
import type { ActionForm } from '#components/form/use-action-form.ts';
import { FieldError, TextField } from '#components/ui/field.tsx';

export type QuotaText = { cpu: string; memory: string; runners: string | number; storage: string };

const parts = [
  { part: 'cpu', label: 'CPU', help: 'Cores, such as 16 or 500m.' },
  { part: 'memory', label: 'Memory', help: 'With its unit, such as 32Gi.' },
  { part: 'runners', label: 'Runners', help: 'At once.' },
  { part: 'storage', label: 'Storage', help: 'Work folders and a Bazel cache, such as 250Gi.' },
] as const;

/** The four parts of a quota, as people write them. `first` is what stands there to begin with. */
export function QuotaFields({ form, first, note }: { form: ActionForm; first: QuotaText; note?: string }) {
  const id = useId();
  const whole = form.errorAt('quota');
  return (
    <fieldset
      className="grid gap-3"
      tabIndex={-1}
      aria-invalid={whole ? true : undefined}
      aria-describedby={whole ? `${id}-error` : undefined}
    >
      <legend className="mb-1 font-medium">Quota</legend>
      {note ? <p className="text-sm text-ink-3">{note}</p> : null}
      {whole ? <FieldError name={id} message={whole} /> : null}
      <div className="grid grid-cols-2 items-start gap-3 sm:grid-cols-4">
        {parts.map(({ part, label, help }) => (
          <TextField
            key={part}
            name={`quota.${part}`}
            label={label}
            help={help}
            error={form.errorAt(`quota.${part}`)}
            defaultValue={form.valueOf(`quota.${part}`, String(first[part]))}
            className="tabular"
            maxLength={20}
            required
          />
        ))}
      </div>
    </fieldset>
  );
}
