import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerApi } from '#lib/api/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import {
  addPersonToken,
  answerDeviceCode,
  answerDeviceToken,
  decideDevice,
  findDevice,
  openDoor,
  type PersonCtx,
} from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { testTerminal } from '#sandbox/test-support/terminal.ts';
import { run } from './index.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';

/*
 * The command line against a portal with a real database and a real API server: from a code to a repository of documents that
 * holds, through drift and its repair, to nothing left.
 */

const slug = 'cli-corp';
let portal: TestPortal;
let server: Server;
let url: string;
let folder: string;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  await portal.organization(slug);
  folder = mkdtempSync(join(tmpdir(), 'flywheel-walk-'));
  server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 120_000);
afterAll(async () => {
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
  await portal?.stop();
});

/** The doors for programs, without Next before them. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = { get: (name: string) => request.headers[name.toLowerCase()]?.toString() ?? null };
  const { method = '', url: path = '' } = request;
  const arrived = { headers, body: request };
  const device = { '/api/device/code': answerDeviceCode, '/api/device/token': answerDeviceToken }[path];
  const answer = device
    ? await openDoor('device', arrived, () => device(arrived))
    : await answerApi({ method, url: path, headers, body: request });
  const body = device ? JSON.stringify(answer.body) : answer.body;
  response.writeHead(answer.status, answer.headers).end(body);
}

type Ended = { code: number; out: string; err: string };
type Given = { input?: string; token?: string };

/** In this process, over the network, and as fast as the clock goes; e2e/cli.spec.ts runs it as one of its own. */
function start(args: string[], { input = '', token }: Given = {}) {
  const kept = { XDG_CONFIG_HOME: folder, FLYWHEEL_URL: url };
  const environment = { ...kept, ...(token === undefined ? {} : { FLYWHEEL_TOKEN: token }) };
  const terminal = testTerminal({ environment, input });
  const end = run({ ...terminal, fetch, sleep }, args).then((code): Ended => ({ code, ...terminal.said }));
  return { said: terminal.said, end };
}

const flywheel = (...args: string[]): Promise<Ended> => start(args).end;

/** Its code is typed by the person on the page, whose actions these are. */
async function signIn(by: PersonCtx): Promise<Ended> {
  const { said, end } = start(['login', '--name', 'walk']);
  const code = await eventually('a code', () => /and type {2}(\S+)/.exec(said.err)?.[1]);
  const now = new Date();
  const fresh = { ...by, session: { id: 's', authenticatedAt: now } };
  const login = await findDevice(fresh, { code }, now);
  await decideDevice(fresh, { login, decision: 'approve' }, now);
  return end;
}

function documents(maxRunners: number): string {
  const apiVersion = 'flywheel/v1';
  const quota = { cpu: '12', memory: '24Gi', runners: 6 };
  const scope = { forge: portal.github.url, level: 'organization', path: slug };
  const file = join(folder, 'documents.yaml');
  const all = [
    { apiVersion, kind: 'Tenant', metadata: { name: slug }, spec: { kind: 'organization', cluster: 'main', quota } },
    {
      apiVersion,
      kind: 'Enrollment',
      metadata: { name: 'app', tenant: slug },
      spec: { scope, pools: [{ pool: 'docker', maxRunners }], planes: { attic: {} } },
    },
  ];
  writeFileSync(file, all.map((each) => stringify(each)).join('---\n'));
  return file;
}

async function row() {
  const { id, generation } = await unsafeDb().enrollment.findFirstOrThrow({ where: { name: 'app' } });
  return { id, generation, plans: await unsafeDb().plan.count() };
}

test('from a code to documents that hold, through drift and its repair, to nothing left', async () => {
  const ada = await portal.person('ada-tinyland');
  let worker = portal.startWorker();
  const file = documents(2);

  expect((await flywheel('diff', '-f', file)).code).toBe(5);
  expect(await signIn(ada)).toMatchObject({ code: 0, out: '' });

  const before = await flywheel('diff', '-f', file);
  expect([before.code, before.err]).toEqual([3, '']);
  expect(before.out).toContain(`+++ documents: Enrollment/${slug}/app`);
  expect(await unsafeDb().tenant.count({ where: { slug } })).toBe(0);
  expect((await flywheel('apply', '-f', file)).code).toBe(2);
  expect(await unsafeDb().tenant.count({ where: { slug } })).toBe(0);

  const applied = await flywheel('apply', '-f', file, '--yes', '--wait');
  expect([applied.code, applied.err]).toEqual([0, expect.stringContaining('Ready.')]);
  expect(applied.out).toMatch(
    /^enrollment cli-corp\/app begun\ntenant cli-corp quota changed\nenrollment cli-corp\/app applied: \d+ changes\n$/,
  );

  const once_ = await row();
  expect(await flywheel('diff', '-f', file)).toEqual({ code: 0, out: '', err: '' });
  expect(await flywheel('apply', '-f', file, '--yes')).toEqual({
    code: 0,
    out: `enrollment ${slug}/app unchanged\n`,
    err: '',
  });
  expect(await row()).toEqual(once_);

  // A pipeline of a pull request needs no more than this, and can do no more by it.
  const { token: reads } = await addPersonToken(ada, { name: 'reads', scopes: ['read'], days: 1 }, new Date());
  expect(await start(['diff', '-f', file], { token: reads }).end).toMatchObject({ code: 0, out: '' });
  expect((await start(['plan', '-f', documents(1)], { token: reads }).end).err).toContain('lacks the scope write');
  documents(2);

  const exported = await flywheel('export', '-t', slug);
  expect(exported.code).toBe(0);
  const again = start(['diff', '-f', '-'], { input: exported.out });
  expect(await again.end).toMatchObject({
    code: 0,
    out: '',
    err: expect.stringContaining('they are the operators’ to import: Cluster/main.') as string,
  });

  // Somebody takes away what the portal made, while no worker looks.
  await worker.stop();
  const client = clusterClient((await testCluster()).kubeconfigPath);
  const policies = `/apis/networking.k8s.io/v1/namespaces/runners-${slug}/networkpolicies`;
  const { items } = await client.call<{ items: { metadata: { name: string } }[] }>(
    { method: 'GET', path: policies },
    'policies',
  );
  const gone = items[0]?.metadata.name ?? '';
  await client.call({ method: 'DELETE', path: `${policies}/${gone}` }, 'a policy');
  const drifted = await flywheel('diff', '-f', file);
  expect(drifted.code).toBe(3);
  expect(drifted.out).toContain(
    `--- /dev/null\n+++ documents: cluster/NetworkPolicy/runners-${slug}/${gone}\n+apiVersion:`,
  );
  expect(drifted.out.match(/^\+\+\+ /gm)).toHaveLength(1);
  expect((await row()).plans).toBe(once_.plans);

  worker = portal.startWorker();
  await wake(unsafeDb(), 'enrollment', once_.id);
  await eventually('the repair', async () => (await flywheel('diff', '-f', file)).code === 0, 60_000);
  expect((await row()).generation).toBe(once_.generation);

  const more = documents(3);
  const planned = await flywheel('plan', '-f', more);
  expect([planned.code, planned.out]).toEqual([
    0,
    expect.stringContaining(`${url}/t/${slug}/enroll/${once_.id}/plan?plan=`),
  ]);
  expect(planned.out).toMatch(/^-.*maxRunners: 2\n\+.*maxRunners: 3$/m);
  expect(await flywheel('apply', '-f', more, '--yes', '--wait')).toMatchObject({ code: 0 });
  expect((await flywheel('diff', '-f', more)).code).toBe(0);

  expect(await flywheel('withdraw', `${slug}/app`, '--yes', '--wait')).toMatchObject({
    code: 0,
    err: expect.stringContaining('Withdrawn.') as string,
  });
  const { out } = await flywheel('get', 'enrollments', '-t', slug, '-o', 'json');
  expect(JSON.parse(out)).toMatchObject([{ name: 'app', state: 'withdrawn' }]);
  const kept = readFileSync(join(folder, 'flywheel/portals.json'), 'utf8');
  expect((await flywheel('logout')).code).toBe(0);
  expect((await flywheel('get', 'tenants')).code).toBe(5);
  const { token } =
    Object.values((JSON.parse(kept) as { portals: Record<string, { token: string }> }).portals)[0] ?? {};
  const revoked = await fetch(`${url}/api/v1/me`, { headers: { authorization: `Bearer ${token}` } });
  expect(revoked.status).toBe(401);
}, 180_000);
