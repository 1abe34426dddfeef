import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { closeDb, seal, unsafeDb } from '#lib/db/index.ts';
import { bytesInFlight, takeJobs } from '#lib/delivery/index.ts';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { POST } from './route.ts';

/** The route behind a bare HTTP server, and the GitHub stand-in that sends its own deliveries to it. */
let database: TestDatabase;
let github: Github;
let url: string;
const statuses: number[] = [];
const server = createServer((request, response) => void forward(request, response));

async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const [, connection = ''] = /\/api\/hooks\/(.*)$/.exec(request.url ?? '') ?? [];
  const asked = new Request(`http://portal${request.url}`, {
    method: 'POST',
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks),
  });
  const answer = await POST(asked, { params: Promise.resolve({ connection }) });
  statuses.push(answer.status);
  response.writeHead(answer.status).end(await answer.text());
}

beforeAll(async () => {
  database = await testDatabase();
  vi.stubEnv('DATABASE_URL', database.appUrl);
  vi.stubEnv('FLYWHEEL_SECRET_KEY', randomBytes(32).toString('base64'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/hooks`;
  github = await startGithub({ port: 0, webhookUrl: `${url}/sandbox` });
  await seed();
});
afterAll(async () => {
  await github.stop();
  server.close();
  await closeDb();
  await database.drop();
});

async function seed(): Promise<void> {
  const db = unsafeDb();
  const sealedWebhookSecret = await seal(github.app.webhookSecret, 'forge_connection/sandbox/webhook_secret');
  const connection = { id: 'sandbox', kind: 'github' as const, name: 'Sandbox', baseUrl: github.url, clientId: 'i' };
  await db.forgeConnection.create({ data: { ...connection, sealedClientSecret: 'x', sealedWebhookSecret } });
  await db.cluster.create({ data: { id: 'c', name: 'c' } });
  const account = await db.billingAccount.create({ data: { name: 't' } });
  const quota = { quotaCpu: '8', quotaMemory: '16Gi', quotaRunners: 8 };
  const tenant = { slug: 'tinyland', kind: 'organization' as const, displayName: 'T', clusterId: 'c', ...quota };
  const { id: tenantId } = await db.tenant.create({ data: { ...tenant, billingAccountId: account.id } });
  const scope = { level: 'organization' as const, path: 'tinyland-inc', scopeId: String(ids.orgs.tinyland) };
  const { id: enrollmentId } = await db.enrollment.create({
    data: {
      ...scope,
      tenantId,
      name: 'tinyland',
      connectionId: 'sandbox',
      installationId: String(ids.installations.tinyland),
      state: 'active',
    },
  });
  const pool = { scaleSetName: 'tinyland-nix', poolName: 'nix', minRunners: 0, maxRunners: 4 };
  await db.enrollmentPool.create({ data: { ...pool, tenantId, enrollmentId } });
}

async function control(path: string): Promise<void> {
  const answer = await fetch(`${github.url}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  expect(answer.ok).toBe(true);
}

test('a job as the forge tells it: queued, then cancelled', async () => {
  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: ['tinyland-nix'] });
  await github.settled();
  await takeJobs({ key: 'sandbox' });
  const rows = await unsafeDb().job.findMany();
  expect(rows).toMatchObject([{ externalId: String(job.id), state: 'queued', repository: 'tinyland-inc/lab' }]);
  await control(`/jobs/${job.id}/cancel`);
  await github.settled();
  await takeJobs({ key: 'sandbox' });
  expect(await unsafeDb().job.findMany()).toMatchObject([{ state: 'completed', conclusion: 'cancelled' }]);
  expect(new Set(statuses)).toEqual(new Set([202]));
});

test('an installation that is suspended wakes its enrollment', async () => {
  await control(`/installations/${ids.installations.tinyland}/suspend`);
  await github.settled();
  expect(await unsafeDb().task.count({ where: { kind: 'enrollment' } })).toBe(1);
  const row = await unsafeDb().installation.findFirstOrThrow();
  expect(row).toMatchObject({ accountId: String(ids.orgs.tinyland), suspendedAt: expect.any(Date) });
});

/** A body of 20 MB that comes slowly, and whether anybody reads it. */
function slowBody(): { body: ReadableStream<Uint8Array>; read: () => boolean } {
  let pulls = 0;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    pulls += 1;
    await sleep(1_000);
    controller.enqueue(new Uint8Array(1024 * 1024));
  };
  return { body: new ReadableStream({ pull }, { highWaterMark: 0 }), read: () => pulls > 0 };
}

test('F25: a body that nothing vouches for is not read, and a signed one passes beside twenty of them', async () => {
  const slow = Array.from({ length: 20 }, slowBody);
  const post = ({ body }: { body: ReadableStream<Uint8Array> }, connection: string, headers: Record<string, string>) =>
    POST(new Request(`${url}/x`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit), {
      params: Promise.resolve({ connection }),
    });
  const began = Date.now();
  const [unsigned, absent] = await Promise.all([
    Promise.all(slow.slice(0, 10).map((each) => post(each, 'sandbox', {}))),
    Promise.all(slow.slice(10).map((each) => post(each, 'absent', { 'x-hub-signature-256': 'sha256=00' }))),
    control(`/installations/${ids.installations.tinyland}/unsuspend`).then(() => github.settled()),
  ]);
  expect(new Set(unsigned.map(({ status }) => status))).toEqual(new Set([401]));
  expect(new Set(absent.map(({ status }) => status))).toEqual(new Set([404]));
  expect(slow.filter(({ read }) => read())).toEqual([]);
  expect(bytesInFlight()).toBe(0);
  expect(Date.now() - began).toBeLessThan(5_000);
  expect(statuses.at(-1)).toBe(202);
});

test('A8: what is not signed is 401, what has no webhook 404, and the answer says why', async () => {
  const unsigned = await fetch(`${url}/sandbox`, { method: 'POST', body: '{}' });
  expect(unsigned.status).toBe(401);
  expect(await unsigned.json()).toMatchObject({ error: { changed: 'Nothing was changed.' } });
  expect((await fetch(`${url}/absent`, { method: 'POST', body: '{}' })).status).toBe(404);
});
