'use client';

import { useEffect, useRef } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { CodeBlock } from '#components/ui/code.tsx';
import { SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = {
  action: FormAction<{ link: string; login: string }>;
  forges: { id: string; name: string }[];
  labels: Record<'admin' | 'member' | 'billing', string>;
};

/** Makes one link for one account. It is shown here, this once: whoever loses it makes another. */
export function InviteForm({ action, forges, labels }: Props) {
  const form = useActionForm(action);
  const { value: made } = form;
  const shown = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (made) shown.current?.focus();
  }, [made]);
  return (
    <div className="grid gap-4">
      {made ? (
        <div ref={shown} tabIndex={-1} className="grid gap-3">
          <Callout tone="good" role="status" title={`Send this link to ${made.login}.`}>
            It is shown this once, counts once, ends in seven days, and serves no other account.
          </Callout>
          <CodeBlock text={made.link} label="Invitation" />
        </div>
      ) : null}
      {/* A new form for the next one: what was typed was for the last. */}
      <form {...form.form} key={made?.link ?? 'first'} className="grid items-start gap-4 sm:grid-cols-3">
        {form.error ? (
          <div className="sm:col-span-3">
            <ErrorCallout error={form.error} />
          </div>
        ) : null}
        <SelectField
          name="connectionId"
          label="Forge"
          error={form.errorAt('connectionId')}
          defaultValue={form.valueOf('connectionId', forges[0]?.id ?? '')}
        >
          {forges.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </SelectField>
        <TextField
          name="login"
          label="Login"
          help="Their account there; nobody else can use the link."
          error={form.errorAt('login')}
          defaultValue={form.valueOf('login', '')}
          maxLength={255}
          required
        />
        <SelectField name="role" label="Role" defaultValue={form.valueOf('role', 'member')}>
          {(['member', 'billing', 'admin'] as const).map((role) => (
            <option key={role} value={role}>
              {labels[role]}
            </option>
          ))}
        </SelectField>
        <div className="sm:col-span-3">
          <SubmitButton pending={form.pending}>Make an invitation link</SubmitButton>
        </div>
      </form>
    </div>
  );
}
