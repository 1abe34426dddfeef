'use client';

import type { ClusterRow } from '#lib/tenancy/index.ts';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { NumberField, SelectField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type StateProps = { action: FormAction; cluster: string; state: ClusterRow['state'] };

/** Whether new tenants are placed on a cluster. It moves nobody. */
export function ClusterStateForm({ action, cluster, state }: StateProps) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      <input type="hidden" name="clusterId" value={cluster} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField
        // What was set is what it shows, whoever set it.
        key={state}
        name="state"
        label="New tenants"
        help="What stands here stays in any case. Draining says that it is to be moved, and moves nothing by itself."
        error={form.errorAt('state')}
        defaultValue={form.valueOf('state', state)}
      >
        <option value="open">Open: they may be placed here</option>
        <option value="closed">Closed: none is placed here</option>
        <option value="draining">Draining: none is placed here, and all are to be moved</option>
      </SelectField>
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Set
        </SubmitButton>
      </div>
    </form>
  );
}

type MoveProps = {
  action: FormAction;
  /** Those that may be moved: the topmost, which are not moving. */
  tenants: { slug: string; displayName: string }[];
  targets: { id: string; name: string }[];
};

/** Asks for the plan of a move, which is read before anything is done. */
export function PlanMoveForm({ action, tenants, targets }: MoveProps) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-md gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField
        name="slug"
        label="Tenant"
        help="It moves with all tenants below it."
        error={form.errorAt('slug')}
        defaultValue={form.valueOf('slug', tenants[0]?.slug ?? '')}
      >
        {tenants.map(({ slug, displayName }) => (
          <option key={slug} value={slug}>
            {displayName} ({slug})
          </option>
        ))}
      </SelectField>
      <SelectField
        name="toClusterId"
        label="To"
        error={form.errorAt('toClusterId')}
        defaultValue={form.valueOf('toClusterId', targets[0]?.id ?? '')}
      >
        {targets.map(({ id, name }) => (
          <option key={id} value={id}>
            {name} ({id})
          </option>
        ))}
      </SelectField>
      <NumberField
        name="limitMinutes"
        label="Jobs may go on here for"
        help="After the other cluster has taken over. What still runs then is ended. A week, 10080 minutes, at most."
        unit="min"
        min={0}
        max={10_080}
        error={form.errorAt('limitMinutes')}
        defaultValue={form.valueOf('limitMinutes', '360')}
        className="w-40"
        required
      />
      {form.error?.code === 'conflict' ? (
        <label className="flex items-start gap-2">
          <input type="checkbox" name="beyondCapacity" className="mt-1 size-4 accent-accent" />
          It may be more than the cluster holds.
        </label>
      ) : null}
      <div>
        <SubmitButton pending={form.pending} look="primary">
          Plan the move
        </SubmitButton>
      </div>
    </form>
  );
}
