'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ChoiceCard, NumberField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Settings = { isPublic: boolean; priority: number; upstreamKeys: string[]; retentionDays: number | null };

type Props = {
  action: FormAction;
  /** What it is now; nothing for a new one. */
  view?: Settings & { id: string; isEnrolled: boolean };
  /** The tenant's slug, before the name of a new one. */
  prefix: string;
  first: Settings;
};

/** A further view of the tenant's, or another setting of one. */
export function ViewForm({ action, view, prefix, first }: Props) {
  const form = useActionForm(action);
  const { isPublic, priority, upstreamKeys, retentionDays } = view ?? first;
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      {view ? <input type="hidden" name="viewId" value={view.id} /> : null}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {form.isDone ? (
        <Callout
          tone="good"
          role="status"
          title={view ? 'Kept. The server is told now.' : 'Asked for. The server makes it now.'}
        />
      ) : null}
      {view ? null : (
        <>
          <TextField
            name="label"
            label="Name"
            help={`The view is called ${prefix}+ and this: lower-case letters, digits and hyphens, at most 19.`}
            error={form.errorAt('label')}
            defaultValue={form.valueOf('label', '')}
            className="font-mono"
            maxLength={19}
            required
          />
          <fieldset className="grid gap-2">
            <legend className="mb-2 font-medium">Whose jobs push to it</legend>
            <div className="grid gap-2 sm:grid-cols-2">
              <ChoiceCard type="radio" name="trust" value="trusted" title="Trusted" defaultChecked className="p-3">
                Trusted jobs push to it; all your runners read it.
              </ChoiceCard>
              <ChoiceCard type="radio" name="trust" value="untrusted" title="Not trusted" className="p-3">
                Only pools that are not trusted push to it and read it.
              </ChoiceCard>
            </div>
          </fieldset>
        </>
      )}
      {view?.isEnrolled ? null : (
        <ChoiceCard
          type="checkbox"
          name="isPublic"
          value="yes"
          title="Public"
          defaultChecked={isPublic}
          className="p-3"
        >
          Anybody may read it without a token. Pushing stays yours.
        </ChoiceCard>
      )}
      <div className="grid gap-4 sm:grid-cols-2">
        <NumberField
          name="priority"
          label="Priority"
          unit=""
          help="Lower is asked first; cache.nixos.org has 40."
          error={form.errorAt('priority')}
          defaultValue={form.valueOf('priority', String(priority))}
          min={0}
          max={1000}
          required
        />
        <NumberField
          name="retentionDays"
          label="Retention"
          unit="days"
          help="Empty is the server’s own, 0 keeps for ever."
          error={form.errorAt('retentionDays')}
          defaultValue={form.valueOf('retentionDays', retentionDays === null ? '' : String(retentionDays))}
          min={0}
          max={24_855}
        />
      </div>
      <TextField
        name="upstreamKeys"
        label="Upstream keys"
        help="Paths that one of these signed are not pushed, since every client has them from there."
        error={form.errorAt('upstreamKeys')}
        defaultValue={form.valueOf('upstreamKeys', upstreamKeys.join(' '))}
        className="font-mono"
        maxLength={1000}
      />
      <div>
        <SubmitButton pending={form.pending} look={view ? 'primary' : 'secondary'}>
          {view ? 'Save' : 'Make the view'}
        </SubmitButton>
      </div>
    </form>
  );
}
