'use client';

import clsx from 'clsx';
import type { Member } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { buttonClass } from '#components/ui/button.tsx';
import { inputClass } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; member: Member; labels: Record<'admin' | 'member' | 'billing', string> };

/** Folded away until somebody wants it: most look at this page to read. */
export function RoleForm({ action, member, labels }: Props) {
  const { name, role } = member;
  return (
    <details className="group/role">
      <summary
        className={clsx(buttonClass('secondary', true), 'cursor-pointer list-none [&::-webkit-details-marker]:hidden')}
      >
        Change<span className="sr-only"> the role of {name}</span>
      </summary>
      <div className="mt-2 grid w-64 gap-3">
        <Choice action={action} member={member} labels={labels} />
        {role === null ? null : <Removal action={action} member={member} />}
      </div>
    </details>
  );
}

function Removal({ action, member }: Pick<Props, 'action' | 'member'>) {
  const { userId, name, source } = member;
  return (
    <>
      <ButtonForm action={action} fields={{ userId, role: 'none' }} look="danger" small>
        {source === 'forge' ? 'Keep out' : 'Remove'} <span className="sr-only">{name}</span>
      </ButtonForm>
      <p className="text-sm text-ink-3">
        {source === 'forge'
          ? 'The forge counts them in; keeping them out holds until somebody here lets them in again.'
          : 'They lose access at once. To come back they need a new invitation.'}
      </p>
    </>
  );
}

function Choice({ action, member, labels }: Props) {
  const form = useActionForm(action);
  const { userId, name, source, role, override, told } = member;
  const follows = source === 'forge';
  const best = told.some((each) => each.role === 'admin') ? 'admin' : 'member';
  const now = follows && override === null ? 'forge' : (role ?? 'none');
  return (
    <form {...form.form} className="grid gap-2">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <input type="hidden" name="userId" value={userId} />
      <div className="flex gap-2">
        <select
          name="role"
          aria-label={`Role of ${name}`}
          defaultValue={form.valueOf('role', now)}
          className={clsx(inputClass, 'min-h-7 px-2')}
        >
          {follows ? <option value="forge">{`As on the forge (${labels[best]})`}</option> : null}
          {role === null ? <option value="none">No access</option> : null}
          {Object.entries(labels).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <SubmitButton small pending={form.pending} look="secondary">
          Set
        </SubmitButton>
      </div>
    </form>
  );
}
