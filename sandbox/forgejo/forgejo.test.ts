import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Forgejo, ids, startForgejo } from './index.ts';

const callback = 'http://127.0.0.1:3999/api/auth/callback/forgejo';
let forgejo: Forgejo;
let nowMs: number;

beforeEach(async () => {
  nowMs = Date.now();
  forgejo = await startForgejo({ port: 0, redirectUris: [callback], now: () => new Date(nowMs) });
});
afterEach(() => forgejo.stop());

type Got = { status: number; headers: Headers; body: unknown };

async function call(method: string, path: string, headers: Record<string, string> = {}, body?: object): Promise<Got> {
  const response = await fetch(`${forgejo.url}${path}`, {
    method,
    redirect: 'manual',
    headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') ?? false;
  return { status: response.status, headers: response.headers, body: isJson && text !== '' ? JSON.parse(text) : text };
}

const rest = (method: string, path: string, token?: string, body?: object) =>
  call(method, `/api/v1${path}`, token === undefined ? {} : { authorization: `token ${token}` }, body);

async function status(method: string, path: string, token?: string, body?: object): Promise<number> {
  return (await rest(method, path, token, body)).status;
}

describe('signing in', () => {
  const verifier = 'v'.repeat(43);

  async function authorize(login: string, more: Record<string, string> = {}): Promise<URL | number> {
    const query = new URLSearchParams({
      client_id: forgejo.app.clientId,
      redirect_uri: callback,
      response_type: 'code',
      state: 'st',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...more,
    });
    const form = { method: 'POST', redirect: 'manual', body: new URLSearchParams({ login }) } as const;
    const response = await fetch(`${forgejo.url}/login/oauth/authorize?${query}`, form);
    const location = response.headers.get('location');
    return location === null ? response.status : new URL(location);
  }

  async function exchange(values: Record<string, string>): Promise<Got> {
    const { clientId, clientSecret } = forgejo.app;
    const grant = { client_id: clientId, client_secret: clientSecret, grant_type: 'authorization_code', ...values };
    return call('POST', '/login/oauth/access_token', {}, grant);
  }

  async function codeFor(login: string): Promise<string> {
    const to = await authorize(login);
    return to instanceof URL ? (to.searchParams.get('code') ?? '') : '';
  }

  test('a chosen person’s code becomes a token that may do all that they may', async () => {
    const made = await exchange({
      code: await codeFor('ada-tinyland'),
      redirect_uri: callback,
      code_verifier: verifier,
    });
    const { access_token: token } = made.body as { access_token: string };
    expect((await rest('GET', '/user', token)).body).toMatchObject({ id: ids.users.ada, login: 'ada-tinyland' });
    expect(await status('POST', '/orgs/tinyland/actions/runners', token, { name: 'x' })).toBe(201);
    const info = await call('GET', '/login/oauth/userinfo', { authorization: `Bearer ${token}` });
    expect(info.body).toMatchObject({ sub: String(ids.users.ada), preferred_username: 'ada-tinyland' });
    nowMs += 3600_001;
    expect(await status('GET', '/user', token)).toBe(401);
  });

  test('an address that is not registered, another’s secret and another challenge are refused', async () => {
    expect(await authorize('mallory', { redirect_uri: 'http://127.0.0.1:1/' })).toBe(400);
    expect(await authorize('mallory', { client_id: 'other' })).toBe(400);
    const plain = await authorize('mallory', { code_challenge_method: 'plain' });
    expect((plain as URL).searchParams.get('error')).toBe('invalid_request');
    const code = await codeFor('mallory');
    const right = { code, redirect_uri: callback, code_verifier: verifier };
    expect((await exchange({ ...right, client_secret: 'wrong' })).status).toBe(400);
    expect((await exchange({ ...right, code_verifier: 'w'.repeat(43) })).body).toMatchObject({
      error: 'unauthorized_client',
      error_description: 'failed PKCE code challenge',
    });
    // The one try is spent.
    expect((await exchange(right)).status).toBe(400);
  });
});

describe('access tokens', () => {
  test('are held to their scopes before anything is looked for', async () => {
    const token = forgejo.token('ada-tinyland', ['read:organization']);
    expect((await rest('GET', '/user', token)).body).toMatchObject({
      message: 'token does not have at least one of required scope(s): [read:user]',
    });
    expect(await status('GET', '/orgs/tinyland', token)).toBe(200);
    expect(await status('GET', '/orgs/tinyland/actions/runners', token)).toBe(200);
    expect(await status('POST', '/orgs/tinyland/actions/runners', token, { name: 'x' })).toBe(403);
    expect(await status('DELETE', '/orgs/-/hooks/0', token)).toBe(403);
    expect(await status('DELETE', '/orgs/-/hooks/0', forgejo.token('sam-tinyland', ['write:organization']))).toBe(404);
    expect(await status('GET', '/repos/tinyland/site', token)).toBe(403);
    expect(await status('GET', '/user/orgs', forgejo.token('ada-tinyland', ['read:user']))).toBe(403);
  });

  test('are made on a page by a person, shown once, and end when deleted', async () => {
    const path = '/user/settings/applications';
    const form = (values: [string, string][], cookie = '') =>
      fetch(`${forgejo.url}${path}`, {
        method: 'POST',
        redirect: 'manual',
        headers: { cookie },
        body: new URLSearchParams(values),
      });
    const chosen = await form([['login', 'sam-tinyland']]);
    const cookie = chosen.headers.get('set-cookie')?.split(';')[0] ?? '';
    const made = await form(
      [
        ['name', 'flywheel'],
        ['scope', 'read:user'],
        ['scope', 'write:organization'],
        ['scope', 'no:such'],
      ],
      cookie,
    );
    const token = /readonly value="([0-9a-f]{40})"/.exec(await made.text())?.[1] ?? '';
    expect((await rest('GET', '/user', token)).body).toMatchObject({ login: 'sam-tinyland' });
    const again = await (await fetch(`${forgejo.url}${path}`, { headers: { cookie } })).text();
    expect(again).not.toContain(token);
    const id = /name="id" value="(\d+)"/.exec(again)?.[1] ?? '';
    const remove = {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie },
      body: new URLSearchParams({ id }),
    } as const;
    await fetch(`${forgejo.url}${path}/delete`, { ...remove, headers: { cookie: 'sandbox_forgejo=mallory' } });
    expect(await status('GET', '/user', token)).toBe(200);
    await fetch(`${forgejo.url}${path}/delete`, remove);
    expect(await status('GET', '/user', token)).toBe(401);
  });
});

describe('who may what', () => {
  const all = (login: string) => forgejo.token(login, ['all']);

  test('runners are the owner’s, and a site administrator’s', async () => {
    const at = async (path: string) =>
      Promise.all(
        ['ada-tinyland', 'sam-tinyland', 'mallory', 'olive-operator'].map((login) => status('GET', path, all(login))),
      );
    expect(await at('/orgs/tinyland/actions/runners')).toEqual([200, 403, 403, 200]);
    expect(await at('/repos/tinyland/site/actions/runners')).toEqual([200, 403, 403, 200]);
    expect(await at('/repos/tinyland/lab/actions/runners')).toEqual([200, 403, 404, 200]);
    expect(await status('GET', '/orgs/tinyland/actions/runners')).toBe(401);
  });

  test('teams tell who owns an organization', async () => {
    const teams = (await rest('GET', '/user/teams', all('sam-tinyland'))).body;
    expect(teams).toMatchObject([{ permission: 'write', organization: { id: ids.orgs.tinyland, name: 'tinyland' } }]);
    const permissions = await rest('GET', '/users/ada-tinyland/orgs/tinyland/permissions', all('ada-tinyland'));
    expect(permissions.body).toMatchObject({ is_owner: true });
    expect(await status('GET', '/orgs/tinyland/members/sam-tinyland', all('ada-tinyland'))).toBe(204);
    expect(await status('GET', '/orgs/tinyland/members/mallory', all('ada-tinyland'))).toBe(404);
  });

  test('former names redirect, to those who may see', async () => {
    forgejo.renameOrg('tinyland', 'bigland');
    const moved = await rest('GET', '/orgs/tinyland/hooks', all('ada-tinyland'));
    expect([moved.status, moved.headers.get('location')]).toEqual([307, '/api/v1/orgs/bigland/hooks']);
    forgejo.renameRepo('bigland/lab', 'plant');
    const repo = await rest('GET', '/repos/bigland/lab', all('ada-tinyland'));
    expect([repo.status, repo.headers.get('location')]).toEqual([301, '/api/v1/repos/bigland/plant']);
    expect(await status('GET', '/repos/bigland/lab', all('mallory'))).toBe(404);
    expect((await rest('GET', `/repositories/${ids.repos.lab}`, all('ada-tinyland'))).body).toMatchObject({
      full_name: 'bigland/plant',
    });
    forgejo.addOrg({ name: 'tinyland', owners: ['mallory'] });
    expect(await status('GET', '/orgs/tinyland', all('ada-tinyland'))).toBe(200);
  });

  test('pages name the next one and how many there are in all', async () => {
    for (let i = 0; i < 70; i += 1) forgejo.addRepo({ owner: 'mallory', name: `r${i}`, private: false });
    const first = await rest('GET', '/user/repos?limit=1000', all('mallory'));
    expect(first.body).toHaveLength(50);
    expect(first.headers.get('x-total-count')).toBe('71');
    expect(first.headers.get('link')).toContain('rel="next"');
    const last = await rest('GET', '/user/repos?limit=50&page=2', all('mallory'));
    expect(last.body).toHaveLength(21);
    expect(last.headers.get('link')).not.toContain('rel="next"');
  });
});

describe('a runner', () => {
  const token = () => forgejo.token('ada-tinyland', ['write:organization']);
  type Secret = { id: number; uuid: string; token: string };

  async function registered(more: object = {}): Promise<Secret> {
    const made = await rest('POST', '/orgs/tinyland/actions/runners', token(), { name: 'r', ...more });
    expect(made.status).toBe(201);
    return made.body as Secret;
  }

  function rpc(method: string, body: object, secret?: Pick<Secret, 'uuid' | 'token'>): Promise<Got> {
    const headers: Record<string, string> = secret
      ? { 'x-runner-uuid': secret.uuid, 'x-runner-token': secret.token }
      : {};
    return call('POST', `/api/actions/runner.v1.RunnerService/${method}`, headers, body);
  }

  const declared = async (secret: Secret, labels: string[]) =>
    expect((await rpc('Declare', { version: 'v12', labels }, secret)).status).toBe(200);
  const taskOf = async (secret: Secret, tasksVersion = '0') =>
    (await rpc('FetchTask', { tasksVersion }, secret)).body as {
      task?: { id: string; workflowPayload: string };
      tasksVersion: string;
    };

  test('comes online by declaring itself, and goes offline in a minute', async () => {
    const secret = await registered();
    const state = async () => (await rest('GET', `/orgs/tinyland/actions/runners/${secret.id}`, token())).body;
    expect(await state()).toMatchObject({ status: 'offline', version: '', labels: [] });
    await declared(secret, ['docker']);
    expect(await state()).toMatchObject({
      status: 'idle',
      version: 'v12',
      labels: ['docker'],
      owner_id: ids.orgs.tinyland,
    });
    nowMs += 61_000;
    expect(await state()).toMatchObject({ status: 'offline' });
  });

  test('takes a job whose labels fit, of its own scope, and ends it', async () => {
    const secret = await registered();
    await declared(secret, ['docker', 'nix']);
    forgejo.queueJob({ repository: 'mallory-labs/toolbox', runsOn: ['docker'] });
    forgejo.queueJob({ repository: 'tinyland/lab', runsOn: ['docker', 'gpu'] });
    expect((await taskOf(secret)).task).toBeUndefined();
    const job = forgejo.queueJob({
      repository: 'tinyland/lab',
      runsOn: ['nix'],
      durationSeconds: 3,
      conclusion: 'failure',
    });
    const { task } = await taskOf(secret);
    expect(Buffer.from(task?.workflowPayload ?? '', 'base64').toString()).toContain('sleep 3; exit 1');
    expect(forgejo.state.jobs[job.id]).toMatchObject({ status: 'running', runnerName: 'r' });
    expect((await taskOf(secret)).task).toBeUndefined();
    const log = await rpc(
      'UpdateLog',
      { taskId: task?.id, index: '0', rows: [{ content: 'a' }, { content: 'b' }] },
      secret,
    );
    expect(log.body).toEqual({ ackIndex: '2' });
    expect((await rpc('UpdateTask', { state: { id: task?.id } }, secret)).body).toMatchObject({
      state: { result: 'RESULT_UNSPECIFIED' },
    });
    await rpc('UpdateTask', { state: { id: task?.id, result: 'RESULT_FAILURE' } }, secret);
    expect(forgejo.state.jobs[job.id]).toMatchObject({ status: 'failure', stoppedAt: expect.any(String) });
  });

  test('that has seen all of the queue is told of nothing until it changes', async () => {
    const secret = await registered();
    await declared(secret, ['docker']);
    const { tasksVersion } = await taskOf(secret);
    expect(await taskOf(secret, tasksVersion)).toEqual({ tasksVersion });
    forgejo.queueJob({ repository: 'tinyland/lab', runsOn: ['docker'] });
    expect((await taskOf(secret, tasksVersion)).task).toBeDefined();
  });

  test('with another’s token, or deleted, is not registered', async () => {
    const secret = await registered();
    const refused = await rpc('Declare', {}, { ...secret, token: 'f'.repeat(40) });
    expect(refused.status).toBe(500);
    expect(refused.body).toMatchObject({ message: expect.stringContaining('unregistered runner') });
    await rest('DELETE', `/orgs/tinyland/actions/runners/${secret.id}`, token());
    expect((await rpc('Declare', {}, secret)).status).toBe(500);
    expect(await status('DELETE', `/orgs/tinyland/actions/runners/${secret.id}`, token())).toBe(404);
  });

  test('made for one job is gone with it', async () => {
    const secret = await registered({ ephemeral: true });
    await declared(secret, ['docker']);
    forgejo.queueJob({ repository: 'tinyland/lab', runsOn: ['docker'] });
    const { task } = await taskOf(secret);
    await rpc('UpdateTask', { state: { id: task?.id, result: 'RESULT_SUCCESS' } }, secret);
    expect(forgejo.state.runners).toEqual({});
  });

  test('registers itself with a token where the server is older', async () => {
    await forgejo.stop();
    forgejo = await startForgejo({ port: 0, version: '11.0.3+gitea-1.22.0' });
    expect(await status('POST', '/orgs/tinyland/actions/runners', token(), { name: 'r' })).toBe(404);
    expect(await status('GET', '/orgs/tinyland/actions/runners', token())).toBe(404);
    const asked = await rest('GET', '/orgs/tinyland/actions/runners/registration-token', token());
    const made = await rpc('Register', { token: (asked.body as Secret).token, name: 'old', labels: ['docker'] });
    expect(made.body).toMatchObject({
      runner: { uuid: expect.any(String), token: expect.any(String), labels: ['docker'] },
    });
    expect((await rpc('Register', { token: 'other', name: 'old' })).status).toBe(500);
  });

  test('the queue shows what waits and runs, by labels, and null where there is nothing', async () => {
    const queue = async (query = '') =>
      (await rest('GET', `/orgs/tinyland/actions/runners/jobs${query}`, token())).body;
    expect(await queue()).toBeNull();
    const job = forgejo.queueJob({ repository: 'tinyland/lab', runsOn: ['docker'] });
    expect(await queue()).toMatchObject([
      { id: job.id, runs_on: ['docker'], status: 'waiting', repo_id: ids.repos.lab },
    ]);
    expect(await queue('?labels=nix')).toBeNull();
    expect(await queue('?labels=docker,nix')).toHaveLength(1);
  });
});

test('hooks deliver what was asked for, signed under each name, and keep their secret', async () => {
  const got: { headers: IncomingHttpHeaders; raw: string }[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got.push({ headers: request.headers, raw: Buffer.concat(chunks).toString() });
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const token = forgejo.token('ada-tinyland', ['write:organization']);
  const hook = {
    type: 'forgejo',
    active: true,
    events: ['repository', 'no_such'],
    config: { url, content_type: 'json', secret: 's' },
  };
  const made = await rest('POST', '/orgs/tinyland/hooks', token, hook);
  expect(made.body).toMatchObject({ events: ['repository'], config: { url } });
  expect(JSON.stringify(made.body)).not.toContain('secret');
  forgejo.addRepo({ owner: 'tinyland', name: 'new', private: true });
  forgejo.addRepo({ owner: 'mallory', name: 'new', private: true });
  await forgejo.settled();
  receiver.close();
  expect(got).toHaveLength(1);
  const [{ headers, raw }] = got as [(typeof got)[number]];
  const digest = createHmac('sha256', 's').update(raw).digest('hex');
  expect(headers).toMatchObject({
    'x-forgejo-event': 'repository',
    'x-forgejo-signature': digest,
    'x-gitea-signature': digest,
    'x-hub-signature-256': `sha256=${digest}`,
    'x-forgejo-delivery': forgejo.state.deliveries[0]?.uuid,
  });
  expect(JSON.parse(raw)).toMatchObject({ action: 'created', repository: { full_name: 'tinyland/new' } });
});

test('the page queues a job', async () => {
  const page = await (await fetch(`${forgejo.url}/_sandbox`)).text();
  expect(page).toContain('tinyland/lab');
  const body = new URLSearchParams({
    repository: 'tinyland/lab',
    runsOn: 'docker, nix',
    durationSeconds: '',
    conclusion: 'failure',
  });
  const answer = await fetch(`${forgejo.url}/_sandbox/jobs`, { method: 'POST', redirect: 'manual', body });
  expect(answer.status).toBe(303);
  expect(Object.values(forgejo.state.jobs)).toMatchObject([{ runsOn: ['docker', 'nix'], wantedConclusion: 'failure' }]);
});

test('a restart keeps everything', async () => {
  const statePath = join(mkdtempSync(join(tmpdir(), 'forgejo-')), 'state.json');
  const first = await startForgejo({ port: 0, statePath });
  const token = first.token('mallory', ['read:user']);
  await first.stop();
  const second = await startForgejo({ port: 0, statePath });
  try {
    expect(second.app).toEqual(first.app);
    const me = await fetch(`${second.url}/api/v1/user`, { headers: { authorization: `token ${token}` } });
    expect(await me.json()).toMatchObject({ login: 'mallory' });
  } finally {
    await second.stop();
  }
});
