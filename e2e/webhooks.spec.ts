import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { expect, expectAccessible, test } from './fixtures.ts';

type Received = { headers: IncomingHttpHeaders; body: string };

let server: Server;
let received: Received[];
let status = 204;
test.beforeAll(async () => {
  received = [];
  server = createServer((request, answer) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      answer.writeHead(status).end();
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
});
test.afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test('an admin has notices sent to a program, tests it, replays, rotates and removes; the audit tells of each', async ({
  as,
}) => {
  test.setTimeout(120_000);
  const page = await as('JessSullivan');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await page.goto('/t/cmux/settings/webhooks');
  await expectAccessible(page);

  // What leads inside is refused where it is typed, and what was chosen stays.
  await page.getByLabel('Address').fill('https://169.254.169.254/latest');
  await page.getByRole('checkbox', { name: /Budget reached/ }).uncheck();
  await page.getByRole('button', { name: 'Add the webhook' }).click();
  await expect(page.getByText(/is an address inside a network/i)).toBeVisible();
  await expect(page.getByLabel('Address')).toBeFocused();
  await expect(page.getByRole('checkbox', { name: /Budget reached/ })).not.toBeChecked();

  await page.getByLabel('Address').fill(`http://${host}/hook`);
  await page.getByRole('button', { name: 'Add the webhook' }).click();
  const shown = page.getByRole('status').filter({ hasText: 'it is not shown again' });
  const secret = (await shown.locator('pre').textContent()) ?? '';
  expect(secret).toMatch(/^whsec_/);
  await expectAccessible(page);
  await page.reload();
  await expect(page.getByText(secret)).toHaveCount(0);

  await page.getByRole('link', { name: host }).click();
  await page.getByRole('button', { name: 'Send a test' }).click();
  const log = page.getByRole('region', { name: 'What was sent' });
  await expect(log.getByText('Delivered')).toBeVisible();
  await expectAccessible(page);
  expect(received.length).toBe(1);
  const [first] = received as [Received];
  const verified = new Webhook(secret).verify(first.body, first.headers as Record<string, string>);
  expect(verified).toMatchObject({ type: 'test', data: { tenant: 'cmux' } });

  status = 500;
  await page.getByRole('button', { name: 'Send a test' }).click();
  await expect(log.getByText('It answered 500.')).toBeVisible();
  status = 204;
  await log
    .getByRole('row')
    .filter({ hasText: 'It answered 500.' })
    .getByRole('button', { name: /Replay/ })
    .click();
  await expect.poll(() => received.length).toBe(3);
  expect(received[2]?.headers['webhook-id']).toBe(received[1]?.headers['webhook-id']);

  await page.getByRole('button', { name: 'Rotate the secret' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'it is not shown again' })).toBeVisible();

  await page.getByLabel(/to remove it/).fill('something else');
  await page.getByRole('button', { name: 'Remove the webhook' }).click();
  await expect(page.getByText('This is not its name.')).toBeVisible();
  await page.getByLabel(/to remove it/).fill(host);
  await page.getByRole('button', { name: 'Remove the webhook' }).click();
  await page.waitForURL('**/settings/webhooks');
  await expect(page.getByRole('heading', { name: 'Webhooks', level: 1 })).toBeVisible();
  await expect(page.getByRole('link', { name: host })).toHaveCount(0);

  await page.goto('/t/cmux/audit');
  await page.getByLabel('Action').fill('webhook:');
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.waitForURL('**/audit?*action=webhook*');
  for (const action of ['add', 'rotate-secret', 'remove'])
    await expect(page.getByRole('cell', { name: `webhook:${action}`, exact: true }).first()).toBeVisible();
  await expectAccessible(page);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV' }).click();
  expect((await download).suggestedFilename()).toMatch(/^audit-cmux-.*\.csv$/);

  await page.getByLabel('To what').fill('nothing has this name');
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page.getByText('No record fits')).toBeVisible();
  await expectAccessible(page);
});

test('notices have their page, empty until something happens, and the bell leads to it', async ({ as }) => {
  const page = await as('ada-tinyland');
  await page.goto('/t/tinyland-inc');
  await page.getByRole('link', { name: /^Notices/ }).click();
  await page.waitForURL('**/t/tinyland-inc/notices');
  await expect(page.getByRole('heading', { name: 'Notices', level: 1 })).toBeVisible();
  await expectAccessible(page);
  await page.goto('/notices');
  await expectAccessible(page);
});

test('a stranger finds none of it; operators have their own audit and notices', async ({ as }) => {
  const stranger = await as('mallory');
  for (const path of [
    '/t/cmux/settings/webhooks',
    '/t/cmux/audit',
    '/t/cmux/audit/export',
    '/t/cmux/notices',
    '/operator/audit',
    '/operator/notices',
    '/operator/audit/export',
    '/api/views/notices/cmux',
  ])
    expect([path, (await stranger.goto(path))?.status()]).toEqual([path, 404]);
  const operator = await as('olive-operator');
  await operator.goto('/operator/audit?action=access:denied');
  await expect(operator.getByRole('cell', { name: /audit:see of cmux/ }).first()).toBeVisible();
  await expectAccessible(operator);
  await operator.goto('/operator/notices');
  await expectAccessible(operator);
});
