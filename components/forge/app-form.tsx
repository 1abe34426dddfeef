'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { AuthorityFields } from './authority-fields.tsx';

type Props = {
  action: FormAction;
  /** The forge that gets the App; without it, one is entered with its App. */
  connectionId?: string;
};

/** Sends the operator to GitHub, which makes the App; no key is copied by hand. */
export function AppForm({ action, connectionId }: Props) {
  const form = useActionForm(action);
  const field = (name: string, label: string, help: string, first = '') => (
    <TextField
      name={name}
      label={label}
      help={help}
      error={form.errorAt(name)}
      defaultValue={form.valueOf(name, first)}
      maxLength={200}
    />
  );
  return (
    <form {...form.form} className="grid max-w-lg gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {connectionId === undefined ? (
        <>
          {field('name', 'Name', 'What people read where they sign in.', 'GitHub')}
          {field('connectionId', 'Id', 'Stands in addresses and in the configuration, and never changes.', 'github')}
          {field('baseUrl', 'Address', 'The forge’s address alone.', 'https://github.com')}
          <AuthorityFields form={form} />
        </>
      ) : (
        <input type="hidden" name="connectionId" value={connectionId} />
      )}
      {field('organization', 'Organization', 'Who is to own the App at GitHub; empty for your own account.')}
      <div>
        <SubmitButton pending={form.pending}>Create the GitHub App</SubmitButton>
      </div>
    </form>
  );
}
