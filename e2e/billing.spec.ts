import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { asSystem } from '#sandbox/as-system.ts';
import { makeUsage } from '#sandbox/usage-month.ts';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { choosePlanes, choosePools, chooseScope, expectReady, kubectl, newTenant, sharedApp } from './wizard.ts';

/* Usage to money, as an operator and a tenant's admin walk it: a month of fifty tenants, from the chart to a job and to a file. */

/** Seeded, with ada as its admin. */
const org = 'tinyland-inc';
const name = 'Tinyland';
const budgeted = 'budget-corp';
const month = (by: number) => {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + by, 1));
};
/** The month before last: its readings are waited for no more, whatever day it is. */
const period = month(-2).toISOString().slice(0, 7);

type Tenant = { id: string; slug: string; clusterId: string };

async function ask(path: string, body: object): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, await answer.text()).toBe(true);
}

/** Forty-nine tenants beside the one that is enrolled, and what all of them used. */
async function fillMonth(): Promise<void> {
  await asSystem(sandbox().database, async (client) => {
    await client.query(
      `with account as (insert into billing_account (id, name) select gen_random_uuid(), 'generated ' || n from generate_series(1, 49) as n returning id, name)
       insert into tenant (id, slug, kind, display_name, billing_account_id, cluster_id, state, quota_cpu, quota_memory, quota_runners, quota_storage)
       select gen_random_uuid(), replace(name, ' ', '-'), 'organization', initcap(name), id, 'main', 'active', '1m', '1Mi', 1, '1Mi' from account`,
    );
    const { rows } = await client.query<Tenant>(
      `select id, slug, cluster_id as "clusterId" from tenant where slug like 'generated-%' or slug = $1 order by slug = $1 desc, slug`,
      [org],
    );
    expect(rows.length).toBe(50);
    const given = { connectionId: 'github', runners: 9, readings: 5, days: 28, tag: 'past' };
    await makeUsage(client, { ...given, tenants: rows, from: month(-2) });
  });
}

/** What runs today, for the budget. */
async function spendToday(): Promise<void> {
  await asSystem(sandbox().database, async (client) => {
    const { rows } = await client.query<Tenant>(
      'select id, slug, cluster_id as "clusterId" from tenant where slug = $1',
      [budgeted],
    );
    const from = new Date(Date.now() - 12 * 60_000);
    await makeUsage(client, {
      connectionId: 'github',
      tenants: rows,
      from,
      days: 1,
      runners: 1,
      readings: 40,
      tag: 'today',
    });
  });
}

async function downloaded(page: Page, press: () => Promise<void>): Promise<{ name: string; bytes: Buffer }> {
  const [file] = await Promise.all([page.waitForEvent('download'), press()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

const sumOf = (text: string, column: string) => {
  const [head = '', ...lines] = text.trimEnd().split('\r\n');
  const index = head.split(',').indexOf(column);
  // No cell before it has a comma of its own where this is used. Rounded once: shares of a cent have twelve digits.
  return Math.round(lines.reduce((sum, line) => sum + Number(line.split(',')[index]), 0) * 1e6) / 1e6;
};

// Whoever else works on the machine: these walk far.
test.describe.configure({ mode: 'serial', timeout: 240_000 });

test('a month of fifty tenants: the chart, a job, the close, the statement, the export', async ({ as }) => {
  await fillMonth();
  const ada = await as('ada-tinyland');
  // The tenant's own: every dimension comes to the same, and one leads to the next.
  await ada.goto(`/t/${org}/billing?period=${period}`);
  await expect(ada.getByRole('heading', { level: 1, name: 'Billing' })).toBeVisible();
  await expectAccessible(ada);
  const total = async () => (await ada.getByRole('row', { name: /^Total/ }).textContent()) ?? '';
  const whole = await total();
  expect(whole).toMatch(/\$\d+\.\d\d/);
  for (const by of ['By repository', 'By workflow', 'By day', 'By hour of the day']) {
    await ada.getByRole('navigation', { name: 'Cost by' }).getByRole('link', { name: by, exact: true }).click();
    await expect(ada.getByRole('heading', { level: 2, name: by, exact: true })).toBeVisible();
    expect(await total()).toBe(whole);
  }
  await expect(ada.getByRole('heading', { name: 'What could be saved' })).toBeVisible();
  // By keyboard: a day of the chart leads to its hours.
  await ada.getByRole('link', { name: new RegExp(`^${period}-05, Cost: `) }).focus();
  await ada.keyboard.press('Enter');
  await expect(ada.getByRole('heading', { name: `Cost by hour of ${period}-05` })).toBeVisible();

  const costs = await downloaded(ada, () => ada.getByRole('link', { name: /CSV of rows/ }).click());
  expect(costs.name).toBe(`cost-${org}-${period}-hour.csv`);

  await ada.goto(`/t/${org}/billing/jobs?period=${period}`);
  await expectAccessible(ada);
  await ada.getByRole('region', { name: 'Dearest jobs' }).getByRole('link').first().click();
  await expect(ada.getByRole('heading', { name: 'How the cost comes about' })).toBeVisible();
  await expect(ada.getByRole('region', { name: 'Parts of the cost' })).toContainText('65');
  await expectAccessible(ada);

  // The operator: all fifty, a price previewed, the close.
  const olive = await as('olive-operator');
  await olive.goto(`/operator/billing?period=${period}`);
  await expect(olive.getByRole('region', { name: 'Cost by tenant' }).getByRole('row')).toHaveCount(52);
  await expectAccessible(olive);
  await olive.goto('/operator/rates');
  await expectAccessible(olive);
  await olive.getByLabel('Price of one unit').fill('0.001');
  await olive.getByLabel('Pool', { exact: true }).selectOption('docker');
  await olive.getByRole('button', { name: 'Preview on last month' }).click();
  await expect(olive.getByText(/would have cost/)).toBeVisible();
  await expectAccessible(olive);
  await olive.goto(`/operator/statements?period=${period}`);
  await expectAccessible(olive);
  await olive.getByRole('button', { name: `Close ${name}` }).click();
  await expect(olive.getByRole('row', { name: new RegExp(`^${name} Closed`) })).toBeVisible({ timeout: 60_000 });

  // The statement, and the same sum in the file that finance reads.
  await ada.goto(`/t/${org}/billing/statements/${period}`);
  await expect(ada.getByText('Closed').first()).toBeVisible();
  await expectAccessible(ada);
  const pdf = await downloaded(ada, () => ada.getByRole('link', { name: 'PDF' }).click());
  expect([pdf.name, pdf.bytes.subarray(0, 5).toString()]).toEqual([`statement-${org}-${period}.pdf`, '%PDF-']);
  const csv = await downloaded(ada, () => ada.getByRole('link', { name: 'CSV' }).click());
  await ada.goto(`/t/${org}/billing?period=${period}`);
  const focus = await downloaded(ada, () => ada.getByRole('link', { name: 'FOCUS CSV' }).click());
  expect(sumOf(focus.bytes.toString(), 'BilledCost')).toBe(sumOf(csv.bytes.toString(), 'cost'));
  const parquet = await downloaded(ada, () => ada.getByRole('link', { name: 'FOCUS Parquet' }).click());
  expect(parquet.bytes.subarray(0, 4).toString()).toBe('PAR1');
});

test('a budget that is spent says so, holds runners back by steps, and lets go at once', async ({ as }) => {
  const ada = await as('ada-tinyland');
  await ask('orgs', { login: budgeted, admins: ['ada-tinyland'] });
  await ask('installations', { account: budgeted });
  await chooseScope(ada, 'github', budgeted);
  await sharedApp(ada);
  await newTenant(ada, budgeted);
  await choosePools(ada, [['docker', '4']]);
  await choosePlanes(ada);
  await ada.getByRole('button', { name: /^apply \d+ changes$/i }).click();
  await expectReady(ada);

  await spendToday();
  // A budget that is spent acts by steps, and lifting it undoes them.
  await ada.goto(`/t/${budgeted}/billing/budgets`);
  await expectAccessible(ada);
  await ada.getByLabel('Name').fill('Small');
  await ada.getByLabel('Amount a month').fill('0.01');
  await ada.getByRole('checkbox', { name: /hold runners back/i }).check();
  await ada.getByRole('button', { name: 'Add the budget' }).click();
  await expect(async () => {
    await ada.reload();
    await expect(ada.getByText('Runners are held back', { exact: true })).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expectAccessible(ada);
  const most = () =>
    kubectl('get', 'autoscalingrunnersets', '-n', `runners-${budgeted}`, '-o', 'jsonpath={.items[*].spec.maxRunners}');
  await expect.poll(most, { timeout: 60_000 }).toBe('0');
  await ada.goto(`/t/${budgeted}/notices`);
  await expect(ada.getByText('The budget Small holds runners back').first()).toBeVisible();
  await ada.goto(`/t/${budgeted}/billing/budgets`);
  await ada.getByRole('button', { name: /^Lift the limit/ }).click();
  await expect(ada.getByText('Limit lifted this month')).toBeVisible();
  await expect.poll(most, { timeout: 30_000 }).toBe('4');
});
