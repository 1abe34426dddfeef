import { createHash, createHmac, createPrivateKey, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type App, type Github, ids, startGithub } from './index.ts';

const callback = 'http://127.0.0.1:3999/api/auth/callback';
let github: Github;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.now();
  github = await startGithub({
    port: 0,
    callbackUrls: [callback],
    setupUrl: 'http://127.0.0.1:3999/setup',
    now: () => new Date(nowMs),
    slowMs: 50,
  });
});
afterEach(() => github.stop());

interface Got {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

async function call(method: string, path: string, token?: string, body?: unknown): Promise<Got> {
  const response = await fetch(`${github.url}${path}`, {
    method,
    redirect: 'manual',
    headers: {
      accept: 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') || text.startsWith('[') ? (JSON.parse(text) as Record<string, unknown>) : { text },
  };
}

function rest(method: string, path: string, token?: string, body?: unknown): Promise<Got> {
  return call(method, `/api/v3${path}`, token, body);
}

async function appJwt(
  app: App = github.app,
  change: { iat?: number; exp?: number; iss?: string } = {},
): Promise<string> {
  const now = Math.floor(nowMs / 1000);
  return new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(change.iss ?? String(app.id))
    .setIssuedAt(change.iat ?? now - 60)
    .setExpirationTime(change.exp ?? now + 540)
    .sign(createPrivateKey(app.privateKeyPem));
}

async function installationToken(id: number = ids.installations.tinyland): Promise<string> {
  const made = await rest('POST', `/app/installations/${id}/access_tokens`, await appJwt());
  expect(made.status).toBe(201);
  return made.body['token'] as string;
}

async function authorize(login: string, more: Record<string, string> = {}): Promise<URL> {
  const query = new URLSearchParams({
    client_id: github.app.clientId,
    redirect_uri: `${callback}/github`,
    state: 'st',
    ...more,
  });
  const response = await fetch(`${github.url}/login/oauth/authorize?${query}`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ login }),
  });
  return new URL(response.headers.get('location') ?? 'about:blank');
}

function exchange(values: Record<string, string>): Promise<Got> {
  return call('POST', '/login/oauth/access_token', undefined, {
    client_id: github.app.clientId,
    client_secret: github.app.clientSecret,
    ...values,
  });
}

describe('signing in', () => {
  test('a person chooses who to be, and the code becomes a token that names them', async () => {
    const page = await fetch(
      `${github.url}/login/oauth/authorize?client_id=${github.app.clientId}&redirect_uri=${callback}`,
    );
    expect(await page.text()).toContain('JessSullivan');
    const verifier = randomBytes(32).toString('base64url');
    const to = await authorize('JessSullivan', {
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    expect(to.searchParams.get('state')).toBe('st');
    const token = await exchange({ code: to.searchParams.get('code') ?? '', code_verifier: verifier });
    expect(token.body).toMatchObject({
      token_type: 'bearer',
      scope: '',
      expires_in: 28800,
      access_token: expect.stringMatching(/^ghu_/),
      refresh_token: expect.stringMatching(/^ghr_/),
    });
    const me = await rest('GET', '/user', token.body['access_token'] as string);
    expect(me.body).toMatchObject({ login: 'JessSullivan', id: ids.users.jess });
  });

  test('what GitHub refuses is refused in its words, with status 200', async () => {
    const to = await authorize('mallory', { code_challenge: 'x'.repeat(43), code_challenge_method: 'S256' });
    const code = to.searchParams.get('code') ?? '';
    expect((await exchange({ code, client_secret: 'no' })).body).toMatchObject({
      error: 'incorrect_client_credentials',
    });
    const wrongVerifier = await exchange({ code, code_verifier: 'wrong' });
    expect([wrongVerifier.status, wrongVerifier.body['error']]).toEqual([200, 'bad_verification_code']);
    const again = (await authorize('mallory')).searchParams.get('code') ?? '';
    expect((await exchange({ code: again })).body).toHaveProperty('access_token');
    expect((await exchange({ code: again })).body).toMatchObject({ error: 'bad_verification_code' });
    const late = (await authorize('mallory')).searchParams.get('code') ?? '';
    nowMs += 11 * 60_000;
    expect((await exchange({ code: late })).body).toMatchObject({ error: 'bad_verification_code' });
    expect((await authorize('mallory', { redirect_uri: 'https://evil.example/x' })).searchParams.get('error')).toBe(
      'redirect_uri_mismatch',
    );
    expect((await authorize('mallory', { redirect_uri: `${callback}/../../x` })).searchParams.get('error')).toBe(
      'redirect_uri_mismatch',
    );
  });

  test('a refresh token is good once', async () => {
    const code = (await authorize('sam-tinyland')).searchParams.get('code') ?? '';
    const first = await exchange({ code });
    const refresh = { grant_type: 'refresh_token', refresh_token: first.body['refresh_token'] as string };
    const second = await exchange(refresh);
    expect((await rest('GET', '/user', second.body['access_token'] as string)).body['login']).toBe('sam-tinyland');
    expect((await rest('GET', '/user', first.body['access_token'] as string)).status).toBe(401);
    expect((await exchange(refresh)).body).toMatchObject({ error: 'bad_refresh_token' });
  });
});

describe('who may see and do what', () => {
  test('an App JWT lives ten minutes and must be its own', async () => {
    const now = Math.floor(nowMs / 1000);
    expect((await rest('GET', '/app', await appJwt())).body).toMatchObject({ id: ids.app, slug: 'flywheel-sandbox' });
    expect((await rest('GET', '/app', await appJwt(github.app, { iss: github.app.clientId }))).status).toBe(200);
    expect((await rest('GET', '/app', await appJwt(github.app, { exp: now + 700 }))).status).toBe(401);
    expect((await rest('GET', '/app', await appJwt(github.app, { iat: now - 900, exp: now - 300 }))).status).toBe(401);
    expect((await rest('GET', '/app', await appJwt(github.app, { iat: now + 300, exp: now + 500 }))).status).toBe(401);
    expect((await rest('GET', '/app', await appJwt(github.app, { iss: '999' }))).status).toBe(404);
  });

  test('an installation token reaches its own account only, for an hour', async () => {
    const token = await installationToken();
    expect((await rest('GET', '/repos/tinyland-inc/lab', token)).status).toBe(200);
    expect((await rest('GET', '/repos/JessSullivan/cmux', token)).status).toBe(404);
    expect((await rest('POST', '/orgs/tinyland-inc/actions/runners/registration-token', token)).status).toBe(201);
    expect((await rest('POST', '/orgs/mallory-labs/actions/runners/registration-token', token)).status).toBe(403);
    nowMs += 3_601_000;
    expect((await rest('GET', '/repos/tinyland-inc/lab', token)).status).toBe(401);
  });

  test('a selected installation leaves the other repositories unseen', async () => {
    const token = await installationToken(ids.installations.jess);
    const repos = await rest('GET', '/installation/repositories', token);
    expect(repos.body).toMatchObject({ total_count: 1, repository_selection: 'selected' });
    expect((await rest('POST', '/repos/JessSullivan/cmux/actions/runners/registration-token', token)).status).toBe(201);
    expect((await rest('POST', '/repos/JessSullivan/dotfiles/actions/runners/registration-token', token)).status).toBe(
      403,
    );
  });

  test('a member is not an owner, a stranger sees nothing', async () => {
    const [ada, sam, mallory] = ['ada-tinyland', 'sam-tinyland', 'mallory'].map((login) => github.userToken(login));
    expect((await rest('GET', '/user/memberships/orgs/tinyland-inc', ada)).body['role']).toBe('admin');
    expect((await rest('GET', '/user/memberships/orgs/tinyland-inc', sam)).body['role']).toBe('member');
    expect((await rest('GET', '/user/memberships/orgs/tinyland-inc', mallory)).status).toBe(404);
    expect((await rest('GET', '/orgs/tinyland-inc/actions/runner-groups', sam)).status).toBe(403);
    expect((await rest('GET', '/orgs/tinyland-inc/actions/runner-groups', mallory)).status).toBe(404);
    expect((await rest('GET', '/repos/tinyland-inc/lab', mallory)).status).toBe(404);
    expect((await rest('GET', '/user/installations', mallory)).body['total_count']).toBe(0);
    expect((await rest('GET', '/user/installations', ada)).body['total_count']).toBe(1);
    // Owning an organization does not let the App in where it is not installed.
    expect((await rest('GET', '/orgs/org-free/actions/runner-groups', ada)).status).toBe(403);
  });

  test('a permission that was taken away is missed', async () => {
    await call('POST', `/_sandbox/installations/${ids.installations.tinyland}/permissions`, undefined, {
      permissions: { metadata: 'read' },
    });
    const token = await installationToken();
    expect((await rest('GET', '/orgs/tinyland-inc/actions/runners', token)).status).toBe(403);
  });

  test('a suspended installation mints no token and the ones it had stop', async () => {
    const token = await installationToken();
    await call('POST', `/_sandbox/installations/${ids.installations.tinyland}/suspend`);
    expect((await rest('GET', '/repos/tinyland-inc/lab', token)).status).toBe(403);
    expect(
      (await rest('POST', `/app/installations/${ids.installations.tinyland}/access_tokens`, await appJwt())).status,
    ).toBe(403);
  });
});

describe('runner groups', () => {
  test('are made, changed, listed and deleted; the default one stays', async () => {
    const token = await installationToken();
    const made = await rest('POST', '/orgs/tinyland-inc/actions/runner-groups', token, {
      name: 'flywheel',
      visibility: 'selected',
      selected_repository_ids: [ids.repos.lab],
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name: 'flywheel',
      visibility: 'selected',
      allows_public_repositories: false,
      default: false,
    });
    const path = `/orgs/tinyland-inc/actions/runner-groups/${made.body['id'] as number}`;
    expect((await rest('GET', `${path}/repositories`, token)).body['total_count']).toBe(1);
    expect((await rest('POST', '/orgs/tinyland-inc/actions/runner-groups', token, { name: 'Flywheel' })).status).toBe(
      409,
    );
    expect((await rest('PATCH', path, token, { name: 'renamed' })).body['name']).toBe('renamed');
    expect((await rest('DELETE', path, token)).status).toBe(204);
    expect((await rest('DELETE', '/orgs/tinyland-inc/actions/runner-groups/1', token)).status).toBe(422);
    expect((await rest('GET', '/orgs/tinyland-inc/actions/runner-groups', token)).body['total_count']).toBe(1);
  });

  test('fail on purpose where the organization is named for it', async () => {
    const pat = async (org: string): Promise<Got> => {
      const token = (await call('POST', '/_sandbox/tokens', undefined, { login: 'ada-tinyland', kind: 'pat' })).body[
        'token'
      ] as string;
      return rest('POST', `/orgs/${org}/actions/runner-groups`, token, { name: 'x' });
    };
    expect((await pat('org-apply-500')).status).toBe(500);
    expect((await pat('org-free')).status).toBe(403);
    const before = performance.now();
    expect((await pat('org-slow')).status).toBe(201);
    expect(performance.now() - before).toBeGreaterThan(45);
  });
});

describe('the shape of answers', () => {
  test('lists come in pages that say where the next one is', async () => {
    const jwt = await appJwt();
    for (let i = 0; i < 3; i += 1) {
      github.addOrg({ login: `paged-${i}`, admins: ['mallory'] });
      await call('POST', '/_sandbox/installations', undefined, { account: `paged-${i}` });
    }
    const first = await rest('GET', '/app/installations?per_page=2', jwt);
    expect(first.body).toHaveLength(2);
    expect(first.headers.get('link')).toContain(`<${github.apiUrl}/app/installations?per_page=2&page=2>; rel="next"`);
    expect(first.headers.get('link')).toContain('page=3>; rel="last"');
    const last = await rest('GET', '/app/installations?per_page=2&page=3', jwt);
    expect(last.body).toHaveLength(1);
    expect(last.headers.get('link')).not.toContain('rel="next"');
  });

  test('errors and limits look like GitHub’s', async () => {
    const missing = await rest('GET', '/nothing/here');
    expect(missing.body).toEqual({ message: 'Not Found', documentation_url: expect.any(String), status: '404' });
    expect(missing.headers.get('x-github-request-id')).toBeTruthy();
    expect(Number(missing.headers.get('x-ratelimit-remaining'))).toBe(14_999);
  });

  test('a renamed organization keeps its ids, and old repository names answer 301', async () => {
    const token = await installationToken();
    await call('POST', '/_sandbox/orgs/tinyland-inc/rename', undefined, { login: 'bigland' });
    expect((await rest('GET', '/orgs/tinyland-inc', token)).status).toBe(404);
    expect((await rest('GET', `/organizations/${ids.orgs.tinyland}`, token)).body['login']).toBe('bigland');
    const old = await rest('GET', '/repos/tinyland-inc/lab', token);
    expect([old.status, old.body['url']]).toEqual([301, `${github.apiUrl}/repositories/${ids.repos.lab}`]);
    expect((await rest('GET', `/repositories/${ids.repos.lab}`, token)).body['full_name']).toBe('bigland/lab');
  });
});

describe('faults', () => {
  test('happen as often as asked for, before or after the work', async () => {
    const token = await installationToken();
    const groups = '/orgs/tinyland-inc/actions/runner-groups';
    github.fault({ kind: 'status-after', status: 502, match: { method: 'POST', path: 'runner-groups$' } });
    expect((await rest('POST', groups, token, { name: 'lost' })).status).toBe(502);
    expect((await rest('GET', groups, token)).body['total_count']).toBe(2);
    github.fault({ kind: 'reset-after', match: { method: 'POST' } });
    await expect(rest('POST', groups, token, { name: 'dropped' })).rejects.toThrow('fetch failed');
    expect((await rest('GET', groups, token)).body['total_count']).toBe(3);
    github.fault({ kind: 'reset-before', match: { method: 'POST' } });
    await expect(rest('POST', groups, token, { name: 'never' })).rejects.toThrow('fetch failed');
    expect((await rest('GET', groups, token)).body['total_count']).toBe(3);
    github.fault({ kind: 'primary-limit', retryAfterSeconds: 2400 });
    const limited = await rest('GET', groups, token);
    expect([limited.status, limited.headers.get('x-ratelimit-remaining')]).toEqual([403, '0']);
    github.fault({ kind: 'secondary-limit', retryAfterSeconds: 7 });
    expect((await rest('GET', groups, token)).headers.get('retry-after')).toBe('7');
    expect((await rest('GET', groups, token)).status).toBe(200);
  });
});

describe('webhooks and installations', () => {
  let receiver: Server;
  let got: { headers: IncomingHttpHeaders; raw: string }[];
  beforeEach(async () => {
    got = [];
    receiver = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        got.push({ headers: request.headers, raw: Buffer.concat(chunks).toString() });
        response.writeHead(202).end('ok');
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    github.app.webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`;
  });
  afterEach(() => receiver.close());

  test('installing on one’s own organization goes back to the App and tells it, signed', async () => {
    const page = `${github.url}/apps/flywheel-sandbox/installations/new?state=s1`;
    const form = new URLSearchParams({
      account: String(ids.orgs.free),
      selection: 'selected',
      repository: String(ids.repos.freeApp),
    });
    const cookie = { cookie: 'sandbox_login=ada-tinyland' };
    const answer = await fetch(page, { method: 'POST', redirect: 'manual', body: form, headers: cookie });
    const to = new URL(answer.headers.get('location') ?? '');
    expect(Object.fromEntries(to.searchParams)).toEqual({
      installation_id: expect.stringMatching(/^\d+$/),
      setup_action: 'install',
      state: 's1',
    });
    await github.settled();
    expect(got).toHaveLength(1);
    const [{ headers, raw }] = got as [(typeof got)[number]];
    expect(headers['x-github-event']).toBe('installation');
    expect(headers['x-hub-signature-256']).toBe(
      `sha256=${createHmac('sha256', github.app.webhookSecret).update(raw).digest('hex')}`,
    );
    const stranger = await fetch(page, {
      method: 'POST',
      redirect: 'manual',
      body: form,
      headers: { cookie: 'sandbox_login=mallory' },
    });
    expect(stranger.status).toBe(403);
  });

  test('a redelivery keeps the GUID', async () => {
    github.queueJob({ repository: 'tinyland-inc/lab', labels: ['nix'] });
    await github.settled();
    const jwt = await appJwt();
    const list = (await rest('GET', '/app/hook/deliveries', jwt)).body as unknown as Record<string, unknown>[];
    expect(list[0]).toMatchObject({ event: 'workflow_job', action: 'queued', status_code: 202, redelivery: false });
    expect((await rest('POST', `/app/hook/deliveries/${list[0]?.['id'] as number}/attempts`, jwt)).status).toBe(202);
    await github.settled();
    expect(got.map((g) => g.headers['x-github-delivery'])).toEqual([list[0]?.['guid'], list[0]?.['guid']]);
    expect(got[0]?.raw).toBe(got[1]?.raw);
  });
});

test('a restart keeps everything, the key included', async () => {
  const statePath = join(mkdtempSync(join(tmpdir(), 'github-')), 'state.json');
  const first = await startGithub({ port: 0, statePath });
  first.addOrg({ login: 'kept', admins: ['mallory'] });
  const token = first.userToken('mallory');
  await first.stop();
  const second = await startGithub({ port: 0, statePath });
  try {
    expect(second.app.privateKeyPem).toBe(first.app.privateKeyPem);
    const me = await fetch(`${second.apiUrl}/user/orgs`, { headers: { authorization: `Bearer ${token}` } });
    expect(((await me.json()) as { login: string }[]).map((o) => o.login)).toEqual(['mallory-labs', 'kept']);
  } finally {
    await second.stop();
  }
});

test('it does not start in production', async () => {
  const before = process.env['NODE_ENV'];
  Object.assign(process.env, { NODE_ENV: 'production' });
  try {
    await expect(startGithub({ port: 0 })).rejects.toThrow('production');
  } finally {
    Object.assign(process.env, { NODE_ENV: before });
  }
});
