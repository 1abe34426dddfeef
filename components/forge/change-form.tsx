'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, FieldError, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { AuthorityFields } from './authority-fields.tsx';

type Props = {
  action: FormAction;
  forge: { id: string; name: string; kind: string; caBundle: string | null; runnerEgress: string | null };
};

/** What may be changed of a forge that is entered. What is left empty of its secrets stays as it is. */
export function ChangeForm({ action, forge }: Props) {
  const form = useActionForm(action);
  const { id, name, kind, caBundle, runnerEgress } = forge;
  const isGithub = kind === 'github';
  const noHook = form.errorAt('newWebhookSecret');
  return (
    <form {...form.form} className="grid max-w-lg gap-4" autoComplete="off">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <input type="hidden" name="connectionId" value={id} />
      <AuthorityFields form={form} caBundle={caBundle ?? ''} runnerEgress={runnerEgress ?? ''} />
      <TextField
        type="password"
        name="clientSecret"
        label={isGithub ? 'New client secret of the App (optional)' : 'New application secret (optional)'}
        help={`Make it at ${name}, give it here, and end the old one there. It is tried before it is kept; empty keeps the one that is there.`}
        error={form.errorAt('clientSecret')}
        maxLength={300}
      />
      <div className="grid gap-1">
        <ChoiceCard
          type="checkbox"
          name="newWebhookSecret"
          value="yes"
          title="A new webhook secret"
          aria-invalid={noHook ? true : undefined}
          aria-describedby={noHook ? 'newWebhookSecret-error' : undefined}
        >
          {isGithub
            ? 'The portal makes it and gives it to the shared App. Apps of organizations’ own keep theirs.'
            : 'The portal makes it; the webhook of each enrollment is given its own within minutes.'}
        </ChoiceCard>
        {noHook ? <FieldError name="newWebhookSecret" message={noHook} /> : null}
      </div>
      <div className="flex gap-2">
        <SubmitButton pending={form.pending}>Try it, and keep it</SubmitButton>
        <LinkButton href="/operator/forges" look="quiet">
          Leave it as it is
        </LinkButton>
      </div>
    </form>
  );
}
