import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, clusterConnection, ClusterView, viewKinds } from '#lib/cluster/index.ts';
import { tenantDb, unsafeDb } from '#lib/db/index.ts';
import { livePools, measureRunners } from '#lib/usage/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { GET } from './api/views/pools/[tenant]/route.ts';

/* What a thousand people who look at a tenant's pools cost the API server: it hears of the worker's watch, and of nobody else. */

const browser = vi.hoisted(() => ({ session: '' }));
vi.mock('next/headers', () => ({
  cookies: () =>
    Promise.resolve({
      get: (name: string) => (name.endsWith('session') && browser.session ? { value: browser.session } : undefined),
      getAll: () => [],
    }),
  headers: () => Promise.resolve(new Headers()),
}));

let rows: TestRows;
let acme: TenantRows;
let server: Server;
let folder: string;
let requests = 0;
const stop = new AbortController();

const pod = {
  metadata: {
    name: 'runner-1',
    namespace: 'runners-acme',
    uid: 'uid-1',
    resourceVersion: '5',
    creationTimestamp: '2026-11-01T10:00:00Z',
    labels: {
      'app.kubernetes.io/managed-by': 'flywheel',
      'flywheel.dev/tenant': 'acme',
      'flywheel.dev/enrollment': 'acme',
      'flywheel.dev/pool': 'nix',
    },
  },
  spec: {},
  status: { phase: 'Running', startTime: '2026-11-01T10:00:00Z', containerStatuses: [] },
};

/** As much of an API server as a view asks for: lists, of which that of pods has one, and watches that say nothing. */
async function countingServer(): Promise<Server> {
  const counting = createServer((request, response) => {
    requests += 1;
    const url = new URL(request.url ?? '/', 'http://cluster');
    response.setHeader('content-type', 'application/json');
    if (url.searchParams.has('watch')) return void response.flushHeaders();
    const items = url.pathname.endsWith('/pods') ? [pod] : [];
    response.end(JSON.stringify({ metadata: { resourceVersion: '5' }, items }));
  });
  counting.listen(0, '127.0.0.1');
  await once(counting, 'listening');
  return counting;
}

beforeAll(async () => {
  server = await countingServer();
  folder = mkdtempSync(join(tmpdir(), 'flywheel-viewers-'));
  const path = join(folder, 'kubeconfig');
  const { port } = server.address() as AddressInfo;
  const named = (kind: string, value: object) => [{ name: 'main', [kind]: value }];
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: named('cluster', { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true }),
      users: named('user', { token: 'none' }),
      contexts: named('context', { cluster: 'main', user: 'main' }),
      'current-context': 'main',
    }),
  );
  // Read once, when the first asks for any of it.
  Object.assign(process.env, { KUBECONFIG: path, FLYWHEEL_SANDBOX: '1' });
  rows = await startTestRows();
  acme = await addTenant('acme');
  const session = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(session).digest('hex');
  await unsafeDb().session.create({
    data: { tokenHash, userId: acme.userId, expiresAt: new Date(Date.now() + 3_600_000) },
  });
  browser.session = session;
});
afterAll(async () => {
  stop.abort();
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
  await rows?.stop();
});

async function follow(): Promise<void> {
  const view = new ClusterView(new ClusterClient(clusterConnection('main')));
  measureRunners(view, { clock: systemClock, signal: stop.signal, onError: () => undefined });
  view.start(stop.signal);
  expect(await view.whenSynced(10_000)).toBe(true);
}

test('a thousand viewers cost the API server nothing more than one', async () => {
  await follow();
  const running = async () => (await livePools({ db: tenantDb(acme.tenantId) }))[0]?.idle === 1;
  await eventually('the runner', running);
  // A list and a watch a kind.
  await eventually('the watches', async () => Promise.resolve(requests === 2 * viewKinds.length));
  const before = requests;
  const look = async () => {
    const params = Promise.resolve({ tenant: 'acme' });
    const answer = await GET(new Request('http://portal.test/api/views/pools/acme'), { params });
    return (await answer.json()) as { pools: { idle: number }[]; runners: unknown[] };
  };
  for (let round = 0; round < 20; round += 1) {
    const seen = await Promise.all(Array.from({ length: 50 }, look));
    expect(seen.every(({ pools, runners }) => pools[0]?.idle === 1 && runners.length === 1)).toBe(true);
  }
  expect(requests).toBe(before);
  // The count is no idle one: another worker is heard of.
  await follow();
  expect(requests).toBeGreaterThanOrEqual(before + viewKinds.length);
}, 60_000);
