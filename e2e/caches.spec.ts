import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import {
  choosePools,
  chooseScope,
  expectNoPart,
  expectReady,
  kubectl,
  newTenant,
  sharedApp,
  withdraw,
} from './wizard.ts';

/** What a tenant has of the caches, from the wizard to a token in somebody's hand, and what an operator looks after. */

const org = 'cache-co';

async function ask(path: string, body: object): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
}

function secretValue(name: string, key: string): string {
  const text = kubectl('get', 'secret', name, '-n', `runners-${org}`, '-o', `jsonpath={.data.${key}}`);
  return Buffer.from(text, 'base64').toString();
}

async function reads(view: string, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${sandbox().attic}/${view}/nix-cache-info`, { headers })).status;
}

test.describe.configure({ mode: 'serial', timeout: 240_000 });

/** A person’s token, which is accepted until its end. */
let kept = '';

test('ada turns caches on, marks a pool, and its runners get Secrets that work', async ({ as }) => {
  await ask('/orgs', { login: org, admins: ['ada-tinyland'] });
  await ask('/installations', { account: org });
  const ada = await as('ada-tinyland');
  await chooseScope(ada, 'github', org);
  await sharedApp(ada);
  await newTenant(ada, org);
  await choosePools(ada, [
    ['docker', '1'],
    ['nix', '1'],
  ]);
  await ada.getByRole('radio', { name: /^Private/ }).check();
  await ada.getByRole('checkbox', { name: /run a bazel cache/i }).check();
  await ada.getByRole('checkbox', { name: /^docker/ }).check();
  await expectAccessible(ada);
  await ada.getByRole('button', { name: /make the plan/i }).click();
  await ada.waitForURL('**/plan?plan=*');
  await expect(ada.getByText(`${org}+pull-requests`).first()).toBeVisible();
  await ada.getByRole('button', { name: /^apply \d+ changes$/i }).click();
  await expectReady(ada);

  const token = secretValue(`${org}-cache`, 'ATTIC_TOKEN');
  const untrusted = secretValue(`${org}-cache-untrusted`, 'ATTIC_TOKEN');
  expect([await reads(`${org}+main`, token), await reads(`${org}+pull-requests`, token)]).toEqual([200, 401]);
  expect([await reads(`${org}+main`, untrusted), await reads(`${org}+pull-requests`, untrusted)]).toEqual([200, 200]);
  expect(secretValue(`${org}-cache-files`, 'netrc')).toContain(token);
});

test('another view, a token of one’s own that is shown once, and what revoking it does', async ({ as }) => {
  const ada = await as('ada-tinyland');
  await ada.goto(`/t/${org}/caches`);
  await expect(ada.getByRole('link', { name: `${org}+pull-requests` })).toBeVisible();
  await ada.getByLabel('Name', { exact: true }).fill('releases');
  await ada.getByRole('button', { name: 'Make the view' }).click();
  const made = ada.getByRole('row').filter({ hasText: `${org}+releases` });
  await expect(async () => {
    await ada.reload();
    await expect(made.getByText('As asked')).toBeVisible({ timeout: 1000 });
  }).toPass({ timeout: 30_000 });
  await expectAccessible(ada);

  await made.getByRole('link').click();
  await ada.getByLabel('Retention').fill('90');
  await ada.getByRole('button', { name: 'Save' }).click();
  await expect(ada.getByText('Kept. The server is told now.')).toBeVisible();
  await ada.getByRole('button', { name: 'Estimate' }).click();
  await expect(ada.getByText('30 days would remove 0 paths')).toBeVisible();

  await ada.goto(`/t/${org}/caches/tokens`);
  await ada.getByLabel('Where you use it').fill('laptop');
  await ada.getByRole('button', { name: 'Make the token' }).click();
  await expect(ada.getByText('Copy the token now: it is not shown again.')).toBeVisible();
  await expectAccessible(ada);
  const token = (await ada.getByLabel('Token', { exact: true }).textContent()) ?? '';
  expect(await reads(`${org}+main`, token)).toBe(200);
  expect(await reads(`${org}+releases`, token)).toBe(401);
  kept = token;
  await ada.reload();
  expect(await ada.content()).not.toContain(token);

  const row = ada.getByRole('row').filter({ hasText: 'laptop' });
  await row.getByRole('button', { name: /revoke/i }).click();
  await expect(ada.getByText(/the server takes this one until \d{4}/i)).toBeVisible();
  await ada.reload();
  await expect(row.getByText('Revoked, still accepted')).toBeVisible();
  expect(await reads(`${org}+main`, token)).toBe(200);
});

test('strangers find nothing of it, and an operator goes through the checklist', async ({ as }) => {
  await expectNoPart(await as('mallory'), org);
  const olive = await as('olive-operator');
  await olive.goto('/operator/caches');
  await olive.getByRole('button', { name: 'Go through it now' }).click();
  await expect(olive.getByText('An upload without the bytes was refused', { exact: false })).toBeVisible();
  await expect(olive.getByText('Its database is read by a role that may only read.')).toBeVisible();
  await expect(olive.getByText('Must be mended')).toHaveCount(0);
  await expectAccessible(olive);
});

test('withdrawn, no view is left', async ({ as }) => {
  const ada = await as('ada-tinyland');
  await withdraw(ada, org, org);
  // By a token that the server takes: without one, a view that is there and one that is not are alike.
  expect(await reads(`${org}+main`, kept)).toBe(404);
});
