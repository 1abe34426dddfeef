'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; cluster: string; cpu: string | null; memory: string | null };

/** What all tenants of a cluster may be given together, as its operator knows it. */
export function CapacityForm({ action, cluster, cpu, memory }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="flex flex-wrap items-start gap-3">
      <input type="hidden" name="clusterId" value={cluster} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <TextField
        name="cpu"
        label={<Named what="CPU" cluster={cluster} />}
        error={form.errorAt('cpu')}
        defaultValue={form.valueOf('cpu', cpu ?? '')}
        className="w-28"
        required
      />
      <TextField
        name="memory"
        label={<Named what="Memory" cluster={cluster} />}
        error={form.errorAt('memory')}
        defaultValue={form.valueOf('memory', memory ?? '')}
        className="w-28"
        required
      />
      <div className="pt-6">
        <SubmitButton pending={form.pending} look="secondary">
          <Named what="Enter" cluster={cluster} />
        </SubmitButton>
      </div>
    </form>
  );
}

/** Said in full to who cannot see whose row it stands in. */
function Named({ what, cluster }: { what: string; cluster: string }) {
  return (
    <>
      {what}
      <span className="sr-only"> of {cluster}</span>
    </>
  );
}
