'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { Field, inputClass } from '#components/ui/field.tsx';
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

type TokenFieldProps = { help: TokenHelp; error: string | undefined; label?: string; id?: string };

/** `id` where a page asks for several. */
export function TokenField({ help, error, label = 'Access token', id = 'token' }: TokenFieldProps) {
  return (
    <Field name={id} label={label} help={<TokenHelpText {...help} />} error={error}>
      <input
        id={id}
        type="password"
        name="token"
        autoComplete="off"
        spellCheck={false}
        maxLength={1000}
        aria-invalid={error ? true : undefined}
        aria-describedby={error ? `${id}-help ${id}-error` : `${id}-help`}
        className={`${inputClass} font-mono`}
      />
    </Field>
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
      <TokenField
        id={`token-${Object.values(fields).join('-')}`}
        help={help}
        error={form.errorAt('token')}
        {...(label === undefined ? {} : { label })}
      />
      <div>
        <SubmitButton pending={form.pending}>{button}</SubmitButton>
      </div>
    </form>
  );
}
