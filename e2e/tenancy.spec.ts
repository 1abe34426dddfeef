import type { Page } from '@playwright/test';
import { expect, expectAccessible, sandbox, test, type Person } from './fixtures.ts';
import {
  choosePlanes,
  choosePools,
  chooseScope,
  expectNamespace,
  expectNoPart,
  expectReady,
  kubectl,
  sharedApp,
} from './wizard.ts';

/* Tenants of all kinds, as their people, an operator and a stranger walk them. */

async function ask(path: string, body: object): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  // A walk that failed has made them already.
  if (!text.includes('exists')) expect(answer.ok, text).toBe(true);
}

/** Organizations of ada's, with the App installed. */
test.beforeAll(async () => {
  for (const login of ['acme-corp', 'umbrella-one', 'umbrella-two']) {
    await ask('orgs', { login, admins: ['ada-tinyland'] });
    await ask('installations', { account: login });
  }
});

type Kind = 'A team' | 'An enterprise' | 'A managed customer';
type As = (login: Person) => Promise<Page>;

async function askForTenant(page: Page, kind: Kind, slug: string, more: { quota?: string; why?: string } = {}) {
  await page.goto('/tenants/new');
  await page.getByRole('radio', { name: kind }).check();
  await page.getByLabel('Name', { exact: true }).fill(`${slug} people`);
  await page.getByLabel('Slug').fill(slug);
  if (more.quota) await page.getByLabel('CPU').fill(more.quota);
  if (more.why) await page.getByLabel('Why').fill(more.why);
  await expectAccessible(page);
  await page.getByRole('button', { name: kind === 'A team' ? 'Make the team' : 'Ask an operator' }).click();
  await page.waitForURL(kind === 'A team' ? `**/t/${slug}` : `**/t/${slug}/requests`);
}

/** The operator's page of what this tenant asks for. */
async function openApproval(operator: Page, tenant: string): Promise<void> {
  await operator.goto('/operator/approvals');
  await expectAccessible(operator);
  const row = operator.getByRole('region', { name: 'Waiting for you' }).getByRole('row').filter({ hasText: tenant });
  await row.getByRole('link').nth(1).click();
  await operator.waitForURL('**/operator/approvals/*');
  await expectAccessible(operator);
}

async function grant(operator: Page, tenant: string): Promise<void> {
  await openApproval(operator, tenant);
  await operator.getByRole('button', { name: 'Grant', exact: true }).click();
  await operator.waitForURL('**/operator/approvals');
}

/** From the list of scopes to a plan in this tenant. */
async function planIn(page: Page, org: string, tenant: string): Promise<void> {
  await chooseScope(page, 'github', org);
  await sharedApp(page);
  await page.waitForURL('**/enroll/tenant?**');
  await page.getByRole('radio', { name: /a tenant that i administer/i }).check();
  await page.getByLabel('Tenant', { exact: true }).selectOption(tenant);
  await page.getByRole('button', { name: 'Continue to pools' }).click();
  await page.waitForURL(`**/t/${tenant}/enroll/*/pools`);
  await choosePools(page, [['docker', '2']]);
  await choosePlanes(page);
}

test('a managed customer asks, is asked back, is granted; and a second one is refused', async ({ as }) => {
  test.setTimeout(240_000);
  const [ada, olive] = [await as('ada-tinyland'), await as('olive-operator')];
  await test.step('asks, and is a draft', async () => {
    await askForTenant(ada, 'A managed customer', 'acme-managed', { why: 'Nightly builds.' });
    await expect(ada.getByText('This tenant waits for an operator to approve it.')).toBeVisible();
    await expectAccessible(ada);
  });
  await test.step('the operator asks back, with what it costs and whether it fits in sight', async () => {
    await openApproval(olive, 'acme-managed');
    await expect(olive.getByText('Nightly builds.')).toBeVisible();
    await expect(olive.getByText('Cost a month')).toBeVisible();
    await olive.locator('summary').filter({ hasText: 'Ask back' }).click();
    await olive.getByLabel('Your question').fill('How many at night?');
    await olive.getByRole('button', { name: 'Ask back' }).click();
    await olive.waitForURL('**/operator/approvals');
  });
  await test.step('the answer goes back, and is granted', async () => {
    await ada.goto('/t/acme-managed/requests');
    await expect(ada.getByText('One waits for your answer.')).toBeVisible();
    await ada.getByRole('link', { name: 'New tenant' }).click();
    await ada.getByLabel('Your answer').fill('Two.');
    await expectAccessible(ada);
    await ada.getByRole('button', { name: 'Answer' }).click();
    await expect(ada.getByText('Waits for an operator', { exact: true })).toBeVisible();
    await grant(olive, 'acme-managed');
  });
  await test.step('a plan waits for the operator too, and is granted with one runner less', async () => {
    await planIn(ada, 'acme-corp', 'acme-managed');
    await expect(ada.getByText('An operator manages what a managed customer runs.')).toBeVisible();
    await expect(ada.getByRole('button', { name: /^apply/i })).toHaveCount(0);
    await ada.getByRole('button', { name: 'Ask an operator' }).click();
    await ada.waitForURL('**/t/acme-managed/requests/*');
    expectNamespace('acme-managed', false);
    await openApproval(olive, 'acme-managed');
    await olive.getByRole('checkbox', { name: 'Grant something else' }).check();
    await olive.getByLabel('Most').fill('1');
    await olive.getByRole('button', { name: 'Grant with changes' }).click();
    await olive.waitForURL('**/operator/approvals');
    await ada.goto('/t/acme-managed/enrollments');
    await ada.getByRole('main').getByRole('link', { name: 'acme-corp', exact: true }).click();
    await expectReady(ada);
    const most = ['-o', 'jsonpath={.items[0].spec.maxRunners}'];
    expect(kubectl('get', 'autoscalingrunnersets', '-n', 'runners-acme-managed', ...most)).toBe('1');
  });
  await test.step('another is refused, with the reason', async () => {
    await askForTenant(ada, 'A managed customer', 'never-managed');
    await ada.waitForURL('**/t/never-managed/requests');
    await openApproval(olive, 'never-managed');
    await olive.locator('summary').filter({ hasText: 'Refuse' }).click();
    await olive.getByLabel('The reason').fill('Not this quarter.');
    await olive.getByRole('button', { name: 'Refuse' }).click();
    await ada.goto('/t/never-managed/requests');
    await ada.getByRole('link', { name: 'New tenant' }).click();
    await expect(ada.getByText('Not this quarter.')).toBeVisible();
  });
  await test.step('a stranger sees none of it, and decides nothing', async () => {
    const mallory = await as('mallory');
    await expectNoPart(mallory, 'acme-managed');
    for (const path of ['/operator/approvals', '/operator/tenants'])
      expect((await mallory.goto(path))?.status()).toBe(404);
  });
});

test('a team within an organization has a share, and its organization’s admins', async ({ as }) => {
  test.setTimeout(120_000);
  const ada = await as('ada-tinyland');
  await askForTenant(ada, 'A team', 'compilers', { quota: '4' });
  await ada.goto('/t/tinyland-inc/quota');
  await expectAccessible(ada);
  await expect(ada.getByRole('region', { name: 'All tenants together' }).getByRole('row')).toHaveCount(3);
  // More than the organization has left.
  await ada.getByText(/Change the share of compilers people/).click();
  await ada.getByRole('textbox', { name: 'CPU' }).first().fill('4000');
  await ada.getByRole('button', { name: 'Set the share' }).click();
  await expect(ada.getByText(/more than the tenant above has left/i)).toBeVisible();
  await expectNoPart(await as('mallory'), 'compilers');
});

async function organizationOf(page: Page, org: string): Promise<void> {
  await chooseScope(page, 'github', org);
  await sharedApp(page);
  await page.waitForURL('**/enroll/tenant?**');
  const choice = page.getByRole('radio', { name: /a new tenant/i });
  if ((await choice.count()) > 0) await choice.check();
  await page.getByLabel('Name', { exact: true }).fill(org);
  await page.getByLabel('Slug').fill(org);
  await page.getByRole('button', { name: 'Continue to pools' }).click();
  await page.waitForURL(`**/t/${org}/enroll/*/pools`);
  await choosePools(page, [['docker', '1']]);
  await choosePlanes(page);
  await page.getByRole('button', { name: /^apply \d+ changes$/i }).click();
  await expectReady(page);
}

async function moveBelow(page: Page, operator: Page, tenant: string, parent: string): Promise<void> {
  await page.goto(`/t/${tenant}/quota`);
  await page.getByLabel('Below').selectOption(parent);
  await page.getByRole('button', { name: 'Ask an operator to move it' }).click();
  await page.waitForURL(`**/t/${tenant}/requests/*`);
  await grant(operator, tenant);
}

async function twoOrganizations(as: As): Promise<[Page, Page]> {
  const [ada, olive] = [await as('ada-tinyland'), await as('olive-operator')];
  for (const org of ['umbrella-one', 'umbrella-two']) await organizationOf(ada, org);
  return [ada, olive];
}

test('an enterprise of two organizations: one view over all; then one of them leaves, with a report', async ({
  as,
}) => {
  test.setTimeout(300_000);
  const [ada, olive] = await twoOrganizations(as);
  await test.step('the enterprise is asked for and granted', async () => {
    await askForTenant(ada, 'An enterprise', 'umbrella');
    await grant(olive, 'umbrella people');
  });
  await test.step('both move below it', async () => {
    for (const org of ['umbrella-one', 'umbrella-two']) await moveBelow(ada, olive, org, 'umbrella');
  });
  await test.step('one view over all', async () => {
    await ada.goto('/t/umbrella/quota');
    await expect(ada.getByText('One account pays for all of them.')).toBeVisible();
    const rows = ada.getByRole('region', { name: 'All tenants together' }).getByRole('row');
    await expect(rows).toHaveCount(4);
    await expectAccessible(ada);
  });
  await test.step('a suspension stops both, and says so', async () => {
    await olive.goto('/operator/tenants');
    await expectAccessible(olive);
    const row = olive.getByRole('row').filter({ has: olive.getByText('umbrella', { exact: true }) });
    await row.getByText('Suspend…').click();
    await row.getByLabel(/why/i).fill('The account is unpaid.');
    await row.getByRole('button', { name: 'Suspend umbrella' }).click();
    const most = () =>
      kubectl(
        'get',
        'autoscalingrunnersets',
        '-n',
        'runners-umbrella-two',
        '-o',
        'jsonpath={.items[0].spec.maxRunners}',
      );
    await expect.poll(most, { timeout: 20_000 }).toBe('0');
    await ada.goto('/t/umbrella');
    await expect(ada.getByText(/This tenant is suspended: no runner starts. The account is unpaid./)).toBeVisible();
    await row.getByRole('button', { name: 'Resume umbrella' }).click();
    await expect.poll(most, { timeout: 20_000 }).toBe('1');
  });
  await test.step('leaving: the list first, then the report', async () => {
    await ada.goto('/t/umbrella-two/settings/leave');
    await expect(ada.getByText('umbrella-two-docker')).toBeVisible();
    await expectAccessible(ada);
    await ada.getByLabel(/to leave with all of this/).fill('umbrella-two');
    await ada.getByRole('button', { name: 'Leave the platform' }).click();
    await expect(ada.getByText(/umbrella-two has left/)).toBeVisible({ timeout: 60_000 });
    await expect(ada.getByText('Namespace runners-umbrella-two')).toBeVisible();
    await expectAccessible(ada);
    expectNamespace('umbrella-two', false);
    await ada.goto('/t/umbrella-two/audit');
    await expect(ada.getByRole('cell', { name: 'tenant:left' })).toBeVisible();
  });
  await test.step('a stranger has no part, and cannot make it leave', async () => {
    await expectNoPart(await as('mallory'), 'umbrella-one');
  });
});
