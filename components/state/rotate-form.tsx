'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { CredentialOnce, onceOf } from './credential-once.tsx';

type Props = { action: FormAction; stack: string; credentialId: string; name: string };

/** Makes a new secret of a credential and shows it once. */
export function RotateForm({ action, stack, credentialId, name }: Props) {
  const form = useActionForm(action);
  const once = onceOf(form.value);
  return (
    <form {...form.form} className="grid gap-3">
      <input type="hidden" name="stack" value={stack} />
      <input type="hidden" name="credentialId" value={credentialId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {once ? (
        <CredentialOnce once={once}>
          The secret before it counts for a day too, so that what runs comes to its end.
        </CredentialOnce>
      ) : null}
      <div>
        <SubmitButton pending={form.pending} look="secondary" small>
          Rotate<span className="sr-only"> {name}</span>
        </SubmitButton>
      </div>
    </form>
  );
}
