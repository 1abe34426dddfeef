import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './fixtures.ts';

/** Makes a token on the page that is open, with these scopes. */
async function makeToken(page: Page, name: string, scopes: string[]): Promise<string> {
  // The page before it may have a field of that name too.
  await expect(page.getByRole('heading', { name: 'A new token' })).toBeVisible();
  await page.getByLabel('Name').fill(name);
  for (const scope of scopes) await page.getByRole('checkbox', { name: new RegExp(`^${scope} `) }).check();
  await page.getByRole('button', { name: 'Make the token' }).click();
  const shown = page.getByRole('status').filter({ hasText: 'it is not shown again' });
  const token = (await shown.locator('pre').first().textContent()) ?? '';
  expect(token).toMatch(/^fw[pt]_[\w-]{43}$/);
  await expectAccessible(page);
  return token;
}

test('a person makes a token, a program shows it at the API, and it ends when it is revoked', async ({
  as,
  baseURL,
}) => {
  const page = await as('JessSullivan');
  await page.goto('/account');
  await page.getByRole('link', { name: 'See your tokens' }).click();
  await expect(page.getByText('No token opens anything now.')).toBeVisible();
  const token = await makeToken(page, 'nightly report', ['write']);
  const ask = (path: string, method = 'GET', body?: object) =>
    fetch(`${baseURL}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });

  const me = await ask('/me');
  expect(await me.json()).toMatchObject({ token: { name: 'nightly report', scopes: ['read', 'write'] } });
  expect(me.headers.get('ratelimit')).toMatch(/^"token";r=\d+;t=\d+$/);
  const described = (await (await fetch(`${baseURL}/api/v1/openapi.json`)).json()) as { openapi: string };
  expect(described.openapi).toBe('3.1.0');
  expect((await ask('/me', 'HEAD')).status).toBe(200);
  expect((await ask('/tenants/cmux')).status).toBe(200);
  // What a browser would send along opens nothing, and a scope that was not given is said.
  expect((await page.request.get('/api/v1/me')).status()).toBe(401);
  const plan = await ask('/tenants/cmux/credentials/rotate', 'POST', {
    enrollmentId: '0193a3c0-0000-7000-8000-000000000000',
    kind: 'x',
  });
  expect([plan.status, plan.headers.get('content-type')]).toEqual([403, 'application/problem+json']);

  await page.reload();
  await expect(page.getByText(token)).toHaveCount(0);
  await expect(page.getByText('One token opens something now.')).toBeVisible();
  await page.getByRole('button', { name: 'Revoke nightly report' }).click();
  await expect(page.getByText('Revoked', { exact: true })).toBeVisible();
  expect((await ask('/me')).status).toBe(401);
});

test('a token of a tenant reaches it alone; its admins see it, its members do not', async ({ as, baseURL }) => {
  const page = await as('JessSullivan');
  await page.goto('/t/cmux/settings');
  await page.getByRole('link', { name: 'See the tokens' }).click();
  const token = await makeToken(page, 'pipeline', []);
  const ask = async (path: string) =>
    (await fetch(`${baseURL}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
  expect(await ask('/tenants/cmux/enrollments')).toBe(200);
  expect(await ask('/tenants/tinyland')).toBe(404);
  await page.goto('/t/cmux/audit');
  await expect(page.getByRole('cell', { name: 'api-token:create' }).first()).toBeVisible();

  const stranger = await as('mallory');
  const answer = await stranger.goto('/t/cmux/settings/tokens');
  expect(answer?.status()).toBe(404);
});
