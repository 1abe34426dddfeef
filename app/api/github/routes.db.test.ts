import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { closeDb, seal, unsafeDb } from '#lib/db/index.ts';
import { beginInstall, beginOwnApp } from '#lib/enrollment/index.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { seed } from '../../../prisma/seed.ts';
import { GET as installed } from '../../(person)/enroll/installed/route.ts';
import { GET as created } from './created/route.ts';
import { GET as leave } from './leave/route.ts';

/** The doors themselves: a browser with a session's cookie, or without one. */
const browser = vi.hoisted(() => ({ session: '' }));
vi.mock('next/headers', () => ({
  cookies: () =>
    Promise.resolve({
      get: (name: string) => (name.endsWith('session') && browser.session ? { value: browser.session } : undefined),
    }),
  headers: () => Promise.resolve(new Headers()),
}));

const portal = 'http://portal.test';
const session = randomBytes(32).toString('base64url');
let database: TestDatabase;
let github: Github;
let mallory: PersonCtx;

beforeAll(async () => {
  database = await testDatabase();
  Object.assign(process.env, {
    DATABASE_URL: database.appUrl,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    PORTAL_URL: portal,
    LOG_LEVEL: 'silent',
  });
  github = await startGithub({ port: 0 });
  await seed({ github, attic: { url: 'https://attic.example', hs256SecretBase64: 'eA==' } });
  mallory = await signedIn();
});
afterAll(async () => {
  await github.stop();
  await closeDb();
  await database.drop();
});
afterEach(() => {
  browser.session = '';
});

async function signedIn(): Promise<PersonCtx> {
  const own = { connectionId: 'github', subject: String(ids.users.mallory), login: 'mallory' };
  const { id: userId } = await unsafeDb().user.create({ data: { name: 'Mallory' } });
  const { id } = await unsafeDb().identity.create({ data: { userId, ...own } });
  const tokens = JSON.stringify({ accessToken: github.userToken('mallory'), refreshToken: null, expiresAt: null });
  await unsafeDb().identity.update({
    where: { id },
    data: { sealedToken: await seal(tokens, `identity/${id}/token`) },
  });
  const tokenHash = createHash('sha256').update(session).digest('hex');
  await unsafeDb().session.create({ data: { userId, tokenHash, expiresAt: new Date(Date.now() + 3_600_000) } });
  const identities = [{ id, forge: 'github' as const, ...own }];
  return { requestId: 'test', person: { userId, name: 'Mallory', imageUrl: null, identities, isOperator: false } };
}

const ask = (path: string, headers: Record<string, string> = {}): Request =>
  new Request(`${portal}${path}`, { headers });
const start = {
  connectionId: 'github',
  level: 'organization' as const,
  path: 'mallory-labs',
  tenant: { new: { slug: 'labs', displayName: 'Labs', kind: 'organization' as const } },
};

test.each([
  ['leave', leave, '/api/github/leave?state=s'],
  ['created', created, '/api/github/created?code=c&state=s'],
  ['installed', installed, '/enroll/installed?installation_id=1&state=s'],
])('who is not signed in signs in first and comes back: %s', async (_, go, path) => {
  const answer = await go(ask(path));
  expect(answer.status).toBe(303);
  expect(answer.headers.get('location')).toBe(`/sign-in?next=${encodeURIComponent(path)}`);
});

test('to GitHub: a form that sends itself by the page’s own nonce, with nothing in it that could break out', async () => {
  browser.session = session;
  const address = await beginOwnApp(mallory, start);
  const answer = await leave(ask(address, { 'content-security-policy': "script-src 'self' 'nonce-bm9uY2U='" }));
  const html = await answer.text();
  expect(answer.status).toBe(200);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(html).toContain(`action="${github.url}/organizations/mallory-labs/settings/apps/new?state=`);
  expect(html).toContain('<script nonce="bm9uY2U=">');
  const [, manifest = ''] = /name="manifest" value="([^"]*)"/.exec(html) ?? [];
  expect(manifest).not.toMatch(/[<>]/);
  expect(JSON.parse(manifest.replaceAll('&quot;', '"'))).toMatchObject({
    public: false,
    redirect_url: `${portal}/api/github/created`,
    setup_url: `${portal}/enroll/installed`,
  });
});

test('A13: a guessed installation is 403 in words, as HTML, with the number of the request', async () => {
  browser.session = session;
  const state = new URL(await beginInstall(mallory, { connectionId: 'github', path: null })).searchParams.get('state');
  const path = `/enroll/installed?installation_id=${ids.installations.tinyland}&setup_action=install&state=${state}`;
  const answer = await installed(ask(path, { 'x-request-id': 'the-number' }));
  const html = await answer.text();
  expect([answer.status, answer.headers.get('content-type')]).toEqual([403, 'text/html; charset=utf-8']);
  expect(html).toContain('GitHub does not show you an installation of this number.');
  expect(html).toContain('Nothing was changed.');
  expect(html).toContain('the-number');
  // The state has been used by that.
  expect((await installed(ask(path))).status).toBe(403);
});

test('a state that nobody was given is 403, and an address without one leads to the wizard', async () => {
  browser.session = session;
  expect((await leave(ask('/api/github/leave?state=guess'))).status).toBe(403);
  expect((await created(ask('/api/github/created?code=c&state=guess'))).status).toBe(403);
  expect((await created(ask('/api/github/created?code=c'))).status).toBe(404);
  const answer = await installed(ask('/enroll/installed?installation_id=1'));
  expect([answer.status, answer.headers.get('location')]).toEqual([303, `${portal}/enroll`]);
});
