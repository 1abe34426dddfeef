'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { CodeBlock } from '#components/ui/code.tsx';
import { ChoiceCard, FieldError, NumberField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; scopes: { name: string; words: string }[]; daysMost: number; portalUrl: string };

type Made = { name: string; token: string; expiresAt: string };

function madeOf(value: unknown): Made | null {
  const { name, token, expiresAt } = (value ?? {}) as Partial<Made>;
  return name && token && expiresAt ? { name, token, expiresAt } : null;
}

/** A token of the API, shown once. */
export function ApiTokenForm({ action, scopes, daysMost, portalUrl }: Props) {
  const form = useActionForm(action);
  const made = madeOf(form.value);
  if (made) return <TokenOnce made={made} portalUrl={portalUrl} />;
  const scopesError = form.errorAt('scopes');
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField
          name="name"
          label="Name"
          help="What uses it, such as: nightly report."
          error={form.errorAt('name')}
          defaultValue={form.valueOf('name', '')}
          maxLength={80}
          required
        />
        <NumberField
          name="days"
          label="Good for"
          unit="days"
          help={`At most ${daysMost}.`}
          error={form.errorAt('days')}
          defaultValue={form.valueOf('days', '90')}
          min={1}
          max={daysMost}
          required
        />
      </div>
      <fieldset className="grid gap-2" aria-invalid={scopesError ? true : undefined} tabIndex={-1}>
        <legend className="mb-2 font-medium">What it may</legend>
        {scopesError ? <FieldError name="scopes" message={scopesError} /> : null}
        <div className="grid gap-2 sm:grid-cols-2">
          {scopes.map(({ name, words }, index) => (
            <ChoiceCard
              key={name}
              type="checkbox"
              name="scopes[]"
              value={name}
              title={<span className="font-mono">{name}</span>}
              defaultChecked={index === 0}
              className="p-3"
            >
              {`${words.charAt(0).toUpperCase()}${words.slice(1)}.`}
            </ChoiceCard>
          ))}
        </div>
      </fieldset>
      <div>
        <SubmitButton pending={form.pending}>Make the token</SubmitButton>
      </div>
    </form>
  );
}

function TokenOnce({ made: { name, token, expiresAt }, portalUrl }: { made: Made; portalUrl: string }) {
  return (
    <Callout tone="good" role="status" title="Copy the token now: it is not shown again.">
      <p className="mb-3">{`${name} ends on ${expiresAt.slice(0, 16).replace('T', ' ')} UTC.`}</p>
      <div className="grid gap-3">
        <CodeBlock text={token} label="Token" copy="Copy the token" />
        <CodeBlock
          text={`export FLYWHEEL_TOKEN=${token}\ncurl -H "Authorization: Bearer $FLYWHEEL_TOKEN" ${portalUrl}/api/v1/me`}
          label="In a shell"
          copy="Copy the commands"
        />
      </div>
    </Callout>
  );
}
