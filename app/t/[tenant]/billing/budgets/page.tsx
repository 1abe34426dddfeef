import type { Metadata } from 'next';
import { limitSteps, listBudgets, teamsBelow, type BudgetRow } from '#lib/billing/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { BillingTabs, tenantTabs } from '#components/billing/billing-tabs.tsx';
import { AmountForm, BudgetForm } from '#components/billing/budget-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { money } from '../../../../money.ts';
import { tenantTitle } from '../../title.ts';
import { add, change, lift, remove } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Budgets', props.params);
}

function answerOf(budgets: BudgetRow[]): string {
  const [fullest] = budgets.toSorted((a, b) => b.percent - a.percent);
  if (!fullest) return 'Nobody is told when much is spent: there is no budget yet.';
  const holding = budgets.filter(({ step }) => step > 0).length;
  const held = holding > 0 ? ` ${holding === 1 ? 'One holds' : `${holding} hold`} runners back.` : '';
  return `${fullest.name} is the fullest: ${fullest.percent} % of it is spent.${held}`;
}

export default page<Params>('billing:see', async (ctx) => {
  const { slug } = ctx.tenant;
  const mayChange = may(ctx.role, 'budget:change');
  const [budgets, { teams, currency }] = await Promise.all([listBudgets(ctx, new Date()), teamsBelow(ctx)]);
  return (
    <>
      <PageHeader title="Budgets" answer={answerOf(budgets)} />
      <BillingTabs tabs={tenantTabs(slug)} here="Budgets" />
      <Section title="This month">
        {budgets.length === 0 ? (
          <EmptyState title="No budget yet">
            A budget tells this tenant’s people, and its webhooks, when a part of it is spent. It can also hold runners
            back.
          </EmptyState>
        ) : (
          <ul className="grid gap-4">
            {budgets.map((budget) => (
              <li key={budget.id}>
                <Budget budget={budget} slug={slug} mayChange={mayChange} />
              </li>
            ))}
          </ul>
        )}
      </Section>
      {mayChange ? (
        <Section title="Add a budget">
          <BudgetForm
            action={add.bind(null, slug)}
            currency={currency}
            teams={teams}
            steps={limitSteps.map(({ percent, words }) => `At ${percent} % ${words}`)}
          />
        </Section>
      ) : null}
    </>
  );
});

function Budget({ budget, slug, mayChange }: { budget: BudgetRow; slug: string; mayChange: boolean }) {
  const { id, name, of, amount, currency, spent, thresholds, isLimit, stepWords, announced, isLifted } = budget;
  const fields = { budgetId: id };
  return (
    <Card className="grid gap-4">
      <div className="flex flex-wrap items-baseline gap-2">
        <h3 className="font-semibold break-words">{name}</h3>
        <span className="text-ink-3">of {of}</span>
        {isLimit ? (
          <Badge tone={stepWords ? 'bad' : 'idle'}>{isLifted ? 'Limit lifted this month' : 'Limit'}</Badge>
        ) : null}
      </div>
      <Meter
        label="Spent this month"
        used={Number(spent)}
        limit={Number(amount)}
        text={`${money(spent, currency)} of ${money(amount, currency)}`}
        note={`People are told at ${thresholds.join(', ')} %.`}
      />
      {stepWords ? (
        <Callout tone="bad" title="Runners are held back">
          Now {stepWords}. Jobs wait; nothing is removed.
        </Callout>
      ) : null}
      {announced ? (
        <Callout tone="warn" title="Runners will be held back">
          From {announced.at.slice(0, 16).replace('T', ' ')} UTC on {announced.words}, unless the budget is raised or
          its limit lifted.
        </Callout>
      ) : null}
      {mayChange ? (
        <div className="flex flex-wrap items-end gap-3">
          <AmountForm
            action={change.bind(null, slug)}
            budgetId={id}
            name={name}
            amount={Number(amount).toFixed(2)}
            currency={currency}
          />
          {isLimit && !isLifted ? (
            <ButtonForm action={lift.bind(null, slug)} fields={fields} look="secondary">
              Lift the limit this month<span className="sr-only"> of {name}</span>
            </ButtonForm>
          ) : null}
          <ButtonForm action={remove.bind(null, slug)} fields={fields} look="danger">
            Remove<span className="sr-only"> {name}</span>
          </ButtonForm>
        </div>
      ) : null}
    </Card>
  );
}
