import { createHmac, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seal, unsafeDb } from '#lib/db/index.ts';
import { freePort, logTail, startChild, type Child } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { ensureBuilt } from '#sandbox/web-build.ts';

/*
 * The web process as it runs in production, told to stop while it is used. What stands before it takes it out of the balance
 * some time after it said that it is not ready; here that is what each client does.
 */

const secret = 'the secret of the webhook';
const drainSeconds = 2;
const takenOutMs = 1_000;
const folder = mkdtempSync(join(tmpdir(), 'flywheel-web-'));
const agent = new Agent({ keepAlive: true });
let rows: TestRows;
let web: Child;
let port: number;

beforeAll(async () => {
  await ensureBuilt(join(folder, 'build.log'));
  rows = await startTestRows();
  const sealedWebhookSecret = await seal(secret, 'forge_connection/forge/webhook_secret');
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { sealedWebhookSecret } });
  port = await freePort();
  const more = {
    NODE_ENV: 'production' as const,
    PORTAL_URL: 'https://portal.test',
    FLYWHEEL_OPERATORS: 'forge:1',
    FLYWHEEL_DRAIN_SECONDS: String(drainSeconds),
  };
  web = startChild({
    command: process.execPath,
    args: ['lib/web.ts', '--port', String(port), '--host', '127.0.0.1'],
    cwd: ROOT,
    env: { ...process.env, ...more },
    logFile: join(folder, 'web.log'),
    stopTimeoutMs: 60_000,
  });
  const isReady = async () => {
    if (!web.isRunning()) throw new Error(logTail(join(folder, 'web.log')));
    return (await sent('GET', '/api/readyz').catch(() => null))?.status === 200;
  };
  await eventually('the web process', isReady, 60_000);
}, 600_000);
afterAll(async () => {
  agent.destroy();
  await web?.stop();
  await rows?.stop();
  rmSync(folder, { recursive: true });
});

type Body = { headers: Record<string, string>; parts: Buffer[]; betweenMs?: number };

type Answer = { status: number; connection: string | undefined };

/** What a whole answer says. */
function sent(method: string, path: string, body?: Body): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', method, path, agent, headers: body?.headers ?? {} }, (answer) => {
      const { statusCode: status = 0, headers } = answer;
      answer
        .on('error', reject)
        .on('end', () => resolve({ status, connection: headers.connection }))
        .resume();
    });
    asked.on('error', reject);
    void (async () => {
      for (const [index, part] of (body?.parts ?? []).entries()) {
        if (index > 0) await sleep(body?.betweenMs ?? 0);
        asked.write(part);
      }
      asked.end();
    })();
  });
}

/** A delivery, in two parts where its forge is slow. */
function deliver(betweenMs = 0): Promise<Answer> {
  const raw = Buffer.from(JSON.stringify({ zen: 'Keep it logically awesome.' }));
  const headers = {
    'content-type': 'application/json',
    'content-length': String(raw.length),
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`,
    'x-github-delivery': randomUUID(),
    'x-github-event': 'ping',
  };
  const parts = betweenMs === 0 ? [raw] : [raw.subarray(0, 10), raw.subarray(10)];
  return sent('POST', '/api/hooks/forge', { headers, parts, betweenMs });
}

test('told to stop under load, it is unready at once, answers all that was sent, and ends well', async () => {
  const answered: number[] = [];
  const lost: unknown[] = [];
  let isTakenOut = false;
  const client = async (ask: () => Promise<Answer>) => {
    while (!isTakenOut)
      await ask().then(
        ({ status }) => answered.push(status),
        (error: unknown) => lost.push(error),
      );
  };
  const clients = [
    ...Array.from({ length: 6 }, () => client(() => deliver())),
    ...Array.from({ length: 2 }, () => client(() => sent('GET', '/sign-in'))),
  ];
  // It has half of this one when it is told, and the other half only when it takes nothing new any more.
  const slow = deliver((drainSeconds + 2) * 1000);
  await sleep(1_000);
  const stopped = web.stop();
  await eventually('unready', async () => (await sent('GET', '/api/readyz')).status === 503, 1_000);
  // By that whoever keeps connections opens the next one elsewhere.
  expect(await sent('GET', '/api/healthz')).toEqual({ status: 200, connection: 'close' });
  await sleep(takenOutMs);
  isTakenOut = true;
  await Promise.all(clients);
  expect(lost).toEqual([]);
  expect(await slow).toEqual({ status: 202, connection: 'close' });
  await stopped;
  expect(await web.exited).toBe('exit code 0');
  const deliveries = answered.filter((status) => status === 202).length + 1;
  expect(new Set(answered)).toEqual(new Set([200, 202]));
  expect(await unsafeDb().delivery.count()).toBe(deliveries);
  expect(deliveries).toBeGreaterThan(50);
}, 60_000);
