import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Gitlab, ids, startGitlab } from './index.ts';

const callback = 'http://127.0.0.1:3999/api/auth/callback/gitlab';
let gitlab: Gitlab;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.now();
  gitlab = await startGitlab({ port: 0, redirectUris: [callback], now: () => new Date(nowMs) });
});
afterEach(() => gitlab.stop());

type Got = { status: number; headers: Headers; body: unknown };

async function call(method: string, path: string, token?: string, body?: object): Promise<Got> {
  const response = await fetch(`${gitlab.url}${path}`, {
    method,
    redirect: 'manual',
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text };
}

const rest = (method: string, path: string, token?: string, body?: object) =>
  call(method, `/api/v4${path}`, token, body);

async function status(method: string, path: string, token?: string, body?: object): Promise<number> {
  return (await rest(method, path, token, body)).status;
}

const verifier = 'v'.repeat(43);
const challenge = createHash('sha256').update(verifier).digest('base64url');

async function authorize(login: string, more: Record<string, string> = {}): Promise<URL> {
  const query = new URLSearchParams({
    client_id: gitlab.application.clientId,
    redirect_uri: callback,
    response_type: 'code',
    scope: 'openid read_user read_api',
    state: 'st',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...more,
  });
  const response = await fetch(`${gitlab.url}/oauth/authorize?${query}`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ login }),
  });
  return new URL(response.headers.get('location') ?? `about:status-${response.status}`);
}

function exchange(values: Record<string, string>): Promise<Got> {
  const { clientId, clientSecret } = gitlab.application;
  const form = { client_id: clientId, client_secret: clientSecret, redirect_uri: callback, ...values };
  return call('POST', '/oauth/token', undefined, form);
}

async function signIn(login: string): Promise<Record<string, string>> {
  const code = (await authorize(login)).searchParams.get('code') ?? '';
  const got = await exchange({ grant_type: 'authorization_code', code, code_verifier: verifier });
  expect(got.status).toBe(200);
  return got.body as Record<string, string>;
}

describe('signing in', () => {
  test('a person chooses who to be, and the code becomes tokens that name them', async () => {
    const tokens = await signIn('JessSullivan');
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 7200, scope: 'openid read_user read_api' });
    const me = await rest('GET', '/user', tokens['access_token']);
    expect(me.body).toMatchObject({ id: ids.users.jess, username: 'JessSullivan', namespace_id: ids.namespaces.jess });
    expect(me.body).not.toHaveProperty('is_admin');
    const keys = createLocalJWKSet((await call('GET', '/oauth/discovery/keys')).body as JSONWebKeySet);
    const { payload } = await jwtVerify(tokens['id_token'] ?? '', keys, { issuer: gitlab.url });
    expect(payload.sub).toBe(String(ids.users.jess));
  });

  test('what GitLab refuses is refused: verifier, address, client, spent and late codes', async () => {
    const grant = async (values: Record<string, string>) => {
      const code = (await authorize('mallory')).searchParams.get('code') ?? '';
      return exchange({ grant_type: 'authorization_code', code, code_verifier: verifier, ...values });
    };
    expect((await grant({ code_verifier: 'wrong' })).body).toMatchObject({ error: 'invalid_grant' });
    expect((await grant({ redirect_uri: `${callback}/x` })).body).toMatchObject({ error: 'invalid_grant' });
    expect(await grant({ client_secret: 'no' })).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
    const code = (await authorize('mallory')).searchParams.get('code') ?? '';
    const twice = { grant_type: 'authorization_code', code, code_verifier: verifier };
    expect((await exchange(twice)).status).toBe(200);
    expect((await exchange(twice)).body).toMatchObject({ error: 'invalid_grant' });
    const late = (await authorize('mallory')).searchParams.get('code') ?? '';
    nowMs += 11 * 60_000;
    expect((await exchange({ ...twice, code: late })).status).toBe(400);
    expect((await authorize('mallory', { redirect_uri: 'https://evil.example/x' })).protocol).toBe('about:');
    expect((await authorize('mallory', { scope: 'sudo' })).searchParams.get('error')).toBe('invalid_scope');
  });

  test('a refresh token is good once, and ends the access token that came with it', async () => {
    const first = await signIn('sam-tinyland');
    const refresh = { grant_type: 'refresh_token', refresh_token: first['refresh_token'] ?? '' };
    const second = (await exchange(refresh)).body as Record<string, string>;
    expect(await status('GET', '/user', second['access_token'])).toBe(200);
    expect((await rest('GET', '/user', first['access_token'])).body).toMatchObject({ error: 'invalid_token' });
    expect((await exchange(refresh)).body).toMatchObject({ error: 'invalid_grant' });
    nowMs += 7201_000;
    expect(await status('GET', '/user', second['access_token'])).toBe(401);
  });
});

describe('who sees and may do what', () => {
  test('roles come from above, strangers see nothing, administrators everything', async () => {
    const member = (login: string, path: string, userId: number) =>
      rest('GET', `${path}/members/all/${userId}`, gitlab.userToken(login));
    const kernels = `/projects/${encodeURIComponent('tinyland/lab/kernels')}`;
    expect((await member('ada-tinyland', kernels, ids.users.ada)).body).toMatchObject({ access_level: 50 });
    expect((await member('sam-tinyland', kernels, ids.users.sam)).body).toMatchObject({ access_level: 30 });
    expect((await member('mallory', kernels, ids.users.mallory)).body).toEqual({ message: '404 Project Not Found' });
    expect((await member('olive-operator', kernels, ids.users.olive)).status).toBe(404);
    expect((await member('olive-operator', kernels, ids.users.ada)).status).toBe(200);
    expect(await status('GET', '/groups/tinyland%2Flab', gitlab.userToken('sam-tinyland'))).toBe(200);
    expect(await status('GET', '/groups/tinyland%2Flab', gitlab.userToken('mallory'))).toBe(404);
    expect((await rest('GET', '/user', gitlab.userToken('olive-operator'))).body).toMatchObject({ is_admin: true });
  });

  test('lists are paged with GitLab’s headers, by offset and by keyset', async () => {
    for (let i = 0; i < 45; i += 1) gitlab.addProject({ path: `tinyland/many-${i}` });
    const token = gitlab.userToken('ada-tinyland');
    const page = await rest('GET', '/projects?min_access_level=40&per_page=20&page=2', token);
    expect(page.headers.get('x-next-page')).toBe('3');
    expect(page.headers.get('x-total')).toBe('47');
    expect(page.headers.get('link')).toContain('rel="next"');
    const last = await rest('GET', '/projects?min_access_level=40&per_page=20&page=3', token);
    expect(last.headers.get('x-next-page')).toBe('');
    const keyed = await rest(
      'GET',
      '/projects?min_access_level=40&pagination=keyset&order_by=id&sort=asc&per_page=40',
      token,
    );
    expect(keyed.headers.get('link')).toMatch(/id_after=\d+/);
    expect(keyed.headers.get('x-next-page')).toBeNull();
  });

  test('a token without the scope is told which would do', async () => {
    const token = gitlab.accessToken({ login: 'ada-tinyland', scopes: ['create_runner'] });
    const refused = await rest('GET', '/groups/tinyland', token);
    expect(refused).toMatchObject({ status: 403, body: { error: 'insufficient_scope', scope: 'api read_api' } });
    expect(await status('GET', '/groups/tinyland')).toBe(401);
    expect(await status('GET', '/groups/tinyland', 'glpat-none')).toBe(401);
  });

  test('an access token knows itself, ends on its day, and is replaced by rotating it', async () => {
    const token = gitlab.accessToken({ path: 'tinyland', scopes: ['create_runner', 'self_rotate'], days: 2 });
    const self = await rest('GET', '/personal_access_tokens/self', token);
    expect(self.body).toMatchObject({ active: true, revoked: false, scopes: ['create_runner', 'self_rotate'] });
    expect(await status('GET', '/personal_access_tokens/self', gitlab.userToken('mallory'))).toBe(400);
    const fresh = (await rest('POST', '/personal_access_tokens/self/rotate', token)).body as { token: string };
    expect(await status('GET', '/personal_access_tokens/self', token)).toBe(401);
    expect(await status('GET', '/personal_access_tokens/self', fresh.token)).toBe(200);
    nowMs += 8 * 86_400_000;
    expect((await rest('GET', '/personal_access_tokens/self', fresh.token)).body).toMatchObject({
      error: 'invalid_token',
    });
  });

  test('a person makes a token on a page, where their role allows it', async () => {
    const make = (path: string, login: string) =>
      fetch(`${gitlab.url}${path}`, {
        method: 'POST',
        body: new URLSearchParams([
          ['login', login],
          ['name', 'flywheel'],
          ['expires_at', ''],
          ['scopes', 'read_api'],
          ['scopes', 'create_runner'],
        ]),
      });
    const path = '/groups/tinyland/lab/-/settings/access_tokens';
    expect(await (await fetch(`${gitlab.url}${path}?scopes=read_api`)).text()).toContain('Group access token');
    const made = await make(path, 'ada-tinyland');
    const token = /value="(glpat-[\w-]+)"/.exec(await made.text())?.[1];
    expect((await rest('GET', '/groups/tinyland%2Flab', token)).body).toMatchObject({ id: ids.groups.lab });
    expect((await make(path, 'sam-tinyland')).status).toBe(403);
    expect((await make('/JessSullivan/cmux/-/settings/access_tokens', 'mallory')).status).toBe(403);
    expect((await make('/-/user_settings/personal_access_tokens', 'mallory')).status).toBe(201);
    expect((await fetch(`${gitlab.url}/groups/none/-/settings/access_tokens`)).status).toBe(404);
  });

  test('above the limit it says when to come back', async () => {
    const small = await startGitlab({ port: 0, ratePerMinute: 1 });
    const ask = () =>
      fetch(`${small.apiUrl}/user`, { headers: { authorization: `Bearer ${small.userToken('mallory')}` } });
    const token = { authorization: `Bearer ${small.userToken('mallory')}` };
    expect((await ask()).status).toBe(200);
    await fetch(`${small.apiUrl}/user`, { headers: token });
    const over = await fetch(`${small.apiUrl}/user`, { headers: token });
    expect([over.status, await over.text()]).toEqual([429, 'Retry later\n']);
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    await small.stop();
  });
});

describe('runners', () => {
  const groupRunner = { runner_type: 'group_type', group_id: ids.groups.tinyland, description: 'r', tag_list: ['nix'] };

  async function made(body: object = groupRunner): Promise<{ id: number; token: string }> {
    const token = gitlab.accessToken({ path: 'tinyland', scopes: ['create_runner'] });
    const got = await rest('POST', '/user/runners', token, { run_untagged: false, ...body });
    expect(got.status).toBe(201);
    return got.body as { id: number; token: string };
  }

  test('are made by owners and maintainers, where registration is allowed', async () => {
    const create = (login: string, body: object) =>
      status('POST', '/user/runners', gitlab.accessToken({ login, scopes: ['create_runner'] }), body);
    const projectRunner = { runner_type: 'project_type', project_id: ids.projects.site, tag_list: 'a,b' };
    expect(await create('ada-tinyland', groupRunner)).toBe(201);
    expect(await create('sam-tinyland', groupRunner)).toBe(403);
    expect(await create('sam-tinyland', projectRunner)).toBe(403);
    gitlab.setMember('tinyland/site', 'sam-tinyland', 40);
    expect(await create('sam-tinyland', projectRunner)).toBe(201);
    expect(await create('ada-tinyland', { runner_type: 'instance_type' })).toBe(403);
    expect(await create('olive-operator', { runner_type: 'instance_type' })).toBe(201);
    expect(await create('ada-tinyland', { runner_type: 'group_type' })).toBe(400);
    expect(await create('ada-tinyland', { ...groupRunner, run_untagged: false, tag_list: [] })).toBe(400);
    const group = gitlab.state.groups[ids.groups.tinyland];
    if (group) group.runnerRegistration = false;
    expect(await create('ada-tinyland', groupRunner)).toBe(403);
    expect(await create('ada-tinyland', projectRunner)).toBe(403);
  });

  test('are managed with manage_runner, by id alone; lists want to read', async () => {
    const { id, token: first } = await made();
    const manager = gitlab.accessToken({ path: 'tinyland', scopes: ['manage_runner'] });
    expect((await rest('GET', `/runners/${id}`, manager)).body).toMatchObject({
      status: 'never_contacted',
      tag_list: ['nix'],
      groups: [{ id: ids.groups.tinyland }],
    });
    expect(await status('GET', '/groups/tinyland/runners', manager)).toBe(403);
    expect(await status('PUT', `/runners/${id}`, manager, { tag_list: ['x', 'y'], paused: true })).toBe(200);
    const reset = await rest('POST', `/runners/${id}/reset_authentication_token`, manager);
    expect(await status('POST', '/runners/verify', undefined, { token: first })).toBe(403);
    expect(await status('POST', '/runners/verify', undefined, reset.body as object)).toBe(200);
    const stranger = gitlab.accessToken({ login: 'mallory', scopes: ['manage_runner'] });
    expect(await status('DELETE', `/runners/${id}`, stranger)).toBe(403);
    expect(await status('DELETE', `/runners/${id}`, manager)).toBe(204);
    expect(await status('GET', `/runners/${id}`, manager)).toBe(404);
  });

  test('a group’s list has the runners of the groups above', async () => {
    const { id } = await made();
    const listed = await rest(
      'GET',
      '/groups/tinyland%2Flab/runners?type=group_type',
      gitlab.userToken('ada-tinyland'),
    );
    expect(listed.body).toMatchObject([{ id, description: 'r' }]);
  });

  test('take a job whose tags they have, tell of it, and end it', async () => {
    const { token } = await made();
    gitlab.queueJob({ project: 'tinyland/lab/kernels', tags: ['gpu'] });
    expect(await status('POST', '/jobs/request', undefined, { token })).toBe(204);
    gitlab.queueJob({ project: 'mallory-labs/toolbox', tags: ['nix'] });
    expect(await status('POST', '/jobs/request', undefined, { token })).toBe(204);
    const queued = gitlab.queueJob({ project: 'tinyland/lab/kernels', tags: ['nix'] });
    const got = await rest('POST', '/jobs/request', undefined, {
      token,
      system_id: 's_1',
      info: { version: '19.3.1' },
    });
    const job = got.body as { id: number; token: string };
    expect([got.status, job.id]).toEqual([201, queued.id]);
    const trace = (from: string, text: string) =>
      fetch(`${gitlab.apiUrl}/jobs/${job.id}/trace`, {
        method: 'PATCH',
        headers: { 'job-token': job.token, 'content-range': from, 'content-type': 'text/plain' },
        body: text,
      });
    expect((await trace('0-2', 'abc')).status).toBe(202);
    expect((await trace('1-2', 'abc')).status).toBe(416);
    expect(await status('PUT', `/jobs/${job.id}`, undefined, { token: 'wrong', state: 'success' })).toBe(403);
    expect(await status('PUT', `/jobs/${job.id}`, undefined, { token: job.token, state: 'success' })).toBe(200);
    expect(
      (await rest('PUT', `/jobs/${job.id}`, undefined, { token: job.token, state: 'success' })).headers.get(
        'job-status',
      ),
    ).toBe('success');
    expect(gitlab.state.jobs[job.id]).toMatchObject({ status: 'success', trace: 'abc' });
  });
});

describe('hooks', () => {
  type Heard = { headers: Record<string, string | string[] | undefined>; body: string };

  async function listen(): Promise<{ url: string; heard: Heard[]; close(): void }> {
    const heard: Heard[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        heard.push({ headers: request.headers, body });
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`, heard, close: () => server.close() };
  }

  const signing = `whsec_${randomBytes(32).toString('base64')}`;

  test('tell of a job with both secrets, and are sent again under the same key', async () => {
    const ear = await listen();
    const token = gitlab.accessToken({ path: 'tinyland', scopes: ['api'] });
    const given = { url: ear.url, job_events: true, push_events: false, token: 'hush', signing_token: signing };
    const hook = await rest('POST', '/groups/tinyland/hooks', token, given);
    expect(hook.body).toMatchObject({ token_present: true, signing_token_present: true });
    expect(JSON.stringify(hook.body)).not.toContain('hush');
    gitlab.queueJob({ project: 'tinyland/lab/kernels', tags: ['nix'] });
    await gitlab.settled();
    const sent = ear.heard[0];
    expect(sent?.headers).toMatchObject({ 'x-gitlab-event': 'Job Hook', 'x-gitlab-token': 'hush' });
    const id = sent?.headers['webhook-id'];
    expect(id).toBe(sent?.headers['idempotency-key']);
    const content = `${String(id)}.${String(sent?.headers['webhook-timestamp'])}.${sent?.body}`;
    const right = createHmac('sha256', Buffer.from(signing.slice(6), 'base64'))
      .update(content)
      .digest('base64');
    expect(sent?.headers['webhook-signature']).toBe(`v1,${right}`);
    expect(JSON.parse(sent?.body ?? '')).toMatchObject({ object_kind: 'build', build_status: 'pending', runner: null });
    const [delivery] = gitlab.state.deliveries;
    await call('POST', `/_sandbox/deliveries/${delivery?.id}/resend`, undefined, {});
    await gitlab.settled();
    expect(ear.heard[1]?.headers['idempotency-key']).toBe(id);
    ear.close();
  });

  test('are a matter of plan, role, scope and version', async () => {
    const api = gitlab.accessToken({ path: 'tinyland', scopes: ['api'] });
    const url = 'https://portal.example/hook';
    expect(
      await status('POST', '/groups/tinyland/hooks', gitlab.accessToken({ path: 'tinyland', scopes: ['read_api'] }), {
        url,
      }),
    ).toBe(403);
    expect(
      await status(
        'POST',
        `/projects/${ids.projects.site}/hooks`,
        gitlab.accessToken({ path: 'tinyland', scopes: ['api'], level: 30 }),
        { url },
      ),
    ).toBe(403);
    expect(await status('POST', `/projects/${ids.projects.site}/hooks`, api, { url, signing_token: 'short' })).toBe(
      422,
    );
    gitlab.state.settings.plan = 'free';
    expect(await status('POST', '/groups/tinyland/hooks', api, { url })).toBe(404);
    gitlab.state.settings.version = '18.9.0';
    const old = await rest('POST', `/projects/${ids.projects.site}/hooks`, api, { url, signing_token: signing });
    expect(old.status).toBe(201);
    expect(old.body).not.toHaveProperty('signing_token_present');
  });
});

test('a project that moved is found under its old path, a group is not', async () => {
  const token = gitlab.userToken('ada-tinyland');
  gitlab.rename('tinyland', 'tinyworld');
  expect((await rest('GET', '/projects/tinyland%2Fsite', token)).body).toMatchObject({
    path_with_namespace: 'tinyworld/site',
  });
  expect(await status('GET', '/groups/tinyland', token)).toBe(404);
});

test('a restart forgets nothing', async () => {
  const statePath = join(mkdtempSync(join(tmpdir(), 'gitlab-')), 'state.json');
  const before = await startGitlab({ port: 0, statePath });
  const token = before.accessToken({ login: 'ada-tinyland', scopes: ['read_api'] });
  await before.stop();
  const after = await startGitlab({ port: 0, statePath });
  expect(after.application).toEqual(before.application);
  const answer = await fetch(`${after.apiUrl}/groups/tinyland`, { headers: { 'private-token': token } });
  expect(answer.status).toBe(200);
  await after.stop();
});

test('the page queues a job', async () => {
  expect((await call('GET', '/_sandbox')).body).toContain('Queue a job');
  const form = new URLSearchParams({
    project: 'tinyland/site',
    tags: 'nix, big',
    durationSeconds: '',
    status: 'failed',
  });
  const answer = await fetch(`${gitlab.url}/_sandbox/jobs`, { method: 'POST', body: form, redirect: 'manual' });
  expect(answer.status).toBe(303);
  expect(Object.values(gitlab.state.jobs)).toMatchObject([{ tags: ['nix', 'big'], wantedStatus: 'failed' }]);
});
