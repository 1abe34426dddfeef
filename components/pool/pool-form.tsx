'use client';

import { useActionForm, type ActionForm, type FormAction } from '#components/form/use-action-form.ts';
import Link from 'next/link';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, FieldError, SelectField, TextAreaField, TextField } from '#components/ui/field.tsx';
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
  kernel: string;
  nodeSelector: string;
  tolerations: string;
  securityClass: string;
  daemonImage: string;
  requiresApproval: boolean;
  runnersMost: string;
};

/** A security class, and what it gives and costs in words. */
export type ClassChoice = { value: string; title: string; gives: string; costs: string };

type Props = { action: FormAction; pool: PoolFormValues | null; classes: readonly ClassChoice[] };
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
  kernel: '',
  nodeSelector: '',
  tolerations: '',
  securityClass: 'restricted',
  daemonImage: '',
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
      <Isolation {...fields} classes={classes} />
      <Place {...fields} />
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

/** What a runner may, told before it is chosen. The daemon's image is asked for where the class has one. */
function Isolation({ classes, ...fields }: Fields & { classes: readonly ClassChoice[] }) {
  const { form, pool } = fields;
  const chosen = form.valueOf('securityClass', pool.securityClass);
  const error = form.errorAt('securityClass');
  return (
    <fieldset className="group grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Security class</legend>
      {error ? <FieldError name="securityClass" message={error} /> : null}
      <div className="grid gap-3">
        {classes.map(({ value, title, gives, costs }) => (
          <ChoiceCard
            key={value}
            type="radio"
            name="securityClass"
            value={value}
            title={title}
            defaultChecked={value === chosen}
          >
            <span className="block">{gives}</span>
            <span className="mt-1 block">
              <span className="font-medium">In isolation it costs:</span> {costs}
            </span>
          </ChoiceCard>
        ))}
      </div>
      <div className="hidden group-has-[[value=builds]:checked]:block group-has-[[value=dind]:checked]:block">
        <Text
          {...fields}
          name="daemonImage"
          label="Image of the daemon"
          placeholder="docker.io/moby/buildkit:v0.34.2-rootless@sha256:…"
          help="By its digest: a rootless BuildKit for builds, Docker’s dind image for Docker in Docker. The cluster lets off no other image."
        />
        <p className="mt-3 text-sm text-ink-2">
          A quarter of the runner’s size is the runner’s own, the rest is the daemon’s.
          <span className="hidden group-has-[[value=dind]:checked]:inline">
            {' '}
            Below, name a runtime class that makes virtual machines, a label of the nodes that are its own, and their
            taint.
          </span>
        </p>
      </div>
    </fieldset>
  );
}

const kernels = [
  { value: '', title: 'The node’s (runc)' },
  { value: 'sandbox', title: 'Its own, in a sandbox (gVisor)' },
  { value: 'machine', title: 'Its own, in a virtual machine (Kata Containers)' },
];

function Place(fields: Fields) {
  const { form, pool } = fields;
  return (
    <fieldset className="grid gap-4">
      <legend className="mb-3 text-lg font-semibold">Where and how it runs</legend>
      <div className="grid items-start gap-4 sm:grid-cols-2">
        <Text
          {...fields}
          name="runtimeClass"
          label="Runtime class (optional)"
          placeholder="gvisor"
          help="A RuntimeClass of the cluster: gVisor, Kata."
        />
        <SelectField
          name="kernel"
          label="Kernel of a pod in it"
          help="As you state it. A pod on the node’s kernel has a user namespace, which only runc serves: gVisor and Kata start none that has one."
          error={form.errorAt('kernel')}
          defaultValue={form.valueOf('kernel', pool.kernel)}
        >
          {kernels.map(({ value, title }) => (
            <option key={value} value={value}>
              {title}
            </option>
          ))}
        </SelectField>
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
