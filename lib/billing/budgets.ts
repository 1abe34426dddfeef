import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import { tenantTransaction, unsafeDb, unsafeTransaction, type TenantTx, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { invalidFields, notFound } from '#lib/errors.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { notify } from '#lib/notice/index.ts';
import { appendSystemAudit, type Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { decide, limitSteps, percentOf, type BudgetNews } from './budget-steps.ts';
import { Exact, sumOf } from './exact.ts';
import { Amount } from './money-input.ts';
import { exact, familiesOf, familyOf, monthCosts, type MonthCost } from './month.ts';
import { periodAt } from './period.ts';

export const budgetsMost = 50;

const thresholdMost = 1000;

/** Percents of the amount, separated by commas or blanks. */
const Thresholds = z
  .string()
  .trim()
  .default('50, 80, 100')
  .transform((text) =>
    [
      ...new Set(
        text
          .split(/[\s,]+/)
          .filter(Boolean)
          .map(Number),
      ),
    ].toSorted((a, b) => a - b),
  )
  .refine(
    (list) =>
      list.length > 0 &&
      list.length <= 10 &&
      list.every((each) => Number.isInteger(each) && each > 0 && each <= thresholdMost),
    `is up to ten whole percents, such as 50, 80, 100`,
  );

export const BudgetInput = z.strictObject({
  name: z.string().trim().min(1, 'is needed').max(80),
  amount: Amount.refine((text) => !/^0+(\.0+)?$/.test(text), 'is more than nothing'),
  /** A team below, whose cost counts; empty for the tenant itself. */
  team: z.union([z.literal(''), TenantSlug]).default(''),
  repository: z.string().trim().max(300).default(''),
  thresholds: Thresholds,
  isLimit: z
    .enum(['on', ''])
    .default('')
    .transform((text) => text === 'on'),
});
export type BudgetInput = z.infer<typeof BudgetInput>;
export const BudgetId = z.strictObject({ budgetId: z.uuid() });

export type BudgetRow = {
  id: string;
  name: string;
  /** Whose cost counts, in words. */
  of: string;
  amount: string;
  currency: string;
  spent: string;
  percent: number;
  thresholds: number[];
  isLimit: boolean;
  step: number;
  stepWords: string | null;
  announced: { words: string; at: string } | null;
  isLifted: boolean;
};

type Budget = Awaited<ReturnType<ReturnType<typeof unsafeDb>['budget']['findFirstOrThrow']>>;

/**
 * What counts of each budget, by its id: the cost of a tenant and all below it, or of one repository of theirs. The use of all
 * is asked for together, however many budgets there are.
 */
async function spentOf(budgets: readonly Budget[], now: Date): Promise<Map<string, Decimal>> {
  const families = await familiesOf(budgets.map(({ tenantId, teamId }) => teamId ?? tenantId));
  const familyOfBudget = ({ tenantId, teamId }: Budget) => families.get(teamId ?? tenantId) ?? [];
  const costs = async (detail: 'pool' | 'workflow', of: readonly Budget[]) => {
    const tenantIds = [...new Set(of.flatMap(familyOfBudget))];
    if (tenantIds.length === 0) return new Map<string | null, MonthCost>();
    const to = new Date(now.getTime() + 1);
    const months = await monthCosts({ tenantIds, detail, period: periodAt(now), to });
    return new Map(months.map((month) => [month.payer.id, month]));
  };
  const [whole, byWorkflow] = await Promise.all([
    costs(
      'pool',
      budgets.filter(({ repository }) => repository === null),
    ),
    costs(
      'workflow',
      budgets.filter(({ repository }) => repository !== null),
    ),
  ]);
  return new Map(
    budgets.map((budget) => {
      const { repository, currency } = budget;
      const months = familyOfBudget(budget).flatMap((id) => (repository === null ? whole : byWorkflow).get(id) ?? []);
      const own = months.filter(({ payer }) => payer.currency === currency);
      if (repository === null) return [budget.id, sumOf(own.map((month) => month.contractedCost))];
      const parts = own.flatMap(({ attributed }) => attributed).filter((part) => part.repository === repository);
      return [budget.id, sumOf(parts.flatMap((part) => [part.own, part.shared]))];
    }),
  );
}

function noticeMs(): number {
  return env().FLYWHEEL_BUDGET_NOTICE_MINUTES * 60_000;
}

function wordsOf(step: number): string {
  return limitSteps.find((each) => each.step === step)?.words ?? 'nothing is held back';
}

async function targetName(budget: Budget): Promise<string> {
  const team = budget.teamId ? await unsafeDb().tenant.findUnique({ where: { id: budget.teamId } }) : null;
  return [team ? `team ${team.displayName}` : null, budget.repository].filter(Boolean).join(', ') || 'the whole tenant';
}

export async function listBudgets(ctx: Pick<Ctx, 'db'>, now: Date): Promise<BudgetRow[]> {
  const rows = await ctx.db.budget.findMany({ orderBy: { createdAt: 'asc' } });
  const spent = await spentOf(rows, now);
  return Promise.all(rows.map((row) => budgetRow(row, spent.get(row.id) ?? new Exact(0), now)));
}

async function budgetRow(row: Budget, spent: Decimal, now: Date): Promise<BudgetRow> {
  const of = await targetName(row);
  const step = row.period === periodAt(now) ? row.step : 0;
  const isComing = row.announced > step && row.announcedAt !== null;
  return {
    id: row.id,
    name: row.name,
    of,
    amount: row.amount.toString(),
    currency: row.currency,
    spent: spent.toFixed(),
    percent: percentOf(spent, exact(row.amount)),
    thresholds: row.thresholds,
    isLimit: row.isLimit,
    step,
    stepWords: step === 0 ? null : wordsOf(step),
    announced: isComing
      ? {
          words: wordsOf(row.announced),
          at: new Date((row.announcedAt?.getTime() ?? 0) + noticeMs()).toISOString(),
        }
      : null,
    isLifted: row.liftedIn === periodAt(now),
  };
}

/** The tenants below this one, and the currency that it pays in. */
export async function teamsBelow(
  ctx: Pick<Ctx, 'tenant'>,
): Promise<{ teams: { slug: string; name: string }[]; currency: string }> {
  const ids = (await familyOf(ctx.tenant.id)).filter((id) => id !== ctx.tenant.id);
  const rows = await unsafeDb().tenant.findMany({ where: { id: { in: ids } }, orderBy: { displayName: 'asc' } });
  return {
    teams: rows.map(({ slug, displayName }) => ({ slug, name: displayName })),
    currency: await currencyOf(ctx.tenant.id),
  };
}

async function currencyOf(tenantId: string): Promise<string> {
  const { billingAccount } = await unsafeDb().tenant.findUniqueOrThrow({
    where: { id: tenantId },
    select: { billingAccount: true },
  });
  return billingAccount.currency;
}

/** The team's id, where it is one below this tenant. */
async function teamIdOf(ctx: Ctx, slug: string): Promise<string | null> {
  if (slug === '') return null;
  const team = await unsafeDb().tenant.findUnique({ where: { slug } });
  if (!team || team.id === ctx.tenant.id || !(await familyOf(ctx.tenant.id)).includes(team.id))
    throw invalidFields({ team: 'There is no such tenant below this one.' });
  return team.id;
}

/** Its id. */
export async function addBudget(ctx: Ctx, input: BudgetInput): Promise<string> {
  const { team, repository, ...rest } = input;
  const teamId = await teamIdOf(ctx, team);
  if (rest.isLimit && repository !== '')
    throw invalidFields({ isLimit: 'Runners are shared by repositories, so a budget of one can only tell.' });
  const currency = await currencyOf(ctx.tenant.id);
  const tenantId = ctx.tenant.id;
  return tenantTransaction(tenantId, async (tx) => {
    if ((await tx.budget.count()) >= budgetsMost)
      throw invalidFields({ name: `A tenant has ${budgetsMost} budgets at most.` });
    const data = { ...rest, tenantId, teamId, currency, repository: repository === '' ? null : repository };
    const { id } = await tx.budget.create({ data: { ...data, createdById: ctx.person.userId } });
    await ctx.audit(tx, { action: 'budget:add', target: `budget/${id}`, after: input });
    await wake(tx, budgetTask, ['all']);
    return id;
  });
}

/** A budget without what it held back; whose runners it held back are looked at again. */
async function change(
  ctx: Ctx,
  budgetId: string,
  act: (tx: TenantTx, before: Budget) => Promise<{ action: string; after?: object }>,
): Promise<void> {
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    const before = await tx.budget.findUnique({ where: { id: budgetId } });
    if (!before) throw notFound('This budget');
    const done = await act(tx, before);
    await ctx.audit(tx, { ...done, target: `budget/${budgetId}`, before });
    await wake(tx, budgetTask, ['all']);
    await wake(tx, 'enrollment', await enrollmentsOf(await familyOf(before.teamId ?? before.tenantId)));
  });
}

export async function removeBudget(ctx: Ctx, budgetId: string): Promise<void> {
  await change(ctx, budgetId, async (tx) => {
    await tx.budget.delete({ where: { id: budgetId } });
    return { action: 'budget:remove' };
  });
}

/** The limit holds nothing back for the rest of this month. */
export async function liftLimit(ctx: Ctx, budgetId: string, now: Date): Promise<void> {
  await change(ctx, budgetId, async (tx) => {
    const data = { step: 0, announced: 0, announcedAt: null, liftedIn: periodAt(now) };
    await tx.budget.update({ where: { id: budgetId }, data });
    return { action: 'budget:lift', after: { liftedIn: data.liftedIn } };
  });
}

export const ChangeBudgetInput = BudgetId.extend({ amount: BudgetInput.shape.amount });

/** A budget that became larger gives back at once what it held back. */
export async function changeBudget(
  ctx: Ctx,
  { budgetId, amount }: z.infer<typeof ChangeBudgetInput>,
  now: Date,
): Promise<void> {
  await change(ctx, budgetId, async (tx) => {
    await tx.budget.update({ where: { id: budgetId }, data: { amount } });
    return { action: 'budget:change', after: { amount } };
  });
  await lookAtAll(await ctx.db.budget.findMany({ where: { id: budgetId } }), now);
}

// ------------------------------------------------------------------------------------------------ a worker's part

/** Its one key is `all`. */
export const budgetTask = 'budgets';

async function enrollmentsOf(tenantIds: readonly string[]): Promise<string[]> {
  const where = { tenantId: { in: [...tenantIds] }, state: { in: ['active' as const, 'withdrawing' as const] } };
  return (await unsafeDb().enrollment.findMany({ where, select: { id: true } })).map(({ id }) => id);
}

const againMs = 60_000;

/**
 * Looks at every budget: tells of what was reached, and takes the steps of limits that were announced. Answers in how many
 * milliseconds to look again: as soon as a step that is announced can be taken, in a minute at the latest.
 */
export async function lookAtBudgets(now: Date): Promise<number> {
  const hasNews = await lookAtAll(await unsafeDb().budget.findMany({ orderBy: { id: 'asc' } }), now);
  return hasNews ? Math.min(againMs, Math.max(1000, noticeMs())) : againMs;
}

async function lookAtAll(budgets: readonly Budget[], now: Date): Promise<boolean> {
  const spent = await spentOf(budgets, now);
  let hasNews = false;
  for (const budget of budgets) hasNews = (await lookAt(budget, spent.get(budget.id) ?? new Exact(0), now)) || hasNews;
  return hasNews;
}

async function lookAt(seen: Budget, spent: Decimal, now: Date): Promise<boolean> {
  return unsafeTransaction(async (tx) => {
    // Another worker, or a person, may have changed it since it was read.
    const [locked] = await tx.$queryRaw<{ id: string }[]>`select id from budget where id = ${seen.id}::uuid for update`;
    if (!locked) return false;
    const budget = await tx.budget.findUniqueOrThrow({ where: { id: seen.id } });
    const period = periodAt(now);
    const { amount, thresholds, isLimit, liftedIn } = budget;
    const rule = { amount: exact(amount), thresholds, isLimit, isLifted: liftedIn === period };
    const { state, news } = decide(rule, budget, spent, { period, now, noticeMs: noticeMs() });
    if (news.length === 0 && budget.period === period) return false;
    const { told, step, announced, announcedAt } = state;
    await tx.budget.update({ where: { id: budget.id }, data: { period, told, step, announced, announcedAt } });
    for (const each of news) await tell(tx, budget, each, { period, spent: spent.toFixed(2) });
    if (step !== budget.step) await act(tx, budget, step);
    return news.length > 0;
  });
}

async function act(tx: UnsafeTx, budget: Budget, step: number): Promise<void> {
  await appendSystemAudit(tx, budget.tenantId, {
    action: step > budget.step ? 'budget:limit' : 'budget:ease',
    target: `budget/${budget.id}`,
    before: { step: budget.step },
    after: { step, words: wordsOf(step) },
  });
  await wake(tx, 'enrollment', await enrollmentsOf(await familyOf(budget.teamId ?? budget.tenantId)));
}

async function tell(
  tx: UnsafeTx,
  budget: Budget,
  news: BudgetNews,
  { period, spent }: { period: string; spent: string },
): Promise<void> {
  const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: budget.tenantId }, select: { slug: true } });
  const { title, body, key } = newsWords(budget, news, spent);
  await notify(tx, {
    tenantId: budget.tenantId,
    kind: 'budget-reached',
    title,
    body,
    href: `/t/${tenant.slug}/billing/budgets`,
    dedupeKey: `budget/${budget.id}/${period}/${key}`,
  });
}

function newsWords(
  { name, currency, amount, isLimit }: Budget,
  news: BudgetNews,
  spent: string,
): { title: string; body: string; key: string } {
  const budget = `The budget ${name}`;
  if (news.kind === 'reached') {
    const next = isLimit ? ` At ${limitSteps[0].percent} % its limit begins to act, and says so before it does.` : '';
    return {
      title: `${budget} has reached ${news.percent} %`,
      body: `${spent} of ${new Exact(amount.toString()).toFixed(2)} ${currency} were spent this month.${next}`,
      key: `reached/${news.percent}`,
    };
  }
  const words = wordsOf(news.step);
  if (news.kind === 'announced') {
    const at = `${news.at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
    return {
      title: `${budget} will hold runners back`,
      body: `From ${at} on ${words}, unless the budget is raised or its limit lifted before.`,
      key: `announced/${news.step}/${news.at.getTime()}`,
    };
  }
  if (news.kind === 'taken')
    return {
      title: `${budget} holds runners back`,
      body: `From now on ${words}. Jobs wait; nothing is removed. Raise the budget or lift its limit to undo it at once.`,
      key: `taken/${news.step}/${spent}`,
    };
  return { title: `${budget} holds back less`, body: `From now on ${words}.`, key: `eased/${news.step}/${spent}` };
}

/** What the limits of a tenant's budgets, and of those above it, hold back: the furthest step of them. */
export async function restraintOf(tenantId: string, now = new Date()): Promise<number> {
  const [row] = await unsafeDb().$queryRaw<{ step: number | null }[]>`
    /* prepared: restraint_of */
    with recursive above as (
      select id, parent_id from tenant where id = ${tenantId}::uuid
      union select t.id, t.parent_id from tenant t join above a on t.id = a.parent_id
    ) select max(b.step) as step from budget b join above a on a.id = coalesce(b.team_id, b.tenant_id)
      where b.is_limit and b.period = ${periodAt(now)}`;
  return row?.step ?? 0;
}
