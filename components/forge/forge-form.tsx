'use client';

import { useState } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { Mono } from '#components/ui/code.tsx';
import { Field, inputClass, SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = {
  action: FormAction;
  /** Where the forge sends people back to, with `:id` in the place of the connection's id. */
  callback: string;
};

/** Enters a GitLab or a Forgejo: address, OAuth application and, for one's own server, who vouches for it and where runners find it. */
export function ForgeForm({ action, callback }: Props) {
  const form = useActionForm(action);
  const [id, setId] = useState(form.valueOf('connectionId', ''));
  const text = (name: string, label: string, help: string, first = '') => (
    <TextField
      name={name}
      label={label}
      help={help}
      error={form.errorAt(name)}
      defaultValue={form.valueOf(name, first)}
      maxLength={300}
    />
  );
  const caError = form.errorAt('caBundle');
  return (
    <form {...form.form} className="grid max-w-lg gap-4" autoComplete="off">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField name="kind" label="Kind" error={form.errorAt('kind')} defaultValue={form.valueOf('kind', 'gitlab')}>
        <option value="gitlab">GitLab</option>
        <option value="forgejo">Forgejo or Gitea</option>
      </SelectField>
      {text('name', 'Name', 'What people read where they sign in.')}
      <TextField
        name="connectionId"
        label="Id"
        help="Stands in addresses and in the configuration, and never changes."
        error={form.errorAt('connectionId')}
        value={id}
        onChange={(event) => setId(event.target.value)}
        className="font-mono"
        maxLength={60}
      />
      {text('baseUrl', 'Address', 'The forge’s address alone, such as https://gitlab.example.org.')}
      <p className="text-sm text-ink-2">
        Make an OAuth application there, confidential, with this redirect address:{' '}
        <Mono>{callback.replace(':id', id === '' ? 'the-id' : id)}</Mono>. At GitLab its scopes are{' '}
        <Mono>openid read_user read_api</Mono>.
      </p>
      {text('clientId', 'Application ID', 'Of that OAuth application.')}
      <TextField
        type="password"
        name="clientSecret"
        label="Application secret"
        help="Sealed when it is kept, and never shown again."
        error={form.errorAt('clientSecret')}
        maxLength={300}
      />
      <Field
        name="caBundle"
        label="Certificate authority (optional)"
        help="PEM of the authority that vouches for the server, where the system does not know it. A server in a private network must also be named in FLYWHEEL_PRIVATE_HOSTS."
        error={caError}
      >
        <textarea
          id="caBundle"
          name="caBundle"
          rows={3}
          spellCheck={false}
          defaultValue={form.valueOf('caBundle', '')}
          placeholder="-----BEGIN CERTIFICATE-----"
          aria-invalid={caError ? true : undefined}
          aria-describedby={caError ? 'caBundle-help caBundle-error' : 'caBundle-help'}
          className={`${inputClass} py-2 font-mono text-sm`}
        />
      </Field>
      {text(
        'runnerEgress',
        'Runners reach it at (optional)',
        'Runners reach the public internet at 443 alone. For a forge elsewhere: 10.9.8.7/32:8443, or namespace/forge:3000 for one in the same cluster.',
      )}
      <div>
        <SubmitButton pending={form.pending}>Ask it, and enter it</SubmitButton>
      </div>
    </form>
  );
}
