import type { Page } from '@playwright/test';
import { z } from 'zod';
import { giteaPassword } from '#sandbox/gitea.ts';
import { expect, expectAccessible, sandbox, test } from './fixtures.ts';
import {
  applyPlan,
  choosePlanes,
  choosePools,
  chooseScope,
  expectNoPart,
  expectReady,
  kubectl,
  newTenant,
  withdraw,
} from './wizard.ts';

/** The forges whose runners are registered by access tokens: each token is made on the forge's own page, as a person does. */

async function fromGitlab(page: Page): Promise<string> {
  const made = await page.context().newPage();
  await made.goto((await page.getByRole('link', { name: 'Make one' }).getAttribute('href')) ?? '');
  await made.getByLabel('Token name').fill('Flywheel');
  await made.getByLabel('Select a role').selectOption('Owner');
  for (const scope of ['create_runner', 'manage_runner', 'read_api']) await made.getByLabel(scope).check();
  await made.getByRole('button', { name: /ada-tinyland/ }).click();
  const token = await made.getByLabel('Token').inputValue();
  await made.close();
  return token;
}

const forgejoScopes = ['read:user', 'write:organization', 'write:repository'];

async function fromForgejo(page: Page, login: string): Promise<string> {
  const made = await page.context().newPage();
  await made.goto((await page.getByRole('link', { name: 'Make one' }).getAttribute('href')) ?? '');
  const choose = made.getByRole('button', { name: new RegExp(login) });
  if (await choose.isVisible()) await choose.click();
  await made.getByLabel('Token name').fill('Flywheel');
  for (const scope of forgejoScopes) await made.getByLabel(scope, { exact: true }).check();
  await made.getByRole('button', { name: 'Generate token' }).click();
  const token = await made.getByLabel('Token', { exact: true }).inputValue();
  await made.close();
  return token;
}

/** Step one of a forge whose sign-in leaves no token: the page asks for one, and lists by it what it may. */
async function givePersonalToken(page: Page, connection: string, token: string): Promise<void> {
  await page.getByLabel('Access token').fill(token);
  await page.getByRole('button', { name: 'Keep the token and go on' }).click();
  await page.waitForURL(`**/enroll?connection=${connection}`);
  await expect(page.getByLabel('Access token')).toHaveCount(0);
}

const Named = z.object({
  name: z.string().optional(),
  description: z.string().optional(),
  token: z.string().optional(),
});
const World = z.object({
  runners: z.record(z.string(), Named),
  hooks: z.record(z.string(), z.unknown()),
  jobs: z.record(z.string(), z.object({ status: z.string(), conclusion: z.string().nullish() })),
});

async function worldOf(forge: 'gitlab' | 'forgejo'): Promise<z.infer<typeof World>> {
  return World.parse(await (await fetch(`${sandbox()[forge]}/_sandbox/state`)).json());
}

async function runnersOf(forge: 'gitlab' | 'forgejo', label: string): Promise<string[]> {
  const names = Object.values((await worldOf(forge)).runners).map(({ name, description }) => name ?? description ?? '');
  return names.filter((name) => name.startsWith(`flywheel-${label}`));
}

async function queueJob(forge: 'github' | 'gitlab' | 'forgejo', job: object): Promise<number> {
  const answer = await fetch(`${sandbox()[forge]}/_sandbox/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...job, durationSeconds: 2 }),
  });
  expect(answer.ok).toBe(true);
  return z.object({ id: z.number() }).parse(await answer.json()).id;
}

async function expectGithubJobDone(job: number): Promise<void> {
  const Jobs = z.object({ jobs: z.record(z.string(), z.object({ phase: z.string() })) });
  const phase = async () =>
    Jobs.parse(await (await fetch(`${sandbox().github}/_sandbox/state`)).json()).jobs[job]?.phase;
  await expect.poll(phase, { timeout: 60_000 }).toBe('completed');
}

async function expectJobDone(forge: 'gitlab' | 'forgejo', id: number): Promise<void> {
  const state = async () => {
    const job = (await worldOf(forge)).jobs[id];
    return job?.conclusion ?? job?.status;
  };
  await expect.poll(state, { timeout: 60_000 }).toBe('success');
}

/** What the page tells a person to write is what the job asks for. */
async function labelInSnippet(page: Page, key: 'tags' | 'runs-on'): Promise<string> {
  const snippet = (await page.getByLabel(/^docker:/).textContent()) ?? '';
  const label = (key === 'tags' ? /tags:\s+- (.+)/ : /runs-on: (.+)/).exec(snippet);
  expect(label, snippet).not.toBeNull();
  return label?.[1]?.trim() ?? '';
}

/** The number of runners and what they did, once the portal has looked. */
async function expectUsage(page: Page, tenant: string): Promise<void> {
  await page.goto(`/t/${tenant}/usage`);
  await expectAccessible(page);
  await page.goto(`/t/${tenant}/audit`);
  await expect(page.getByRole('cell', { name: 'enrollment:enroll' })).toBeVisible();
  await expectAccessible(page);
}

test.describe('GitLab', () => {
  const tenant = 'gl-tinyland';

  test('an owner enrols a group by its token, a job runs, and it is withdrawn with nothing left', async ({ as }) => {
    test.setTimeout(180_000);
    const page = await as('ada-tinyland', 'GitLab');
    await chooseScope(page, 'gitlab', 'tinyland');
    await page.waitForURL('**/enroll/tenant?**');
    const token = await fromGitlab(page);
    await newTenant(page, tenant, token);
    await choosePools(page, [['docker', '2']]);
    await choosePlanes(page);
    await applyPlan(page, tenant, [token]);
    await expectReady(page);
    const label = await labelInSnippet(page, 'tags');
    expect(await runnersOf('gitlab', label)).toHaveLength(1);
    await expectJobDone('gitlab', await queueJob('gitlab', { project: 'tinyland/lab/kernels', tags: [label] }));
    await expectUsage(page, tenant);

    await test.step('its registration is rotated', () => rotateRegistration(page, tenant, label));
    await test.step('its access token is replaced', () => replaceToken(page, tenant));
    await expectJobDone('gitlab', await queueJob('gitlab', { project: 'tinyland/lab/kernels', tags: [label] }));

    const stranger = await as('mallory', 'GitLab');
    await expectNoPart(stranger, tenant);

    await withdraw(page, tenant, 'tinyland');
    expect(await runnersOf('gitlab', label)).toEqual([]);
    expect(Object.keys((await worldOf('gitlab')).hooks)).toEqual([]);
  });

  const tokensOf = async (label: string) =>
    Object.values((await worldOf('gitlab')).runners).flatMap(({ description, token }) =>
      description?.startsWith(`flywheel-${label}`) && token ? [token] : [],
    );

  async function rotateRegistration(page: Page, slug: string, label: string): Promise<void> {
    const before = await tokensOf(label);
    expect(before).toHaveLength(1);
    await page.goto(`/t/${slug}/credentials`);
    await expectAccessible(page);
    const text = await page.content();
    for (const token of before) expect(text).not.toContain(token);
    await page.getByRole('button', { name: /^Rotate what registration of the runner/ }).click();
    const isAnother = async () => (await tokensOf(label)).filter((token) => !before.includes(token)).length;
    await expect.poll(isAnother, { timeout: 60_000 }).toBe(1);
    const isAlone = async () => (await tokensOf(label)).length;
    await expect.poll(isAlone, { timeout: 60_000 }).toBe(1);
  }

  async function replaceToken(page: Page, slug: string): Promise<void> {
    await page.goto(`/t/${slug}/credentials`);
    const field = page.getByLabel('New access token for tinyland');
    const replace = page.getByRole('button', { name: 'Try it and replace the old one' });
    await field.fill('glpat-of-nobody-at-all');
    await replace.click();
    await expect(field).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByText('Nothing was changed.').first()).toBeVisible();
    await expectAccessible(page);
    const token = await fromGitlab(page);
    await field.fill(token);
    await replace.click();
    await expect(field).not.toHaveAttribute('aria-invalid', 'true');
    await page.goto(`/t/${slug}/audit`);
    await expect(page.getByRole('cell', { name: 'credential:replace' }).first()).toBeVisible();
    expect(await page.content()).not.toContain(token);
  }

  test('a stranger cannot claim the group, even with a token that is good elsewhere', async ({ as }) => {
    const page = await as('mallory', 'GitLab');
    await page.goto('/enroll?connection=gitlab&q=tinyland');
    await expect(page.getByText(/Nothing that you administer is named like/)).toBeVisible();
    await page.goto('/enroll/tenant?connection=gitlab&level=group&path=tinyland');
    await page.getByLabel('Access token').fill('glpat-of-nobody-at-all');
    await page.getByLabel('Slug').fill('mine-now');
    await page.getByRole('button', { name: 'Continue to pools' }).click();
    await expect(page.getByText('tinyland does not exist, or you may not see it.')).toBeVisible();
    await expect(page.getByText('Nothing was changed.').first()).toBeVisible();
    expect((await page.goto('/t/mine-now'))?.status()).toBe(404);
  });
});

test.describe('Forgejo', () => {
  const tenant = 'fj-tinyland';

  test('an owner gives a token, enrols an organization, a job runs, and it is withdrawn', async ({ as }) => {
    test.setTimeout(180_000);
    const page = await as('ada-tinyland', 'Forgejo');
    await page.goto('/enroll?connection=forgejo');
    await expectAccessible(page);
    const token = await fromForgejo(page, 'ada-tinyland');
    await givePersonalToken(page, 'forgejo', token);
    await chooseScope(page, 'forgejo', 'tinyland');
    await newTenant(page, tenant);
    await choosePools(page, [['docker', '2']]);
    await choosePlanes(page);
    await applyPlan(page, tenant, [token]);
    await expectReady(page);
    const label = await labelInSnippet(page, 'runs-on');
    expect(await runnersOf('forgejo', label)).toHaveLength(2);
    await expectJobDone('forgejo', await queueJob('forgejo', { repository: 'tinyland/site', runsOn: [label] }));
    await expectUsage(page, tenant);

    const stranger = await as('mallory', 'Forgejo');
    await expectNoPart(stranger, tenant);

    await withdraw(page, tenant, 'tinyland');
    expect(await runnersOf('forgejo', label)).toEqual([]);
    expect(Object.keys((await worldOf('forgejo')).hooks)).toEqual([]);
  });

  test('a stranger is told that the organization is not theirs', async ({ as }) => {
    const page = await as('mallory', 'Forgejo');
    await page.goto('/enroll?connection=forgejo');
    await givePersonalToken(page, 'forgejo', await fromForgejo(page, 'mallory'));
    await expect(page.getByText('mallory-labs', { exact: true })).toBeVisible();
    await expect(page.getByRole('link', { name: 'Enroll tinyland' })).toHaveCount(0);
    await page.goto('/enroll/tenant?connection=forgejo&level=organization&path=tinyland');
    await page.getByLabel('Slug').fill('mine-now');
    await page.getByRole('button', { name: 'Continue to pools' }).click();
    await expect(page.getByText('You do not administer tinyland.').first()).toBeVisible();
    expect((await page.goto('/t/mine-now'))?.status()).toBe(404);
  });
});

/** The stand-in holds itself to what is written of Forgejo; this is the program that Forgejo came from. */
test.describe('a real Gitea', () => {
  const tenant = 'gt-tinyland';

  async function fromGitea(page: Page, login: string): Promise<string> {
    const made = await page.context().newPage();
    await made.goto((await page.getByRole('link', { name: 'Make one' }).getAttribute('href')) ?? '');
    await made.getByLabel('Token Name').fill(`Flywheel of ${login}`);
    for (const scope of forgejoScopes) await made.locator(`input[type="radio"][value="${scope}"]`).check();
    await made.getByRole('button', { name: 'Generate Token' }).click();
    const token = (await made.getByText(/^[0-9a-f]{40}$/).textContent()) ?? '';
    await made.close();
    return token.trim();
  }

  async function gitea<T>(login: string, schema: z.ZodType<T>, path: string, body?: object): Promise<T> {
    const authorization = `Basic ${Buffer.from(`${login}:${giteaPassword(login)}`).toString('base64')}`;
    const answer = await fetch(`${sandbox().gitea}/api/v1${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    expect(answer.ok, path).toBe(true);
    return schema.parse(await answer.json());
  }

  const Runners = z.object({ runners: z.array(z.object({ name: z.string(), status: z.string() })) });
  const Runs = z.object({
    workflow_runs: z.array(z.object({ status: z.string(), conclusion: z.string().nullish() })),
  });

  const runners = async () =>
    (await gitea('ada-tinyland', Runners, '/orgs/tinyland/actions/runners')).runners.map(({ status }) => status);

  /** A workflow as the enrollment's page says it, committed. */
  async function runWorkflow(label: string): Promise<void> {
    const workflow = `on: [push]\njobs: { build: { runs-on: ${label}, steps: [{ run: sleep 2 }] } }\n`;
    const body = { content: Buffer.from(workflow).toString('base64'), branch: 'main' };
    await gitea('ada-tinyland', z.unknown(), '/repos/tinyland/site/contents/.gitea/workflows/ci.yaml', body);
    const result = async () => {
      const { workflow_runs: runs } = await gitea('ada-tinyland', Runs, '/repos/tinyland/site/actions/runs');
      return runs[0]?.conclusion ?? runs[0]?.status;
    };
    await expect.poll(result, { timeout: 60_000 }).toBe('success');
  }

  test('lets an owner enrol an organization, runs its workflow, and keeps nothing when it is withdrawn', async ({
    as,
  }) => {
    test.setTimeout(240_000);
    const page = await as('ada-tinyland', 'Gitea');
    await page.goto('/enroll?connection=gitea');
    const token = await fromGitea(page, 'ada-tinyland');
    await givePersonalToken(page, 'gitea', token);
    await chooseScope(page, 'gitea', 'tinyland');
    await newTenant(page, tenant);
    await choosePools(page, [['docker', '2']]);
    await choosePlanes(page);
    await applyPlan(page, tenant, [token]);
    await expectReady(page);
    await expect.poll(async () => (await runners()).toSorted(), { timeout: 30_000 }).toEqual(['online', 'online']);
    await runWorkflow(await labelInSnippet(page, 'runs-on'));
    await expectUsage(page, tenant);

    const stranger = await as('mallory', 'Gitea');
    await expectNoPart(stranger, tenant);

    await withdraw(page, tenant, 'tinyland');
    expect(await runners()).toEqual([]);
    expect(await gitea('ada-tinyland', z.array(z.unknown()), '/orgs/tinyland/hooks')).toEqual([]);
  });
});

test.describe('a GitHub enterprise', () => {
  const tenant = 'big-enterprise';

  async function classicToken(page: Page, login: string): Promise<string> {
    const made = await page.context().newPage();
    await made.goto((await page.getByRole('link', { name: 'Make one' }).getAttribute('href')) ?? '');
    await made.getByLabel('As').selectOption(login);
    await made.getByRole('button', { name: 'Generate token' }).click();
    const token = (await made.locator('code').textContent()) ?? '';
    await made.close();
    return token;
  }

  test('is enrolled by an operator with a token of its owner, runs a job, and is withdrawn', async ({ as }) => {
    test.setTimeout(180_000);
    const page = await as('olive-operator');
    await page.goto('/enroll?connection=github');
    await page.getByLabel('A whole enterprise, as operator').fill('big-enterprise');
    await page.getByRole('button', { name: 'Enroll this enterprise' }).click();
    await page.waitForURL('**/enroll/tenant?**');
    const token = await classicToken(page, 'olive-operator');
    await newTenant(page, tenant, token);
    await choosePools(page, [['docker', '2']]);
    await choosePlanes(page);
    await applyPlan(page, tenant, [token]);
    await expectReady(page);
    const label = await labelInSnippet(page, 'runs-on');
    expect(kubectl('get', 'autoscalingrunnersets', '-n', `runners-${tenant}`, '-o', 'name')).toContain(label);
    // A repository of any of its organizations.
    await expectGithubJobDone(await queueJob('github', { repository: 'big-data/lake', labels: [label] }));

    const stranger = await as('mallory');
    await expectNoPart(stranger, tenant);
    await stranger.goto('/enroll?connection=github');
    await expect(stranger.getByLabel('A whole enterprise, as operator')).toHaveCount(0);

    await withdraw(page, tenant, 'big-enterprise');
  });
});
