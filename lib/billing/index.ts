/**
 * Billing: what usage costs.
 *
 * It promises exact decimals from reading to cost, and that every view of cost is the same two pure functions (usage's
 * meter and this room's price) over another window. It reads usage and rates. It closes nothing yet and invoices nobody.
 */
export { monthToDate, type MonthToDate } from './month-to-date.ts';
export { priceOf, type PriceLine } from './price.ts';
