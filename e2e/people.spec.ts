import type { Page } from '@playwright/test';
import pg from 'pg';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import {
  applyPlan,
  choosePlanes,
  choosePools,
  chooseScope,
  expectNoPart,
  expectReady,
  newTenant,
  sharedApp,
  withdraw,
} from './wizard.ts';

/** Who may do what in a tenant: by the forge, by invitation, by an admin's hand, and with a sign-in that is fresh enough. */

const org = 'people-co';

async function move(path: string, method: string, body: object = {}): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
}

/** Every session as if it had been signed in to this long ago: the one thing here that only time would bring about. */
async function ageSignIns(minutes: number): Promise<void> {
  const client = new pg.Client({ connectionString: sandbox().database });
  await client.connect();
  await client.query(`update session set authenticated_at = now() - make_interval(mins => $1)`, [minutes]);
  await client.end();
}

async function inviteBy(page: Page, login: string, role: string): Promise<string> {
  await page.goto(`/t/${org}/members`);
  await page.getByLabel('Login').fill(login);
  await page.getByRole('combobox', { name: 'Role', exact: true }).selectOption(role);
  await page.getByRole('button', { name: 'Make an invitation link' }).click();
  await expect(page.getByText(`Send this link to ${login}.`)).toBeVisible();
  await expectAccessible(page);
  return (await page.getByLabel('Invitation', { exact: true }).textContent()) ?? '';
}

const gone = 'This page does not exist, or you may not see it.';

// Each signs several people in, and some wait for what takes a minute.
test.describe.configure({ mode: 'serial', timeout: 240_000 });

test('ada enrols an organization; nobody else has a part in its tenant', async ({ as }) => {
  await move('/orgs', 'POST', { login: org, admins: ['ada-tinyland'], members: ['sam-tinyland'] });
  await move('/installations', 'POST', { account: org });
  const ada = await as('ada-tinyland');
  await chooseScope(ada, 'github', org);
  await sharedApp(ada);
  await newTenant(ada, org);
  await choosePools(ada, [['docker', '1']]);
  await choosePlanes(ada);
  await applyPlan(ada, org);
  await expectReady(ada);
  await expectNoPart(await as('mallory'), org);
});

test('a colleague is invited by link: another account is refused, the right one is in, once', async ({ as }) => {
  const ada = await as('ada-tinyland');
  const link = await inviteBy(ada, 'mallory', 'billing');
  expect(link).toContain('/invitation/');

  const jess = await as('JessSullivan');
  await jess.goto(link);
  await expect(jess.getByText('ada-tinyland invites mallory on GitHub')).toBeVisible();
  await expect(
    jess.getByText('This invitation is for mallory on GitHub, and you are JessSullivan there.'),
  ).toBeVisible();
  await expect(jess.getByRole('button', { name: /accept/i })).toHaveCount(0);
  await expectAccessible(jess);
  expect((await jess.goto(`/t/${org}`))?.status()).toBe(404);

  const mallory = await as('mallory');
  await mallory.goto(link);
  await expectAccessible(mallory);
  await mallory.getByRole('button', { name: `Accept and go to ${org}` }).click();
  await mallory.waitForURL(`**/t/${org}`);
  expect((await mallory.goto(`/t/${org}/billing`))?.status()).toBe(200);
  expect((await mallory.goto(`/t/${org}/members`))?.status()).toBe(404);
  await mallory.goto(link);
  await expect(mallory.getByText('This invitation was used already; it counts once.')).toBeVisible();

  await ada.goto(`/t/${org}/members`);
  await expect(ada.getByText('Invited by ada-tinyland')).toBeVisible();
  await inviteBy(ada, 'JessSullivan', 'member');
  await ada.getByRole('button', { name: 'Revoke the invitation of JessSullivan' }).click();
  await expect(ada.getByRole('region', { name: 'Pending invitations' })).toHaveCount(0);
});

test('an admin narrows who follows the forge, and lets go again; the last admin stays', async ({ as }) => {
  const ada = await as('ada-tinyland');
  const sam = await as('sam-tinyland');
  expect((await sam.goto(`/t/${org}/members`))?.status()).toBe(200);
  await expect(sam.getByText('Change')).toHaveCount(0);
  await ada.goto(`/t/${org}/members`);
  const row = ada.getByRole('row').filter({ hasText: 'sam-tinyland' });
  await row.getByText('Change').click();
  await expectAccessible(ada);
  await row.getByRole('button', { name: /keep out/i }).click();
  await expect(ada.getByText('Member on GitHub, narrowed to no access by ada-tinyland')).toBeVisible();
  await expect(sam.getByText(gone)).toBeVisible({ timeout: 30_000 });
  await row.getByText('Change').click();
  await row.getByRole('combobox').selectOption('forge');
  await row.getByRole('button', { name: 'Set' }).click();
  await expect(ada.getByText('narrowed to no access')).toHaveCount(0);
  expect((await sam.goto(`/t/${org}`))?.status()).toBe(200);

  const own = ada.getByRole('row').filter({ hasText: 'you' });
  await own.getByText('Change').click();
  await own.getByRole('combobox').selectOption('member');
  await own.getByRole('button', { name: 'Set' }).click();
  await expect(ada.getByText(`You are the only admin of ${org}.`)).toBeVisible();
});

test('A14: who is demoted on the forge can change nothing at once, and the open page goes within a minute', async ({
  as,
}) => {
  const ada = await as('ada-tinyland');
  await ada.goto(`/t/${org}/members`);
  await move(`/orgs/${org}/members/ada-tinyland`, 'PUT', { role: 'member' });
  await ada.getByLabel('Login').fill('JessSullivan');
  await ada.getByRole('button', { name: 'Make an invitation link' }).click();
  await expect(ada.getByText('Your role may not do this.')).toBeVisible();
  await expect(ada.getByText('Nothing was changed.').first()).toBeVisible();
  // The page as it is for a member now.
  await expect(ada.getByRole('heading', { name: 'Invite somebody' })).toHaveCount(0, { timeout: 60_000 });
  await move(`/orgs/${org}/members/ada-tinyland`, 'PUT', { role: 'admin' });

  const sam = await as('sam-tinyland');
  expect((await sam.goto(`/t/${org}`))?.status()).toBe(200);
  await move(`/orgs/${org}/members/sam-tinyland`, 'DELETE');
  await expect(sam.getByText(gone)).toBeVisible({ timeout: 65_000 });
  expect((await sam.request.get(`/api/views/access/${org}`)).status()).toBe(404);
});

test('a session is ended elsewhere, at the server', async ({ as }) => {
  const [here, there] = [await as('sam-tinyland'), await as('sam-tinyland')];
  await here.goto('/account');
  await expectAccessible(here);
  await expect(here.getByText('this one')).toHaveCount(1);
  await here.getByRole('button', { name: 'End all others' }).click();
  await expect(here.getByRole('button', { name: /^End the session/ })).toHaveCount(0);
  await there.goto('/account');
  await expect(there).toHaveURL(/sign-in\?next=/);
  expect((await here.goto('/account'))?.status()).toBe(200);
});

test('an operator ends sessions and disables a person; nobody else finds the page', async ({ as }) => {
  const olive = await as('olive-operator');
  const jess = await as('JessSullivan');
  expect((await jess.goto('/operator/people'))?.status()).toBe(404);
  await olive.goto('/operator/people?q=JessSullivan');
  await expectAccessible(olive);
  await olive.getByRole('button', { name: /^Disable/ }).click();
  await expect(olive.getByText('Disabled', { exact: true })).toBeVisible();
  await jess.goto('/account');
  await expect(jess).toHaveURL(/sign-in\?next=/);
  await jess.getByRole('button', { name: 'Sign in with GitHub', exact: true }).click();
  await jess.getByRole('button', { name: /JessSullivan/ }).click();
  await expect(jess.getByText('This account may not sign in.')).toBeVisible();
  await olive.getByRole('button', { name: /^Enable/ }).click();
  await expect(olive.getByText('Disabled', { exact: true })).toHaveCount(0);
});

test('a rotation wants a fresh sign-in: another account does not do, the right one comes back to the page', async ({
  as,
}) => {
  const ada = await as('ada-tinyland');
  await ada.goto(`/t/${org}/credentials`);
  await expectAccessible(ada);
  await ageSignIns(11);
  const rotate = ada.getByRole('button', { name: /^Rotate/ }).first();
  await rotate.click();
  await expect(ada.getByText('Confirm that it is you before you do this.')).toBeVisible();
  await expect(ada.getByText('Nothing was changed.').first()).toBeVisible();
  await expectAccessible(ada);
  await ada.getByRole('link', { name: 'Confirm it is you' }).click();
  await ada.waitForURL('**/confirm?next=*');
  await expectAccessible(ada);

  const confirm = ada.getByRole('button', { name: 'Confirm with GitHub as ada-tinyland' });
  await confirm.click();
  await ada.waitForURL(/prompt=select_account/);
  await ada.getByRole('button', { name: /mallory/ }).click();
  await expect(ada.getByText('That was not an account of')).toBeVisible();
  await expectAccessible(ada);

  await confirm.click();
  await ada.getByRole('button', { name: /ada-tinyland/ }).click();
  await ada.waitForURL(`**/t/${org}/credentials`);
  await ada
    .getByRole('button', { name: /^Rotate/ })
    .first()
    .click();
  await expect(ada.getByText('Confirm that it is you before you do this.')).toHaveCount(0);
});

test('what was typed is there again after the way to the forge', async ({ as }) => {
  const ada = await as('ada-tinyland');
  await ada.goto(`/t/${org}/members`);
  await ageSignIns(11);
  await ada.getByLabel('Login').fill('JessSullivan');
  await ada.getByRole('combobox', { name: 'Role', exact: true }).selectOption('admin');
  await ada.getByRole('button', { name: 'Make an invitation link' }).click();
  await ada.getByRole('link', { name: 'Confirm it is you' }).click();
  await ada.getByRole('button', { name: /^Confirm with GitHub/ }).click();
  await ada.getByRole('button', { name: /ada-tinyland/ }).click();
  await ada.waitForURL(`**/t/${org}/members`);
  await expect(ada.getByLabel('Login')).toHaveValue('JessSullivan');
  await expect(ada.getByRole('combobox', { name: 'Role', exact: true })).toHaveValue('admin');
  await ada.getByRole('button', { name: 'Make an invitation link' }).click();
  await expect(ada.getByText('Send this link to JessSullivan.')).toBeVisible();
});

test('and it is withdrawn with nothing left', async ({ as }) => {
  await withdraw(await as('ada-tinyland'), org, org);
});
