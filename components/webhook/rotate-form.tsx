'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { secretOf, SecretOnce } from './secret-once.tsx';

/** Makes a new secret and shows it once. */
export function RotateForm({ action, endpointId }: { action: FormAction; endpointId: string }) {
  const form = useActionForm(action);
  const secret = secretOf(form.value);
  return (
    <form {...form.form} className="grid max-w-2xl gap-3">
      <input type="hidden" name="endpointId" value={endpointId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {secret ? (
        <SecretOnce secret={secret}>
          For a day every message carries a signature of the old secret too, so that the receiver can change over
          without a gap.
        </SecretOnce>
      ) : null}
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Rotate the secret
        </SubmitButton>
      </div>
    </form>
  );
}
