'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { CodeBlock } from '#components/ui/code.tsx';
import { ChoiceCard, FieldError, NumberField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = {
  action: FormAction;
  views: { id: string; name: string; isPublic: boolean }[];
  daysMost: number;
  mayPush: boolean;
};

type Made = { token: string; expiresAt: string; netrc: string; nixConf: string; shell: string };

function madeOf(value: unknown): Made | null {
  const { token, expiresAt, netrc, nixConf, shell } = (value ?? {}) as Partial<Made>;
  return token && expiresAt && netrc && nixConf && shell ? { token, expiresAt, netrc, nixConf, shell } : null;
}

/** A token of one's own, shown once. */
export function CacheTokenForm({ action, views, daysMost, mayPush }: Props) {
  const form = useActionForm(action);
  const made = madeOf(form.value);
  if (made) return <TokenOnce made={made} />;
  const viewsError = form.errorAt('viewIds');
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <fieldset className="grid gap-2" aria-invalid={viewsError ? true : undefined} tabIndex={-1}>
        <legend className="mb-2 font-medium">For which views</legend>
        {viewsError ? <FieldError name="viewIds" message={viewsError} /> : null}
        <div className="grid gap-2 sm:grid-cols-2">
          {views.map(({ id, name, isPublic }, index) => (
            <ChoiceCard
              key={id}
              type="checkbox"
              name="viewIds[]"
              value={id}
              title={<span className="font-mono break-all">{name}</span>}
              defaultChecked={index === 0}
              className="p-3"
            >
              {isPublic ? 'Public: reading needs no token.' : 'Private.'}
            </ChoiceCard>
          ))}
        </div>
      </fieldset>
      {mayPush ? (
        <ChoiceCard type="checkbox" name="write" value="yes" title="May push as well" className="p-3">
          Without it the token reads, and no more.
        </ChoiceCard>
      ) : null}
      <div className="grid gap-4 sm:grid-cols-2">
        <NumberField
          name="days"
          label="Good for"
          unit="days"
          help={`At most ${daysMost}: nothing but its end ends a token.`}
          error={form.errorAt('days')}
          defaultValue={form.valueOf('days', '7')}
          min={1}
          max={daysMost}
          required
        />
        <TextField
          name="usedIn"
          label="Where you use it"
          help="So that it is found again, such as: laptop."
          error={form.errorAt('usedIn')}
          defaultValue={form.valueOf('usedIn', '')}
          maxLength={80}
          required
        />
      </div>
      <div>
        <SubmitButton pending={form.pending}>Make the token</SubmitButton>
      </div>
    </form>
  );
}

function TokenOnce({ made: { token, expiresAt, netrc, nixConf, shell } }: { made: Made }) {
  return (
    <Callout tone="good" role="status" title="Copy the token now: it is not shown again.">
      <p className="mb-3">{`It ends on ${expiresAt.slice(0, 16).replace('T', ' ')} UTC, and nothing can end it before.`}</p>
      <div className="grid gap-3">
        <CodeBlock text={token} label="Token" copy="Copy the token" />
        <CodeBlock text={netrc} label="netrc" copy="Copy netrc" />
        <CodeBlock text={nixConf} label="nix.conf" copy="Copy nix.conf" />
        <CodeBlock text={shell} label="Attic’s own client" copy="Copy the commands" />
      </div>
    </Callout>
  );
}
