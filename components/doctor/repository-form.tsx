'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; enrollmentId: string; repository: string };

/** Where the proof's workflow is, of many repositories. */
export function RepositoryForm({ action, enrollmentId, repository }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-prose gap-3">
      <input type="hidden" name="enrollmentId" value={enrollmentId} />
      {form.error && !form.errorAt('repository') ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="repository"
        label="Repository"
        help="owner/name, within the enrolled scope; empty for none."
        defaultValue={form.valueOf('repository', repository)}
        error={form.errorAt('repository')}
        className="font-mono"
      />
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Keep the repository
        </SubmitButton>
      </div>
    </form>
  );
}
