import type { Page } from '@playwright/test';
import { asSystem } from '#sandbox/as-system.ts';
import { breakSandbox } from '#sandbox/break.ts';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import { picture } from './picture.ts';
import { choosePlanes, choosePools, chooseScope, expectReady, kubectl, newTenant, sharedApp } from './wizard.ts';

/*
 * What keeps jobs from running, broken in the sandbox and repaired from the page; and the proof. The cases that take long to
 * come about are in lib/doctor/doctor.cluster.test.ts.
 */

const slug = 'doctor-corp';

async function control(path: string, body?: object, method = 'POST'): Promise<Record<string, unknown>> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method,
    ...(body ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } : {}),
  });
  expect(answer.ok, path).toBe(true);
  return answer.status === 204 ? {} : ((await answer.json()) as Record<string, unknown>);
}

const broken = (...args: string[]) => breakSandbox(sandbox(), args);

/** The worker looks once a minute which controller there is, and stamps its sets by itself: just now, so not in this walk. */
async function controllerJustSeen(): Promise<void> {
  await asSystem(sandbox().database, async (client) => {
    await client.query('update cluster set reachable_at = null');
    await expect(async () => {
      await client.query(`update task set due_at = now() where kind = 'enrollment' and lease_until is null`);
      const { rowCount } = await client.query('select 1 from cluster where reachable_at is not null');
      expect(rowCount).toBe(1);
    }).toPass({ timeout: 90_000, intervals: [500] });
  });
}

/** The offered repair, its plan read and applied, and that it helped. */
async function repair(page: Page, title: RegExp, offer: string, isTyped = false): Promise<void> {
  const finding = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: title }) });
  await expect(finding).toBeVisible({ timeout: 30_000 });
  await expect(finding.getByRole('list', { name: 'What was seen' }).getByRole('listitem').first()).toBeVisible();
  // Where something is typed, its button stands beside the findings and not in one.
  await (isTyped ? page : finding).getByRole('button', { name: `${offer}: show the plan` }).click();
  await expect(page.getByText('Nothing was changed yet.', { exact: false })).toBeVisible();
  await expect(page.getByRole('list', { name: 'Changes' }).getByRole('listitem').first()).toBeVisible();
  await page.getByRole('button', { name: 'Apply this repair' }).click();
  const done = page.getByRole('region', { name: 'Repairs' }).getByRole('row').filter({ hasText: title }).first();
  await expect(done.getByText('Helped')).toBeVisible({ timeout: 45_000 });
  await expect(page.getByRole('heading', { name: title })).toHaveCount(0);
}

test('what is broken is found, said and repaired from the page, and the proof says when it last held', async ({
  as,
  request,
}) => {
  test.setTimeout(480_000);
  await control('orgs', { login: slug, admins: ['ada-tinyland'] });
  const { id: installation } = await control('installations', { account: slug });
  await control('repos', { owner: slug, name: 'app' });
  const page = await as('ada-tinyland');
  await chooseScope(page, 'github', slug);
  await sharedApp(page);
  await newTenant(page, slug);
  await choosePools(page, [
    ['docker', '2'],
    ['nix', '1'],
  ]);
  await choosePlanes(page);
  await page.getByRole('button', { name: /^apply \d+ changes$/i }).click();
  await expectReady(page);
  const at = new URL(page.url()).pathname;

  await test.step('the proof holds, and a badge says so to anybody', async () => {
    await page.getByRole('link', { name: 'Proof' }).click();
    await expect(page.getByText('It holds.')).toBeVisible({ timeout: 30_000 });
    await expect(
      page.getByRole('list', { name: 'Checks' }).getByText('another view’s token was refused'),
    ).toBeVisible();
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Make a badge' }).click();
    const address = (await page.getByLabel('As JSON, for programs').textContent()) ?? '';
    expect(await (await request.get(address)).json()).toMatchObject({ standing: 'held' });
    const svg = await request.get(`${address}/badge.svg`);
    expect(svg.headers()['content-type']).toContain('image/svg+xml');
    expect(await svg.text()).toContain('proven');
    await page.getByRole('button', { name: 'Prove it now' }).click();
    await expect(page.getByRole('region', { name: 'Runs of the proof' }).getByText('ada-tinyland')).toBeVisible();
    expect((await request.get(`/api/views/proof/${slug}/${at.split('/').at(-1)}`)).status()).toBe(401);
  });

  await test.step('nothing is found of what is well', async () => {
    await page.goto(`${at}/doctor`);
    await expect(page.getByText('Nothing is found that keeps jobs from running.')).toBeVisible();
    await expectAccessible(page);
  });

  await test.step('a label that no pool has, and what holds an object that was to go', async () => {
    await broken('finalizer', slug);
    await broken('label', `${slug}/app`, 'docker');
    await expect(page.getByText(`Write \`runs-on: ${slug}-docker\` there`, { exact: false })).toBeVisible({
      timeout: 30_000,
    });
    await expectAccessible(page);
    await expect(page.getByRole('heading', { name: /NetworkPolicy allow-dns was told to go/ })).toBeVisible({
      timeout: 30_000,
    });
    await picture(page, 'doctor', {
      shows: ['2 things are not as they should be.', 'Take the mark off: show the plan', 'What this means'],
      height: 900,
    });
    await repair(page, /NetworkPolicy allow-dns was told to go/, 'Take the mark off');
    const jobs = (await control('jobs', undefined, 'GET')) as unknown as { id: number; labels: string[] }[];
    for (const { id, labels } of jobs) if (labels.join() === 'docker') await control(`jobs/${id}/cancel`, {});
    await expect(page.getByRole('heading', { name: /job waits for docker/ })).toHaveCount(0);
  });

  await test.step('a scale set that was deleted at the forge', async () => {
    await broken('scale-set', `${slug}-docker`);
    await repair(page, /doctor-corp-docker was deleted at GitHub/, 'Register it anew');
  });

  await test.step('a session that another holds', async () => {
    await broken('session', `${slug}-nix`);
    await repair(page, /Another listener holds doctor-corp-nix/, 'Register it anew');
  });

  await test.step('an image that is gone: an operator’s to mend', async () => {
    await broken('image', 'nix', 'gone');
    await control('jobs', { repository: `${slug}/app`, labels: [`${slug}-nix`], durationSeconds: 1 });
    await expect(page.getByRole('heading', { name: /The image of doctor-corp-nix cannot be pulled/ })).toBeVisible({
      timeout: 30_000,
    });
    await expect(page.getByRole('button', { name: 'Set another image: show the plan' })).toHaveCount(0);
    const olive = await as('olive-operator');
    await olive.goto(`${at}/doctor`);
    await olive.getByLabel('Another image').fill('not an image');
    await olive.getByRole('button', { name: 'Set another image: show the plan' }).click();
    await expect(olive.getByText('is no image’s name')).toBeVisible();
    await olive.getByLabel('Another image').fill('ghcr.io/actions/actions-runner:2.333.0');
    await repair(olive, /The image of doctor-corp-nix cannot be pulled/, 'Set another image', true);
  });

  await test.step('an installation that is suspended', async () => {
    await broken('installation', slug);
    await expect(page.getByRole('heading', { name: 'The App’s installation is suspended' })).toBeVisible({
      timeout: 30_000,
    });
    await expect(page.getByRole('link', { name: /^What this means.*installation is suspended$/ })).toHaveAttribute(
      'href',
      '/help/troubleshoot#installation-suspended',
    );
    await control(`installations/${String(installation)}/unsuspend`, {});
    await expect(page.getByRole('heading', { name: 'The App’s installation is suspended' })).toHaveCount(0, {
      timeout: 30_000,
    });
  });

  await test.step('sets that are labelled for the controller before its upgrade', async () => {
    await controllerJustSeen();
    await broken('version', '0.15.0');
    await repair(page, /doctor-corp-nix is labelled for another controller/, 'Stamp it for this controller');
    const version = '{.metadata.labels.app\\.kubernetes\\.io/version}';
    const asked = ['get', 'autoscalingrunnersets', '-n', `runners-${slug}`, `${slug}-nix`, '-o', `jsonpath=${version}`];
    await expect.poll(() => kubectl(...asked)).toBe('0.15.0');
  });
});
