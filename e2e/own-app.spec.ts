import type { Page } from '@playwright/test';
import { z } from 'zod';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { applyPlan, choosePlanes, choosePools, expectNoPart, expectReady, kubectl, withdraw } from './wizard.ts';

/** The recommended way at GitHub: an App of the organization's own, from its first click to the end of its enrollment. */

const org = 'mallory-labs';
const tenant = 'labs';
const label = `${tenant}-docker`;

async function atGithub(path: string, body: object = {}): Promise<unknown> {
  const answer = await fetch(`${sandbox().github}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, path).toBe(true);
  return answer.status === 204 ? undefined : answer.json();
}

async function expectJobDone(): Promise<void> {
  const queued = await atGithub('/jobs', { repository: `${org}/toolbox`, labels: [label], durationSeconds: 2 });
  const { id } = z.object({ id: z.number() }).parse(queued);
  const Jobs = z.object({ jobs: z.record(z.string(), z.object({ phase: z.string() })) });
  const phase = async () =>
    Jobs.parse(await (await fetch(`${sandbox().github}/_sandbox/state`)).json()).jobs[id]?.phase;
  await expect.poll(phase, { timeout: 60_000 }).toBe('completed');
}

/** GitHub's own pages: who one is, and where the App goes. */
async function installAs(page: Page, login: string, account: string): Promise<void> {
  await page.waitForURL(/\/installations\/(new|select_target)/);
  const who = page.getByRole('button', { name: new RegExp(login) });
  await who.or(page.getByRole('button', { name: 'Install', exact: true })).waitFor();
  if (await who.isVisible()) await who.click();
  await page.getByRole('radio', { name: new RegExp(`^\\s*${account}`) }).check();
  await page.getByRole('button', { name: 'Install', exact: true }).click();
}

/** One button here and one at GitHub: no key is copied by hand. */
async function makeApp(page: Page): Promise<void> {
  await page.goto('/enroll?connection=github');
  await expectAccessible(page);
  await page.getByLabel('An organization that is not in the list').fill(org);
  await page.getByRole('button', { name: 'Choose its App' }).click();
  await page.waitForURL('**/enroll/app?**');
  await expect(page.getByRole('radio', { name: new RegExp(`An App of ${org}`) })).toBeChecked();
  await expectAccessible(page);
  await page.getByLabel('Name', { exact: true }).fill('Labs');
  await page.getByLabel('Slug').fill(tenant);
  await page.getByRole('button', { name: 'Continue to pools' }).click();
  await page.waitForURL(`**/organizations/${org}/settings/apps/new?**`);
  await page.getByLabel('As').selectOption('mallory');
  await page.getByRole('button', { name: 'Create the App' }).click();
  await installAs(page, 'mallory', org);
  await page.waitForURL(`**/t/${tenant}/enroll/*/pools`);
}

/** Refused where it is another App's; then the new one, after which the old one may end. */
async function replaceKey(page: Page): Promise<void> {
  const { pem } = z.object({ pem: z.string() }).parse(await atGithub(`/apps/flywheel-${org}/keys`));
  const foreign = z.object({ pem: z.string() }).parse(await atGithub('/apps/flywheel-sandbox/keys'));
  await page.goto(`/t/${tenant}/settings/apps`);
  await expectAccessible(page);
  const key = page.getByLabel('New private key');
  const replace = page.getByRole('button', { name: 'Replace the key' });
  await key.fill(foreign.pem);
  await replace.click();
  await expect(key).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByText('Nothing was changed.').first()).toBeVisible();
  await key.fill(pem);
  await replace.click();
  await expect(page.getByText('GitHub answers to the new key.')).toBeVisible();
  await page.getByRole('button', { name: 'New webhook secret' }).click();
  await expect(page.getByText('signs the deliveries of')).toBeVisible();
  await expectAccessible(page);
  expect(await page.content()).not.toContain(pem.split('\n')[1]);
  const inCluster = () =>
    Buffer.from(
      kubectl('get', 'secrets', '-n', `runners-${tenant}`, '-o', 'jsonpath={.items[*].data.github_app_private_key}'),
      'base64',
    ).toString();
  await expect.poll(inCluster, { timeout: 30_000 }).toContain(pem.split('\n')[1]);
  await atGithub(`/apps/flywheel-${org}/keys/revoke-old`);
}

test('an organization without the App makes its own, enrols by it, changes its key and leaves', async ({ as }) => {
  test.setTimeout(240_000);
  const page = await as('mallory');
  await test.step('App', () => makeApp(page));
  await test.step('pools', () => choosePools(page, [['docker', '1']]));
  await test.step('planes', () => choosePlanes(page));
  await test.step('plan', () => applyPlan(page, tenant));
  await test.step('ready', () => expectReady(page));
  await test.step('a job gets a runner', expectJobDone);
  await test.step('another key', () => replaceKey(page));
  await test.step('and a job by it', expectJobDone);
  await page.goto(`/t/${tenant}/credentials`);
  await expectAccessible(page);
  const stranger = await as('ada-tinyland');
  await expectNoPart(stranger, tenant);
  await test.step('withdraw', () => withdraw(page, tenant, org));
});

test('a repository without the App: it is installed for it, and the way leads back to that repository', async ({
  as,
}) => {
  const page = await as('JessSullivan');
  const path = 'JessSullivan/dotfiles';
  await page.goto('/enroll?connection=github&q=dotfiles');
  await expectAccessible(page);
  await page.getByRole('button', { name: `Install the App for ${path}` }).click();
  await installAs(page, 'JessSullivan', 'JessSullivan');
  await page.waitForURL('**/enroll/tenant?**');
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({
    connection: 'github',
    level: 'repository',
    path,
  });
  await expect(page.getByText('A repository is served by the shared App')).toBeVisible();
  await expectAccessible(page);
});

test('an operator changes a forge; what does not fit is said at its field', async ({ as }) => {
  const page = await as('olive-operator');
  await page.goto('/operator/forges');
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Change GitLab' }).click();
  await page.waitForURL('**/operator/forges?change=gitlab**');
  const change = page.locator('#change');
  const secret = change.getByLabel(/^New application secret/);
  await secret.fill('not-this-one');
  await change.getByRole('checkbox', { name: /A new webhook secret/ }).check();
  await change.getByRole('button', { name: 'Try it, and keep it' }).click();
  await expect(secret).toHaveAttribute('aria-invalid', 'true');
  await expect(change.getByText('Nothing was changed.')).toBeVisible();
  await expectAccessible(page);
  await secret.fill('');
  await change.getByRole('button', { name: 'Try it, and keep it' }).click();
  await page.waitForURL('**/operator/forges?changed=gitlab');
  await expect(page.getByText('GitLab is changed.')).toBeVisible();
  const stranger = await as('mallory');
  expect((await stranger.goto('/operator/forges?change=gitlab'))?.status()).toBe(404);
});
