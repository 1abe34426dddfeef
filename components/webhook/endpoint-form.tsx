'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ChoiceCard, FieldError, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { secretOf, SecretOnce } from './secret-once.tsx';

type Props = {
  action: FormAction;
  kinds: { kind: string; label: string }[];
  /** What it is now; nothing for a new one. */
  first?: { endpointId: string; url: string; kinds: string[] };
  /** How many there may be, where there are so many already. */
  full?: number | false;
};

/** Where notices are sent, and which. A new endpoint's secret is shown in the answer. */
export function EndpointForm({ action, kinds, first, full = false }: Props) {
  const form = useActionForm(action);
  const secret = secretOf(form.value);
  const kindsError = form.errorAt('kinds');
  if (secret && !first)
    return (
      <SecretOnce secret={secret}>
        The webhook is added. Give its receiver this secret, then open the webhook above and send a test.
      </SecretOnce>
    );
  if (full !== false) return <p className="text-ink-2">{`A tenant has at most ${full}. Remove one to add another.`}</p>;
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      {first ? <input type="hidden" name="endpointId" value={first.endpointId} /> : null}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {form.isDone ? <Callout tone="good" role="status" title="Saved." /> : null}
      <TextField
        type="url"
        name="url"
        label="Address"
        help="A public https address. Redirects are not followed, and an answer must come within ten seconds."
        error={form.errorAt('url')}
        defaultValue={form.valueOf('url', first?.url ?? '')}
        placeholder="https://hooks.example.org/flywheel"
        maxLength={500}
        required
      />
      <fieldset
        className="grid gap-2"
        aria-describedby={kindsError ? 'kinds-error' : undefined}
        aria-invalid={kindsError ? true : undefined}
        tabIndex={-1}
      >
        <legend className="mb-2 font-medium">What is sent</legend>
        {kindsError ? <FieldError name="kinds" message={kindsError} /> : null}
        <div className="grid gap-2 sm:grid-cols-2">
          {kinds.map(({ kind, label }) => (
            <ChoiceCard
              key={kind}
              type="checkbox"
              name="kinds[]"
              value={kind}
              title={label}
              defaultChecked={first ? first.kinds.includes(kind) : true}
              className="p-3"
            >
              <span className="font-mono">{kind}</span>
            </ChoiceCard>
          ))}
        </div>
      </fieldset>
      <div>
        <SubmitButton pending={form.pending} look={first ? 'secondary' : 'primary'}>
          {first ? 'Save' : 'Add the webhook'}
        </SubmitButton>
      </div>
    </form>
  );
}
