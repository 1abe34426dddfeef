import type { Page } from '@playwright/test';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { choosePlanes, choosePools, chooseScope, expectReady, newTenant, sharedApp } from './wizard.ts';

/** Fifty jobs in a pool: seen as they wait, start and end, and kept in the ledger. */

const tenant = 'jobs-corp';
const count = 50;

async function ask<T>(path: string, body: object): Promise<T> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  expect(answer.ok, text).toBe(true);
  return JSON.parse(text) as T;
}

type State = { jobs: Record<string, { phase: string }> };

async function phases(ids: readonly number[]): Promise<string[]> {
  const { jobs } = (await (await fetch(`${sandbox().github}/_sandbox/state`)).json()) as State;
  return ids.map((id) => jobs[id]?.phase ?? 'gone');
}

/** What the page of pools says now, by the head of each column. */
async function poolNow(page: Page): Promise<Record<string, number>> {
  const table = page.getByRole('region', { name: 'Pools now' });
  const heads = await table.getByRole('columnheader').allTextContents();
  const cells = await table.getByRole('row').nth(1).getByRole('cell').allTextContents();
  return Object.fromEntries(heads.map((head, index) => [head, Number.parseInt(cells[index] ?? '', 10)]));
}

test('fifty jobs are seen to start and to end, and are in the ledger', async ({ as }) => {
  test.setTimeout(280_000);
  await ask('orgs', { login: tenant, admins: ['ada-tinyland'] });
  await ask('installations', { account: tenant });
  await ask('repos', { owner: tenant, name: 'app' });
  const page = await as('ada-tinyland');

  await test.step('a pool', async () => {
    await chooseScope(page, 'github', tenant);
    await sharedApp(page);
    await newTenant(page, tenant);
    await choosePools(page, [['docker', '4']]);
    await choosePlanes(page);
    await page.getByRole('button', { name: /^apply \d+ changes$/i }).click();
    await expectReady(page);
  });

  const label = `${tenant}-docker`;
  const ids: number[] = [];
  await test.step('the jobs wait and run', async () => {
    await page.goto(`/t/${tenant}/pools`);
    await expect(page.getByText('No runner now')).toBeVisible();
    await expectAccessible(page);
    const from = performance.now();
    for (let n = 0; n < count; n += 1) {
      const job = { repository: `${tenant}/app`, labels: [label], durationSeconds: 1, name: `build ${n}` };
      ids.push((await ask<{ id: number }>('jobs', { ...job, ...(n === 7 ? { conclusion: 'failure' } : {}) })).id);
      if (n === 0) {
        await expect.poll(async () => (await poolNow(page))['Jobs waiting'], { intervals: [50] }).toBeGreaterThan(0);
        const seconds = (performance.now() - from) / 1000;
        test
          .info()
          .annotations.push({ type: 'seconds from a queued job to the screen', description: seconds.toFixed(2) });
      }
    }
    await expect.poll(async () => (await poolNow(page))['Jobs waiting'], { timeout: 20_000 }).toBeGreaterThan(20);
    await expect.poll(async () => (await poolNow(page))['Running'], { timeout: 60_000 }).toBeGreaterThan(0);
    const runners = page.getByRole('region', { name: 'Runners now' });
    await expect(runners.getByText(/^build \d+$/).first()).toBeVisible({ timeout: 30_000 });
    await expect(runners.getByText(`${tenant}/app`).first()).toBeVisible();
    await expectAccessible(page);
  });

  await test.step('and end', async () => {
    await expect
      .poll(async () => (await phases(ids)).filter((phase) => phase !== 'completed').length, {
        timeout: 200_000,
        intervals: [1000],
      })
      .toBe(0);
    await expect.poll(async () => (await poolNow(page))['Jobs waiting'], { timeout: 10_000 }).toBe(0);
    await expect.poll(async () => (await poolNow(page))['Running'], { timeout: 10_000 }).toBe(0);
  });

  await test.step('the ledger has each of them', async () => {
    await page.goto(`/t/${tenant}`);
    await page.getByRole('link', { name: 'Jobs', exact: true }).first().click();
    await expect(page.getByRole('heading', { name: 'Jobs', level: 1 })).toBeVisible();
    await expect(page.getByText(`${count} jobs ended in the last day, 1 failed.`)).toBeVisible();
    const rows = page.getByRole('region', { name: 'Jobs', exact: true }).getByRole('row');
    await expect(rows).toHaveCount(count + 1);
    await expect(rows.filter({ hasText: 'Succeeded' })).toHaveCount(count - 1);
    await expectAccessible(page);
    await page.getByLabel('Result').selectOption('Failed');
    await page.getByRole('button', { name: 'Search' }).click();
    await expect(rows).toHaveCount(2);
    await expect(rows.nth(1)).toContainText('build 7');
    const file = await page.request.get(`/t/${tenant}/jobs/export`);
    expect((await file.text()).trimEnd().split('\r\n')).toHaveLength(count + 1);
  });

  await test.step('and the charts', async () => {
    await page.goto(`/t/${tenant}/usage?window=hour`);
    await expect(page.getByRole('img', { name: /waited for a runner/ })).toBeVisible();
    await page.getByText('All three as a table').click();
    await expect(page.getByRole('region', { name: 'Jobs over time' })).toBeVisible();
    await expectAccessible(page);
  });

  await test.step('which an operator finds among all', async () => {
    const olive = await as('olive-operator');
    await olive.goto(`/operator/jobs?tenant=${tenant}&standing=failure`);
    await expect(olive.getByRole('region', { name: 'Jobs', exact: true }).getByRole('row')).toHaveCount(2);
    await expectAccessible(olive);
    expect((await page.goto('/operator/jobs'))?.status()).toBe(404);
  });
});
