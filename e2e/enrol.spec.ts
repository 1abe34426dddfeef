import { execFileSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { builtControlPlane } from '#sandbox/control-plane.ts';

/** kubectl against the sandbox's real API server, as administrator. */
function kubectl(...args: string[]): string {
  const binary = builtControlPlane();
  const { kubeconfig } = sandbox();
  if (!binary || !kubeconfig) throw new Error('the sandbox has no cluster');
  return execFileSync(binary, ['kubectl', '--kubeconfig', kubeconfig, ...args], { encoding: 'utf8' });
}

async function queueJob(repository: string, label: string): Promise<number> {
  const answer = await fetch(`${sandbox().github}/_sandbox/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ repository, labels: [label], durationSeconds: 3 }),
  });
  expect(answer.ok).toBe(true);
  return ((await answer.json()) as { id: number }).id;
}

async function choosePool(page: Page, pool: string, most: string): Promise<void> {
  const card = page.getByRole('group', { name: pool, exact: true });
  await card.getByRole('checkbox').check();
  await card.getByLabel('At most').fill(most);
}

type Position = {
  person: 'ada-tinyland' | 'JessSullivan';
  path: string;
  tenant: string;
  pools: [string, string][];
  label: string;
  jobIn: string;
};

/** The two positions of the enrollment model, through the same pages. */
const positions: Position[] = [
  {
    person: 'ada-tinyland',
    path: 'tinyland-inc',
    tenant: 'tinyland-inc',
    pools: [
      ['docker', '4'],
      ['nix', '2'],
      ['nix-heavy', '1'],
    ],
    label: 'nix',
    jobIn: 'tinyland-inc/lab',
  },
  {
    person: 'JessSullivan',
    path: 'JessSullivan/cmux',
    tenant: 'cmux',
    pools: [
      ['docker', '4'],
      ['nix', '2'],
    ],
    label: 'cmux-nix',
    jobIn: 'JessSullivan/cmux',
  },
];

for (const { person, path, tenant, pools, label, jobIn } of positions) {
  test(`${person} enrols ${path}, a job runs, and it is withdrawn with nothing left`, async ({ as }) => {
    test.setTimeout(180_000);
    const page = await as(person);

    await test.step('scope', async () => {
      await page.goto(`/enroll?q=${encodeURIComponent(path.split('/').at(-1) ?? path)}`);
      await expectAccessible(page);
      const row = page.getByRole('listitem').filter({ has: page.getByText(path, { exact: true }) });
      await row.getByRole('link', { name: 'Enroll' }).click();
      await page.waitForURL('**/enroll/tenant?**');
    });

    await test.step('tenant', async () => {
      await expectAccessible(page);
      await page.getByRole('radio', { name: /a tenant that i administer/i }).check();
      await page.getByLabel('Tenant', { exact: true }).selectOption(tenant);
      await page.getByRole('button', { name: 'Continue to pools' }).click();
      await page.waitForURL(`**/t/${tenant}/enroll/*/pools`);
    });

    await test.step('pools', async () => {
      for (const [pool, most] of pools) await choosePool(page, pool, most);
      await expect(page.getByRole('group', { name: 'gpu', exact: true }).getByRole('checkbox')).toBeDisabled();
      await expectAccessible(page);
      await page.getByRole('button', { name: /continue to caches/i }).click();
      await page.waitForURL('**/planes');
    });

    await test.step('planes', async () => {
      await expectAccessible(page);
      await page.getByRole('radio', { name: /private/i }).check();
      await page.getByRole('button', { name: /make the plan/i }).click();
      await page.waitForURL('**/plan?plan=*');
    });

    await test.step('plan', async () => {
      await expect(page.getByText(`runners-${tenant}`).first()).toBeVisible();
      await expect(page.getByText('BEGIN RSA').or(page.getByText('BEGIN PRIVATE'))).toHaveCount(0);
      expect(kubectl('get', 'namespaces', '-o', 'name')).not.toContain(`runners-${tenant}`);
      await expectAccessible(page);
      await page.getByRole('button', { name: /^apply \d+ changes$/i }).click();
      await page.waitForURL(`**/t/${tenant}/enrollments/*`);
    });

    await test.step('ready', async () => {
      await expect(page.getByText('Jobs with these labels get runners.')).toBeVisible({ timeout: 60_000 });
      expect(kubectl('get', 'autoscalingrunnersets', '-n', `runners-${tenant}`, '-o', 'name')).toContain(label);
      await expect(page.getByText(`runs-on: ${label}`, { exact: false }).first()).toBeVisible();
      await expectAccessible(page);
    });

    await test.step('a job gets a runner', async () => {
      const job = await queueJob(jobIn, label);
      await expect
        .poll(
          async () =>
            (
              (await (await fetch(`${sandbox().github}/_sandbox/state`)).json()) as {
                jobs: Record<string, { phase: string }>;
              }
            ).jobs[job]?.phase,
          { timeout: 60_000 },
        )
        .toBe('completed');
      await page.goto(`/t/${tenant}`);
      await expectAccessible(page);
      await page.goto(`/t/${tenant}/billing`);
      await expect(page.getByText(label.split('-').at(-1) ?? '').first()).toBeVisible();
    });

    await test.step('withdraw', async () => {
      await page.goto(`/t/${tenant}/enrollments`);
      await page
        .getByRole('link', { name: path.split('/').at(-1)?.toLowerCase() ?? '' })
        .first()
        .click();
      await page.getByRole('button', { name: /show the removal plan/i }).click();
      await page.waitForURL('**/plan?plan=*');
      await expectAccessible(page);
      await page
        .getByLabel(/to withdraw it/i)
        .fill((await page.getByText(/^Type/).locator('code').textContent()) ?? '');
      await page.getByRole('button', { name: /withdraw and apply/i }).click();
      await expect(page.getByText('Withdrawn; nothing of it is left.')).toBeVisible({ timeout: 60_000 });
      expect(kubectl('get', 'namespaces', '-o', 'name')).not.toContain(`runners-${tenant}`);
    });
  });
}

test.describe('a stranger', () => {
  test('finds no scope of others to enrol', async ({ as }) => {
    const page = await as('mallory');
    await page.goto('/enroll?q=tinyland');
    await expect(page.getByRole('link', { name: /tinyland-inc/ })).toHaveCount(0);
    await page.goto('/enroll/tenant?connection=github&level=organization&path=tinyland-inc');
    await page.getByLabel('Slug').fill('mine-now');
    await page.getByRole('button', { name: 'Continue to pools' }).click();
    await expect(page.getByText('You do not administer tinyland-inc.').first()).toBeVisible();
    await expect(page.getByText('Nothing was changed.').first()).toBeVisible();
    expect((await page.goto('/t/mine-now'))?.status()).toBe(404);
  });

  test('gets the same answer for a tenant of others as for none', async ({ as }) => {
    const page = await as('mallory');
    for (const slug of ['tinyland-inc', 'no-such-tenant']) {
      for (const below of [
        '',
        '/enrollments',
        '/pools',
        '/caches',
        '/usage',
        '/billing',
        '/members',
        '/audit',
        '/settings',
      ]) {
        const answer = await page.goto(`/t/${slug}${below}`);
        expect(answer?.status(), `${slug}${below}`).toBe(404);
      }
      expect((await page.request.get(`/api/views/overview/${slug}`)).status()).toBe(404);
    }
    expect((await page.goto('/operator'))?.status()).toBe(404);
  });
});

test('who is not signed in is asked to', async ({ page }) => {
  await page.goto('/t/tinyland-inc');
  await expect(page).toHaveURL(/sign-in\?next=/);
  await expectAccessible(page);
  expect((await page.request.get('/api/views/overview/tinyland-inc')).status()).toBe(401);
});
