import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Gitea, startGitea } from '#sandbox/gitea.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import type { AtScope, Forge, ForgeConnectionValue, Webhook } from '../port.ts';
import { forgejoForge } from './index.ts';

/** The adapter against a real Gitea: its own sign-in pages, scopes, runners' protocol, deliveries and renamings. */

const callback = 'http://127.0.0.1:3999/callback';
const webhookSecret = 'of this connection';
// A machine that has not built Gitea yet needs minutes for it.
const buildMs = 20 * 60_000;

let gitea: Gitea;
let forge: Forge;
let runners: NonNullable<Forge['runners']>;
let connection: ForgeConnectionValue;
let folder: string;
let receiver: Server;
let hookUrl: string;
const delivered: Webhook[] = [];

const Made = z.object({ id: z.number() });
const Application = z.object({ client_id: z.string(), client_secret: z.string() });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flywheel-gitea-'));
  gitea = await startGitea({ dataDir: folder });
  for (const login of ['ada', 'sam', 'mallory']) await gitea.addUser(login);
  const token = await gitea.token('ada', ['all']);
  const application = { name: 'portal', redirect_uris: [callback], confidential_client: true };
  const { client_id: clientId, client_secret: clientSecret } = Application.parse(
    await gitea.api('POST', '/user/applications/oauth2', { token, body: application }),
  );
  const baseUrl = gitea.url;
  connection = { id: 'gitea', kind: 'forgejo', baseUrl, clientId, clientSecret, webhookSecret, allowLoopback: true };
  forge = forgejoForge(connection);
  if (!forge.runners) throw new Error('Gitea has runners');
  runners = forge.runners;
  hookUrl = await listen();
}, buildMs);
afterAll(async () => {
  receiver?.close();
  await gitea?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Whatever is delivered must verify to be kept. */
async function listen(): Promise<string> {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
      delivered.push(forge.verifyWebhook({ headers, rawBody: Buffer.concat(chunks) }));
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`;
}

const ada = (scopes = ['read:user', 'write:organization', 'write:repository', 'write:user']) =>
  gitea.token('ada', scopes);

/** An organization of the test's own that ada owns and sam works in, with a repository. */
async function land(name: string): Promise<{ org: AtScope; repo: AtScope; token: string }> {
  const token = await ada();
  const org = Made.parse(await gitea.api('POST', '/orgs', { token, body: { username: name } }));
  const team = {
    name: 'developers',
    permission: 'write',
    units: ['repo.code', 'repo.actions'],
    includes_all_repositories: true,
  };
  const { id: teamId } = Made.parse(await gitea.api('POST', `/orgs/${name}/teams`, { token, body: team }));
  await gitea.api('PUT', `/teams/${teamId}/members/sam`, { token });
  const body = { name: 'site', auto_init: true, default_branch: 'main' };
  const repo = Made.parse(await gitea.api('POST', `/orgs/${name}/repos`, { token, body }));
  const credential = { kind: 'token' as const, token };
  return {
    token,
    org: { level: 'organization', scopeId: String(org.id), path: name, credential },
    repo: { level: 'repository', scopeId: String(repo.id), path: `${name}/site`, credential },
  };
}

/** A person's own account, by a token that may do no more than what is advised. */
async function accountOf(login: string): Promise<AtScope> {
  const token = await gitea.token(login, forge.tokenAdvice('account', login).scopes);
  const { id } = Made.parse(await gitea.api('GET', '/user', { token }));
  return { level: 'account', scopeId: String(id), path: login, credential: { kind: 'token', token } };
}

async function commit(token: string, repository: string, path: string, text: string): Promise<void> {
  const body = { content: Buffer.from(text).toString('base64'), branch: 'main' };
  await gitea.api('POST', `/repos/${repository}/contents/${path}`, { token, body });
}

/** A browser as far as it is needed: it keeps cookies and follows redirects until one leaves the site. */
async function browse(
  url: string,
): Promise<{ submit(path: string, form: Record<string, string>): Promise<Page>; page: Page }> {
  const cookies = new Map<string, string>();
  async function go(target: string, init: RequestInit = {}): Promise<Page> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(target, { ...init, redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = answer.headers.get('location');
    const next = location === null ? null : new URL(location, target);
    if (next?.origin === new URL(gitea.url).origin) return go(next.href);
    return { left: next, text: await answer.text() };
  }
  const submit = (path: string, form: Record<string, string>) =>
    go(`${gitea.url}${path}`, { method: 'POST', body: new URLSearchParams(form) });
  return { page: await go(url), submit };
}
type Page = { left: URL | null; text: string };

function hiddenFields({ text }: Page): Record<string, string> {
  const fields = [...text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
  return Object.fromEntries(fields.map(([, name = '', value = '']) => [name, value.replaceAll('&amp;', '&')]));
}

describe('signing in', () => {
  const verifier = randomBytes(32).toString('base64url');

  async function code(): Promise<string> {
    const query = new URLSearchParams({
      client_id: connection.clientId,
      redirect_uri: callback,
      response_type: 'code',
      state: 'st',
      scope: forge.signIn.scopes.join(' '),
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const browser = await browse(`${forge.signIn.authorizationUrl}?${query}`);
    const asked = await browser.submit('/user/login', { user_name: 'sam', password: gitea.passwordOf('sam') });
    // Who has granted it before is sent on at once.
    const { left } = asked.left
      ? asked
      : await browser.submit('/login/oauth/grant', { ...hiddenFields(asked), granted: 'true' });
    expect(left?.searchParams.get('state')).toBe('st');
    return left?.searchParams.get('code') ?? '';
  }

  test('through its own pages gives a token that tells who it is, and can be renewed', async () => {
    const grant = { code: await code(), codeVerifier: verifier, redirectUri: callback };
    const tokens = await forge.signIn.exchange(grant);
    expect(await forge.signIn.fetchProfile(tokens.accessToken)).toMatchObject({
      login: 'sam',
      subject: expect.stringMatching(/^\d+$/),
    });
    const again = await forge.signIn.refresh(tokens.refreshToken ?? '');
    const own = { of: 'account', login: 'sam', role: 'admin', ownerId: expect.any(String) };
    expect(await forge.listMembershipScopes({ userToken: again.accessToken })).toContainEqual(own);
    await expect(forge.signIn.exchange(grant)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('with another verifier or secret fails, as what it is', async () => {
    const other = { code: await code(), codeVerifier: 'w'.repeat(43), redirectUri: callback };
    await expect(forge.signIn.exchange(other)).rejects.toMatchObject({ code: 'unauthenticated' });
    const stranger = forgejoForge({ ...connection, clientSecret: 'wrong' });
    const grant = { code: await code(), codeVerifier: verifier, redirectUri: callback };
    await expect(stranger.signIn.exchange(grant)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(forge.signIn.refresh('nonsense')).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('access tokens', () => {
  test.each([
    ['person', ['read:user', 'read:organization', 'read:repository'], []],
    ['person', ['read:user'], ['read:organization', 'read:repository']],
    ['organization', ['read:user', 'write:organization'], []],
    ['organization', ['read:user', 'read:organization'], ['write:organization']],
    ['repository', ['read:user', 'write:repository'], []],
    ['repository', ['read:user', 'read:repository'], ['write:repository']],
    ['account', ['write:user'], []],
    ['account', ['read:user'], ['write:user']],
  ] as const)('for a %s with %j lack %j', async (scopesFor, scopes, missingScopes) => {
    const token = await gitea.token('ada', [...scopes]);
    expect(await forge.checkToken({ token, scopesFor })).toMatchObject({ login: 'ada', missingScopes });
  });

  test('that are unknown or nameless are errors', async () => {
    const unknown = forge.checkToken({ token: 'f'.repeat(40), scopesFor: 'person' });
    await expect(unknown).rejects.toMatchObject({ code: 'unauthenticated' });
    const nameless = forge.checkToken({
      token: await gitea.token('ada', ['write:repository']),
      scopesFor: 'repository',
    });
    const screen = { happened: expect.stringContaining('read:user') };
    await expect(nameless).rejects.toMatchObject({ code: 'forbidden', screen });
  });
});

describe('A13: what a person has a say in', () => {
  const asked = ['read:user', 'read:organization', 'read:repository'];

  test('is listed and found by role', async () => {
    const { org } = await land('roles');
    const tokens = await Promise.all(['ada', 'sam', 'mallory'].map((login) => gitea.token(login, asked)));
    const find = (level: AtScope['level'], path: string) =>
      Promise.all(tokens.map(async (userToken) => (await forge.findScope({ userToken, level, path })).role));
    expect(await find('organization', 'roles')).toEqual(['admin', 'member', 'none']);
    expect(await find('repository', 'roles/site')).toEqual(['admin', 'member', 'none']);
    const listed = await Promise.all(
      tokens.map(async (userToken) => (await forge.listScopes({ userToken, query: 'roles' })).scopes),
    );
    expect(listed.map((scopes) => scopes.map(({ path }) => path))).toEqual([['roles', 'roles/site'], [], []]);
    const memberships = await forge.listMembershipScopes({ userToken: tokens[1] ?? '' });
    expect(memberships).toContainEqual({ of: 'account', ownerId: org.scopeId, login: 'roles', role: 'member' });
  });
});

describe('a scope', () => {
  test('that was renamed is found again by its id, and serves', async () => {
    const { org, repo, token } = await land('before');
    await gitea.api('POST', '/orgs/before/rename', { token, body: { new_name: 'after' } });
    await gitea.api('PATCH', '/repos/after/site', { token, body: { name: 'pages' } });
    expect(await forge.observeScope(org)).toMatchObject({ exists: true, path: 'after', problem: null });
    expect(await forge.observeScope(repo)).toMatchObject({ exists: true, path: 'after/pages', problem: null });
    const userToken = token;
    const found = await forge.findScope({ userToken, level: 'repository', path: 'after/site' });
    expect(found).toMatchObject({ path: 'after/pages', scopeId: repo.scopeId });
    // Somebody takes the old name.
    const mallory = await gitea.token('mallory', ['write:organization', 'write:user']);
    await gitea.api('POST', '/orgs', { token: mallory, body: { username: 'before' } });
    expect(await forge.observeScope(org)).toMatchObject({ exists: true, path: 'after', problem: null });
  });

  test('says why no runner can be registered there', async () => {
    const { org, repo } = await land('reasons');
    const seen = async (input: AtScope, login: string, scopes: string[]) => {
      const token = await gitea.token(login, scopes);
      const { exists, problem } = await forge.observeScope({ ...input, credential: { kind: 'token', token } });
      return [exists, problem?.reason];
    };
    const all = ['read:user', 'write:organization', 'write:repository'];
    expect(await seen(org, 'sam', all)).toEqual([true, 'RoleMissing']);
    expect(await seen(repo, 'sam', all)).toEqual([true, 'RoleMissing']);
    expect(await seen(org, 'ada', ['read:user', 'read:organization'])).toEqual([true, 'TokenScopeMissing']);
    expect(await seen(repo, 'ada', ['read:user', 'write:organization'])).toEqual([false, 'TokenScopeMissing']);
    expect(await seen({ ...org, scopeId: '999999', path: 'nobody' }, 'ada', all)).toEqual([false, 'ScopeGone']);
    const ended = { ...org, credential: { kind: 'token' as const, token: 'f'.repeat(40) } };
    expect((await forge.observeScope(ended)).problem?.reason).toBe('TokenEnded');
  });

  test('with Actions switched off says so, though Gitea would register a runner', async () => {
    const { repo, token } = await land('quiet');
    await gitea.api('PATCH', '/repos/quiet/site', { token, body: { has_actions: false } });
    expect(await forge.observeScope(repo)).toMatchObject({ exists: true, problem: { reason: 'RegistrationDisabled' } });
  });
});

type Secret = { uuid: string | null; token: string } | null;

async function rpc(method: string, secret: Secret, body: object): Promise<{ status: number; body: unknown }> {
  const headers = {
    'content-type': 'application/json',
    'x-runner-uuid': secret?.uuid ?? '',
    'x-runner-token': secret?.token ?? '',
  };
  const url = `${gitea.url}/api/actions/runner.v1.RunnerService/${method}`;
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: JSON.parse(await answer.text()) };
}

describe('runners', () => {
  test('of an organization, a repository and an account are made once, come online, are renewed and removed', async () => {
    const { org, repo } = await land('pools');
    for (const scope of [org, repo, await accountOf('ada')]) {
      expect(await forge.observeScope(scope)).toMatchObject({ exists: true, path: scope.path, problem: null });
      const name = `flywheel-${scope.level}`;
      const ensure = (known: string | null) => runners.ensure({ ...scope, name, labels: ['docker'], known });
      const made = await ensure(null);
      expect(made).toMatchObject({ change: 'created', runner: { name, status: 'offline' } });
      expect(await ensure(made.runner.id)).toMatchObject({ change: null, secret: null });
      expect((await rpc('Declare', made.secret, { version: 'v1', labels: ['docker', 'nix'] })).status).toBe(200);
      expect(await runners.list(scope)).toMatchObject([{ id: made.runner.id, name, status: 'online' }]);
      const lost = await ensure(null);
      expect(lost.change).toBe('replaced');
      expect(await runners.list(scope)).toMatchObject([{ id: lost.runner.id }]);
      const successor = { ...scope, name: `${name}.next`, labels: ['docker'], known: null };
      const next = await runners.ensure(successor);
      expect((await rpc('Declare', lost.secret, { version: 'v1' })).status).toBe(200);
      expect((await rpc('Declare', next.secret, { version: 'v1' })).status).toBe(200);
      expect(await runners.retire({ ...scope, id: lost.runner.id })).toEqual({ change: 'removed' });
      expect((await rpc('Declare', lost.secret, {})).status).toBe(500);
      expect(await runners.list(scope)).toMatchObject([{ id: next.runner.id, status: 'online', busy: false }]);
      const { id } = next.runner;
      expect(await runners.remove({ ...scope, id })).toEqual({ change: 'removed' });
      expect(await runners.remove({ ...scope, id })).toEqual({ change: null });
      expect(await runners.list(scope)).toEqual([]);
    }
  });

  test('over fifty are listed to the end', async () => {
    const { org } = await land('many');
    for (let i = 0; i < 60; i += 1) await runners.ensure({ ...org, name: `flywheel-${i}`, labels: [], known: null });
    expect(await runners.list(org)).toHaveLength(60);
  });
});

const Fetched = z.object({ task: z.object({ id: z.string() }).optional() });

describe('hooks', () => {
  const url = () => `${hookUrl}/jobs`;

  test('a push arrives, and verifies', async () => {
    const { token } = await land('pushed');
    const config = { url: hookUrl, content_type: 'json', secret: webhookSecret };
    const body = { type: 'gitea', active: true, events: ['push'], config };
    await gitea.api('POST', '/repos/pushed/site/hooks', { token, body });
    await commit(token, 'pushed/site', 'a.txt', 'a');
    const push = await eventually('the push', () => delivered.find(({ event }) => event === 'push'));
    expect(push).toMatchObject({
      about: 'other',
      deliveryId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      installationId: null,
    });
  });

  test('are made once, mended and removed at each level; without the right to, unsupported', async () => {
    const { org, repo } = await land('hooked');
    const token = await gitea.token('sam', ['read:user', 'write:organization', 'write:repository']);
    const theirs = { credential: { kind: 'token' as const, token }, url: url() };
    expect(await forge.ensureWebhook({ ...org, ...theirs })).toEqual({ unsupported: true });
    expect(await forge.ensureWebhook({ ...repo, ...theirs })).toEqual({ unsupported: true });
    for (const scope of [org, repo, await accountOf('ada')]) {
      expect(await forge.ensureWebhook({ ...scope, url: url() })).toEqual({ change: 'created' });
      expect(await forge.ensureWebhook({ ...scope, url: url() })).toEqual({ change: null });
      expect(await forge.removeWebhook({ ...scope, url: url() })).toEqual({ change: 'removed' });
      expect(await forge.removeWebhook({ ...scope, url: url() })).toEqual({ change: null });
    }
  });

  test('tell of a job from the queue to its end, run by a runner that the portal registered', async () => {
    const { org, repo, token } = await land('worked');
    // One that was made by a former secret is replaced: what arrives below is of the new one, or is not kept.
    const former = forgejoForge({ ...connection, webhookSecret: 'a former one' });
    expect(await former.ensureWebhook({ ...org, url: url() })).toEqual({ change: 'created' });
    expect(await forge.ensureWebhook({ ...org, url: url() })).toEqual({ change: 'updated' });
    expect(await forge.ensureWebhook({ ...org, url: url() })).toEqual({ change: null });
    const { secret, runner } = await runners.ensure({ ...org, name: 'flywheel-worked', labels: ['nix'], known: null });
    await rpc('Declare', secret, { version: 'v1', labels: ['nix'] });
    const workflow = 'on: [push]\njobs: { build: { runs-on: nix, steps: [{ run: "true" }] } }\n';
    await commit(token, 'worked/site', '.gitea/workflows/ci.yaml', workflow);
    const jobs = () =>
      delivered.flatMap((each) => {
        const job = each.about === 'job' ? forge.readWorkflowJob(each.payload) : null;
        return job?.repositoryId === repo.scopeId ? [job] : [];
      });
    const inState = (state: string) => eventually(`a ${state} job`, () => jobs().find((job) => job.state === state));
    const queued = await inState('queued');
    expect(queued).toMatchObject({
      labels: ['nix'],
      name: 'build',
      ownerId: org.scopeId,
      owner: 'worked',
      startedAt: null,
    });
    const task = await eventually(
      'a task',
      async () => Fetched.parse((await rpc('FetchTask', secret, { tasksVersion: '0' })).body).task,
    );
    const startedAt = new Date().toISOString();
    await rpc('UpdateTask', secret, { state: { id: task.id, startedAt } });
    const stoppedAt = new Date().toISOString();
    const state = { id: task.id, result: 'RESULT_SUCCESS', startedAt, stoppedAt };
    expect((await rpc('UpdateTask', secret, { state })).status).toBe(200);
    expect(await inState('completed')).toMatchObject({
      externalId: queued.externalId,
      conclusion: 'success',
      runnerName: runner.name,
      startedAt: expect.any(Date),
      completedAt: expect.any(Date),
    });
  });
});
