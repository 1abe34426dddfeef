import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, unsafeDb } from '#lib/db/index.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { startForgejo, type Forgejo } from '#sandbox/forgejo/index.ts';
import { addForge, NewForgeInput, openForge } from './index.ts';

let portal: TestPortal;
let forgejo: Forgejo;
let olive: PersonCtx;

beforeAll(async () => {
  portal = await startTestPortal({ operators: 'github:1005' });
  forgejo = await startForgejo({ port: 0 });
  olive = await portal.person('olive-operator');
}, 120_000);
afterAll(async () => {
  await forgejo?.stop();
  await portal?.stop();
});

function input(more: Partial<Record<keyof NewForgeInput, string>>) {
  const given = {
    kind: 'forgejo',
    connectionId: 'codeberg',
    name: 'Codeberg',
    baseUrl: forgejo.url,
    clientId: forgejo.app.clientId,
    clientSecret: forgejo.app.clientSecret,
    ...more,
  };
  return NewForgeInput.parse(given);
}

const refusedWays = [
  ['10.9.8.7/32', 'a range and a port'],
  ['10.9.8.7:8443', 'a range and a port'],
  ['10.9.8.7/24:8443', 'a range and a port'],
  ['0.0.0.0/0:443', 'metadata'],
  ['127.0.0.1/32:3000', 'loopback'],
  ['169.254.169.254/32:80', 'link-local'],
  ['[fd00::1]/128:443', 'a range and a port'],
  ['namespace/Forge:3000', 'a range and a port'],
  ['namespace/forge:0', 'a range and a port'],
  ['namespace/forge:65536', '1 to 65535'],
] as const;

const atField = (field: string, text: string) => ({ screen: { fields: { [field]: expect.stringContaining(text) } } });

test('a forge that answers is entered, its secrets sealed, and can be asked', async () => {
  await addForge(olive, input({ runnerEgress: ' namespace/forge:3000 ' }));
  const row = await unsafeDb().forgeConnection.findUniqueOrThrow({ where: { id: 'codeberg' } });
  expect(JSON.stringify(row)).not.toContain(forgejo.app.clientSecret);
  expect(row.runnerEgress).toBe('namespace/forge:3000');
  expect(await open(row.sealedWebhookSecret ?? '', 'forge_connection/codeberg/webhook_secret')).toMatch(/^[\w-]{43}$/);
  const forge = await openForge('codeberg');
  const facts = await forge.checkToken({ token: forgejo.token('ada-tinyland', ['read:user']), scopesFor: 'person' });
  expect(facts).toMatchObject({ login: 'ada-tinyland', missingScopes: expect.arrayContaining(['read:organization']) });
  expect(await unsafeDb().audit.count({ where: { action: 'forge:add', target: 'forge/codeberg' } })).toBe(1);
});

test('what cannot be entered is said at its field, and nothing is kept', async () => {
  const before = await unsafeDb().forgeConnection.count();
  await expect(addForge(olive, input({ connectionId: 'other' }))).rejects.toMatchObject(atField('baseUrl', 'entered'));
  const gitea = { connectionId: 'x', baseUrl: portal.gitlab.url };
  await expect(addForge(olive, input(gitea))).rejects.toMatchObject(atField('baseUrl', 'does not answer as Forgejo'));
  const inside = { connectionId: 'x', baseUrl: 'https://10.1.2.3' };
  await expect(addForge(olive, input(inside))).rejects.toMatchObject(atField('baseUrl', 'does not send requests'));
  const silent = createServer((_, response) => response.writeHead(302, { location: forgejo.url }).end());
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  await expect(addForge(olive, input({ connectionId: 'x', baseUrl }))).rejects.toMatchObject(
    atField('baseUrl', 'does not answer as'),
  );
  silent.close();
  expect(await unsafeDb().forgeConnection.count()).toBe(before);
});

test('nobody but an operator may, and a key is no certificate', async () => {
  const ada = await portal.person('ada-tinyland');
  await expect(addForge(ada, input({ connectionId: 'y' }))).rejects.toMatchObject({ code: 'not_found' });
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----';
  expect(() => input({ caBundle: key })).toThrow('certificates in PEM');
  for (const [runnerEgress, problem] of refusedWays) expect(() => input({ runnerEgress })).toThrow(problem);
  for (const baseUrl of ['https://user@forge.test', 'ftp://forge.test', 'https://forge.test/path', 'nonsense'])
    expect(() => input({ baseUrl })).toThrow('origin');
});
