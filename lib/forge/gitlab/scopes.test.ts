import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Gitlab, ids, startGitlab } from '#sandbox/gitlab/index.ts';
import type { Forge } from '../port.ts';
import type { ScopeLevel } from '../../model/index.ts';
import { gitlabForge } from './index.ts';

const callback = 'http://127.0.0.1:3999/api/auth/callback/gitlab';
let gitlab: Gitlab;
let forge: Forge;

beforeEach(async () => {
  gitlab = await startGitlab({ port: 0, redirectUris: [callback] });
  const { clientId, clientSecret } = gitlab.application;
  const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, clientId, clientSecret };
  forge = gitlabForge({ ...connection, allowLoopback: true });
});
afterEach(() => gitlab.stop());

const find = (login: string, level: ScopeLevel, path: string) =>
  forge.findScope({ userToken: gitlab.userToken(login), level, path });
const roleOf = async (login: string, level: ScopeLevel, path: string) => (await find(login, level, path)).role;

async function paths(login: string): Promise<string[]> {
  const { scopes } = await forge.listScopes({ userToken: gitlab.userToken(login) });
  return scopes.map((scope) => `${scope.level} ${scope.path}`);
}

describe('signing in', () => {
  const codeVerifier = 'v'.repeat(43);

  async function codeFor(login: string): Promise<string> {
    const query = new URLSearchParams({
      client_id: gitlab.application.clientId,
      redirect_uri: callback,
      response_type: 'code',
      scope: forge.signIn.scopes.join(' '),
      code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const answer = await fetch(`${forge.signIn.authorizationUrl}?${query}`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ login }),
    });
    return new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? '';
  }

  test('a code becomes tokens, the tokens a profile, and a refresh token new ones', async () => {
    const code = await codeFor('ada-tinyland');
    const tokens = await forge.signIn.exchange({ code, codeVerifier, redirectUri: callback });
    const lifeMs = (tokens.expiresAt?.getTime() ?? 0) - Date.now();
    expect(lifeMs).toBeGreaterThan(7100_000);
    expect(lifeMs).toBeLessThan(7300_000);
    expect(await forge.signIn.fetchProfile(tokens.accessToken)).toMatchObject({
      subject: String(ids.users.ada),
      login: 'ada-tinyland',
      imageUrl: null,
    });
    const again = await forge.signIn.refresh(tokens.refreshToken ?? '');
    expect((await forge.signIn.fetchProfile(again.accessToken)).login).toBe('ada-tinyland');
    await expect(forge.signIn.fetchProfile(tokens.accessToken)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(forge.signIn.refresh(tokens.refreshToken ?? '')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('a wrong verifier, address and client are refused, and a limit is a limit', async () => {
    const exchange = async (change: object, by = forge) =>
      by.signIn.exchange({ code: await codeFor('mallory'), codeVerifier, redirectUri: callback, ...change });
    await expect(exchange({ codeVerifier: 'w'.repeat(43) })).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(exchange({ redirectUri: `${callback}/x` })).rejects.toMatchObject({ code: 'unauthenticated' });
    const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, allowLoopback: true };
    const other = gitlabForge({ ...connection, clientId: gitlab.application.clientId, clientSecret: 'wrong' });
    await expect(exchange({}, other)).rejects.toMatchObject({ code: 'forbidden' });
    gitlab.fault({ kind: 'secondary-limit', match: { path: 'oauth/token' }, retryAfterSeconds: 3 });
    await expect(exchange({})).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 3000 });
    gitlab.fault({ kind: 'status', match: { path: 'oauth/token' }, status: 503 });
    await expect(exchange({})).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('what a person may choose', () => {
  test('groups they own and projects they maintain, from above included, and nothing else', async () => {
    expect((await paths('ada-tinyland')).toSorted()).toEqual([
      'group tinyland',
      'group tinyland/lab',
      'project tinyland/lab/kernels',
      'project tinyland/site',
    ]);
    expect(await paths('sam-tinyland')).toEqual([]);
    expect(await paths('JessSullivan')).toEqual(['project JessSullivan/cmux']);
    gitlab.setMember('tinyland/lab', 'sam-tinyland', 40);
    expect(await paths('sam-tinyland')).toEqual(['project tinyland/lab/kernels']);
  });

  test('the instance, for its administrators alone', async () => {
    expect(await paths('olive-operator')).toEqual(['instance ']);
    const { scopes } = await forge.listScopes({ userToken: gitlab.userToken('olive-operator') });
    expect(scopes[0]).toMatchObject({ scopeId: 'instance', credential: 'token', installation: null });
  });

  test('each is an id with the place where its access token is made', async () => {
    const { scopes } = await forge.listScopes({ userToken: gitlab.userToken('ada-tinyland'), query: 'LAB' });
    expect(scopes).toMatchObject([
      {
        level: 'group',
        scopeId: String(ids.groups.lab),
        ownerId: String(ids.groups.lab),
        installUrl: `${gitlab.url}/groups/tinyland/lab/-/settings/access_tokens`,
        private: true,
      },
      {
        level: 'project',
        scopeId: String(ids.projects.kernels),
        ownerId: String(ids.groups.lab),
        installUrl: `${gitlab.url}/tinyland/lab/kernels/-/settings/access_tokens`,
      },
    ]);
    for (const { installUrl } of scopes) expect((await fetch(installUrl)).status).toBe(200);
  });

  test('F25: thousands of projects come once each, page by page, and a search reads on', async () => {
    for (let i = 0; i < 2500; i += 1) gitlab.addProject({ path: `tinyland/many-${i}` });
    const userToken = gitlab.userToken('ada-tinyland');
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await forge.listScopes({ userToken, cursor });
      seen.push(...page.scopes.map((scope) => scope.scopeId));
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    expect(seen).toHaveLength(2504);
    expect(new Set(seen).size).toBe(2504);
    const first = await forge.listScopes({ userToken, query: 'many-2499' });
    expect(first).toMatchObject({ scopes: [], nextCursor: expect.any(String) });
    const found = [];
    for (let at = first.nextCursor; at !== null;) {
      const page = await forge.listScopes({ userToken, query: 'many-2499', cursor: at });
      found.push(...page.scopes);
      at = page.nextCursor;
    }
    expect(found.map((scope) => scope.path)).toEqual(['tinyland/many-2499']);
  });

  test('a cursor that is none begins anew', async () => {
    const page = await forge.listScopes({ userToken: gitlab.userToken('ada-tinyland'), cursor: 'projects:-1' });
    expect(page.scopes[0]?.path).toBe('tinyland');
  });
});

describe('A13: claiming a scope', () => {
  test('an Owner of the group, also from above, and a Maintainer of the project are admins', async () => {
    expect(await roleOf('ada-tinyland', 'group', 'tinyland')).toBe('admin');
    expect(await roleOf('ada-tinyland', 'group', 'TinyLand/Lab')).toBe('admin');
    expect(await roleOf('ada-tinyland', 'project', 'tinyland/lab/kernels')).toBe('admin');
    expect(await roleOf('JessSullivan', 'project', 'JessSullivan/cmux')).toBe('admin');
    gitlab.setMember('tinyland/site', 'sam-tinyland', 40);
    expect(await roleOf('sam-tinyland', 'project', 'tinyland/site')).toBe('admin');
    gitlab.setMember('tinyland', 'sam-tinyland', 40);
    expect(await roleOf('sam-tinyland', 'group', 'tinyland')).toBe('member');
    expect(await roleOf('sam-tinyland', 'project', 'tinyland/lab/kernels')).toBe('admin');
  });

  test('members are members, strangers see what is public and have no role', async () => {
    expect(await roleOf('sam-tinyland', 'group', 'tinyland/lab')).toBe('member');
    expect(await roleOf('sam-tinyland', 'project', 'tinyland/site')).toBe('member');
    expect(await roleOf('ada-tinyland', 'group', 'mallory-labs')).toBe('none');
    expect(await roleOf('ada-tinyland', 'project', 'mallory-labs/toolbox')).toBe('none');
    await expect(find('mallory', 'group', 'tinyland')).rejects.toMatchObject({ code: 'not_found' });
    await expect(find('mallory', 'project', 'tinyland/site')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('an administrator is one everywhere, and of the instance nobody else is', async () => {
    expect(await roleOf('olive-operator', 'project', 'tinyland/lab/kernels')).toBe('admin');
    expect(await roleOf('olive-operator', 'instance', '')).toBe('admin');
    expect(await roleOf('ada-tinyland', 'instance', '')).toBe('member');
    await expect(find('olive-operator', 'instance', 'x')).rejects.toMatchObject({ code: 'not_found' });
    await expect(find('ada-tinyland', 'organization', 'tinyland')).rejects.toMatchObject({ code: 'invalid' });
  });

  test('A14: who was demoted is no admin at the next question', async () => {
    gitlab.setMember('tinyland', 'ada-tinyland', 30);
    expect(await roleOf('ada-tinyland', 'group', 'tinyland/lab')).toBe('member');
    expect(await paths('ada-tinyland')).toEqual([]);
    gitlab.setMember('tinyland', 'ada-tinyland', null);
    await expect(find('ada-tinyland', 'group', 'tinyland/lab')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a project is found under its old path and named by its new one', async () => {
    gitlab.rename('tinyland/site', 'www');
    expect(await find('ada-tinyland', 'project', 'tinyland/site')).toMatchObject({
      scopeId: String(ids.projects.site),
      path: 'tinyland/www',
    });
  });

  test('a limit is never taken for "no role"', async () => {
    gitlab.fault({ kind: 'primary-limit', match: { path: 'members' }, retryAfterSeconds: 2400 });
    const error: unknown = await find('ada-tinyland', 'group', 'tinyland').catch((each: unknown) => each);
    expect(error).toMatchObject({ code: 'rate_limited' });
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(2390_000);
  });
});

test('a person belongs to their own namespace and to groups, from above included', async () => {
  const of = (login: string) => forge.listMembershipScopes({ userToken: gitlab.userToken(login) });
  expect(await of('ada-tinyland')).toEqual([
    { of: 'account', ownerId: String(ids.namespaces.ada), login: 'ada-tinyland', role: 'admin' },
    { of: 'account', ownerId: String(ids.groups.tinyland), login: 'tinyland', role: 'admin' },
    { of: 'account', ownerId: String(ids.groups.lab), login: 'tinyland/lab', role: 'admin' },
  ]);
  expect((await of('sam-tinyland')).map((scope) => scope.role)).toEqual(['admin', 'member', 'member']);
  expect(await of('olive-operator')).toContainEqual({
    of: 'account',
    ownerId: 'instance',
    login: new URL(gitlab.url).host,
    role: 'admin',
  });
  // What a person's own project is owned by is among what the person belongs to.
  const cmux = await find('JessSullivan', 'project', 'JessSullivan/cmux');
  expect((await of('JessSullivan')).map((scope) => scope.ownerId)).toContain(cmux.ownerId);
});
