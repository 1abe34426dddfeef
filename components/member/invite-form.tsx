'use client';

import { useActionState, useEffect, useRef } from 'react';
import type { ActionResult, ActionState } from '#lib/tenant/index.ts';
import { CodeBlock } from '#components/ui/code.tsx';
import { SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Made = { link: string; login: string };
type Props = {
  action: (before: ActionState<unknown>, form: FormData) => Promise<ActionResult<Made>>;
  forges: { id: string; name: string }[];
  labels: Record<'admin' | 'member' | 'billing', string>;
};

/** Makes one link for one account. It is shown here, this once: whoever loses it makes another. */
export function InviteForm({ action, forges, labels }: Props) {
  const [state, submit, pending] = useActionState(action, null);
  const made = useRef<HTMLDivElement>(null);
  const failed = state && !state.ok ? state : null;
  const kept = (name: string, first: string) => (failed ? (failed.values[name] ?? first) : first);
  useEffect(() => {
    if (state?.ok) made.current?.focus();
  }, [state]);
  return (
    <div className="grid gap-4">
      {state?.ok ? (
        <div ref={made} tabIndex={-1} className="grid gap-3">
          <Callout tone="good" role="status" title={`Send this link to ${state.value.login}.`}>
            It is shown this once, counts once, ends in seven days, and serves no other account.
          </Callout>
          <CodeBlock text={state.value.link} label="Invitation" />
        </div>
      ) : null}
      <form action={submit} className="grid gap-4 sm:grid-cols-3" key={failed ? 'again' : 'new'}>
        {failed && !failed.error.fields ? (
          <div className="sm:col-span-3">
            <ErrorCallout error={failed.error} />
          </div>
        ) : null}
        <SelectField
          name="connectionId"
          label="Forge"
          error={failed?.error.fields?.['connectionId']}
          defaultValue={kept('connectionId', forges[0]?.id ?? '')}
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
          error={failed?.error.fields?.['login']}
          defaultValue={kept('login', '')}
          maxLength={255}
          required
        />
        <SelectField name="role" label="Role" defaultValue={kept('role', 'member')}>
          {(['member', 'billing', 'admin'] as const).map((role) => (
            <option key={role} value={role}>
              {labels[role]}
            </option>
          ))}
        </SelectField>
        <div className="sm:col-span-3">
          <SubmitButton pending={pending}>Make an invitation link</SubmitButton>
        </div>
      </form>
    </div>
  );
}
