'use client';

import { useState } from 'react';
import clsx from 'clsx';
import { useActionForm, type ActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { FieldError, NumberField } from '#components/ui/field.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

/** A pool as the form counts with it: sizes as plain numbers, so that the rules of quantities stay on the server. */
export type FormPool = {
  name: string;
  description: string;
  label: string;
  size: string;
  cpu: number;
  memoryGib: number;
  storageGib: number;
  pricePerHour: number | null;
  mostRunners: number;
  ready: boolean;
  /** Why it cannot be chosen, as the end of a sentence about it. */
  unready: string | null;
  /** Of a class with a daemon: what it gives and what it costs in isolation. */
  daemon: { title: string; gives: string; costs: string } | null;
  chosen: boolean;
  minRunners: number;
  maxRunners: number;
};

type Amount = { cpu: number; memoryGib: number; storageGib: number; runners: number };

type Props = {
  action: FormAction;
  enrollmentId: string;
  pools: FormPool[];
  quota: Amount;
  /** What the tenant's other enrollments may use out of the same quota. */
  others: Amount;
  currency: string;
  /** The word before the label in a job's file. */
  labelKey: string;
  /** Whether runners can wait before there is a job. */
  mayKeepWarm: boolean;
  canEdit: boolean;
};

type Choice = { chosen: boolean; min: string; max: string };

const hoursPerMonth = 730;

/** Step three: pools and how many runners each may have, with the quota in sight. */
export function PoolsForm(props: Props) {
  const { action, enrollmentId, pools, quota, others, currency, canEdit } = props;
  const form = useActionForm(action);
  const [choices, setChoices] = useState(() => Object.fromEntries(pools.map((pool) => [pool.name, firstChoice(pool)])));
  const change = (name: string, part: Partial<Choice>) =>
    setChoices((all) => ({ ...all, [name]: { ...(all[name] ?? { chosen: false, min: '0', max: '1' }), ...part } }));
  const chosen = pools.filter((pool) => choices[pool.name]?.chosen);
  const together = form.errorAt('pools');
  return (
    <form {...form.form} className="grid items-start gap-6 lg:grid-cols-[1fr_18rem]">
      <input type="hidden" name="enrollmentId" value={enrollmentId} />
      <div className="grid gap-3">
        {form.error ? <ErrorCallout error={form.error} /> : null}
        {together ? <FieldError name="pools" message={together} /> : null}
        {pools.map((pool) => (
          <PoolCard
            key={pool.name}
            pool={pool}
            choice={choices[pool.name] ?? firstChoice(pool)}
            change={(part) => change(pool.name, part)}
            form={form}
            currency={currency}
            labelKey={props.labelKey}
            mayKeepWarm={props.mayKeepWarm}
          />
        ))}
      </div>
      <div className="grid gap-4 rounded-lg border bg-surface p-4 lg:sticky lg:top-6">
        <QuotaMeters used={usedBy(chosen, choices, others)} quota={quota} others={others} />
        <CostLine pools={chosen} choices={choices} currency={currency} />
        <SubmitButton pending={form.pending} disabled={!canEdit}>
          Continue to caches
        </SubmitButton>
        {canEdit ? null : <p className="text-sm text-ink-3">Only an admin of the tenant may change pools.</p>}
      </div>
    </form>
  );
}

function firstChoice({ chosen, minRunners, maxRunners }: FormPool): Choice {
  return { chosen, min: String(minRunners), max: String(maxRunners) };
}

function count(text: string | undefined): number {
  const number = Number(text);
  return Number.isInteger(number) && number > 0 ? number : 0;
}

function usedBy(chosen: FormPool[], choices: Record<string, Choice>, others: Amount): Amount {
  const used = { ...others };
  for (const pool of chosen) {
    const runners = count(choices[pool.name]?.max);
    used.cpu += pool.cpu * runners;
    used.memoryGib += pool.memoryGib * runners;
    used.storageGib += pool.storageGib * runners;
    used.runners += runners;
  }
  return used;
}

function plain(number: number): string {
  return number.toLocaleString('en', { maximumFractionDigits: 1 });
}

function QuotaMeters({ used, quota, others }: { used: Amount; quota: Amount; others: Amount }) {
  return (
    <div className="grid gap-3" aria-live="polite">
      <h2 className="font-semibold">Quota when all run</h2>
      <Meter label="CPU" used={used.cpu} limit={quota.cpu} text={`${plain(used.cpu)} of ${plain(quota.cpu)} cores`} />
      <Meter
        label="Memory"
        used={used.memoryGib}
        limit={quota.memoryGib}
        text={`${plain(used.memoryGib)} of ${plain(quota.memoryGib)} GiB`}
      />
      <Meter
        label="Storage"
        used={used.storageGib}
        limit={quota.storageGib}
        text={`${plain(used.storageGib)} of ${plain(quota.storageGib)} GiB`}
      />
      <Meter label="Runners" used={used.runners} limit={quota.runners} text={`${used.runners} of ${quota.runners}`} />
      {others.runners > 0 ? (
        <p className="text-sm text-ink-3">
          Of it, {others.runners} runners may be used by the tenant’s other enrollments.
        </p>
      ) : null}
    </div>
  );
}

function money(amount: number, currency: string): string {
  const digits = amount !== 0 && Math.abs(amount) < 1 ? 4 : 2;
  return amount.toLocaleString('en', {
    style: 'currency',
    currency,
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
  });
}

function CostLine({
  pools,
  choices,
  currency,
}: {
  pools: FormPool[];
  choices: Record<string, Choice>;
  currency: string;
}) {
  const perMonth = (which: 'min' | 'max') =>
    pools.reduce((sum, pool) => sum + (pool.pricePerHour ?? 0) * count(choices[pool.name]?.[which]), 0) * hoursPerMonth;
  return (
    <div className="grid gap-1 border-t pt-3">
      <h2 className="font-semibold">Cost a month</h2>
      <p className="flex justify-between gap-2">
        <span className="text-ink-2">At least, for warm runners</span>
        <span className="tabular">{money(perMonth('min'), currency)}</span>
      </p>
      <p className="flex justify-between gap-2">
        <span className="text-ink-2">At most, if all always run</span>
        <span className="tabular">{money(perMonth('max'), currency)}</span>
      </p>
      <p className="text-sm text-ink-3">You pay for each second that a runner exists, and for nothing else.</p>
    </div>
  );
}

type CardProps = {
  pool: FormPool;
  choice: Choice;
  change: (part: Partial<Choice>) => void;
  form: ActionForm;
  currency: string;
  labelKey: string;
  mayKeepWarm: boolean;
};

function PoolCard({ pool, choice, change, form, currency, labelKey, mayKeepWarm }: CardProps) {
  const field = `pools.${pool.name}`;
  const error = form.errorAt(field);
  return (
    <fieldset
      className={clsx(
        'group rounded-lg border p-4',
        pool.ready ? 'bg-surface has-checked:border-accent' : 'border-dashed',
      )}
    >
      <legend className="sr-only">{pool.name}</legend>
      <label
        className={clsx(
          'grid grid-cols-[1rem_auto_1fr] items-center gap-x-3 gap-y-1',
          !pool.ready && 'cursor-not-allowed',
        )}
      >
        <input
          type="checkbox"
          name={`${field}.chosen`}
          checked={choice.chosen && pool.ready}
          disabled={!pool.ready}
          onChange={(event) => change({ chosen: event.target.checked })}
          aria-invalid={error ? true : undefined}
          className="size-4 accent-accent"
        />
        <span className="text-lg font-semibold">{pool.name}</span>
        <span className="tabular justify-self-end text-right text-sm text-ink-2">
          {pool.ready ? sizeAndPrice(pool, currency) : <Badge tone="idle">Not available yet</Badge>}
        </span>
        <span className="col-span-2 col-start-2 text-ink-2">
          {pool.description}.{' '}
          {pool.ready ? (
            <>
              Workflows say{' '}
              <code className="font-mono text-sm">
                {labelKey}: {pool.label}
              </code>
            </>
          ) : (
            `It cannot be chosen: it ${pool.unready ?? 'is not ready'}.`
          )}
        </span>
      </label>
      {pool.daemon ? <Daemon {...pool.daemon} /> : null}
      {error ? <FieldError name={field} message={error} /> : null}
      {pool.ready ? <Sizes pool={pool} choice={choice} change={change} form={form} mayKeepWarm={mayKeepWarm} /> : null}
    </fieldset>
  );
}

function Daemon({ title, gives, costs }: NonNullable<FormPool['daemon']>) {
  return (
    <div className="mt-3 grid gap-1 text-sm text-ink-2 sm:ml-7">
      <p>
        <Badge tone="warn">{title}</Badge> {gives}
      </p>
      <p>
        <span className="font-medium">In isolation it costs:</span> {costs}
      </p>
    </div>
  );
}

function sizeAndPrice({ size, pricePerHour }: FormPool, currency: string): string {
  return pricePerHour === null ? size : `${size} · ${money(pricePerHour, currency)} per runner-hour`;
}

function Sizes({ pool, choice, change, form, mayKeepWarm }: Omit<CardProps, 'currency' | 'labelKey'>) {
  const field = `pools.${pool.name}`;
  // Shown by the style sheet alone, so that it also works before the scripts are there; hence nothing is `required`.
  const sizes = { min: 0, max: 1000, step: 1 };
  return (
    <div className="mt-4 hidden items-start gap-4 group-has-checked:grid sm:ml-7 sm:grid-cols-2">
      {mayKeepWarm ? (
        <NumberField
          name={`${field}.minRunners`}
          label="Kept warm"
          unit="runners"
          help="They wait for jobs, and are paid while they wait."
          error={form.errorAt(`${field}.minRunners`)}
          value={choice.min}
          onChange={(event) => change({ min: event.target.value })}
          {...sizes}
        />
      ) : (
        <input type="hidden" name={`${field}.minRunners`} value="0" />
      )}
      <NumberField
        name={`${field}.maxRunners`}
        label="At most"
        unit="runners"
        help={`The quota holds ${pool.mostRunners} of these when nothing else runs.`}
        error={form.errorAt(`${field}.maxRunners`)}
        value={choice.max}
        onChange={(event) => change({ max: event.target.value })}
        {...sizes}
      />
    </div>
  );
}
