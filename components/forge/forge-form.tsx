'use client';

import { useState } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { Mono } from '#components/ui/code.tsx';
import { SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { AuthorityFields } from './authority-fields.tsx';

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
      <AuthorityFields form={form} />
      <div>
        <SubmitButton pending={form.pending}>Ask it, and enter it</SubmitButton>
      </div>
    </form>
  );
}
