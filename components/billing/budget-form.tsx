'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ChoiceCard, NumberField, SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

type Props = { action: FormAction; currency: string; teams: { slug: string; name: string }[]; steps: string[] };

export function BudgetForm({ action, currency, teams, steps }: Props) {
  const form = useActionForm(action);
  const field = (name: string, first = '') => ({
    name,
    error: form.errorAt(name),
    defaultValue: form.valueOf(name, first),
  });
  return (
    <form {...form.form} className="grid max-w-2xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <div className="grid gap-4 sm:grid-cols-2">
        <TextField {...field('name')} label="Name" maxLength={80} required />
        <NumberField {...field('amount')} label="Amount a month" unit={currency} min="0.01" step="0.01" required />
        {teams.length > 0 ? (
          <SelectField {...field('team')} label="Whose cost">
            <option value="">This tenant and all below it</option>
            {teams.map(({ slug, name }) => (
              <option key={slug} value={slug}>
                {name}
              </option>
            ))}
          </SelectField>
        ) : null}
        <TextField
          {...field('repository')}
          label="Repository"
          help="Empty for all of them; else owner/name."
          maxLength={300}
        />
        <TextField
          {...field('thresholds', '50, 80, 100')}
          label="Tell at (percent)"
          help="Whole numbers, separated by commas."
        />
      </div>
      <ChoiceCard
        type="checkbox"
        name="isLimit"
        title="Hold runners back when it is spent"
        defaultChecked={form.valueOf('isLimit', '') === 'on'}
      >
        {steps.join('; ')}. Each step is told of before it is taken, nothing is removed, and raising the budget undoes
        it at once.
      </ChoiceCard>
      <div>
        <SubmitButton pending={form.pending}>Add the budget</SubmitButton>
      </div>
    </form>
  );
}

/** Another amount for a budget that is there. */
export function AmountForm({
  action,
  budgetId,
  name,
  amount,
  currency,
}: {
  action: FormAction;
  budgetId: string;
  name: string;
  amount: string;
  currency: string;
}) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="flex flex-wrap items-end gap-2">
      <input type="hidden" name="budgetId" value={budgetId} />
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <NumberField
        name="amount"
        label={
          <>
            Amount<span className="sr-only"> of {name}</span>
          </>
        }
        unit={currency}
        min="0.01"
        step="0.01"
        error={form.errorAt('amount')}
        defaultValue={form.valueOf('amount', amount)}
        className="w-44"
        required
      />
      <SubmitButton pending={form.pending} look="secondary">
        Change<span className="sr-only"> {name}</span>
      </SubmitButton>
    </form>
  );
}
