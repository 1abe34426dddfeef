import { createHash } from 'node:crypto';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './fixtures.ts';

/*
 * An operator's stack from its first day: a credential, what a program does with it over HTTP, a lock that its holder left, what
 * differs, going back. What the programs themselves do is in the integration tests.
 */

type Credential = { name: string; secret: string };

/** What a program sends, without one. */
async function send(page: Page, path: string, { name, secret }: Credential, method: string, body?: object) {
  const data = body === undefined ? undefined : JSON.stringify(body);
  const headers: Record<string, string> = {
    authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`,
    'content-type': 'application/json',
    ...(data === undefined ? {} : { 'content-md5': createHash('md5').update(data).digest('base64') }),
  };
  const url = new URL(`/api/state/${path}`, page.url());
  return fetch(url, { method, headers, ...(data === undefined ? {} : { body: data }) });
}

function state(serial: number, token: string): object {
  const instances = [{ attributes: { id: 'x', data: { token } } }];
  const resources = [{ mode: 'managed', type: 'kubernetes_secret', name: 'runner', provider: 'p', instances }];
  return { version: 4, terraform_version: '1.12.6', serial, lineage: 'a-lineage', outputs: {}, resources };
}

async function shownCredential(page: Page): Promise<Credential> {
  const shown = page.getByRole('status').filter({ hasText: 'it is not shown again' });
  const text = (await shown.locator('pre').textContent()) ?? '';
  const [, name = '', secret = ''] = /USERNAME='(.*)'\n.*PASSWORD='(.*)'/.exec(text) ?? [];
  expect(secret).toMatch(/^fws_/);
  return { name, secret };
}

test('an operator keeps a stack: credential, versions, a lock taken away, going back, revoking', async ({ as }) => {
  test.setTimeout(180_000);
  const page = await as('olive-operator');
  const stack = 'walk-stack';
  await page.goto('/operator/state');
  await expectAccessible(page);
  await page.getByLabel('Name').fill('../x');
  await page.getByRole('button', { name: 'Add the stack' }).click();
  await expect(page.getByText(/small letters, digits and hyphens, and begins/)).toBeVisible();
  await page.getByLabel('Name').fill(stack);
  await page
    .getByLabel('What it is for')
    .fill('The walk of the tests, which has a description that is as long as people write them');
  await page.getByRole('button', { name: 'Add the stack' }).click();
  await page.waitForURL(`**/operator/state/${stack}`);
  await expect(page.getByText('Nothing was written yet, and no credential opens it.')).toBeVisible();
  await expect(page.getByLabel('Backend block', { exact: true })).toContainText(`/api/state/${stack}/lock`);

  await page.getByLabel('Name').fill('ci');
  await page.getByRole('button', { name: 'Add the credential' }).click();
  const credential = await shownCredential(page);
  await expectAccessible(page);
  await page.reload();
  await expect(page.getByText(credential.secret)).toHaveCount(0);

  expect((await send(page, stack, credential, 'POST', state(1, 'first-token'))).status).toBe(200);
  expect((await send(page, stack, credential, 'POST', state(2, 'second-token'))).status).toBe(200);
  // Cut off where it is too large to be taken, and told so in words on the page.
  const large = await send(page, stack, credential, 'POST', { ...state(3, 'x'), pad: 'x'.repeat(50_000_000) });
  expect(large.status).toBe(413);
  await page.reload();
  await expect(page.getByText('The state is larger than 32.0 MiB: 47.7 MiB were sent.')).toBeVisible();
  expect((await send(page, stack, credential, 'POST', state(1, 'late-token'))).status).toBe(409);
  const lock = { ID: 'dead-lock', Operation: 'OperationTypeApply', Who: 'ada@laptop', Version: '1.12.6' };
  // By the programs' own methods, at the state's address, as well as by those of the block.
  expect((await send(page, stack, credential, 'LOCK', lock)).status).toBe(200);
  expect((await send(page, stack, credential, 'LOCK', { ...lock, ID: 'another' })).status).toBe(423);
  expect((await send(page, stack, credential, 'UNLOCK', lock)).status).toBe(200);
  expect((await send(page, `${stack}/lock`, credential, 'POST', lock)).status).toBe(200);

  await page.reload();
  await expect(page.getByText('Locked by ada@laptop: whoever else comes waits.')).toBeVisible();
  await expect(page.getByText(/Serial 1 was sent, and serial 2 is kept/)).toBeVisible();
  await expect(page.getByRole('button', { name: /Go back to this/ })).toHaveCount(0);
  await page.getByText('Take it away').click();
  await page.getByLabel('Why').fill('their laptop is gone');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Take the lock away' }).click();
  await expect(page.getByText('2 versions are kept, and nobody works on it now.')).toBeVisible();

  await page.getByRole('link', { name: 'Changes of version 2' }).click();
  await expect(page.getByText('0 added, 1 changed, 0 removed.')).toBeVisible();
  await expect(page.getByText('data.token')).toBeVisible();
  await expect(page.getByText('second-token')).toHaveCount(0);
  await expectAccessible(page);

  await page.getByRole('link', { name: stack }).click();
  await page.getByRole('button', { name: 'Go back to this version 1' }).click();
  await expect(page.getByText('Version 3 is the newest now.')).toBeVisible();
  const read = (await (await send(page, stack, credential, 'GET')).json()) as { serial: number };
  expect(read).toEqual({ ...state(3, 'first-token') });
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download version 1' }).click();
  expect((await download).suggestedFilename()).toBe(`${stack}-1.tfstate`);

  await page.getByRole('button', { name: 'Revoke ci' }).click();
  await expect(page.getByText('Revoked', { exact: true })).toBeVisible();
  expect((await send(page, stack, credential, 'GET')).status).toBe(401);

  await page.goto('/operator/audit');
  for (const action of ['state:force-unlock', 'state:roll-back', 'state:download', 'state:credential-revoke'])
    await expect(page.getByRole('cell', { name: action }).first()).toBeVisible();
});

test('a tenant’s admin finds no stack', async ({ as }) => {
  const page = await as('JessSullivan');
  for (const path of ['/operator/state', '/operator/state/walk-stack', '/operator/state/walk-stack/diff'])
    expect((await page.goto(path))?.status(), path).toBe(404);
});
