'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { Button } from '#components/ui/button.tsx';
import { SelectField, TextAreaField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Choice = { value: string; label: string };
export type RateDraft = {
  meter: string;
  pool: string;
  currency: string;
  unitPrice: string;
  tiers: string;
  validFrom: string;
};

type RateProps = { action: FormAction; path: string; draft: RateDraft; meters: Choice[]; pools: string[] };

/** One form, two buttons: the first leads to this page again with what was typed in the address, the second enters the price. */
export function RateForm({ action, path, draft, meters, pools }: RateProps) {
  const form = useActionForm(action);
  const field = (name: keyof RateDraft) => ({
    name,
    error: form.errorAt(name),
    defaultValue: form.valueOf(name, draft[name]),
  });
  return (
    <form {...form.form} className="grid max-w-3xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <div className="grid gap-4 sm:grid-cols-3">
        <SelectField {...field('meter')} label="What">
          {meters.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </SelectField>
        <SelectField {...field('pool')} label="Pool">
          <option value="">Any, or none</option>
          {pools.map((pool) => (
            <option key={pool}>{pool}</option>
          ))}
        </SelectField>
        <TextField {...field('currency')} label="Currency" maxLength={3} required />
        <TextField
          {...field('unitPrice')}
          label="Price of one unit"
          help="Up to 12 digits behind the point."
          inputMode="decimal"
          required
        />
        <TextField {...field('validFrom')} type="date" label="From (UTC)" help="Tomorrow at the earliest." required />
      </div>
      <TextAreaField
        {...field('tiers')}
        label="Tiers"
        help="A line for each: from which quantity of a tenant’s month on, and the price of one from there. Empty for none."
        placeholder="1000000 0.00002"
      />
      <div className="flex flex-wrap gap-2">
        <Button onClick={(event) => lead(event.currentTarget.form, path)}>Preview on last month</Button>
        <SubmitButton pending={form.pending}>Enter the price</SubmitButton>
      </div>
    </form>
  );
}

function lead(form: HTMLFormElement | null, path: string): void {
  if (!form?.reportValidity()) return;
  const typed = [...new FormData(form)].flatMap(([name, value]) =>
    typeof value === 'string' && !name.startsWith('$') ? [[name, value] as [string, string]] : [],
  );
  location.assign(`${path}?${new URLSearchParams(typed).toString()}`);
}

export function AgreementForm({ action, tenants, period }: { action: FormAction; tenants: Choice[]; period: string }) {
  const form = useActionForm(action);
  const field = (name: string, first: string) => ({
    name,
    error: form.errorAt(name),
    defaultValue: form.valueOf(name, first),
  });
  return (
    <form {...form.form} className="grid max-w-3xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <div className="grid gap-4 sm:grid-cols-4">
        <SelectField {...field('tenant', '')} label="Tenant">
          {tenants.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </SelectField>
        <TextField {...field('period', period)} label="From the month" placeholder="2026-12" required />
        <TextField {...field('discountPercent', '0')} label="Discount (percent)" inputMode="decimal" required />
        <TextField {...field('committedAmount', '0')} label="At least a month" inputMode="decimal" required />
      </div>
      <div>
        <SubmitButton pending={form.pending}>Agree</SubmitButton>
      </div>
    </form>
  );
}

export function IdleRuleForm({
  action,
  pool,
  idle,
  rules,
}: {
  action: FormAction;
  pool: string;
  idle: string;
  rules: Choice[];
}) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="flex flex-wrap items-end gap-2">
      <input type="hidden" name="pool" value={pool} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SelectField name="idle" label={<>Idle time of {pool}</>} defaultValue={form.valueOf('idle', idle)}>
        {rules.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </SelectField>
      <SubmitButton pending={form.pending} look="secondary">
        Set<span className="sr-only"> for {pool}</span>
      </SubmitButton>
    </form>
  );
}

/** A tag of a tenant's own. */
export function TagForm({ action }: { action: FormAction }) {
  const form = useActionForm(action);
  const field = (name: string) => ({ name, error: form.errorAt(name), defaultValue: form.valueOf(name, '') });
  return (
    <form {...form.form} className="grid max-w-3xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <div className="grid gap-4 sm:grid-cols-3">
        <TextField {...field('key')} label="Tag" placeholder="cost-center" maxLength={100} required />
        <TextField {...field('value')} label="Value" maxLength={300} required />
        <TextField
          {...field('repository')}
          label="Only of the repository"
          help="Empty for the whole tenant."
          maxLength={300}
        />
      </div>
      <div>
        <SubmitButton pending={form.pending} look="secondary">
          Set the tag
        </SubmitButton>
      </div>
    </form>
  );
}
