import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { choosePlanes, choosePools, chooseScope, expectReady, kubectl, newTenant, sharedApp } from './wizard.ts';

/* Pools as their people have them: a dedicated one is chosen, warmed by the clock and changed by its operator. */

const tenant = 'pools-corp';

async function ask(path: string, body: object): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, await answer.text()).toBe(true);
}

type SetSpec = { minRunners: number; maxRunners: number; template: { spec: { containers: { image: string }[] } } };

function setSpec(): SetSpec {
  const text = kubectl('get', 'autoscalingrunnersets', `${tenant}-nix-heavy`, '-n', `runners-${tenant}`, '-o', 'json');
  return (JSON.parse(text) as { spec: SetSpec }).spec;
}

test('a dedicated pool is chosen, gets a schedule with its week as a chart, and a change of its operator by a plan', async ({
  as,
}) => {
  test.setTimeout(300_000);
  const ada = await as('ada-tinyland');

  await test.step('dedicated, with what sharing would give up said before it is chosen', async () => {
    await ask('orgs', { login: tenant, admins: ['ada-tinyland'] });
    await ask('installations', { account: tenant });
    await chooseScope(ada, 'github', tenant);
    await sharedApp(ada);
    await ada.waitForURL('**/enroll/tenant?**');
    await ada.getByRole('radio', { name: /a new tenant/i }).check();
    await expect(
      ada.getByText('One quota: jobs of one wait while those of another run', { exact: false }),
    ).toBeVisible();
    await expect(
      ada.getByText('a runner scale set and its listener serve one registration', { exact: false }),
    ).toBeVisible();
    await expect(ada.getByRole('radio', { name: /^dedicated/i })).toBeChecked();
    await newTenant(ada, tenant);
    await choosePools(ada, [['nix-heavy', '2']]);
    await choosePlanes(ada);
    await ada.getByRole('button', { name: /^apply \d+ changes$/i }).click();
    await expectReady(ada);
    expect(setSpec().minRunners).toBe(0);
  });

  await test.step('its week is drawn before it is planned, with the cost', async () => {
    await ada.goto(`/t/${tenant}/pools`);
    await expect(ada.getByText('Dedicated', { exact: true }).first()).toBeVisible();
    await expectAccessible(ada);
    await ada.getByRole('link', { name: `${tenant}-nix-heavy` }).click();
    await expect(ada.getByRole('heading', { level: 1, name: `${tenant}-nix-heavy` })).toBeVisible();
    await ada.getByRole('checkbox', { name: /more of them by a schedule/i }).check();
    await ada.getByRole('combobox', { name: 'Time zone' }).fill('Europe/Atlantis');
    await ada.getByRole('button', { name: 'Preview', exact: true }).click();
    await expect(ada.getByText('is no time zone', { exact: false })).toBeVisible();
    await ada.getByRole('combobox', { name: 'Time zone' }).fill('Europe/Berlin');
    for (const day of ['Saturday', 'Sunday']) await ada.getByRole('checkbox', { name: day }).check();
    await ada.getByLabel('From', { exact: true }).fill('00:00');
    await ada.getByLabel('To', { exact: true }).fill('24:00');
    // The clocks are put on 29 March: that week has an hour less.
    await ada.getByLabel('Preview the week of').fill('2026-03-25');
    await ada.getByRole('button', { name: 'Preview', exact: true }).click();
    await expect(ada.getByText('it has 167 hours', { exact: false })).toBeVisible();
    await expect(ada.getByRole('img', { name: /Runners kept warm.*Europe\/Berlin: at most 1/ })).toBeVisible();
    await expect(ada.getByText('167 h', { exact: true })).toBeVisible();
    await ada.getByText('The same as a table').click();
    await expect(
      ada.getByRole('region', { name: 'The week as a table' }).getByRole('cell', { name: '167' }),
    ).toBeVisible();
    await expectAccessible(ada);
  });

  await test.step('planned, approved, and kept warm', async () => {
    await ada.getByRole('button', { name: 'Plan this' }).click();
    await ada.waitForURL('**/plan?plan=*');
    await expect(ada.getByText('WarmSchedule').first()).toBeVisible();
    await expectAccessible(ada);
    await ada.getByRole('button', { name: /^apply \d+ changes?$/i }).click();
    await expect.poll(() => setSpec().minRunners, { timeout: 20_000 }).toBe(1);
    await expectReady(ada);
    await ada.goto(`/t/${tenant}/pools`);
    await ada.getByRole('link', { name: `${tenant}-nix-heavy` }).click();
    await expect(ada.getByText('1 of at most 2 runners', { exact: false })).toBeVisible();
  });

  await test.step('the operator gives kvm what it needs, and pins an image by a rollout that is read first', async () => {
    const olive = await as('olive-operator');
    await olive.goto('/operator/pools');
    await expectAccessible(olive);
    await olive.getByRole('link', { name: 'kvm', exact: true }).click();
    await expect(olive.getByText('It cannot be chosen: it has no resources', { exact: false })).toBeVisible();
    await olive.goto('/operator/pools/nix-heavy');
    const digest = `sha256:${'ab'.repeat(32)}`;
    await olive.getByLabel('Digest').fill('latest');
    await olive.getByRole('button', { name: 'Keep the pool' }).click();
    await expect(olive.getByLabel('Digest')).toHaveAttribute('aria-invalid', 'true');
    await olive.getByLabel('Digest').fill(digest);
    await olive.getByRole('button', { name: 'Keep the pool' }).click();
    await expect(olive.getByText('The pool is kept as you entered it.')).toBeVisible();
    expect(setSpec().template.spec.containers[0]?.image).not.toContain(digest);
    await olive.getByRole('button', { name: /^Plan the rollout to \d+ enrollments?$/ }).click();
    await olive.waitForURL('**/rollouts/*');
    await expect(olive.getByText('AutoscalingRunnerSet').first()).toBeVisible();
    await expectAccessible(olive);
    await olive.getByRole('button', { name: /^Apply \d+ plans?$/ }).click();
    await expect(olive.getByText(/\d+ of \d+ plans were applied/)).toBeVisible({ timeout: 30_000 });
    await expect.poll(() => setSpec().template.spec.containers[0]?.image, { timeout: 20_000 }).toContain(digest);
    await olive.goto('/operator/pools/nix-heavy');
    await olive.getByLabel('Digest').fill('');
    await olive.getByRole('button', { name: 'Keep the pool' }).click();
    await expect(olive.getByText('The pool is kept as you entered it.')).toBeVisible();
  });
});
