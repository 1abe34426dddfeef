import { readFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { open, seal, unsafeDb } from '#lib/db/index.ts';
import { hookSecret } from '#lib/forge/index.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { startGithub, type Github } from '#sandbox/github/index.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { openConnection, openConnectionFor } from './connections.ts';
import {
  beginConnection,
  changeForge,
  ChangeForgeInput,
  finishApp,
  manifestForm,
  NewConnectionInput,
} from './index.ts';
import { connectionPlace } from './places.ts';

/* What an operator enters of a forge with an authority of its own, and what they change of one later. */

const pem = (name: string) => readFileSync(join(import.meta.dirname, '../forge/fixtures/tls', name), 'utf8');
const caBundle = pem('authority.pem').trim();

let portal: TestPortal;
let olive: PersonCtx;
let enterprise: Github;
let tls: Server;
/** GitHub behind a certificate that only its own authority vouches for. */
let enterpriseUrl: string;

beforeAll(async () => {
  portal = await startTestPortal({ operators: 'github:1005' });
  olive = await portal.person('olive-operator');
  enterprise = await startGithub({ port: 0 });
  tls = createServer({ key: pem('server-key.pem'), cert: pem('server.pem') }, (asked, answer) => {
    const { method, headers } = asked;
    const on = plainRequest(`${enterprise.url}${asked.url}`, { method, headers }, (back) => {
      answer.writeHead(back.statusCode ?? 502, back.headers);
      back.pipe(answer);
    });
    asked.pipe(on);
  });
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
  enterpriseUrl = `https://localhost:${(tls.address() as AddressInfo).port}`;
}, 120_000);
afterAll(async () => {
  tls?.close();
  await enterprise?.stop();
  await portal?.stop();
});
beforeEach(() => unsafeDb().task.deleteMany());

const atField = (field: string, text: string) => ({ screen: { fields: { [field]: expect.stringContaining(text) } } });
const rowOf = (id: string) => unsafeDb().forgeConnection.findUniqueOrThrow({ where: { id } });

async function changed(connectionId: string, more: object = {}, by = olive): Promise<void> {
  await changeForge(by, ChangeForgeInput.parse({ connectionId, ...more }));
}

/** An enrollment that is served, without its objects. */
async function served(connectionId: string, level: 'organization' | 'group', scopeId: string): Promise<string> {
  const { id: tenantId } = await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'cmux' } });
  const scope = { connectionId, level, path: `at-${connectionId}`, scopeId, name: `at-${connectionId}` };
  const kept = await unsafeDb().enrollment.findFirst({ where: { connectionId, scopeId } });
  return (kept ?? (await unsafeDb().enrollment.create({ data: { ...scope, tenantId, state: 'active' } }))).id;
}
const woken = async () => (await unsafeDb().task.findMany({ where: { kind: 'enrollment' } })).map(({ key }) => key);

describe('a GitHub with an authority of its own', () => {
  const input = (more: object = {}) =>
    NewConnectionInput.parse({ connectionId: 'ghes', name: 'Enterprise', baseUrl: enterpriseUrl, ...more });

  test('is asked before anybody leaves to make its App, and said to be out of reach at its field', async () => {
    await expect(beginConnection(olive, input())).rejects.toMatchObject(atField('baseUrl', ''));
    await expect(beginConnection(olive, input({ baseUrl: portal.attic.url }))).rejects.toMatchObject(
      atField('baseUrl', 'does not answer as GitHub'),
    );
    await expect(beginConnection(olive, input({ baseUrl: 'https://10.1.2.3' }))).rejects.toMatchObject(
      atField('baseUrl', 'does not send requests'),
    );
    expect(await unsafeDb().errand.count({ where: { connectionId: 'ghes' } })).toBe(0);
  });

  test('is entered with it and with the way of its runners, and its App’s secrets come over that way', async () => {
    const address = await beginConnection(olive, input({ caBundle, runnerEgress: '10.9.8.7/32:443' }));
    const state = new URL(address, 'http://portal.test').searchParams.get('state') ?? '';
    const { manifest, action } = await manifestForm(olive, state);
    expect(action).toContain(`${enterpriseUrl}/settings/apps/new`);
    const body = new URLSearchParams({ manifest: JSON.stringify(manifest), state, as: 'olive-operator' });
    const made = await fetch(`${enterprise.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
    const code = new URL(made.headers.get('location') ?? '').searchParams.get('code') ?? '';
    expect(await finishApp(olive, { code, state })).toBe('/operator/forges?made=ghes');
    expect(await rowOf('ghes')).toMatchObject({ caBundle, runnerEgress: '10.9.8.7/32:443', baseUrl: enterpriseUrl });
    expect((await openConnection('ghes')).app).toBeDefined();
  });

  test('is not believed with another authority, which is not kept then', async () => {
    await expect(changed('ghes', { caBundle: '' })).rejects.toMatchObject(atField('caBundle', ''));
    expect(await rowOf('ghes')).toMatchObject({ caBundle, runnerEgress: '10.9.8.7/32:443' });
    expect(() => ChangeForgeInput.parse({ connectionId: 'ghes', caBundle: caBundle.replace(/M/g, 'A') })).toThrow(
      'PEM',
    );
  });
});

describe('a forge that is entered', () => {
  test('is given another authority and another way, and all that it serves is woken', async () => {
    const [own, other] = [await served('forgejo', 'organization', '77'), await served('gitlab', 'group', '78')];
    const before = await rowOf('forgejo');
    await changed('forgejo', { caBundle, runnerEgress: ' namespace/forge:3000 ' });
    const after = await rowOf('forgejo');
    expect(after).toMatchObject({ caBundle, runnerEgress: 'namespace/forge:3000' });
    expect([after.sealedClientSecret, after.sealedWebhookSecret]).toEqual([
      before.sealedClientSecret,
      before.sealedWebhookSecret,
    ]);
    expect(await woken()).toContain(own);
    expect(await woken()).not.toContain(other);
    const audit = await unsafeDb().audit.findFirst({ where: { action: 'forge:change', target: 'forge/forgejo' } });
    expect(audit?.after).toEqual({ ownAuthority: true, runnerEgress: 'namespace/forge:3000', replaced: [] });
    expect(() => ChangeForgeInput.parse({ connectionId: 'forgejo', runnerEgress: '0.0.0.0/0:443' })).toThrow(
      'metadata',
    );
  });

  test.each(['github', 'gitlab', 'forgejo'] as const)('%s: a client secret is tried before it is kept', async (id) => {
    const { clientSecret } = await openConnection(id);
    const before = await rowOf(id);
    const wrong = changed(id, { clientSecret: 'not-this-one' });
    await expect(wrong).rejects.toMatchObject(atField('clientSecret', 'is not the one'));
    expect(await rowOf(id)).toEqual(before);
    await changed(id, { clientSecret: ` ${clientSecret} ` });
    const after = await rowOf(id);
    expect(after.sealedClientSecret).not.toBe(before.sealedClientSecret);
    expect(await open(after.sealedClientSecret, connectionPlace(id, 'client_secret'))).toBe(clientSecret);
    const audits = await unsafeDb().audit.findMany({ where: { action: 'forge:change', target: `forge/${id}` } });
    const told = JSON.stringify(audits.map(({ before: was, after: is }) => [was, is]));
    expect(told).toContain('client secret');
    expect(told).not.toContain(clientSecret);
  });

  test('GitHub is given its new webhook secret, and the portal expects that one', async () => {
    const before = portal.github.app.webhookSecret;
    await changed('github', { newWebhookSecret: 'yes' });
    const now = portal.github.app.webhookSecret;
    expect(now).not.toBe(before);
    expect(
      await open((await rowOf('github')).sealedWebhookSecret ?? '', connectionPlace('github', 'webhook_secret')),
    ).toBe(now);
  });

  test('elsewhere the hooks of what it serves are woken to be given theirs', async () => {
    const own = await served('gitlab', 'group', '78');
    const enrollment = { id: own, connectionId: 'gitlab', tenantId: '', githubAppId: null };
    await changed('gitlab', { newWebhookSecret: 'yes' });
    const secret = await open(
      (await rowOf('gitlab')).sealedWebhookSecret ?? '',
      connectionPlace('gitlab', 'webhook_secret'),
    );
    expect(await woken()).toContain(own);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect((await openConnectionFor(enrollment)).webhookSecret).toBe(hookSecret(secret, own));
  });

  test('a GitHub without an App has no webhook secret to be given', async () => {
    const bare = { id: 'bare', kind: 'github' as const, name: 'Bare', baseUrl: enterprise.url, clientId: 'i' };
    const sealedClientSecret = await seal('x', connectionPlace('bare', 'client_secret'));
    await unsafeDb().forgeConnection.create({ data: { ...bare, sealedClientSecret } });
    await expect(changed('bare', { newWebhookSecret: 'yes' })).rejects.toMatchObject(
      atField('newWebhookSecret', 'no App'),
    );
    expect((await rowOf('bare')).sealedWebhookSecret).toBeNull();
  });

  test('is changed by operators alone', async () => {
    const ada = await portal.person('ada-tinyland');
    await expect(changed('gitlab', { runnerEgress: 'namespace/evil:1' }, ada)).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(changed('absent')).rejects.toMatchObject({ code: 'not_found' });
    expect((await rowOf('gitlab')).runnerEgress).toBeNull();
  });
});

describe('a new webhook secret of the shared App', () => {
  async function both(): Promise<{ signs: string; kept: string }> {
    const { sealedWebhookSecret } = await rowOf('github');
    const kept = await open(sealedWebhookSecret ?? '', connectionPlace('github', 'webhook_secret'));
    return { signs: portal.github.app.webhookSecret, kept };
  }
  async function fault(more: object): Promise<void> {
    const match = { method: 'PATCH', path: '/app/hook/config$' };
    const answer = await fetch(`${portal.github.url}/_sandbox/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ match, ...more }),
    });
    expect(answer.ok).toBe(true);
  }
  const unsure = (happened: string) => ({
    code: 'unavailable',
    screen: {
      happened: expect.stringContaining(happened),
      changed: 'GitHub may sign with a new secret already, which the portal does not know.',
    },
  });

  test('of two at once one is told so without waiting, and GitHub signs with the other’s, which is kept', async () => {
    for (let round = 0; round < 3; round += 1) {
      // Whoever is given the first one hears of it last.
      await fault({ kind: 'delay-after', delayMs: 500 });
      const pressed = await Promise.allSettled([
        changed('github', { newWebhookSecret: 'yes' }),
        changed('github', { newWebhookSecret: 'yes' }),
      ]);
      const refused = pressed.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(refused).toMatchObject([
        {
          code: 'conflict',
          screen: { happened: expect.stringContaining('just now'), changed: 'Nothing was changed.' },
        },
      ]);
      const { signs, kept } = await both();
      expect(kept).toBe(signs);
    }
  });

  test('whose answer was lost is said so, and done again mends it', async () => {
    await fault({ kind: 'reset-after' });
    await expect(changed('github', { newWebhookSecret: 'yes' })).rejects.toMatchObject(unsure('was lost'));
    await changed('github', { newWebhookSecret: 'yes' });
    const { signs, kept } = await both();
    expect(kept).toBe(signs);
  });

  test('which GitHub has, and which could not be kept, is said so', async () => {
    const owner = new pg.Client({ connectionString: portal.database.ownerUrl });
    await owner.connect();
    try {
      // At the commit, when all that was written has been written.
      await owner.query(
        `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$`,
      );
      await owner.query(`create constraint trigger refuse after update on forge_connection deferrable initially deferred
        for each row execute function refuse()`);
      const before = await both();
      await expect(changed('github', { newWebhookSecret: 'yes' })).rejects.toMatchObject(unsure('could not be kept'));
      const { signs, kept } = await both();
      expect(kept).toBe(before.kept);
      expect(signs).not.toBe(before.signs);
    } finally {
      await owner.query('drop function if exists refuse cascade');
      await owner.end();
    }
    await changed('github', { newWebhookSecret: 'yes' });
    const { signs, kept } = await both();
    expect(kept).toBe(signs);
  });
});
