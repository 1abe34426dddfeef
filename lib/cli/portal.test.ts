import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testTerminal, type Answering } from '#sandbox/test-support/terminal.ts';
import { run } from './index.ts';
import { stepAfter } from './device.ts';
import { keepPortal, storePath } from './store.ts';

const url = 'https://portal.example';
const token = `fwp_${'t'.repeat(43)}`;
const environment = { FLYWHEEL_URL: url, FLYWHEEL_TOKEN: token };

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
const me = json({ name: 'Ada', token: { name: 'laptop', expiresAt: '2027-01-01T00:00:00.000Z' } });

/** Answers in turn, and keeps what it was asked. */
function inTurn(answers: (Response | Error)[]) {
  const asked: { url: string; init: RequestInit }[] = [];
  const answering: Answering = (at, init) => {
    asked.push({ url: at, init });
    const next = answers.shift();
    if (next === undefined) throw new Error(`one request too many: ${at}`);
    if (next instanceof Error) throw next;
    return next.clone();
  };
  return { asked, answering };
}

const header = (init: RequestInit | undefined, name: string) => new Headers(init?.headers).get(name);
const lost = () => new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } });

describe('an answer that does not come', () => {
  test('is asked for again under the same key, with the patience that the portal asks for', async () => {
    const busy = json({ detail: 'busy', code: 'rate_limited' }, 429, { 'retry-after': '7' });
    const { asked, answering } = inTurn([
      lost(),
      busy,
      new Response('bad gateway', { status: 502 }),
      json({ id: 'x' }, 201),
    ]);
    const terminal = testTerminal({ environment, answering, input: '{"a":1}' });
    expect(await run(terminal, ['api', 'POST', 'tenants/acme/budgets', '-f', '-'])).toBe(0);
    const keys = asked.map(({ init }) => header(init, 'idempotency-key'));
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(terminal.waitedMs[1]).toBe(7000);
    expect(asked[0]?.url).toBe(`${url}/api/v1/tenants/acme/budgets`);
    expect(asked[0]?.init.body).toBe('{"a":1}');
    expect(header(asked[0]?.init, 'authorization')).toBe(`Bearer ${token}`);
    expect(terminal.said.out).toBe('{\n  "id": "x"\n}\n');
  });

  test('is given up in the end, and nobody is told that nothing was changed', async () => {
    const { asked, answering } = inTurn(Array.from({ length: 6 }, lost));
    const terminal = testTerminal({ environment, answering, input: '{}' });
    expect(await run(terminal, ['api', 'POST', '/x', '-f', '-'])).toBe(1);
    expect(asked).toHaveLength(6);
    expect(terminal.said.err).toContain('does not answer: ECONNRESET');
    expect(terminal.said.err).toContain('We cannot say whether anything was changed.');
  });

  test('what is refused is not asked for again, and is told in the portal’s words', async () => {
    const problem = {
      detail: 'The body does not fit.',
      code: 'invalid',
      changed: 'Nothing was changed.',
      todo: 'Mend it.',
      errors: { amount: 'is needed' },
      requestId: 'r-1',
    };
    const { answering } = inTurn([json(problem, 422)]);
    const terminal = testTerminal({ environment, answering, input: '{}' });
    expect(await run(terminal, ['api', 'POST', '/x', '-f', '-'])).toBe(1);
    expect(terminal.said.err).toBe(
      'The body does not fit.\n  amount: is needed\nNothing was changed.\nMend it.\nrequest r-1\n',
    );
    expect(terminal.said.out).toBe('');
  });

  test('whoever has to sign in again in a browser is told so, and not to take another token', async () => {
    const detail = 'Your forge no longer tells us whether you belong here.';
    const { answering } = inTurn([json({ detail, code: 'reauthenticate', changed: 'Nothing was changed.' }, 401)]);
    const terminal = testTerminal({ environment, answering });
    expect(await run(terminal, ['get', 'tenants'])).toBe(1);
    expect(terminal.said.err).toContain(`${detail}\nNothing was changed.\nSign in with it at ${url}, in a browser`);
    expect(terminal.said.err).not.toContain('flywheel login');
  });

  test('a redirect is not followed with the token', async () => {
    const elsewhere = new Response(null, { status: 308, headers: { location: 'https://elsewhere.example/' } });
    const { asked, answering } = inTurn([elsewhere]);
    const terminal = testTerminal({ environment, answering });
    expect(await run(terminal, ['get', 'tenants'])).toBe(1);
    expect(asked[0]?.init.redirect).toBe('manual');
    expect(terminal.said.err).toContain('https://elsewhere.example/');
  });
});

describe('who is signed in', () => {
  test('nobody is: exit code 5, and how to sign in', async () => {
    const terminal = testTerminal();
    expect(await run(terminal, ['get', 'tenants'])).toBe(5);
    expect(terminal.said.err).toContain('flywheel login --url');
    const { answering } = inTurn([json({ detail: 'no', code: 'unauthenticated' }, 401)]);
    const ended = testTerminal({ environment, answering });
    expect(await run(ended, ['get', 'tenants'])).toBe(5);
    expect(ended.said.err).toContain(`flywheel login --url ${url}`);
    // As in a pipeline whose secret is not there.
    const empty = testTerminal({ environment: { ...environment, FLYWHEEL_TOKEN: '' } });
    keepPortal(empty, url, { token, name: 'x', expiresAt: 'x' });
    expect(await run(empty, ['get', 'tenants'])).toBe(5);
  });

  test('by a token from standard input, kept in a file of its owner alone, until logout', async () => {
    const { asked, answering } = inTurn([
      me,
      json({ items: [], nextCursor: null }),
      new Response(null, { status: 204 }),
    ]);
    const terminal = testTerminal({ answering, input: `${token}\n` });
    expect(await run(terminal, ['login', '--url', `${url}/`, '--token', '-'])).toBe(0);
    const path = storePath(terminal);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    expect(terminal.said.err).not.toContain(token);
    expect(await run(terminal, ['get', 'tenants', '-o', 'json'])).toBe(0);
    expect(header(asked[1]?.init, 'authorization')).toBe(`Bearer ${token}`);
    expect(await run(terminal, ['logout'])).toBe(0);
    expect([asked[2]?.init.method, asked[2]?.url]).toEqual(['DELETE', `${url}/api/v1/me/token`]);
    expect(readFileSync(path, 'utf8')).not.toContain(token);
    expect(await run(terminal, ['get', 'tenants'])).toBe(5);
  });

  test('a portal that is away at logout keeps the token here, unless that is all that is wanted', async () => {
    const terminal = testTerminal();
    keepPortal(terminal, url, { token, name: 'x', expiresAt: 'x' });
    expect(await run(terminal, ['logout'])).toBe(1);
    expect(readFileSync(storePath(terminal), 'utf8')).toContain(token);
    expect(await run(terminal, ['logout', '--local'])).toBe(0);
    expect(readFileSync(storePath(terminal), 'utf8')).not.toContain(token);
  });

  test('the environment wins over the file, and the portal that was named over both', async () => {
    const list = json({ items: [], nextCursor: null });
    const { asked, answering } = inTurn([list, list, list]);
    const kept = `fwp_${'k'.repeat(43)}`;
    const terminal = testTerminal({ answering });
    keepPortal(terminal, 'https://kept.example', { token: kept, name: 'x', expiresAt: 'x' });
    await run(terminal, ['get', 'tenants']);
    await run({ ...terminal, environment: { ...terminal.environment, ...environment } }, ['get', 'tenants']);
    await run(terminal, ['get', 'tenants', '--url', 'https://kept.example']);
    expect(asked.map((each) => [new URL(each.url).origin, header(each.init, 'authorization')?.slice(7)])).toEqual([
      ['https://kept.example', kept],
      [url, token],
      ['https://kept.example', kept],
    ]);
  });

  test('a file that others can read is closed and told of; what is no token is not kept', async () => {
    const terminal = testTerminal({ answering: () => json({ items: [], nextCursor: null }), input: 'a password' });
    const path = storePath(terminal);
    mkdirSync(join(path, '..'), { recursive: true });
    const portals = { [url]: { token, name: 'x', expiresAt: 'x' } };
    writeFileSync(path, JSON.stringify({ current: url, portals }), { mode: 0o644 });
    expect(await run(terminal, ['get', 'tenants'])).toBe(0);
    expect(terminal.said.err).toContain('was open to others');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await run(terminal, ['login', '--token', '-'])).toBe(2);
    expect(readFileSync(path, 'utf8')).not.toContain('a password');
  });

  test('an address that is none, and one that anybody on the way reads', async () => {
    for (const bad of [
      'portal.example',
      'ftp://portal.example',
      'https://portal.example/path',
      'https://u@portal.example',
    ])
      expect(await run(testTerminal({ environment }), ['get', 'tenants', '--url', bad])).toBe(2);
    const plain = testTerminal({ environment, answering: () => json({ items: [], nextCursor: null }) });
    await run(plain, ['get', 'tenants', '--url', 'http://portal.example']);
    expect(plain.said.err).toContain('is not https');
  });
});

describe('signing in by a code', () => {
  const codes = json({
    device_code: 'secret-device-code',
    user_code: 'BCDF-GHJK',
    verification_uri: `${url}/device`,
    expires_in: 600,
    interval: 5,
  });
  const refused = (error: string) => json({ error }, 400);
  const granted = json({ access_token: token, token_type: 'Bearer' });

  test('shows address and code, asks as often as it may, and is told the token once', async () => {
    const answers = [codes, refused('authorization_pending'), refused('slow_down'), lost(), granted, me];
    const { asked, answering } = inTurn(answers);
    const terminal = testTerminal({ answering });
    expect(await run(terminal, ['login', '--url', url, '--scope', 'read', '--days', '7', '--name', 'ci'])).toBe(0);
    expect(terminal.said.err).toContain(`${url}/device`);
    expect(terminal.said.err).toContain('BCDF-GHJK');
    expect(terminal.said.err + terminal.said.out).not.toContain('secret-device-code');
    expect(Object.fromEntries(new URLSearchParams(asked[0]?.init.body as URLSearchParams))).toEqual({
      client_id: 'flywheel',
      machine: 'ci',
      scope: 'read',
      days: '7',
    });
    const [first, second, third] = terminal.waitedMs;
    expect([first, second, third]).toEqual([5000, 5000, 10_000]);
    expect(readFileSync(storePath(terminal), 'utf8')).toContain(token);
  });

  test('always asks for what the sign-in itself needs', async () => {
    const { asked, answering } = inTurn([codes, granted, me]);
    expect(await run(testTerminal({ answering }), ['login', '--url', url, '--scope', 'apply'])).toBe(0);
    expect(new URLSearchParams(asked[0]?.init.body as URLSearchParams).get('scope')).toBe('read apply');
  });

  test('nothing that a portal says acts on the terminal', async () => {
    const escape = '\u001B]52;c;eA==\u0007';
    const answers = [
      json({ device_code: 'x', user_code: `BCDF${escape}`, verification_uri: `${url}/${escape}`, expires_in: 600 }),
      granted,
      json({ name: `Ada${escape}`, token: { name: `ci${escape}`, expiresAt: `${escape}2027` } }),
    ];
    const terminal = testTerminal({ answering: inTurn(answers).answering });
    expect(await run(terminal, ['login', '--url', url])).toBe(0);
    expect(terminal.said.err).not.toContain('\u001B');
    expect(terminal.said.err).not.toContain('\u0007');
  });

  test.each(['access_denied', 'expired_token', 'invalid_grant'])('ends with %s', async (error) => {
    const { answering } = inTurn([codes, refused(error)]);
    const terminal = testTerminal({ answering });
    expect(await run(terminal, ['login', '--url', url])).toBe(1);
    expect(terminal.said.err).toContain('Begin again: flywheel login');
  });

  test('each answer leads to one step', () => {
    const step = (status: number, body: unknown) => stepAfter({ status, text: JSON.stringify(body) }, 5);
    expect(step(400, { error: 'authorization_pending' })).toEqual({ kind: 'wait', seconds: 5 });
    expect(step(400, { error: 'slow_down' })).toEqual({ kind: 'wait', seconds: 10 });
    expect(step(200, { access_token: 'x' })).toEqual({ kind: 'token', token: 'x' });
    expect(step(400, { error: 'server_says_no' })).toMatchObject({ kind: 'failed' });
    expect(step(200, {})).toBeNull();
    expect(step(500, 'x')).toBeNull();
  });

  test('too many who ask, in the portal’s words', async () => {
    const body = { error: { happened: 'This was tried too often.', changed: 'Nothing was changed.', todo: 'Wait.' } };
    const { answering } = inTurn(Array.from({ length: 6 }, () => json(body, 429, { 'retry-after': '1' })));
    const terminal = testTerminal({ answering });
    expect(await run(terminal, ['login', '--url', url])).toBe(1);
    expect(terminal.said.err).toContain('This was tried too often.\nNothing was changed.\nWait.');
  });
});
