'use client';

import { useState } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, FieldError, NumberField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Attic = 'off' | 'private' | 'public';

type Props = {
  action: FormAction;
  enrollmentId: string;
  viewName: string;
  attic: Attic;
  hasAttic: boolean;
  bazelSizeGib: number | null;
  pools: { name: string; isUntrusted: boolean }[];
  back: string;
  canEdit: boolean;
};

const defaultBazelGib = 20;

/** Step four: which caches, and who may read them. */
export function PlanesForm(props: Props) {
  const { action, enrollmentId, viewName, attic: first, hasAttic, bazelSizeGib, pools, back, canEdit } = props;
  const form = useActionForm(action);
  const [attic, setAttic] = useState<Attic>(first);
  const [bazel, setBazel] = useState(bazelSizeGib !== null);
  const [size, setSize] = useState(String(bazelSizeGib ?? defaultBazelGib));
  const radio = (value: Attic) => ({
    type: 'radio' as const,
    name: 'attic',
    value,
    checked: attic === value,
    // One that was chosen while there was a server is not taken away here.
    disabled: !hasAttic && value !== 'off' && value !== first,
    onChange: () => setAttic(value),
  });
  const atticError = form.errorAt('attic');
  return (
    <form {...form.form} className="grid max-w-3xl gap-8">
      <input type="hidden" name="enrollmentId" value={enrollmentId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <fieldset className="grid gap-3">
        <legend className="mb-1 text-lg font-semibold">Attic, the Nix binary cache</legend>
        <p className="max-w-prose text-ink-2">
          A view named <code className="font-mono text-sm">{viewName}</code>. Store paths are kept once for everybody,
          but a view gives out only what was pushed to it.
        </p>
        {hasAttic ? null : (
          <p className="max-w-prose text-ink-2">
            This cluster has no Attic server yet. An operator enters one; then a view can be chosen here.
          </p>
        )}
        <div className="grid gap-3 sm:grid-cols-3">
          <ChoiceCard {...radio('private')} title="Private">
            Only your runners read and push. Right for most.
          </ChoiceCard>
          <ChoiceCard {...radio('public')} title="Public">
            Anybody can read without a token. Pushing stays yours.
          </ChoiceCard>
          <ChoiceCard {...radio('off')} title="Off">
            Nix jobs build or fetch everything anew.
          </ChoiceCard>
        </div>
        {atticError ? <FieldError name="attic" message={atticError} /> : null}
      </fieldset>
      <fieldset className="group grid gap-3">
        <legend className="mb-1 text-lg font-semibold">Bazel remote cache</legend>
        <p className="max-w-prose text-ink-2">
          A cache of your own in a namespace of its own. No entry is shared with another tenant.
        </p>
        <ChoiceCard
          type="checkbox"
          name="bazel"
          checked={bazel}
          onChange={(event) => setBazel(event.target.checked)}
          title="Run a Bazel cache"
        >
          Your runners get its address and password by themselves.
        </ChoiceCard>
        <div className="hidden group-has-checked:block">
          <NumberField
            name="bazelSizeGib"
            label="Size"
            unit="GiB"
            help="The oldest entries go when it is full."
            error={form.errorAt('bazelSizeGib')}
            value={size}
            onChange={(event) => setSize(event.target.value)}
            min={1}
            max={10_000}
            className="max-w-56"
          />
        </div>
      </fieldset>
      {pools.length > 0 ? <Trust pools={pools} /> : null}
      <div className="grid gap-2">
        <div className="flex flex-wrap gap-2">
          <SubmitButton pending={form.pending} disabled={!canEdit}>
            Make the plan
          </SubmitButton>
          <LinkButton href={back} look="quiet">
            Back to pools
          </LinkButton>
        </div>
        <p className="text-sm text-ink-3">
          The OpenTofu state backend is always the operator’s own and never shared, so there is nothing to choose.
        </p>
      </div>
    </form>
  );
}

/** Which pools take jobs that anybody may have written. */
function Trust({ pools }: Pick<Props, 'pools'>) {
  return (
    <fieldset className="grid gap-3">
      <legend className="mb-1 text-lg font-semibold">Jobs that you do not trust</legend>
      <p className="max-w-prose text-ink-2">
        Jobs of pull requests run what somebody else wrote. In a pool that is marked here they read what your trusted
        jobs made, push to an Attic view of their own, and cannot write to the Bazel cache. Send such jobs to a marked
        pool, and let nobody outside change which pool a workflow names.
      </p>
      <div className="grid gap-3 sm:grid-cols-3">
        {pools.map(({ name, isUntrusted }) => (
          <ChoiceCard
            key={name}
            type="checkbox"
            name="untrusted[]"
            value={name}
            title={<span className="font-mono text-sm break-all">{name}</span>}
            defaultChecked={isUntrusted}
          >
            Its jobs are not trusted.
          </ChoiceCard>
        ))}
      </div>
    </fieldset>
  );
}
