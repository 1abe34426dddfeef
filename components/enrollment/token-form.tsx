'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

export type TokenHelp = { createUrl: string; scopes: string[]; role: string };

/** What to make, and where; the address is the forge's own page for it. */
export function TokenHelpText({ createUrl, scopes, role }: TokenHelp) {
  return (
    <>
      {role} Scopes: <span className="font-mono break-words">{scopes.join(', ')}</span>.{' '}
      <a href={createUrl} target="_blank" rel="noreferrer" className="text-accent underline">
        Make one
      </a>
      . It is sealed when it is kept, and never shown again.
    </>
  );
}

type TokenFieldProps = { help: TokenHelp; error: string | undefined; label?: string };

export function TokenField({ help, error, label = 'Access token' }: TokenFieldProps) {
  return (
    <TextField
      type="password"
      name="token"
      label={label}
      help={<TokenHelpText {...help} />}
      error={error}
      maxLength={1000}
      className="font-mono"
    />
  );
}

type Props = {
  action: FormAction;
  fields: Record<string, string>;
  help: TokenHelp;
  label?: string;
  button: string;
};

/** One access token, entered once. A refused one is not kept in the page either. */
export function TokenForm({ action, fields, help, label, button }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid gap-4">
      {Object.entries(fields).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TokenField help={help} error={form.errorAt('token')} {...(label === undefined ? {} : { label })} />
      <div>
        <SubmitButton pending={form.pending}>{button}</SubmitButton>
      </div>
    </form>
  );
}
