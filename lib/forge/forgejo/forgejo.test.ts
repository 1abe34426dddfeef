import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Forgejo, ids, startForgejo } from '#sandbox/forgejo/index.ts';
import { AppError } from '../../errors.ts';
import { secretMark } from '../hook-secret.ts';
import type { AtScope, Forge, ForgeConnectionValue } from '../port.ts';
import { forgejoForge } from './index.ts';

/** What is Forgejo's own, over the stand-in; what every forge must do is in contract.test.ts. */

const callback = 'http://127.0.0.1:3999/callback';
const webhookSecret = 'of this connection';
let forgejo: Forgejo;
let forge: Forge;
let runners: NonNullable<Forge['runners']>;

async function start(options: Partial<Parameters<typeof startForgejo>[0]> = {}): Promise<void> {
  forgejo = await startForgejo({ port: 0, redirectUris: [callback], ...options });
  const { clientId, clientSecret } = forgejo.app;
  const connection: ForgeConnectionValue = {
    id: 'forgejo',
    kind: 'forgejo',
    baseUrl: forgejo.url,
    clientId,
    clientSecret,
    webhookSecret,
    allowLoopback: true,
  };
  forge = forgejoForge(connection);
  if (!forge.runners) throw new Error('Forgejo has runners');
  runners = forge.runners;
}

beforeEach(() => start());
afterEach(() => forgejo.stop());

async function restart(options: Parameters<typeof start>[0]): Promise<void> {
  await forgejo.stop();
  await start(options);
}

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : `not an AppError: ${String(error)}`),
  );
}

const forOrg = ['read:user', 'write:organization'];
const forRepo = ['read:user', 'write:repository'];
const forPerson = ['read:user', 'read:organization', 'read:repository'];

function at(level: AtScope['level'], id: number, path: string, token: string): AtScope {
  return { level, scopeId: String(id), path, credential: { kind: 'token', token } };
}
const org = (token = forgejo.token('ada-tinyland', forOrg)) => at('organization', ids.orgs.tinyland, 'tinyland', token);
const lab = (token = forgejo.token('ada-tinyland', forRepo)) => at('repository', ids.repos.lab, 'tinyland/lab', token);
const account = (token = forgejo.token('JessSullivan', ['write:user'])) =>
  at('account', ids.users.jess, 'JessSullivan', token);

function named(name: string): number[] {
  return Object.values(forgejo.state.runners).flatMap((runner) => (runner.name === name ? [runner.id] : []));
}

describe('signing in', () => {
  async function code(verifier: string): Promise<string> {
    const query = new URLSearchParams({
      client_id: forgejo.app.clientId,
      redirect_uri: callback,
      response_type: 'code',
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const form = { method: 'POST', redirect: 'manual', body: new URLSearchParams({ login: 'ada-tinyland' }) } as const;
    const answer = await fetch(`${forge.signIn.authorizationUrl}?${query}`, form);
    return new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? '';
  }
  const verifier = randomBytes(32).toString('base64url');
  const grant = async (change: object = {}) => ({
    code: await code(verifier),
    codeVerifier: verifier,
    redirectUri: callback,
    ...change,
  });

  test('a code becomes a token that tells who it is, and is not kept', async () => {
    const tokens = await forge.signIn.exchange(await grant());
    expect(tokens.expiresAt).toBeInstanceOf(Date);
    const profile = await forge.signIn.fetchProfile(tokens.accessToken);
    expect(profile).toMatchObject({ subject: String(ids.users.ada), login: 'ada-tinyland' });
    expect(forge.signIn.keepsToken).toBe(false);
    const again = await forge.signIn.refresh(tokens.refreshToken ?? '');
    expect(await forge.listMembershipScopes({ userToken: again.accessToken })).toContainEqual({
      of: 'account',
      ownerId: String(ids.orgs.tinyland),
      login: 'tinyland',
      role: 'admin',
    });
    expect(await codeOf(forge.signIn.refresh(tokens.refreshToken ?? ''))).toBe('unauthenticated');
  });

  test('a wrong verifier, a spent code and another address are told apart from a wrong secret', async () => {
    const exchange = (change: object) => grant(change).then((input) => codeOf(forge.signIn.exchange(input)));
    expect(await exchange({ codeVerifier: 'a'.repeat(43) })).toBe('unauthenticated');
    expect(await exchange({ code: 'spent' })).toBe('unauthenticated');
    expect(await exchange({ redirectUri: 'http://127.0.0.1:1/' })).toBe('forbidden');
    forgejo.app.clientSecret = 'replaced';
    expect(await exchange({})).toBe('forbidden');
  });
});

describe('an access token', () => {
  test.each([
    ['person', forPerson, []],
    ['person', ['read:user'], ['read:organization', 'read:repository']],
    ['person', ['read:user', 'write:organization', 'write:repository'], []],
    ['organization', forOrg, []],
    ['organization', ['read:user', 'read:organization'], ['write:organization']],
    ['repository', ['read:user', 'read:repository'], ['write:repository']],
    ['account', ['read:user'], ['write:user']],
    ['account', ['write:user'], []],
  ] as const)('for a %s with %j lacks %j', async (scopesFor, scopes, missingScopes) => {
    const token = forgejo.token('ada-tinyland', [...scopes]);
    expect(await forge.checkToken({ token, scopesFor })).toEqual({
      subject: String(ids.users.ada),
      login: 'ada-tinyland',
      scopes: null,
      missingScopes,
      expiresAt: null,
    });
  });

  test('changes nothing by being checked', async () => {
    await forge.ensureWebhook({ ...org(), url: 'http://127.0.0.1:9/hook' });
    const before = JSON.stringify(forgejo.state.hooks);
    for (const scopesFor of ['organization', 'repository', 'account'] as const) {
      await forge.checkToken({ token: forgejo.token('olive-operator', ['all']), scopesFor });
    }
    expect(JSON.stringify(forgejo.state.hooks)).toBe(before);
  });

  test('that is refused for another reason than its scopes lacks none', async () => {
    forgejo.fault({ kind: 'status', status: 403, match: { path: 'hooks/0' } });
    const facts = await forge.checkToken({ token: forgejo.token('ada-tinyland', forOrg), scopesFor: 'organization' });
    expect(facts.missingScopes).toEqual([]);
  });

  test('that nobody knows has ended; one that does not say whose it is, is refused by name', async () => {
    expect(await codeOf(forge.checkToken({ token: 'f'.repeat(40), scopesFor: 'person' }))).toBe('unauthenticated');
    const nameless = forge.checkToken({
      token: forgejo.token('ada-tinyland', ['write:repository']),
      scopesFor: 'repository',
    });
    await expect(nameless).rejects.toMatchObject({
      code: 'forbidden',
      screen: { happened: expect.stringContaining('read:user') },
    });
  });

  test('is advised of for each level, and not where there is no such level', () => {
    expect(forge.tokenAdvice('organization', 'tinyland')).toMatchObject({
      createUrl: `${forgejo.url}/user/settings/applications`,
      scopes: forOrg,
    });
    expect(forge.tokenAdvice('repository', 'tinyland/lab').scopes).toEqual(forRepo);
    expect(forge.tokenAdvice('account', 'mallory').scopes).toEqual(['write:user']);
    expect(() => forge.tokenAdvice('group', 'x')).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('A13: what a person has a say in', () => {
  const tokenOf = (login: string) => forgejo.token(login, forPerson);
  const find = (login: string, level: AtScope['level'], path: string) =>
    forge.findScope({ userToken: tokenOf(login), level, path });

  test('lists their account, the organizations they own and what those have', async () => {
    const paths = async (login: string) => {
      const { scopes } = await forge.listScopes({ userToken: tokenOf(login) });
      return scopes.map(({ level, path }) => `${level} ${path}`);
    };
    expect(await paths('ada-tinyland')).toEqual([
      'account ada-tinyland',
      'organization tinyland',
      'repository tinyland/site',
      'repository tinyland/lab',
    ]);
    expect(await paths('sam-tinyland')).toEqual(['account sam-tinyland']);
  });

  test('F25: over fifty repositories come once each, and a search reads on', async () => {
    for (let i = 0; i < 120; i += 1) forgejo.addRepo({ owner: 'tinyland', name: `many-${i}`, private: true });
    const userToken = tokenOf('ada-tinyland');
    const paths: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await forge.listScopes({ userToken, cursor });
      paths.push(...page.scopes.map(({ path }) => path));
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    expect(paths.filter((path) => path.includes('/many-'))).toHaveLength(120);
    expect(new Set(paths).size).toBe(paths.length);
    const found = await forge.listScopes({ userToken, query: 'MANY-119' });
    expect(found.scopes.map(({ path }) => path)).toEqual(['tinyland/many-119']);
  });

  test('an owner is admin, a member is member, a stranger is nothing', async () => {
    const roles = async (level: AtScope['level'], path: string) => {
      const logins = ['ada-tinyland', 'sam-tinyland', 'mallory'];
      return Promise.all(logins.map((login) => find(login, level, path).then(({ role }) => role, codeOfError)));
    };
    expect(await roles('organization', 'tinyland')).toEqual(['admin', 'member', 'none']);
    expect(await roles('repository', 'tinyland/site')).toEqual(['admin', 'member', 'none']);
    expect(await roles('repository', 'tinyland/lab')).toEqual(['admin', 'member', 'not_found']);
    expect(await roles('account', 'mallory')).toEqual(['none', 'none', 'admin']);
    expect(await codeOf(find('ada-tinyland', 'group', 'tinyland'))).toBe('invalid');
    expect(await codeOf(find('ada-tinyland', 'organization', 'nobody'))).toBe('not_found');
  });
  const codeOfError = (error: unknown) => (error instanceof AppError ? error.code : String(error));

  test('who administers a repository without owning it may not register its runners, and is no admin here', async () => {
    const repo = forgejo.state.repos[ids.repos.cmux];
    repo?.collaborators.push({ userId: ids.users.sam, permission: 'admin' });
    expect((await find('sam-tinyland', 'repository', 'JessSullivan/cmux')).role).toBe('member');
    const theirs = at('repository', ids.repos.cmux, 'JessSullivan/cmux', forgejo.token('sam-tinyland', forRepo));
    expect(await codeOf(runners.list(theirs))).toBe('forbidden');
  });

  test('a scope is found by a former name, and by an id that is now elsewhere', async () => {
    forgejo.renameOrg('tinyland', 'bigland');
    forgejo.renameRepo('bigland/lab', 'plant');
    expect(await find('ada-tinyland', 'organization', 'tinyland')).toMatchObject({ path: 'bigland', role: 'admin' });
    expect(await find('ada-tinyland', 'repository', 'bigland/lab')).toMatchObject({ path: 'bigland/plant' });
  });
});

describe('what the reconciler sees', () => {
  test.each([
    ['organization', org],
    ['repository', lab],
    ['account', account],
  ])('%s that is well', async (_, input) => {
    const seen = await forge.observeScope(input());
    expect(seen).toEqual({
      exists: true,
      path: input().path,
      // A repository is the organization's.
      ownerId: input().level === 'repository' ? org().scopeId : input().scopeId,
      webhooks: true,
      problem: null,
      tokenExpiresAt: null,
      installation: null,
      runnerGroups: false,
    });
  });

  test('a renamed organization, repository and owner are found by id', async () => {
    forgejo.renameOrg('tinyland', 'bigland');
    forgejo.renameRepo('bigland/lab', 'plant');
    expect(await forge.observeScope(org())).toMatchObject({ exists: true, path: 'bigland', problem: null });
    expect(await forge.observeScope(lab())).toMatchObject({ exists: true, path: 'bigland/plant', problem: null });
  });

  test('another organization under the old name is not the scope, and gets no runner', async () => {
    forgejo.renameOrg('tinyland', 'bigland');
    const squatter = forgejo.addOrg({ name: 'tinyland', owners: ['ada-tinyland'] });
    expect(await forge.observeScope(org())).toMatchObject({ exists: true, path: 'bigland' });
    await runners.ensure({ ...org(), name: 'flywheel-x', labels: [], known: null });
    const scopes = Object.values(forgejo.state.runners).map(({ scope }) => scope);
    expect(scopes).toEqual([`a${ids.orgs.tinyland}`]);
    expect(scopes).not.toContain(`a${squatter.id}`);
  });

  test.each([
    ['TokenEnded', () => org('f'.repeat(40)), false],
    ['TokenScopeMissing', () => org(forgejo.token('ada-tinyland', ['read:user', 'read:organization'])), true],
    ['TokenScopeMissing', () => org(forgejo.token('ada-tinyland', ['read:user'])), false],
    ['TokenScopeMissing', () => lab(forgejo.token('ada-tinyland', ['read:user', 'write:organization'])), false],
    ['RoleMissing', () => org(forgejo.token('sam-tinyland', forOrg)), true],
    ['RoleMissing', () => lab(forgejo.token('sam-tinyland', forRepo)), true],
    ['ScopeGone', () => lab(forgejo.token('mallory', forRepo)), false],
    ['ScopeGone', () => at('organization', 1, 'nobody', forgejo.token('ada-tinyland', forOrg)), false],
    ['ScopeGone', () => account(forgejo.token('mallory', ['write:user'])), false],
  ] as const)('%s', async (reason, input, exists) => {
    expect(await forge.observeScope(input())).toMatchObject({ exists, problem: { reason } });
  });

  test('the missing scope is named', async () => {
    const { problem } = await forge.observeScope(
      org(forgejo.token('ada-tinyland', ['read:user', 'read:organization'])),
    );
    expect(problem?.message).toContain('write:organization');
  });

  test('a repository whose Actions are switched off', async () => {
    Object.assign(forgejo.state.repos[ids.repos.lab] ?? {}, { actions: false });
    expect(await forge.observeScope(lab())).toMatchObject({
      exists: true,
      problem: { reason: 'RegistrationDisabled' },
    });
  });

  test('a server that is too old, which is no mistake of the token’s', async () => {
    await restart({ version: '11.0.3+gitea-1.22.0' });
    expect(await forge.observeScope(org())).toMatchObject({ exists: true, problem: { reason: 'ServerTooOld' } });
    const ensure = runners.ensure({ ...org(), name: 'flywheel-x', labels: [], known: null });
    await expect(ensure).rejects.toMatchObject({
      code: 'forbidden',
      screen: { happened: expect.stringContaining('too old') },
    });
    expect(await forge.ensureWebhook({ ...org(), url: 'http://127.0.0.1:9/' })).toEqual({ unsupported: true });
  });

  test('an installation is no credential here, and another forge’s level no level', async () => {
    const installed = { ...org(), credential: { kind: 'installation' as const, installationId: '1' } };
    expect(await codeOf(forge.observeScope(installed))).toBe('invalid');
    expect(await codeOf(forge.observeScope({ ...org(), level: 'group' }))).toBe('invalid');
  });
});

describe('runners of Forgejo 15', () => {
  beforeEach(() => restart({ version: '15.0.1+gitea-1.22.0' }));
  const name = 'flywheel-tinyland-docker';
  const ensure = (known: string | null = null, input = org()) =>
    runners.ensure({ ...input, name, labels: ['docker'], known });

  test.each([
    ['organization', org],
    ['repository', lab],
    ['account', account],
  ])('of the %s are made once, kept, listed and removed', async (_, input) => {
    const made = await ensure(null, input());
    expect(made).toMatchObject({ change: 'created', runner: { name }, secret: { expiresAt: null } });
    expect(made.secret?.token).toMatch(/^[0-9a-f]{40}$/);
    expect(made.secret?.uuid).toMatch(/^[0-9a-f-]{36}$/);
    // A job can read what its runner proves itself with: that is worth nothing once the forge has forgotten the runner.
    expect(made.ephemeral).toBe(true);
    expect(await ensure(made.runner.id, input())).toMatchObject({ change: null, runner: made.runner, secret: null });
    expect(await runners.list(input())).toEqual([
      { id: made.runner.id, name, status: 'never_contacted', contactedAt: null, busy: false },
    ]);
    expect(await runners.remove({ ...input(), id: made.runner.id })).toEqual({ change: 'removed' });
    expect(await runners.remove({ ...input(), id: made.runner.id })).toEqual({ change: null });
    expect(await runners.list(input())).toEqual([]);
  });

  test('F15: a runner whose secret was lost with the answer is replaced, and there is never a second', async () => {
    forgejo.fault({
      kind: 'reset-after',
      match: { method: 'POST', path: 'runners$' },
    });
    expect(await codeOf(ensure())).toBe('unavailable');
    const [lost] = named(name);
    const replaced = await ensure();
    expect(replaced).toMatchObject({ change: 'replaced', secret: { token: expect.any(String) } });
    expect(named(name)).toEqual([Number(replaced.runner.id)]);
    expect(replaced.runner.id).not.toBe(String(lost));
  });

  test('a runner that was removed behind our back is made again', async () => {
    const first = await ensure();
    delete forgejo.state.runners[first.runner.id];
    expect(await ensure(first.runner.id)).toMatchObject({ change: 'created' });
    expect(named(name)).toHaveLength(1);
  });

  test('a second one of the name is removed, and the known one kept', async () => {
    const known = (await ensure()).runner.id;
    const copy = structuredClone(forgejo.state.runners[known]);
    if (copy) forgejo.state.runners[999_999] = { ...copy, id: 999_999 };
    expect(await ensure(known)).toMatchObject({ change: 'updated', runner: { id: known }, secret: null });
    expect(named(name)).toEqual([Number(known)]);
  });

  test('several at once end in one at most, and the next call has it', async () => {
    const done = await Promise.allSettled([ensure(), ensure(), ensure()]);
    expect(named(name).length).toBeLessThanOrEqual(1);
    const refusals = done.flatMap((each) => (each.status === 'rejected' ? [(each.reason as AppError).code] : []));
    expect(new Set([...refusals, 'conflict'])).toEqual(new Set(['conflict']));
    const { runner } = await ensure();
    expect(named(name)).toEqual([Number(runner.id)]);
  });

  test('a runner that has come is online', async () => {
    const { secret } = await ensure();
    expect(await declare(secret)).toBe(200);
    expect(await runners.list(org())).toMatchObject([{ status: 'online' }]);
  });

  test('of others are not listed and not touched', async () => {
    const { runner } = await ensure();
    const other = forgejo.state.runners[runner.id];
    if (other) other.name = 'theirs';
    expect(await runners.list(org())).toEqual([]);
    expect(await codeOf(runners.remove({ ...org(), id: runner.id }))).toBe('invalid');
    expect(await codeOf(runners.retire({ ...org(), id: runner.id }))).toBe('invalid');
    expect(await codeOf(runners.ensure({ ...org(), name: 'theirs', labels: [], known: null }))).toBe('invalid');
    expect(named('theirs')).toHaveLength(1);
  });

  test('over fifty are read to the end', async () => {
    const { runner } = await ensure();
    const copy = forgejo.state.runners[runner.id];
    for (let id = 1; copy && id <= 120; id += 1) forgejo.state.runners[id] = { ...copy, id, name: `flywheel-${id}` };
    expect(await runners.list(org())).toHaveLength(121);
  });

  async function declare(secret: { token: string; uuid: string | null } | null): Promise<number> {
    const headers = {
      'content-type': 'application/json',
      'x-runner-uuid': secret?.uuid ?? '',
      'x-runner-token': secret?.token ?? '',
    };
    const body = JSON.stringify({ version: 'v12.0.0', labels: ['docker'] });
    return (
      await fetch(`${forgejo.url}/api/actions/runner.v1.RunnerService/Declare`, { method: 'POST', headers, body })
    ).status;
  }
});

describe('hooks', () => {
  const url = 'http://127.0.0.1:9/api/hooks/forgejo';

  test.each([
    ['organization', org],
    ['repository', lab],
    ['account', account],
  ])('of the %s are made once, mended and removed', async (_, input) => {
    expect(await forge.ensureWebhook({ ...input(), url })).toEqual({ change: 'created' });
    expect(await forge.ensureWebhook({ ...input(), url })).toEqual({ change: null });
    const [hook] = Object.values(forgejo.state.hooks);
    expect(hook).toMatchObject({
      url: `${url}?key=${secretMark(webhookSecret)}`,
      secret: webhookSecret,
      contentType: 'json',
      active: true,
    });
    Object.assign(hook ?? {}, { active: false });
    expect(await forge.ensureWebhook({ ...input(), url })).toEqual({ change: 'updated' });
    expect(Object.values(forgejo.state.hooks)).toMatchObject([{ active: true }]);
    expect(await forge.removeWebhook({ ...input(), url })).toEqual({ change: 'removed' });
    expect(await forge.removeWebhook({ ...input(), url })).toEqual({ change: null });
  });

  test('that the token may not make are unsupported and not an error', async () => {
    const readOnly = org(forgejo.token('ada-tinyland', ['read:user', 'read:organization']));
    expect(await forge.ensureWebhook({ ...readOnly, url })).toEqual({ unsupported: true });
    const members = org(forgejo.token('sam-tinyland', forOrg));
    expect(await forge.ensureWebhook({ ...members, url })).toEqual({ unsupported: true });
    expect(await forge.removeWebhook({ ...members, url })).toEqual({ unsupported: true });
    expect(forgejo.state.hooks).toEqual({});
  });

  test('are not made without a secret to sign them with', async () => {
    const { clientId, clientSecret } = forgejo.app;
    const plain = {
      id: 'f',
      kind: 'forgejo',
      baseUrl: forgejo.url,
      clientId,
      clientSecret,
      allowLoopback: true,
    } as const;
    expect(await forgejoForge(plain).ensureWebhook({ ...org(), url })).toEqual({ unsupported: true });
    expect(forgejo.state.hooks).toEqual({});
  });

  test('deliver what verifies, and a run that ended wakes its owner’s scope', async () => {
    const got: { headers: Headers; raw: Buffer }[] = [];
    const receiver = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        got.push({ headers: new Headers(request.headers as Record<string, string>), raw: Buffer.concat(chunks) });
        response.writeHead(202).end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    await forge.ensureWebhook({ ...org(), url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/` });
    const { id } = forgejo.queueJob({ repository: 'tinyland/lab', runsOn: ['docker'] });
    await fetch(`${forgejo.url}/_sandbox/jobs/${id}/cancel`, { method: 'POST' });
    await forgejo.settled();
    receiver.close();
    const [{ headers, raw }] = got as [(typeof got)[number]];
    const webhook = forge.verifyWebhook({ headers, rawBody: raw });
    expect(webhook).toMatchObject({ event: 'action_run_failure', about: 'scope', action: 'failure' });
    expect(forge.readWorkflowJob(webhook.payload)).toBeNull();
  });
});

describe('a forge that is not well', () => {
  test('F12: 500 and a reset connection are "unavailable", and the next call is answered', async () => {
    for (const kind of ['status', 'reset-before'] as const) {
      forgejo.fault({ kind });
      expect(await codeOf(forge.observeScope(org()))).toBe('unavailable');
      expect((await forge.observeScope(org())).exists).toBe(true);
    }
  });

  const url = 'http://127.0.0.1:9/';
  test.each([
    ['/user$', () => forge.observeScope(org())],
    ['hooks/0', () => forge.observeScope(org())],
    ['/orgs/tinyland$', () => forge.observeScope(org())],
    ['runners$', () => forge.observeScope(org())],
    ['runners$', () => runners.list(org())],
    ['version', () => forge.ensureWebhook({ ...org(), url })],
    ['hooks$', () => forge.ensureWebhook({ ...org(), url })],
    ['hooks/0', () => forge.checkToken({ token: forgejo.token('ada-tinyland', forOrg), scopesFor: 'organization' })],
  ])('F14: a limit at %s is never taken for "not there", "lacks the scope" or "may not"', async (path, work) => {
    forgejo.fault({ kind: 'limit', retryAfterSeconds: 7, match: { path } });
    await expect(work()).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 7000 });
  });

  test('a caller that gives up gets its own reason', async () => {
    const reason = new Error('the lease was lost');
    await expect(forge.observeScope({ ...org(), signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('A23: no token is in an error', async () => {
    const token = forgejo.token('ada-tinyland', forOrg);
    forgejo.fault({ kind: 'status', status: 500 });
    const error = await forge.observeScope(org(token)).catch((each: unknown) => each);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error)) + String((error as Error).stack)).not.toContain(
      token,
    );
  });
});
