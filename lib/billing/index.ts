/**
 * Billing: what usage costs.
 *
 * It promises exact decimals from reading to invoice, and that every view of cost is the same pure functions (usage's meter,
 * this room's price and attribute) over another window: the parts always add up to the whole, and what cannot be attributed
 * is a part of its own. A month closes once; what comes late is a correction of a later one. It reads usage and jobs, and
 * keeps rates, agreements, budgets and invoices. A budget's limit is a number that the enrollments follow: it touches no
 * cluster.
 */
export { familyOf, monthCosts, monthToDate, type MonthToDate } from './month.ts';
export { dashboardOf, dearestJobs, dimensions, jobCost, CostQuery } from './dashboard.ts';
export type { CostPoint, CostRow, Dashboard, Dimension, JobCost, JobDetail } from './dashboard.ts';
export type { Waste } from './waste.ts';
export { daysOf, monthsFrom, Period, periodAt } from './period.ts';
export {
  addRate,
  AgreementInput,
  enterRate,
  IdleRuleInput,
  listAgreements,
  listRates,
  listTenantNames,
  previewRate,
  RateId,
  RateInput,
  setAgreement,
  setIdleRule,
  withdrawRate,
} from './rates.ts';
export type { RatePreview, RateRow } from './rates.ts';
export { closeDue, CloseInput, closeMonth, listStatements, payerBySlug, statementsOf } from './close.ts';
export type { StatementRow } from './close.ts';
export { graceMs, statementOf } from './statement.ts';
export type { Statement, StatementLine } from './statement.ts';
export {
  addBudget,
  BudgetId,
  BudgetInput,
  budgetsMost,
  budgetTask,
  changeBudget,
  ChangeBudgetInput,
  liftLimit,
  listBudgets,
  lookAtBudgets,
  removeBudget,
  restraintOf,
  teamsBelow,
} from './budgets.ts';
export type { BudgetRow } from './budgets.ts';
export { limitSteps, restrained } from './budget-steps.ts';
export { exportCosts } from './export.ts';
export { exportFocus } from './focus-export.ts';
export { focusColumns } from './focus.ts';
export { statementFile } from './statement-file.ts';
export { idleRules } from './attribute.ts';
export type { TagRow } from './tags.ts';
export { costRules, listTags, removeTag, setTag, TagInput, TagKey } from './tags.ts';
export { ratesOf } from './month.ts';
export { runnerCost, type RunnerSize } from './price.ts';
