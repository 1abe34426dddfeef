'use client';

import { useState } from 'react';
import { NoteField } from '#components/form/note-field.tsx';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { NumberField, SelectField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { QuotaFields, type QuotaText } from './quota-fields.tsx';

type Props = {
  action: FormAction;
  requestId: string;
  quota: QuotaText | null;
  pools: { pool: string; minRunners: number; maxRunners: number }[] | null;
  /** False where the cluster does not hold it; null where nobody knows. */
  fits: boolean | null;
  /** Where a tenant that begins can be placed; empty where that is not asked. */
  places: { id: string; words: string; isBest: boolean }[];
  place: string;
};

/** Grants what was asked for, or something else in its place. */
export function GrantForm({ action, requestId, quota, pools, fits, places, place }: Props) {
  const form = useActionForm(action);
  const [changed, setChanged] = useState(form.valueOf('changed', '') === 'on');
  const mayChange = quota !== null || pools !== null;
  return (
    <form {...form.form} className="grid gap-4">
      <input type="hidden" name="requestId" value={requestId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {mayChange ? (
        <label className="flex items-center gap-2">
          <input
            type="checkbox"
            name="changed"
            checked={changed}
            onChange={(event) => setChanged(event.target.checked)}
            className="size-4 accent-accent"
          />
          Grant something else
        </label>
      ) : null}
      {changed && quota ? <QuotaFields form={form} first={quota} /> : null}
      {changed && pools ? (
        <div className="grid gap-3">
          {pools.map(({ pool, minRunners, maxRunners }) => (
            <fieldset key={pool} className="grid grid-cols-2 gap-3">
              <legend className="mb-1 font-mono text-sm">{pool}</legend>
              <NumberField
                name={`pools.${pool}.minRunners`}
                label="Warm"
                unit="runners"
                error={form.errorAt(`pools.${pool}.minRunners`)}
                defaultValue={form.valueOf(`pools.${pool}.minRunners`, String(minRunners))}
              />
              <NumberField
                name={`pools.${pool}.maxRunners`}
                label="Most"
                unit="runners"
                error={form.errorAt(`pools.${pool}.maxRunners`)}
                defaultValue={form.valueOf(`pools.${pool}.maxRunners`, String(maxRunners))}
              />
            </fieldset>
          ))}
        </div>
      ) : null}
      {places.length > 1 ? (
        <SelectField
          name="clusterId"
          label="Cluster"
          help="Where it runs. What is placed is moved later only by a plan of its own."
          error={form.errorAt('clusterId')}
          defaultValue={form.valueOf('clusterId', places.find(({ isBest }) => isBest)?.id ?? place)}
        >
          {places.map(({ id, words, isBest }) => (
            <option key={id} value={id}>
              {id}: {words}
              {isBest ? ' (as by itself)' : ''}
            </option>
          ))}
        </SelectField>
      ) : null}
      {fits === false || form.error?.code === 'conflict' ? (
        <label className="flex items-start gap-2">
          <input type="checkbox" name="beyondCapacity" className="mt-1 size-4 accent-accent" />
          It may be more than the cluster holds.
        </label>
      ) : null}
      <NoteField form={form} label="A word to them" />
      <div>
        <SubmitButton pending={form.pending}>{changed ? 'Grant with changes' : 'Grant'}</SubmitButton>
      </div>
    </form>
  );
}
