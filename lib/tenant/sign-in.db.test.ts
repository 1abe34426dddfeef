import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { open, seal, unsafeDb } from '#lib/db/index.ts';
import type { Told } from './follow.ts';
import { tenantCtx } from './membership.ts';
import { personOfToken, sessionAbsoluteMs, sessionIdleMs, tokenHash } from './session.ts';
import { adapter, authOptions, type SignInForge } from './sign-in.ts';
import { type ForgeStanding, syncMemberships } from './standings.ts';
import { sealedTokenPlace, userToken } from './token.ts';

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  await unsafeDb().forgeConnection.create({
    data: {
      id: 'other',
      kind: 'gitlab',
      name: 'Other',
      baseUrl: 'https://other.example',
      clientId: 'client',
      sealedClientSecret: 'sealed',
    },
  });
});
afterAll(() => rows?.stop());

const fresh = () => adapter({ linking: false, userAgent: 'test' });

async function signedUp(connectionId: string, subject: string) {
  const user = await fresh().createUser?.({ name: subject, email: '', emailVerified: null });
  if (!user) throw new Error('no createUser');
  await fresh().linkAccount?.({
    userId: user.id,
    provider: connectionId,
    providerAccountId: subject,
    type: 'oauth',
  });
  return user;
}

const identityId = async (userId: string) => (await unsafeDb().identity.findFirstOrThrow({ where: { userId } })).id;

describe('identity', () => {
  test('A12: the same subject on two forges is two people, and nobody is found by e-mail', async () => {
    const here = await signedUp('forge', '7');
    const there = await signedUp('other', '7');
    expect(here.id).not.toBe(there.id);
    const found = await fresh().getUserByAccount?.({ provider: 'other', providerAccountId: '7' });
    expect(found?.id).toBe(there.id);
    expect(await fresh().getUserByEmail?.('anybody@example.com')).toBeNull();
  });

  test('an account that belongs to somebody is never moved to somebody else', async () => {
    const first = await signedUp('forge', '8');
    const second = await signedUp('forge', '9');
    const again = fresh().linkAccount?.({
      userId: second.id,
      provider: 'forge',
      providerAccountId: '8',
      type: 'oauth',
    });
    await expect(again).rejects.toThrow('Unique constraint');
    const found = await fresh().getUserByAccount?.({ provider: 'forge', providerAccountId: '8' });
    expect(found?.id).toBe(first.id);
  });
});

describe('sessions', () => {
  async function session(token: string) {
    const user = await signedUp('forge', `session ${token}`);
    const expires = new Date(Date.now() + sessionAbsoluteMs);
    await fresh().createSession?.({ sessionToken: token, userId: user.id, expires });
    return user;
  }

  test('the table holds a hash, and the token opens the session until it is idle or ended', async () => {
    const user = await session('one');
    const kept = await unsafeDb().session.findFirstOrThrow({ where: { userId: user.id } });
    expect(kept.tokenHash).toBe(tokenHash('one'));
    expect((await personOfToken('one', new Date()))?.userId).toBe(user.id);
    expect(await personOfToken(kept.tokenHash, new Date())).toBeNull();
    expect(await personOfToken('one', new Date(Date.now() + sessionIdleMs + 1000))).toBeNull();
    await fresh().deleteSession?.('one');
    expect(await personOfToken('one', new Date())).toBeNull();
  });

  test('whoever is disabled has no session at once', async () => {
    const user = await session('two');
    await unsafeDb().user.update({ where: { id: user.id }, data: { disabledAt: new Date() } });
    expect(await personOfToken('two', new Date())).toBeNull();
    expect(await fresh().getUser?.(user.id)).toBeNull();
  });

  test('a sign-in counts the browser’s session only where linking was asked for', async () => {
    const user = await session('three');
    expect(await fresh().getSessionAndUser?.('three')).toBeNull();
    const linking = adapter({ linking: true, userAgent: null });
    expect((await linking.getSessionAndUser?.('three'))?.user.id).toBe(user.id);
  });
});

const calls: string[] = [];
const forge: SignInForge = {
  connectionId: 'forge',
  name: 'Forge',
  clientId: 'client',
  authorizationUrl: 'https://forge.example/authorize',
  tokenUrl: 'https://forge.example/token',
  scopes: [],
  keepsToken: true,
  confirm: { prompt: 'again' },
  exchange: ({ codeVerifier }) => {
    calls.push(codeVerifier);
    return Promise.resolve({ accessToken: 'a', refreshToken: null, expiresAt: null });
  },
  fetchProfile: () => Promise.reject(new Error('not asked')),
  listStandings: () => Promise.resolve({ standings: [], untold: new Set(), trouble: null }),
};
const request = {
  forges: [forge],
  connectionId: 'forge',
  linking: false,
  confirming: null,
  userAgent: null,
  requestId: 'r',
};

describe('A11: a callback', () => {
  type TokenRequest = (context: object) => Promise<unknown>;

  function exchange(params: object, checks: object): Promise<unknown> {
    const [provider] = authOptions(request).providers;
    const { token } = provider as unknown as { token: { request: TokenRequest } };
    return token.request({ params, checks, provider: { callbackUrl: 'https://portal.example/cb' } });
  }

  test('is refused where state is another’s, empty or missing, or PKCE is missing', async () => {
    const good = { code: 'c', state: 's' };
    await expect(exchange(good, { state: 'other', code_verifier: 'v' })).rejects.toThrow('state');
    await expect(exchange({ code: 'c' }, { state: 's', code_verifier: 'v' })).rejects.toThrow('state');
    await expect(exchange({ code: 'c', state: '' }, { state: '', code_verifier: 'v' })).rejects.toThrow('state');
    await expect(exchange({ code: 'c' }, {})).rejects.toThrow('state');
    await expect(exchange(good, { state: 's' })).rejects.toThrow('PKCE');
    expect(calls).toEqual([]);
    await exchange(good, { state: 's', code_verifier: 'v' });
    expect(calls).toEqual(['v']);
  });

  test('reads the cookies of its own provider alone', () => {
    const names = (connectionId: string) => {
      const { cookies } = authOptions({ ...request, connectionId });
      return [cookies?.state?.name, cookies?.pkceCodeVerifier?.name, cookies?.nonce?.name];
    };
    expect(names('forge').filter((name) => names('other').includes(name))).toEqual([]);
  });
});

describe('tokens', () => {
  const keep = async (id: string, expiresAt: Date) =>
    unsafeDb().identity.update({
      where: { id },
      data: {
        sealedToken: await seal(
          JSON.stringify({ accessToken: 'old', refreshToken: 'r1', expiresAt }),
          sealedTokenPlace(id),
        ),
      },
    });

  test('a token that has ended is renewed once, however many ask at once', async () => {
    const id = await identityId((await signedUp('forge', 'token')).id);
    await keep(id, new Date(Date.now() - 1000));
    const used: string[] = [];
    const refresh = (refreshToken: string) => {
      used.push(refreshToken);
      return Promise.resolve({ accessToken: 'new', refreshToken: 'r2', expiresAt: new Date(Date.now() + 3_600_000) });
    };
    const tokens = await Promise.all([1, 2, 3, 4].map(() => userToken({ id }, refresh)));
    expect(tokens).toEqual(['new', 'new', 'new', 'new']);
    expect(used).toEqual(['r1']);
  });

  test('A23: a token is sealed to its own row', async () => {
    const [mine, theirs] = [await signedUp('forge', 'mine'), await signedUp('forge', 'theirs')];
    const [a, b] = [await identityId(mine.id), await identityId(theirs.id)];
    await keep(a, new Date(Date.now() + 3_600_000));
    const { sealedToken } = await unsafeDb().identity.findUniqueOrThrow({ where: { id: a } });
    expect(sealedToken).not.toContain('old');
    await expect(open(sealedToken ?? '', sealedTokenPlace(b))).rejects.toThrow('does not open');
    await unsafeDb().identity.update({ where: { id: b }, data: { sealedToken } });
    await expect(userToken({ id: b }, () => Promise.reject(new Error('not asked')))).rejects.toThrow('does not open');
  });
});

describe('A14: memberships follow the forge', () => {
  const standing = (role: 'admin' | 'member') => [{ of: 'account' as const, ownerId: 'acme', login: 'acme', role }];
  const sync = (userId: string, connectionId: string, standings: ForgeStanding[]) =>
    syncMemberships({ userId, connectionId, standings, now: new Date() });
  const roleOf = async (userId: string) =>
    (await unsafeDb().membership.findFirst({ where: { userId, tenantId: acme.tenantId } }))?.role ?? null;

  test('at a sign-in, and stay where an account could not be asked about', async () => {
    const user = await signedUp('forge', 'untold');
    await sync(user.id, 'forge', standing('admin'));
    const signIn = async (told: Told) => {
      const forges = [{ ...forge, listStandings: () => Promise.resolve(told) }];
      const account = { provider: 'forge', providerAccountId: 'untold', type: 'oauth' as const };
      await authOptions({ ...request, forges }).events?.signIn?.({ user, account });
      return roleOf(user.id);
    };
    expect(await signIn({ standings: [], untold: new Set(['acme']), trouble: 'away' })).toBe('admin');
    expect(await signIn({ standings: [], untold: new Set(), trouble: null })).toBeNull();
  });

  test('given, raised, lowered and taken away, each with a record', async () => {
    const { id } = await signedUp('forge', 'member');
    const seen: (string | null)[] = [];
    for (const standings of [standing('member'), standing('admin'), standing('admin'), standing('member'), []]) {
      await sync(id, 'forge', standings);
      seen.push(await roleOf(id));
    }
    expect(seen).toEqual(['member', 'admin', 'admin', 'member', null]);
    const records = await unsafeDb().audit.count({ where: { target: `user/${id}`, tenantId: acme.tenantId } });
    expect(records).toBe(4);
  });

  test('what an operator gave stays, whatever the forge says', async () => {
    await sync(acme.userId, 'forge', []);
    expect(await roleOf(acme.userId)).toBe('admin');
  });

  test('a standing on another forge says nothing of this one', async () => {
    const { id } = await signedUp('other', 'member');
    await sync(id, 'other', standing('admin'));
    expect(await roleOf(id)).toBeNull();
  });
});

test('A1: a tenant is null for a stranger, as an absent one is', async () => {
  const { id, name } = await signedUp('forge', 'stranger');
  const person = { userId: id, name: name ?? '', imageUrl: null, identities: [], isOperator: false };
  const by = { person, requestId: 'r' };
  expect(await tenantCtx(by, 'acme')).toBeNull();
  expect(await tenantCtx(by, 'nobody')).toBeNull();
  for (const odd of ['', '../acme', { startsWith: '' }, ['acme'], undefined])
    expect(await tenantCtx(by, odd as string)).toBeNull();
  const asOperator = await tenantCtx({ ...by, person: { ...person, isOperator: true } }, 'acme');
  expect(asOperator?.role).toBe('operator');
});
