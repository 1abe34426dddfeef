'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; clusterId: string; bazelUrl: string; bazelReaders: string };

/** By which way the Bazel caches of a cluster are reached, beside the tenants' own runners. */
export function BazelWayForm({ action, clusterId, bazelUrl, bazelReaders }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      <input type="hidden" name="clusterId" value={clusterId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {form.isDone ? <Callout tone="good" role="status" title="Kept." /> : null}
      <TextField
        name="bazelUrl"
        label="Address (optional)"
        help="Where the portal and developers reach a tenant’s cache, with {namespace} in it. Empty: figures are not known."
        error={form.errorAt('bazelUrl')}
        defaultValue={form.valueOf('bazelUrl', bazelUrl)}
        placeholder="https://{namespace}.caches.example.org"
        className="font-mono"
        maxLength={300}
      />
      <TextField
        name="bazelReaders"
        label="Who else may read (optional)"
        help="A range such as 10.20.0.0/16 of a VPN, or namespace/NAME of a gateway or of the portal."
        error={form.errorAt('bazelReaders')}
        defaultValue={form.valueOf('bazelReaders', bazelReaders)}
        className="font-mono"
        maxLength={100}
      />
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Save
        </SubmitButton>
      </div>
    </form>
  );
}
