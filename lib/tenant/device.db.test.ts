import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { askerOfApiToken } from './api-token.ts';
import type { PersonCtx } from './ctx.ts';
import { askForDevice, decideDevice, deviceLoginMs, findDevice, pollDevice, readDevice } from './device.ts';
import { answerDeviceCode, answerDeviceToken, deviceGrant } from './device-door.ts';
import { openDoor } from './door.ts';

let rows: TestRows;
let ada: PersonCtx;
let mallory: PersonCtx;
let now = new Date();

beforeAll(async () => {
  Object.assign(process.env, { PORTAL_URL: 'http://portal.test', FLYWHEEL_OPERATORS: '' });
  rows = await startTestRows();
  [ada, mallory] = [await personOf('ada'), await personOf('mallory')];
}, 60_000);
afterAll(() => rows?.stop());

async function personOf(slug: string): Promise<PersonCtx> {
  const { userId } = await addTenant(slug);
  const person = { userId, name: slug, imageUrl: null, identities: [], isOperator: false };
  return { requestId: 'test', person, session: { id: 's', authenticatedAt: new Date() } };
}

const ask = { machine: 'laptop of ada', scopes: ['read', 'apply'] as ('read' | 'apply')[], days: 7 };
let asked = 0;
/** A login of its own, at a time and from an address that no other test has. */
async function begun() {
  asked += 1;
  now = new Date(now.getTime() + 2 * deviceLoginMs);
  const by = { ...ada, session: { id: 's', authenticatedAt: now } };
  return { by, codes: await askForDevice(ask, `address ${asked}`, now) };
}
const after = (ms: number) => new Date(now.getTime() + ms);
const poll = (code: string, ms: number) => pollDevice(code, 'test', after(ms));

describe('a device login', () => {
  test('gives a token of what was approved, once, to who asked', async () => {
    const { by, codes } = await begun();
    expect(codes.userCode).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(await poll(codes.deviceCode, 5000)).toEqual({ ok: false, error: 'authorization_pending' });
    const typed = ` ${codes.userCode.toLowerCase().replace('-', ' ')}`;
    const login = await findDevice(by, { code: typed }, after(6000));
    expect(await readDevice(by, login, after(6000))).toMatchObject({ ...ask, state: 'pending' });
    await decideDevice(by, { login, decision: 'approve' }, after(7000));
    const answer = await poll(codes.deviceCode, 10_000);
    if (!answer.ok) throw new Error(answer.error);
    expect(answer.scopes).toEqual(['read', 'apply']);
    const asker = await askerOfApiToken(`Bearer ${answer.token.token}`, 'test', after(10_000));
    expect(asker).toMatchObject({
      person: { userId: ada.person.userId },
      token: { name: ask.machine, tenantId: null },
    });
    expect(asker?.token.expiresAt).toEqual(new Date(after(10_000).getTime() + 7 * 24 * 3600_000));
    const actions = (await unsafeDb().audit.findMany({ orderBy: { id: 'desc' }, take: 2 })).map(({ action }) => action);
    expect(actions).toEqual(['api-token:create', 'device:approve']);
  });

  test('shows its code a second time: nothing more is given, and what was given counts no more', async () => {
    const { by, codes } = await begun();
    const login = await findDevice(by, { code: codes.userCode }, now);
    await decideDevice(by, { login, decision: 'approve' }, now);
    const answer = await poll(codes.deviceCode, 5000);
    if (!answer.ok) throw new Error(answer.error);
    const show = () => askerOfApiToken(`Bearer ${answer.token.token}`, 'test', after(11_000));
    expect(await show()).not.toBeNull();
    expect(await poll(codes.deviceCode, 10_000)).toEqual({ ok: false, error: 'invalid_grant' });
    expect(await show()).toBeNull();
  });

  test('is fetched by two at once: there is one token at most', async () => {
    const { by, codes } = await begun();
    const login = await findDevice(by, { code: codes.userCode }, now);
    await decideDevice(by, { login, decision: 'approve' }, now);
    const before = await unsafeDb().apiToken.count();
    await Promise.allSettled(Array.from({ length: 6 }, () => poll(codes.deviceCode, 5000)));
    expect((await unsafeDb().apiToken.count()) - before).toBeLessThanOrEqual(1);
  });

  test('that asks too soon is told to slow down, and then has to', async () => {
    const { codes } = await begun();
    expect(await poll(codes.deviceCode, 1000)).toMatchObject({ error: 'authorization_pending' });
    expect(await poll(codes.deviceCode, 3000)).toMatchObject({ error: 'slow_down' });
    expect(await poll(codes.deviceCode, 9000)).toMatchObject({ error: 'slow_down' });
    expect(await poll(codes.deviceCode, 24_000)).toMatchObject({ error: 'authorization_pending' });
  });

  test('that is denied, or older than ten minutes, gets nothing', async () => {
    const denied = await begun();
    const login = await findDevice(denied.by, { code: denied.codes.userCode }, now);
    await decideDevice(denied.by, { login, decision: 'deny' }, now);
    expect(await poll(denied.codes.deviceCode, 5000)).toMatchObject({ error: 'access_denied' });
    await expect(decideDevice(denied.by, { login, decision: 'approve' }, now)).rejects.toMatchObject({
      code: 'conflict',
    });

    const late = await begun();
    const found = await findDevice(late.by, { code: late.codes.userCode }, now);
    const by = { ...late.by, session: { id: 's', authenticatedAt: after(deviceLoginMs) } };
    const decided = decideDevice(by, { login: found, decision: 'approve' }, after(deviceLoginMs));
    await expect(decided).rejects.toMatchObject({ code: 'conflict' });
    expect(await readDevice(by, found, after(deviceLoginMs))).toMatchObject({ state: 'ended' });
    expect(await poll(late.codes.deviceCode, deviceLoginMs)).toMatchObject({ error: 'expired_token' });
    await askForDevice(ask, 'somebody else', after(deviceLoginMs + 1000));
    expect(await poll(late.codes.deviceCode, deviceLoginMs + 6000)).toMatchObject({ error: 'expired_token' });
    await askForDevice(ask, 'somebody else', after(2 * deviceLoginMs + 1000));
    expect(await poll(late.codes.deviceCode, 2 * deviceLoginMs + 6000)).toMatchObject({ error: 'invalid_grant' });
    expect(await poll('never told', 0)).toMatchObject({ error: 'invalid_grant' });
  });

  test('of a person who was disabled since gives nothing', async () => {
    const { by, codes } = await begun();
    const login = await findDevice(by, { code: codes.userCode }, now);
    await decideDevice(by, { login, decision: 'approve' }, now);
    const where = { id: ada.person.userId };
    await unsafeDb().user.update({ where, data: { disabledAt: now } });
    expect(await poll(codes.deviceCode, 5000)).toMatchObject({ error: 'access_denied' });
    await unsafeDb().user.update({ where, data: { disabledAt: null } });
  });
});

describe('the page', () => {
  test('wants a fresh sign-in to approve, and none to deny', async () => {
    const { codes } = await begun();
    const stale = { ...ada, session: { id: 's', authenticatedAt: after(-11 * 60_000) } };
    const login = await findDevice(stale, { code: codes.userCode }, now);
    for (const by of [stale, { requestId: 'x', person: ada.person }])
      await expect(decideDevice(by, { login, decision: 'approve' }, now)).rejects.toMatchObject({
        code: 'reauthenticate',
      });
    expect(await poll(codes.deviceCode, 5000)).toMatchObject({ error: 'authorization_pending' });
    await decideDevice(stale, { login, decision: 'deny' }, now);
  });

  test('shows a code’s request to who typed it first, and to nobody else', async () => {
    const { by, codes } = await begun();
    const login = await findDevice(by, { code: codes.userCode }, now);
    const theirs = { ...mallory, session: { id: 'm', authenticatedAt: now } };
    await expect(findDevice(theirs, { code: codes.userCode }, now)).rejects.toMatchObject({ code: 'invalid' });
    await expect(readDevice(theirs, login, now)).rejects.toMatchObject({ code: 'not_found' });
    await expect(decideDevice(theirs, { login, decision: 'approve' }, now)).rejects.toMatchObject({
      code: 'not_found',
    });
    expect(await findDevice(by, { code: codes.userCode }, now)).toBe(login);
  });

  test('lets nobody try one code after another', async () => {
    const { codes } = await begun();
    for (let index = 0; index < 10; index += 1)
      await expect(findDevice(mallory, { code: 'BBBB-BBBB' }, now)).rejects.toMatchObject({ code: 'invalid' });
    await expect(findDevice(mallory, { code: codes.userCode }, now)).rejects.toMatchObject({ code: 'rate_limited' });
  });

  test('gives away nothing of an operator’s that is not the person’s', async () => {
    now = new Date(now.getTime() + 2 * deviceLoginMs);
    const { userCode } = await askForDevice({ ...ask, scopes: ['operator'] }, 'operator', now);
    const by = { ...ada, session: { id: 's', authenticatedAt: now } };
    const login = await findDevice(by, { code: userCode }, now);
    await expect(decideDevice(by, { login, decision: 'approve' }, now)).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('the open door', () => {
  const form = (values: Record<string, string>, from = '203.0.113.7') => ({
    headers: new Headers({ 'x-forwarded-for': `198.51.100.1, ${from}` }),
    body: (async function* () {
      yield Buffer.from(new URLSearchParams(values).toString());
    })(),
  });
  type Sent = ReturnType<typeof form>;
  const code = (sent: Sent) => openDoor('device', sent, () => answerDeviceCode(sent));
  const token = (sent: Sent) => openDoor('device', sent, () => answerDeviceToken(sent));
  const good = { client_id: 'flywheel', scope: 'read write', machine: 'ci@build-1', days: '30' };

  test('speaks as RFC 8628 does', async () => {
    const { status, body } = await code(form(good));
    expect([status, body]).toEqual([
      200,
      {
        device_code: expect.stringMatching(/^[\w-]{43}$/) as string,
        user_code: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/) as string,
        verification_uri: 'http://portal.test/device',
        expires_in: 600,
        interval: 5,
      },
    ]);
    const { device_code } = body as { device_code: string };
    const asked = { client_id: 'flywheel', grant_type: deviceGrant, device_code };
    expect(await token(form(asked))).toMatchObject({ status: 400, body: { error: 'authorization_pending' } });
    const kept = JSON.stringify(await unsafeDb().deviceLogin.findMany());
    for (const secret of [device_code, (body as { user_code: string }).user_code.replace('-', '')])
      expect(kept).not.toContain(secret);
  });

  test('refuses what does not fit, and what a name must not hold', async () => {
    const bad: Record<string, string>[] = [
      { ...good, client_id: 'another' },
      { ...good, scope: '' },
      { ...good, scope: 'everything' },
      { ...good, days: '366' },
      { ...good, machine: '' },
      { ...good, machine: 'x'.repeat(61) },
      { ...good, machine: 'you\u202Eevil' },
      { ...good, machine: 'a\nline' },
      { ...good, machine: '<b>' },
      { ...good, more: 'x' },
    ];
    for (const values of bad) expect([values, (await code(form(values))).status]).toEqual([values, 400]);
    expect((await code(form({ ...good, machine: 'x'.repeat(5000) }))).status).toBe(413);
    expect((await token(form({ client_id: 'flywheel', grant_type: 'password', device_code: 'x' }))).status).toBe(400);
  });

  test('is held to a rate by who asks, whatever they say of where they come from', async () => {
    const answers = [];
    for (let index = 0; index < 22; index += 1) answers.push((await code(form(good, '192.0.2.1'))).status);
    expect(answers.filter((status) => status === 200)).toHaveLength(20);
    expect(await code(form(good, '192.0.2.1'))).toMatchObject({
      status: 429,
      headers: { 'retry-after': expect.any(String) as string },
    });
    expect((await code(form(good, '192.0.2.2'))).status).toBe(200);
  });
});
