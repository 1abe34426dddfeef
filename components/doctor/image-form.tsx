'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; findingId: string; title: string; image: string };

/** The image that a pool is to have instead. */
export function ImageForm({ action, findingId, title, image }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-prose gap-3">
      <input type="hidden" name="findingId" value={findingId} />
      <input type="hidden" name="kind" value="set-image" />
      {form.error && !form.errorAt('image') ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="image"
        label="Another image"
        help={`For: ${title}.`}
        defaultValue={form.valueOf('image', image)}
        error={form.errorAt('image')}
        className="font-mono"
        autoComplete="off"
        spellCheck={false}
      />
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Set another image: show the plan
        </SubmitButton>
      </div>
    </form>
  );
}
