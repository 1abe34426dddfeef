import { execFileSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, sandbox } from './fixtures.ts';
import { folders, pathOf } from './pages.ts';
import { builtControlPlane } from '#sandbox/control-plane.ts';

/** The steps of an enrollment as a person takes them, whatever the forge; each page on the way is held to axe. */

/** kubectl against the sandbox's real API server, as administrator. */
export function kubectl(...args: string[]): string {
  const binary = builtControlPlane();
  const { kubeconfig } = sandbox();
  if (!binary || !kubeconfig) throw new Error('the sandbox has no cluster');
  return execFileSync(binary, ['kubectl', '--kubeconfig', kubeconfig, ...args], { encoding: 'utf8' });
}

export function expectNamespace(tenant: string, isThere: boolean): void {
  const names = kubectl('get', 'namespaces', '-o', 'name').split('\n');
  expect(names.includes(`namespace/runners-${tenant}`)).toBe(isThere);
}

/** From the list of what the person administers to the step after it. */
export async function chooseScope(page: Page, connection: string, path: string): Promise<void> {
  const asked = new URLSearchParams({ connection, q: path.split('/').at(-1) ?? path });
  await page.goto(`/enroll?${asked.toString()}`);
  const row = page.getByRole('listitem').filter({ has: page.getByText(path, { exact: true }) });
  await expect(row).toBeVisible();
  await expectAccessible(page);
  await row.getByRole('link', { name: 'Enroll' }).click();
}

/** An organization on GitHub says first whose App serves it. */
export async function sharedApp(page: Page): Promise<void> {
  await page.waitForURL('**/enroll/app?**');
  await expectAccessible(page);
  await page.getByRole('radio', { name: /the shared app/i }).check();
  await page.getByRole('link', { name: 'Use the shared App' }).click();
}

export async function existingTenant(page: Page, tenant: string): Promise<void> {
  await page.waitForURL('**/enroll/tenant?**');
  await expectAccessible(page);
  await page.getByRole('radio', { name: /a tenant that i administer/i }).check();
  await page.getByLabel('Tenant', { exact: true }).selectOption(tenant);
  await toPools(page, tenant);
}

/** A tenant of its own, and the access token where one has to be given for the scope. */
export async function newTenant(page: Page, slug: string, token?: string): Promise<void> {
  await page.waitForURL('**/enroll/tenant?**');
  await expectAccessible(page);
  const choice = page.getByRole('radio', { name: /a new tenant/i });
  if ((await choice.count()) > 0) await choice.check();
  if (token !== undefined) await page.getByLabel('Access token').fill(token);
  await page.getByLabel('Name', { exact: true }).fill(slug);
  await page.getByLabel('Slug').fill(slug);
  await toPools(page, slug);
}

async function toPools(page: Page, tenant: string): Promise<void> {
  await page.getByRole('button', { name: 'Continue to pools' }).click();
  await page.waitForURL(`**/t/${tenant}/enroll/*/pools`);
}

export async function choosePools(page: Page, pools: [string, string][]): Promise<void> {
  for (const [pool, most] of pools) {
    const card = page.getByRole('group', { name: pool, exact: true });
    await card.getByRole('checkbox').check();
    await card.getByLabel('At most').fill(most);
  }
  await expect(page.getByRole('group', { name: 'gpu', exact: true }).getByRole('checkbox')).toBeDisabled();
  await expectAccessible(page);
  await page.getByRole('button', { name: /continue to caches/i }).click();
  await page.waitForURL('**/planes');
}

export async function choosePlanes(page: Page): Promise<void> {
  await expectAccessible(page);
  await page.getByRole('radio', { name: /private/i }).check();
  await page.getByRole('button', { name: /make the plan/i }).click();
  await page.waitForURL('**/plan?plan=*');
}

/** Nothing is there before, and no secret is in what is read. */
export async function applyPlan(page: Page, tenant: string, secrets: string[] = []): Promise<void> {
  await expect(page.getByText(`runners-${tenant}`).first()).toBeVisible();
  const text = (await page.content()).replaceAll(/\s/g, '');
  for (const secret of ['BEGINRSA', 'BEGINPRIVATE', ...secrets]) expect(text).not.toContain(secret);
  expectNamespace(tenant, false);
  await expectAccessible(page);
  await page.getByRole('button', { name: /^apply \d+ changes$/i }).click();
  await page.waitForURL(`**/t/${tenant}/enrollments/*`);
}

export async function expectReady(page: Page): Promise<void> {
  await expect(page.getByText('Jobs with these labels get runners.')).toBeVisible({ timeout: 60_000 });
  await expectAccessible(page);
}

/** The withdrawal as its page asks for it, to the end. */
export async function withdraw(page: Page, tenant: string, enrollment: string): Promise<void> {
  await page.goto(`/t/${tenant}/enrollments`);
  await page.getByRole('main').getByRole('link', { name: enrollment, exact: true }).click();
  await page.getByRole('button', { name: /show the removal plan/i }).click();
  await page.waitForURL('**/plan?plan=*');
  await expectAccessible(page);
  const typed = (await page.getByText(/^Type/).locator('code').textContent()) ?? '';
  await page.getByLabel(/to withdraw it/i).fill(typed);
  await page.getByRole('button', { name: /withdraw and apply/i }).click();
  await expect(page.getByText('Withdrawn; nothing of it is left.')).toBeVisible({ timeout: 60_000 });
  expectNamespace(tenant, false);
}

/** Every page of a tenant, asked for by somebody who has no part in it; those of an enrollment too, where one is named. */
export async function expectNoPart(
  page: Page,
  tenant: string,
  of?: { enrollment: string; plan: string; request?: string; endpoint?: string; view?: string; pool?: string },
): Promise<void> {
  const {
    enrollment = 'none',
    plan = 'none',
    request = 'none',
    endpoint = 'none',
    view: cacheView = 'none',
    pool = 'docker',
  } = of ?? {};
  for (const folder of folders.filter((each) => each.startsWith('t/[tenant]'))) {
    const query = folder.endsWith('/plan') ? `?plan=${plan}` : '';
    const known = { tenant, enrollment, request, endpoint, view: cacheView, pool, period: '2026-11' };
    const path = pathOf(folder, known) + query;
    expect((await page.goto(path))?.status(), path).toBe(404);
  }
  for (const view of [`overview/${tenant}`, `pools/${tenant}`, `enrollments/${tenant}/${enrollment}`])
    expect((await page.request.get(`/api/views/${view}`)).status(), view).toBe(404);
}
