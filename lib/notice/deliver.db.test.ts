import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { guardedFetch } from '#lib/forge/index.ts';
import { tenantCtx, type Ctx } from '#lib/tenant/index.ts';
import { loop, type Lease } from '#lib/work/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  addEndpoint,
  changeEndpoint,
  ChangeEndpointInput,
  deliverDue,
  disableEndpoint,
  enableEndpoint,
  EndpointInput,
  endpointView,
  listEndpoints,
  listMessages,
  notify,
  removeEndpoint,
  replayMessage,
  rotateSecret,
  sendTest,
  sweepNotices,
  webhookTask,
} from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let ctx: Ctx;
let boltCtx: Ctx;

async function ctxOf(tenant: TenantRows): Promise<Ctx> {
  const person = { userId: tenant.userId, name: 'Ada', imageUrl: null, identities: [], isOperator: false };
  const found = await tenantCtx({ person, requestId: 'test' }, tenant.slug);
  if (!found) throw new Error('no way in');
  return found;
}

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  ctx = await ctxOf(acme);
  boltCtx = await ctxOf(await addTenant('bolt'));
});
afterAll(() => rows?.stop());

// ------------------------------------------------------------------------------------------------ a receiver

type Received = { headers: IncomingHttpHeaders; body: string };
type Receiver = { url: string; received: Received[]; answer: RequestListener };

const stops: (() => void)[] = [];
afterEach(async () => {
  stops.splice(0).forEach((stop) => stop());
  await unsafeDb().webhookEndpoint.deleteMany();
  await unsafeDb().notice.deleteMany();
  await unsafeDb().task.deleteMany();
});

async function receiver(): Promise<Receiver> {
  const made: Receiver = { url: '', received: [], answer: (_, answer) => answer.writeHead(204).end() };
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      made.received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      made.answer(request, answer);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  made.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=in-the-address`;
  return made;
}

const status =
  (code: number, headers: Record<string, string> = {}): RequestListener =>
  (_, answer) =>
    answer.writeHead(code, headers).end('canary-of-the-answer');

// ------------------------------------------------------------------------------------------------ a worker

let now: Date;
beforeEach(() => {
  now = new Date();
});
const clock = { now: () => now, monotonicMs: () => 0 };
const later = (ms: number) => {
  now = new Date(now.getTime() + ms);
};
const fetch = guardedFetch({ allowLoopback: true, totalTimeoutMs: 10_000, bytesMax: 64 * 1024 });
const impatient = guardedFetch({ allowLoopback: true, totalTimeoutMs: 300, bytesMax: 64 * 1024 });
const strict = guardedFetch({ allowLoopback: false });

const leaseOf = (key: string, over: Partial<Lease> = {}): Lease => ({
  key,
  attempts: 1,
  signal: new AbortController().signal,
  check: () => Promise.resolve(),
  fence: () => Promise.resolve(),
  ...over,
});
const deliver = (id: string, over: Partial<Lease> = {}, by = fetch) =>
  deliverDue({ clock, fetch: by }, leaseOf(id, over));

let keys = 0;
async function tell(title = 'Not ready'): Promise<void> {
  keys += 1;
  const notice = { title, body: 'Why.', href: '/t/acme' as const, dedupeKey: `k${keys}` };
  await unsafeTransaction((tx) => notify(tx, { tenantId: acme.tenantId, kind: 'enrollment-failed', ...notice }));
  // The rows carry the database's clock or ours; what matters is that both are past.
  now = new Date(Math.max(now.getTime(), Date.now()));
}

const endpoint = (url: string) => addEndpoint(ctx, { url, kinds: ['enrollment-failed'] });
const messages = (id: string) =>
  unsafeDb().webhookMessage.findMany({ where: { endpointId: id }, orderBy: { createdAt: 'asc' } });
const only = async (id: string) => {
  const [message, ...more] = await messages(id);
  if (!message || more.length > 0) throw new Error(`${more.length + 1} messages`);
  return message;
};

describe('what a receiver gets', () => {
  test('a message that the library of Standard Webhooks takes, once, and then nothing', async () => {
    const there = await receiver();
    const { id, secret } = await endpoint(there.url);
    await tell('Grüße');
    expect(await deliver(id)).toEqual({ kind: 'gone' });
    expect(await deliver(id)).toEqual({ kind: 'gone' });
    expect(there.received.length).toBe(1);
    const [{ headers, body }] = there.received as [Received];
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'enrollment-failed',
      data: { tenant: 'acme', title: 'Grüße', text: 'Why.' },
    });
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Flywheel-Webhook/1' });
    expect(headers['webhook-id']).toBe((await only(id)).id);
    expect(await only(id)).toMatchObject({ state: 'delivered', attempts: 1, responseCode: 204, error: null });
  });

  test('after a rotation both secrets sign for a day, then the new one alone', async () => {
    const there = await receiver();
    const { id, secret: old } = await endpoint(there.url);
    const { secret: fresh } = await rotateSecret(ctx, id, now);
    expect(fresh).not.toBe(old);
    expect((await endpointView(ctx, id, now)).previousUntil).not.toBeNull();
    await tell();
    await deliver(id);
    const [first] = there.received as [Received];
    for (const secret of [old, fresh]) new Webhook(secret).verify(first.body, first.headers as Record<string, string>);
    later(24 * 3600_000 + 1);
    await replayMessage(ctx, (await only(id)).id, now);
    await deliver(id);
    expect(there.received[1]?.headers['webhook-signature']).toMatch(/^v1,\S+$/);
    expect((await endpointView(ctx, id, now)).previousUntil).toBeNull();
  });

  test('a test that somebody sent: once, whatever comes of it', async () => {
    const there = await receiver();
    const { id, secret } = await endpoint(there.url);
    there.answer = status(500);
    await sendTest(ctx, id);
    later(1000);
    expect(await deliver(id)).toEqual({ kind: 'gone' });
    expect(await only(id)).toMatchObject({ kind: 'test', state: 'given_up', attempts: 1, responseCode: 500 });
    const [{ headers, body }] = there.received as [Received];
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({ type: 'test' });
    expect((await unsafeDb().webhookEndpoint.findFirstOrThrow()).givenUp).toBe(0);
  });
});

describe('what does not arrive', () => {
  test.each([
    [500, 'It answered 500.'],
    [429, 'It answered 429.'],
    [404, 'It answered 404.'],
    [302, 'It answered with a redirect, which is not followed.'],
  ])('%d is tried again when it is due, and not before', async (code, error) => {
    const [there, elsewhere] = [await receiver(), await receiver()];
    const { id } = await endpoint(there.url);
    there.answer = status(code, { location: elsewhere.url });
    await tell();
    expect(await deliver(id)).toMatchObject({ kind: 'wait', againMs: 10_000 });
    expect(await only(id)).toMatchObject({ state: 'waiting', attempts: 1, responseCode: code, error });
    later(9_999);
    await deliver(id);
    expect(there.received.length).toBe(1);
    later(1);
    there.answer = status(200);
    expect(await deliver(id)).toEqual({ kind: 'gone' });
    expect(there.received.map(({ headers }) => headers['webhook-id'])).toEqual(Array(2).fill((await only(id)).id));
    expect(await only(id)).toMatchObject({ state: 'delivered', attempts: 2 });
    // A6: not a byte went to where it pointed.
    expect(elsewhere.received).toEqual([]);
  });

  test('F14: no sooner than the receiver asked', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    there.answer = status(429, { 'retry-after': '120' });
    await tell();
    expect(await deliver(id)).toMatchObject({ againMs: 120_000 });
    later(119_000);
    await deliver(id);
    expect(there.received.length).toBe(1);
  });

  test('A7: who is slow, or answers without end, costs a bounded time and size', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    const answers: [RequestListener, string, typeof fetch][] = [
      [() => undefined, '127.0.0.1 does not answer.', impatient],
      [(_, answer) => void answer.writeHead(200).write('x'), '127.0.0.1 does not answer.', impatient],
      [(_, answer) => answer.end(Buffer.alloc(70_000)), '127.0.0.1 answered more than the portal reads.', fetch],
      [
        (_, answer) => answer.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10_000_000))),
        '127.0.0.1 answered more than the portal reads.',
        fetch,
      ],
    ];
    for (const [answer, error, by] of answers) {
      there.answer = answer;
      await tell();
      const began = performance.now();
      await deliver(id, {}, by);
      expect(performance.now() - began).toBeLessThan(8_000);
      const last = (await messages(id)).at(-1);
      expect(last).toMatchObject({ state: 'waiting', error });
    }
  });

  test('A5, A6: to no address inside a network, however it came to be there', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    await tell();
    await deliver(id, {}, strict);
    expect(there.received).toEqual([]);
    expect(await only(id)).toMatchObject({ state: 'waiting', responseCode: null });
    expect((await only(id)).error).toMatch(/^The portal does not send requests to 127\.0\.0\.1/);
  });

  test('given up after ten attempts within a day; a replay begins anew, under the same id', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    there.answer = status(503);
    await tell();
    const began = now.getTime();
    for (;;) {
      const outcome = await deliver(id);
      if (outcome.kind !== 'wait' || (await only(id)).state !== 'waiting') break;
      later(outcome.againMs);
    }
    expect(now.getTime() - began).toBeLessThan(24 * 3600_000);
    expect(there.received.length).toBe(10);
    expect(await only(id)).toMatchObject({ state: 'given_up', attempts: 10, responseCode: 503 });
    there.answer = status(200);
    await replayMessage(ctx, (await only(id)).id, now);
    await deliver(id);
    expect(new Set(there.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(await only(id)).toMatchObject({ state: 'delivered', attempts: 1 });
  });

  async function giveUp(id: string, times: number): Promise<void> {
    for (let each = 0; each < times; each += 1) {
      await tell();
      await unsafeDb().webhookMessage.updateMany({
        where: { endpointId: id, state: 'waiting' },
        data: { attempts: 9 },
      });
      await deliver(id);
      later(60_000);
    }
  }

  test('five given up in a row disable the endpoint, and say so; one that arrives begins anew', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    there.answer = status(500);
    await giveUp(id, 4);
    there.answer = status(200);
    await tell();
    await deliver(id);
    there.answer = status(500);
    await giveUp(id, 4);
    expect((await endpointView(ctx, id, now)).disabled).toBeNull();
    await giveUp(id, 1);
    const { disabled } = await endpointView(ctx, id, now);
    expect(disabled?.because).toBe('It took none of 5 messages in a row. The last time: It answered 500.');
    const told = await unsafeDb().notice.findMany({ where: { kind: 'webhook-disabled' } });
    expect(told.map(({ title, tenantId }) => [title, tenantId])).toEqual([
      [`The webhook to ${new URL(there.url).host} was disabled`, acme.tenantId],
    ]);
    // Disabled: what is told now is not kept for it, and nothing is sent.
    const [sent, kept] = [there.received.length, (await messages(id)).length];
    await tell();
    expect(await deliver(id)).toEqual({ kind: 'gone' });
    expect([there.received.length, (await messages(id)).length]).toEqual([sent, kept]);
    await expect(sendTest(ctx, id)).rejects.toMatchObject({ code: 'conflict' });
    await expect(replayMessage(ctx, (await messages(id))[0]?.id ?? '', now)).rejects.toMatchObject({
      code: 'conflict',
    });
    await enableEndpoint(ctx, id);
    there.answer = status(200);
    await tell();
    await deliver(id);
    expect((await messages(id)).at(-1)).toMatchObject({ state: 'delivered' });
  });

  test('410 disables it at once', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    there.answer = status(410);
    await tell();
    await deliver(id);
    expect(await only(id)).toMatchObject({ state: 'given_up', attempts: 1 });
    expect((await endpointView(ctx, id, now)).disabled?.because).toMatch(/410/);
  });

  test('I7: a worker that lost its lease sends nothing more, and keeps nothing of what it sent', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    await tell();
    const lost = () => Promise.reject(new Error('lost'));
    await expect(deliver(id, { check: lost })).rejects.toThrow('lost');
    expect(there.received.length).toBe(0);
    await expect(deliver(id, { fence: lost })).rejects.toThrow('lost');
    expect(await only(id)).toMatchObject({ state: 'waiting', attempts: 0 });
    // Whoever has it now sends it again: at least once, under one id.
    await deliver(id);
    expect(there.received.map(({ headers }) => headers['webhook-id'])).toEqual(Array(2).fill((await only(id)).id));
  });

  test('I12: a receiver that fails is left in peace, with more waiting for it', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    there.answer = status(500);
    for (let each = 0; each < 5; each += 1) await tell();
    expect(await deliver(id)).toEqual({ kind: 'wait', againMs: 5_000, waitingFor: 'the receiver' });
    expect(there.received.length).toBe(1);
  });
});

test('a worker’s loop delivers what is told, by itself', async () => {
  const there = await receiver();
  await endpoint(there.url);
  const stop = new AbortController();
  const real = { now: () => new Date(), monotonicMs: () => performance.now() };
  const running = loop({
    tasks: { [webhookTask]: (lease) => deliverDue({ clock: real, fetch }, lease) },
    concurrency: 2,
    signal: stop.signal,
  });
  await tell();
  await eventually('the message', () => there.received.length === 1);
  await eventually('the key to be forgotten', async () => (await unsafeDb().task.count()) === 0);
  stop.abort();
  await running;
  expect(there.received.length).toBe(1);
});

describe('endpoints', () => {
  test.each([
    'http://hooks.example.org/',
    'https://127.0.0.1/',
    'https://localhost/hook',
    'https://169.254.169.254/latest/meta-data',
    'https://[::ffff:10.0.0.1]/',
    'https://kubernetes.default.svc/',
    'https://user:pass@hooks.example.org/',
    'https://hooks.example.org:22/',
    'javascript:alert(1)',
    'hooks.example.org',
    '',
  ])('A5: %j is refused where it is typed', (url) => {
    const input = { url, kinds: ['enrollment-failed'] };
    expect(EndpointInput.safeParse(input).success).toBe(false);
    expect(ChangeEndpointInput.safeParse({ ...input, endpointId: acme.tenantId }).success).toBe(false);
  });

  test('a public one is taken, for kinds that a tenant is told of, and at least one', () => {
    const url = 'https://hooks.example.org/a';
    expect(EndpointInput.parse({ url, kinds: ['budget-reached'] })).toEqual({ url, kinds: ['budget-reached'] });
    for (const kinds of [undefined, [], ['approval-asked'], ['role-lost'], ['x']])
      expect(EndpointInput.safeParse({ url, kinds }).success).toBe(false);
  });

  test('five a tenant, also when six are added at once', async () => {
    const added = await Promise.allSettled(
      Array.from({ length: 6 }, (_, each) => endpoint(`https://h${each}.example/`)),
    );
    expect(added.filter(({ status: outcome }) => outcome === 'fulfilled').length).toBe(5);
    expect((await listEndpoints(ctx, now)).length).toBe(5);
  });

  test('A1: another tenant’s cannot be seen, changed, sent to, replayed or removed', async () => {
    const { id } = await endpoint('https://hooks.example.org/');
    await tell();
    const { id: messageId } = await only(id);
    const attempts = [
      () => endpointView(boltCtx, id, now),
      () => changeEndpoint(boltCtx, { endpointId: id, url: 'https://x.example/', kinds: ['budget-reached'] }),
      () => rotateSecret(boltCtx, id, now),
      () => sendTest(boltCtx, id),
      () => replayMessage(boltCtx, messageId, now),
      () => disableEndpoint(boltCtx, id, now),
      () => enableEndpoint(boltCtx, id),
      () => removeEndpoint(boltCtx, id),
    ];
    const before = await unsafeDb().webhookEndpoint.findFirst();
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: 'not_found' });
    expect(await listEndpoints(boltCtx, now)).toEqual([]);
    expect((await listMessages(boltCtx, id)).rows).toEqual([]);
    expect(await unsafeDb().webhookEndpoint.findFirst()).toEqual(before);
    await expect(endpointView(ctx, 'x', now)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('A23, I8: what is secret is in no view, no audit record and no log of what was sent', async () => {
    const there = await receiver();
    const { id, secret } = await endpoint(there.url);
    const { secret: fresh } = await rotateSecret(ctx, id, now);
    there.answer = status(500, { 'x-canary': 'canary-of-the-answer' });
    await tell();
    await deliver(id);
    const everything = JSON.stringify([
      await listEndpoints(ctx, now),
      await listMessages(ctx, id),
      await unsafeDb().webhookMessage.findMany(),
      await unsafeDb().audit.findMany({
        where: { action: { startsWith: 'webhook:' } },
        select: { target: true, after: true },
      }),
      await unsafeDb().webhookEndpoint.findMany({ omit: { url: true } }),
    ]);
    for (const canary of [secret, fresh, secret.slice(6), fresh.slice(6), 'canary-of-the-answer'])
      expect(everything).not.toContain(canary);
    const audit = await unsafeDb().audit.findMany({ where: { action: { startsWith: 'webhook:' } } });
    expect(JSON.stringify(audit.map(({ target, after }) => [target, after]))).not.toContain('in-the-address');
    await expect(ctx.db.webhookEndpoint.findMany()).rejects.toThrow(/permission denied/);
  });

  test('I9: each change leaves one record', async () => {
    const since = new Date();
    const { id } = await endpoint('https://hooks.example.org/');
    await changeEndpoint(ctx, { endpointId: id, url: 'https://hooks2.example.org/', kinds: ['budget-reached'] });
    await rotateSecret(ctx, id, now);
    await disableEndpoint(ctx, id, now);
    await enableEndpoint(ctx, id);
    await removeEndpoint(ctx, id);
    const records = await unsafeDb().audit.findMany({ where: { at: { gte: since } }, orderBy: { seq: 'asc' } });
    expect(records.map(({ action, target }) => `${action} ${target}`)).toEqual([
      'webhook:add webhook/hooks.example.org',
      'webhook:change webhook/hooks2.example.org',
      'webhook:rotate-secret webhook/hooks2.example.org',
      'webhook:disable webhook/hooks2.example.org',
      'webhook:enable webhook/hooks2.example.org',
      'webhook:remove webhook/hooks2.example.org',
    ]);
  });

  test('what was sent is let go of after a month; what waits stays', async () => {
    const there = await receiver();
    const { id } = await endpoint(there.url);
    await tell('sent');
    await deliver(id);
    await tell('waits');
    await sweepNotices(new Date(now.getTime() + 31 * 24 * 3600_000));
    expect((await listMessages(ctx, id)).rows.map(({ title }) => title)).toEqual(['waits']);
  });
});
