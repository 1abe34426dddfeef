import type { Page } from '@playwright/test';
import { asSystem } from '#sandbox/as-system.ts';
import { expect, failOnComplaints, sandbox, test, violationsOf } from './fixtures.ts';
import { folders, pathOf } from './pages.ts';
import { picture } from './picture.ts';
import { choosePlanes, choosePools, chooseScope, expectNoPart, expectReady, newTenant, sharedApp } from './wizard.ts';

/*
 * Every page that there is, as whoever it is for, light, dark and on a phone: no violation that axe can find, no word from
 * the browser's console, and no page wider than the screen.
 */

const tenant = 'acme';
const asking = 'acme-customer';
const free = 'look-free';
/** What the pages with a bracket are about; filled by the first test. */
const known = {
  tenant,
  period: '2026-11',
  enrollment: '',
  plan: '',
  request: '',
  endpoint: '',
  view: '',
  token: '',
  login: '',
  stack: 'cluster-main',
  pool: 'docker',
  rollout: '',
  page: 'troubleshoot',
  cluster: 'main',
  move: '',
};

/** A plan that waits to be applied, to a cluster of which it was only written that it answers. */
async function plannedMove(): Promise<string> {
  return asSystem(sandbox().database, async (client) => {
    await client.query(
      `insert into cluster (id, name, state, kubeconfig, context, capacity_cpu, capacity_memory, uid, kubernetes_version, controller_version,
         looked_at, reachable_at)
       values ('east', 'East', 'draining', 'east.yaml', 'east', '256', '1Ti', 'east', '1.37.2', '0.14.2', now(), now())`,
    );
    const labels = [`${tenant}-docker`, `${tenant}-nix`];
    const enrollment = { id: tenant, name: tenant, scope: tenant, generation: 1, forge: 'github', labels };
    const namespace = `runners-${tenant}`;
    const changed = (op: string) => [
      { where: 'cluster', op, kind: 'Namespace', name: namespace, fields: [] },
      ...labels.map((name) => ({ where: 'cluster', op, kind: 'AutoscalingRunnerSet', name, namespace, fields: [] })),
    ];
    const plan = {
      tenants: [{ id: tenant, slug: tenant, displayName: tenant, enrollments: [enrollment] }],
      arriving: changed('+'),
      arrivingChecked: true,
      leaving: changed('-'),
      leavingChecked: true,
      running: 1,
      most: 4,
      notes: [
        'At GitHub each scale set stays: the runner set on east takes it over by its name, and the one on main leaves it.',
        'Jobs that run on main end there. Those that still run 6 hours after east took over are ended.',
      ],
    };
    const { rows } = await client.query<{ id: string }>(
      `insert into tenant_move (id, tenant_id, from_cluster_id, to_cluster_id, limit_minutes, plan, created_by)
       select gen_random_uuid(), id, 'main', 'east', 360, $2, 'olive-operator' from tenant where slug = $1 returning id`,
      [tenant, plan],
    );
    return rows[0]?.id ?? '';
  });
}

async function ask(path: string, body: object): Promise<void> {
  const answer = await fetch(`${sandbox().github}/_sandbox/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok, await answer.text()).toBe(true);
}

const scope = `?connection=github&level=organization&path=${free}`;
/** What some pages want to be asked with, and without which they show nothing or send elsewhere. */
const queries: Record<string, () => string> = {
  '(person)/enroll/app': () => scope,
  '(person)/enroll/tenant': () => scope,
  '(person)/confirm': () => '?next=/account',
  '(person)/home': () => '?all',
  't/[tenant]/enroll/[enrollment]/plan': () => `?plan=${known.plan}`,
};

const desktop = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };
const looks = [
  ['light', 'light', desktop],
  ['dark', 'dark', desktop],
  ['on a phone', 'light', phone],
  ['on a phone, dark', 'dark', phone],
] as const;

async function lookAt(page: Page, folder: string): Promise<void> {
  // What a managed customer asks an operator for is a page of that customer's.
  const params = folder.endsWith('requests/[request]') ? { ...known, tenant: asking } : known;
  const path = pathOf(folder, params);
  for (const [look, colorScheme, size] of looks) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize(size);
    const answer = await page.goto(path + (queries[folder]?.() ?? ''));
    expect.soft([answer?.status(), new URL(page.url()).pathname], `${path}, ${look}: answers`).toEqual([200, path]);
    await expect.soft(page.getByRole('heading', { level: 1 }), `${path}, ${look}: has a title`).toBeVisible();
    expect.soft(await violationsOf(page), `${path}, ${look}: axe`).toEqual([]);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect.soft(width, `${path}, ${look}: scrolls sideways`).toBeLessThanOrEqual(size.width);
  }
}

const ofArea = (begin: string) => folders.filter((folder) => folder.startsWith(begin));
const open = folders.filter((folder) => !/^(t|operator|\(person\))(\/|$)/.test(folder));

test.describe.serial('every page', () => {
  test.beforeAll(async () => {
    for (const login of [tenant, free]) {
      await ask('orgs', { login, admins: ['ada-tinyland'] });
      await ask('installations', { account: login });
    }
    await ask('repos', { owner: tenant, name: 'app' });
  });

  test('is about something: a live enrollment, a request and an invitation', async ({ as }) => {
    test.setTimeout(300_000);
    const ada = await as('ada-tinyland');
    await ada.goto(`/enroll?connection=github&q=${tenant}`);
    await picture(ada, 'scope', { shows: ['Which scope shall run here?', 'App installed', 'Enroll'], height: 640 });
    await chooseScope(ada, 'github', tenant);
    await sharedApp(ada);
    await newTenant(ada, tenant);
    const pools: [string, string][] = [
      ['docker', '2'],
      ['nix', '1'],
    ];
    for (const [pool] of pools) await ada.getByRole('group', { name: pool, exact: true }).getByRole('checkbox').check();
    await picture(ada, 'pools', {
      shows: ['Which pools', 'At most', 'Kept warm', 'Quota when all run', 'Cost a month'],
    });
    await choosePools(ada, pools);
    await choosePlanes(ada);
    await picture(ada, 'plan', { shows: [`Plan to enroll ${tenant}`, 'added', 'Copy as YAML', 'Discard this draft'] });
    known.plan = new URL(ada.url()).searchParams.get('plan') ?? '';
    await ada.getByRole('button', { name: /^apply \d+ changes$/i }).click();
    await expectReady(ada);
    await picture(ada, 'enrollment', {
      shows: ['Progress', 'Registered and listening', 'Pools now', 'Doctor and proof'],
      settled: ['Nothing found', 'Holds'],
      height: 1000,
    });
    known.enrollment = new URL(ada.url()).pathname.split('/').at(-1) ?? '';

    await ada.goto(`/t/${tenant}/cluster`);
    const download = ada.waitForEvent('download');
    await ada.getByRole('link', { name: 'Export as OpenTofu' }).click();
    expect((await download).suggestedFilename()).toBe(`${tenant}.tf`);

    // An operator's change of a pool, planned and not applied: it is nobody's before that.
    const olive = await as('olive-operator');
    await olive.goto('/operator/pools/docker');
    await olive.getByLabel('Work folder').fill('21Gi');
    await olive.getByRole('button', { name: 'Keep the pool' }).click();
    await olive.getByRole('button', { name: /^Plan the rollout/ }).click();
    await olive.waitForURL('**/rollouts/*');
    known.rollout = new URL(olive.url()).pathname.split('/').at(-1) ?? '';
    await olive.goto('/operator/pools/docker');
    await olive.getByLabel('Work folder').fill('20Gi');
    await olive.getByRole('button', { name: 'Keep the pool' }).click();
    await expect(olive.getByText('The pool is kept as you entered it.')).toBeVisible();

    await ada.goto(`/t/${tenant}/members`);
    await ada.getByLabel('Login').fill('sam-tinyland');
    await ada.getByRole('button', { name: 'Make an invitation link' }).click();
    const link = await ada.getByText(/\/invitation\//).textContent();
    known.token = link?.split('/').at(-1)?.trim() ?? '';

    const device = { client_id: 'flywheel', scope: 'read apply', machine: 'a laptop', days: '30' };
    const asked = await ada.request.post('/api/device/code', { form: device });
    await ada.goto('/device');
    await ada.getByLabel('Code').fill(((await asked.json()) as { user_code: string }).user_code);
    await ada.getByRole('button', { name: 'Show what asks' }).click();
    await ada.waitForURL('**/device/*');
    known.login = new URL(ada.url()).pathname.split('/').at(-1) ?? '';

    await ada.goto(`/t/${tenant}/settings/webhooks`);
    await ada.getByLabel('Address').fill('http://127.0.0.1:40999/hook');
    await ada.getByRole('button', { name: 'Add the webhook' }).click();
    await ada.getByRole('link', { name: '127.0.0.1:40999' }).click();
    await ada.waitForURL('**/settings/webhooks/*');
    known.endpoint = new URL(ada.url()).pathname.split('/').at(-1) ?? '';

    await ada.goto(`/t/${tenant}/caches`);
    await picture(ada, 'caches', { shows: ['Attic views', 'Readable by', 'On a laptop', 'nix.conf'] });
    await ada.getByRole('link', { name: `${tenant}+main` }).click();
    await ada.waitForURL(/\/caches\/[0-9a-f-]{36}$/);
    known.view = new URL(ada.url()).pathname.split('/').at(-1) ?? '';

    await ada.goto('/tenants/new');
    await ada.getByRole('radio', { name: 'A managed customer' }).check();
    await ada.getByLabel('Name', { exact: true }).fill(asking);
    await ada.getByLabel('Slug').fill(asking);
    await ada.getByRole('button', { name: 'Ask an operator' }).click();
    await ada.waitForURL(`**/t/${asking}/requests`);
    await ada.getByRole('link', { name: 'New tenant' }).click();
    await ada.waitForURL(`**/t/${asking}/requests/*`);
    known.request = new URL(ada.url()).pathname.split('/').at(-1) ?? '';
    await olive.goto(`/operator/approvals/${known.request}`);
    await picture(olive, 'approval', {
      shows: ['Does it fit, and what does it cost?', 'What was said', 'Grant something else', 'Ask back', 'Refuse'],
    });
    await olive.goto('/operator/rates');
    await picture(olive, 'prices', { shows: ['Rate card', 'In force', 'Enter a price', 'Preview on last month'] });
    known.move = await plannedMove();
    await olive.goto('/operator/clusters');
    await picture(olive, 'clusters', {
      shows: ['Takes tenants', 'Health', 'Answers', 'Given to tenants', 'Draining'],
      height: 460,
    });
    await olive.goto(`/operator/clusters/moves/${known.move}`);
    await picture(olive, 'move', {
      shows: ['To be applied', 'What it moves', 'Jobs under way', 'The plan', 'Made on east'],
    });
    expect(Object.values(known).filter((value) => value === '')).toEqual([]);
  });

  test('is about something: a stack with a state', async ({ as }) => {
    test.setTimeout(60_000);
    const olive = await as('olive-operator');
    await olive.goto('/operator/state');
    await olive.getByLabel('Name').fill(known.stack);
    await olive.getByRole('button', { name: 'Add the stack' }).click();
    await olive.waitForURL(`**/operator/state/${known.stack}`);
    await olive.getByLabel('Name').fill('ci');
    await olive.getByRole('button', { name: 'Add the credential' }).click();
    const shown = await olive.getByLabel('Credential ci', { exact: true }).textContent();
    const secret = /PASSWORD='(.*)'/.exec(shown ?? '')?.[1] ?? '';
    const answer = await fetch(new URL(`/api/state/${known.stack}`, olive.url()), {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`ci:${secret}`).toString('base64')}` },
      body: JSON.stringify({ version: 4, serial: 1, lineage: 'l', outputs: { word: { value: 1 } }, resources: [] }),
    });
    expect(answer.status).toBe(200);
    await olive.goto(`/operator/state/${known.stack}`);
    await picture(olive, 'state', { shows: ['Versions', 'Use it', 'Backend block'] });
  });

  test('of a live enrollment and its plan is none to a stranger', async ({ as }) => {
    test.setTimeout(120_000);
    await expectNoPart(await as('mallory'), tenant, known);
  });

  test('that is open to anybody', async ({ page }) => {
    test.setTimeout(60_000 * open.length);
    const complaints: string[] = [];
    failOnComplaints(page, complaints);
    for (const folder of open) await lookAt(page, folder);
    expect(complaints, 'console errors').toEqual([]);
    expect(open).toEqual(['(public)', '(public)/help', '(public)/help/[page]', '(public)/sign-in']);
  });

  for (const [area, who, least] of [
    ['(person)', 'ada-tinyland', 7],
    ['t/', 'ada-tinyland', 18],
    ['operator', 'olive-operator', 7],
  ] as const)
    test(`of ${area}, as ${who}`, async ({ as }) => {
      const pages = ofArea(area);
      test.setTimeout(90_000 * pages.length);
      expect(pages.length).toBeGreaterThanOrEqual(least);
      const [page, sam] = [await as(who), area === '(person)' ? await as('sam-tinyland') : undefined];
      // An invitation is for one account, and no page to any other.
      for (const folder of pages) await lookAt(sam && folder.includes('invitation') ? sam : page, folder);
    });
});
