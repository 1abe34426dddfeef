'use client';

import { useActionForm, type ActionForm, type FormAction } from '#components/form/use-action-form.ts';
import Link from 'next/link';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, SelectField, TextAreaField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

export type PoolFormValues = {
  name: string;
  description: string;
  cpu: string;
  memory: string;
  storage: string;
  image: string;
  imageDigest: string;
  imageBuiltAt: string;
  devices: string;
  needsDevice: boolean;
  runtimeClass: string;
  nodeSelector: string;
  tolerations: string;
  securityClass: string;
  requiresApproval: boolean;
  runnersMost: string;
};

type Props = { action: FormAction; pool: PoolFormValues | null; classes: readonly string[] };
type Fields = { form: ActionForm; pool: PoolFormValues };

const blank: PoolFormValues = {
  name: '',
  description: '',
  cpu: '',
  memory: '',
  storage: '20Gi',
  image: '',
  imageDigest: '',
  imageBuiltAt: '',
  devices: '',
  needsDevice: false,
  runtimeClass: '',
  nodeSelector: '',
  tolerations: '',
  securityClass: 'restricted',
  requiresApproval: false,
  runnersMost: '',
};

/** A pool of the catalog, to be entered or changed. */
export function PoolForm({ action, pool, classes }: Props) {
  const form = useActionForm(action);
  const fields = { form, pool: pool ?? blank };
  return (
    <form {...form.form} className="grid max-w-3xl gap-6" autoComplete="off">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {pool ? (
        <input type="hidden" name="name" value={pool.name} />
      ) : (
        <>
          <input type="hidden" name="isNew" value="yes" />
          <div className="max-w-xs">
            <Text
              {...fields}
              name="name"
              label="Name"
              help="Lower-case letters, digits and hyphens. It is the label."
            />
          </div>
        </>
      )}
      <Text {...fields} name="description" label="For" help="One line that tenants read beside the name." />
      <Size {...fields} />
      <Image {...fields} />
      <Place {...fields} classes={classes} />
      <Terms {...fields} />
      <div className="flex gap-2">
        <SubmitButton pending={form.pending}>Keep the pool</SubmitButton>
        <LinkButton href="/operator/pools" look="quiet">
          Leave it as it is
        </LinkButton>
      </div>
    </form>
  );
}

type TextName = Exclude<keyof PoolFormValues, 'needsDevice' | 'requiresApproval'>;
type FieldProps = Fields & { name: TextName; label: string; help?: string; placeholder?: string; type?: 'date' };

function Text({ form, pool, name, type, ...rest }: FieldProps) {
  const value = form.valueOf(name, pool[name]);
  return (
    <TextField
      name={name}
      error={form.errorAt(name)}
      defaultValue={value}
      maxLength={300}
      {...(type ? { type } : {})}
      {...rest}
    />
  );
}

function Lines({ form, pool, name, ...rest }: Omit<FieldProps, 'type'>) {
  return (
    <TextAreaField
      name={name}
      error={form.errorAt(name)}
      defaultValue={form.valueOf(name, pool[name])}
      maxLength={4000}
      className="font-mono text-sm"
      {...rest}
    />
  );
}

function Size(fields: Fields) {
  return (
    <fieldset className="grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Size of a runner</legend>
      <div className="grid items-start gap-4 sm:grid-cols-3">
        <Text {...fields} name="cpu" label="CPU" placeholder="4" help="Cores. Empty: it cannot be chosen." />
        <Text {...fields} name="memory" label="Memory" placeholder="8Gi" help="With its unit." />
        <Text {...fields} name="storage" label="Work folder" placeholder="20Gi" help="Ephemeral storage." />
      </div>
      <Lines
        {...fields}
        name="devices"
        label="Devices"
        placeholder="nvidia.com/gpu=1"
        help="Resources of device plugins that each runner gets whole, one a line: nvidia.com/gpu=1, devices.kubevirt.io/kvm=1."
      />
      <ChoiceCard
        type="checkbox"
        name="needsDevice"
        value="yes"
        title="Nothing without a device"
        defaultChecked={fields.pool.needsDevice}
      >
        It cannot be chosen until it has one: for GPUs and virtual machines.
      </ChoiceCard>
    </fieldset>
  );
}

function Image(fields: Fields) {
  return (
    <fieldset className="grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Image</legend>
      <Text {...fields} name="image" label="Image and tag" placeholder="ghcr.io/actions/actions-runner:2.333.0" />
      <div className="grid items-start gap-4 sm:grid-cols-[1fr_12rem]">
        <Text
          {...fields}
          name="imageDigest"
          label="Digest (optional)"
          placeholder="sha256:…"
          help="Pins it: whatever the tag says later, runners get this."
        />
        <Text {...fields} name="imageBuiltAt" type="date" label="Built on (optional)" help="For its age." />
      </div>
    </fieldset>
  );
}

function Place({ classes, ...fields }: Fields & { classes: readonly string[] }) {
  const { form, pool } = fields;
  return (
    <fieldset className="grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Where and how it runs</legend>
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <SelectField
          name="securityClass"
          label="Security class"
          help="Restricted pods have no privilege at all. The classes builds and dind are kept here and not served: tenants cannot choose them."
          error={form.errorAt('securityClass')}
          defaultValue={form.valueOf('securityClass', pool.securityClass)}
        >
          {classes.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </SelectField>
        <Text
          {...fields}
          name="runtimeClass"
          label="Runtime class (optional)"
          placeholder="gvisor"
          help="A RuntimeClass of the cluster: gVisor, Kata."
        />
      </div>
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <Lines
          {...fields}
          name="nodeSelector"
          label="Node labels (optional)"
          placeholder="flywheel.dev/class=gpu"
          help="Labels that a node must have, one a line."
        />
        <Lines
          {...fields}
          name="tolerations"
          label="Taints that it bears (optional)"
          placeholder="nvidia.com/gpu=present:NoSchedule"
          help="key, key=value or key=value:Effect, one a line."
        />
      </div>
    </fieldset>
  );
}

function Terms(fields: Fields) {
  return (
    <fieldset className="grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Terms</legend>
      <p className="text-sm text-ink-2">
        What a runner costs stands in the{' '}
        <Link className="underline" href="/operator/rates">
          rate card
        </Link>
        .
      </p>
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <Text
          {...fields}
          name="runnersMost"
          label="Most runners a tenant (optional)"
          help="Over all of a tenant’s enrollments; empty leaves it to the quota."
        />
      </div>
      <ChoiceCard
        type="checkbox"
        name="requiresApproval"
        value="yes"
        title="An operator grants it"
        defaultChecked={fields.pool.requiresApproval}
      >
        Scarce or powerful: a plan with it waits for an operator.
      </ChoiceCard>
    </fieldset>
  );
}
