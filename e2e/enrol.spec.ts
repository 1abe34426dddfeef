import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import {
  applyPlan,
  choosePlanes,
  choosePools,
  chooseScope,
  existingTenant,
  expectNoPart,
  expectReady,
  kubectl,
  sharedApp,
  withdraw,
} from './wizard.ts';

async function queueJob(repository: string, label: string): Promise<number> {
  const answer = await fetch(`${sandbox().github}/_sandbox/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ repository, labels: [label], durationSeconds: 3 }),
  });
  expect(answer.ok).toBe(true);
  return ((await answer.json()) as { id: number }).id;
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

    await test.step('scope', () => chooseScope(page, 'github', path));
    if (!path.includes('/')) await test.step('App', () => sharedApp(page));
    await test.step('tenant', () => existingTenant(page, tenant));
    await test.step('pools', () => choosePools(page, pools));
    await test.step('planes', () => choosePlanes(page));
    await test.step('plan', () => applyPlan(page, tenant));

    await test.step('ready', async () => {
      await expectReady(page);
      expect(kubectl('get', 'autoscalingrunnersets', '-n', `runners-${tenant}`, '-o', 'name')).toContain(label);
      await expect(page.getByText(`runs-on: ${label}`, { exact: false }).first()).toBeVisible();
    });

    await test.step('the tenant’s own namespaces, looked into', async () => {
      await page.getByRole('link', { name: 'Cluster', exact: true }).click();
      await expect(page.getByRole('heading', { name: 'Cluster', level: 1 })).toBeVisible();
      await expect(page.getByText(`runners-${tenant}`, { exact: true }).first()).toBeVisible();
      await expect(page.getByRole('region', { name: 'Events' }).or(page.getByText('No event')).first()).toBeVisible();
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

    await test.step('withdraw', () => withdraw(page, tenant, path.split('/').at(-1)?.toLowerCase() ?? ''));
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
    for (const slug of ['tinyland-inc', 'no-such-tenant']) await expectNoPart(page, slug);
    expect((await page.goto('/operator'))?.status()).toBe(404);
  });
});

test('who is not signed in is asked to', async ({ page }) => {
  await page.goto('/t/tinyland-inc');
  await expect(page).toHaveURL(/sign-in\?next=/);
  await expectAccessible(page);
  expect((await page.request.get('/api/views/overview/tinyland-inc')).status()).toBe(401);
});
