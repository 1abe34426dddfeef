'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { SelectField, TextAreaField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** The secrets of a cache server. What is left empty stays as it is. */
export function CacheServerForm({ action, server }: { action: FormAction; server: { id: string; algorithm: string } }) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-2xl gap-4" autoComplete="off">
      <input type="hidden" name="serverId" value={server.id} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {form.isDone ? <Callout tone="good" role="status" title="Tried, and kept." /> : null}
      <SelectField
        name="algorithm"
        label="Signed by"
        error={form.errorAt('algorithm')}
        defaultValue={form.valueOf('algorithm', server.algorithm)}
      >
        <option value="HS256">HS256: a shared secret</option>
        <option value="RS256">RS256: a private RSA key</option>
      </SelectField>
      <TextAreaField
        name="signingSecret"
        label="New signing secret (optional)"
        help="As in the server’s configuration: token-hs256-secret-base64, or token-rs256-secret-base64. Empty keeps the one that is there."
        error={form.errorAt('signingSecret')}
        maxLength={20_000}
        className="font-mono"
      />
      <TextField
        type="password"
        name="statisticsUrl"
        label="Connection to its database (optional)"
        help="postgres://… of a role that may only read the tables of Attic. Empty keeps the one that is there."
        error={form.errorAt('statisticsUrl')}
        maxLength={500}
      />
      <div>
        <SubmitButton pending={form.pending}>Try it, and keep it</SubmitButton>
      </div>
    </form>
  );
}
