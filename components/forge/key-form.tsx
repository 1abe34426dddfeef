'use client';

import { useActionState } from 'react';
import type { FormAction } from '#components/form/use-action-form.ts';
import { TextAreaField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; fields: Record<string, string>; label: string };

/** Takes a new private key of an App. It is sent once; React empties the form after each answer, a refusal too. */
export function KeyForm({ action, fields, label }: Props) {
  const [state, submit] = useActionState(action, null);
  const error = state && !state.ok ? state.error : null;
  const message = error?.fields?.['privateKey'];
  return (
    <form action={submit} className="grid gap-3" autoComplete="off">
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {error ? <ErrorCallout error={error} /> : null}
      {state?.ok ? (
        <Callout tone="good" role="status" title="GitHub answers to the new key.">
          The clusters are given it now. Delete the old key at GitHub when the enrollments are ready again.
        </Callout>
      ) : null}
      <TextAreaField
        name="privateKey"
        label={label}
        help="Generate a private key in the App’s settings at GitHub and paste the whole file. The old key stays until GitHub has answered to the new one."
        error={message}
        rows={4}
        required
        spellCheck={false}
        autoComplete="off"
        placeholder="-----BEGIN RSA PRIVATE KEY-----"
        className="font-mono text-sm"
      />
      <div>
        <SubmitButton look="secondary">Replace the key</SubmitButton>
      </div>
    </form>
  );
}
