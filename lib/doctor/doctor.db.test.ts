import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ClusterClient, clusterConnection, type ClusterView, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { applyRepair, doctorView, examineEnrollment, proposeRepair } from './index.ts';

/* The doctor's rows, with a cluster that is written down here: what a watch would have told. */

let rows: TestRows;
let own: TenantRows;
let ctx: Ctx;
let objects: Observed[] = [];
let sent: string[] = [];
/** The status with which the cluster refuses to do it, where it does. */
let refusal: number | null = null;
let aheadMs = 0;

const now = () => new Date(Date.now() + aheadMs);
const clock = { now, monotonicMs: () => performance.now() };
/** As much of an API server as a repair asks for. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url = '' } = request;
  const body = await text(request);
  const { pathname, searchParams } = new URL(url, 'http://cluster');
  const say = (status: number, body: object) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (pathname.endsWith('/deployments')) return say(200, { items: [] });
  const name = pathname.split('/').at(-1);
  // A deletion's options are read from its body, and then not from the query.
  const isDry = method === 'DELETE' ? body.includes('"dryRun":["All"]') : searchParams.has('dryRun');
  const namespace = /\/namespaces\/([^/]+)\//.exec(pathname)?.[1];
  const found = objects.find(({ metadata }) => metadata.name === name && metadata.namespace === namespace);
  if (!found) return say(404, { reason: 'NotFound', message: 'no such object' });
  if (method === 'GET') return say(200, found);
  if (!isDry && refusal !== null) return say(refusal, { reason: 'x', message: 'it says no' });
  sent.push(`${method} ${name}${isDry ? ' dry' : ''}`);
  return say(200, found);
}

const server = createServer((request, response) => void answer(request, response));
let view: ClusterView;

async function startCluster(): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
  const config = {
    clusters: [{ name: 'main', cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'portal', user: { token: 'none' } }],
    contexts: [{ name: 'main', context: { cluster: 'main', user: 'portal' } }],
    'current-context': 'main',
  };
  writeFileSync(join(folder, 'config'), JSON.stringify(config));
  vi.stubEnv('KUBECONFIG', join(folder, 'config'));
  vi.stubEnv('FLYWHEEL_SANDBOX', '1');
  view = {
    client: new ClusterClient(clusterConnection('main')),
    whenSynced: async () => true,
    *allIn(where: readonly string[], kind: string) {
      yield* objects.filter(({ kind: of, metadata }) => of === kind && where.includes(metadata.namespace ?? ''));
    },
    *named() {},
    get: () => undefined,
  } as unknown as ClusterView;
}

beforeAll(async () => {
  await startCluster();
  rows = await startTestRows();
  own = await addTenant('acme');
  const by: PersonCtx = {
    requestId: 'test',
    person: { userId: own.userId, name: 'Admin', imageUrl: null, identities: [], isOperator: false },
  };
  const found = await tenantCtx(by, 'acme');
  if (!found) throw new Error('no tenant');
  ctx = found;
});
afterAll(async () => {
  await rows?.stop();
  server.close();
});
beforeEach(async () => {
  objects = [];
  sent = [];
  refusal = null;
  aheadMs = 0;
  const db = unsafeDb();
  await db.$transaction([db.finding.deleteMany(), db.strayJob.deleteMany(), db.task.deleteMany()]);
});

function lease(fence: () => Promise<void> = async () => {}): Lease {
  return { key: own.enrollmentId, attempts: 1, signal: new AbortController().signal, check: async () => {}, fence };
}

const look = (held = lease()) => examineEnrollment({ clock, view: () => view }, held);
const findings = async () => (await doctorView(ctx, own.enrollmentId)).findings;

/** An account that was told to go a minute ago and that somebody holds. */
function heldAccount(finalizer = 'acme.example/hold'): Observed {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'held',
      namespace: 'runners-acme',
      uid: 'u',
      resourceVersion: '1',
      labels: {
        'app.kubernetes.io/managed-by': 'flywheel',
        'flywheel.dev/tenant': 'acme',
        'flywheel.dev/enrollment': 'acme',
      },
      finalizers: [finalizer],
      deletionTimestamp: new Date(Date.now() - 60_000).toISOString(),
    },
  };
}

async function proposed(kind: 'drop-finalizer' | 'restart-runners' | 'set-image' = 'drop-finalizer'): Promise<string> {
  const [finding] = await findings();
  const made = await proposeRepair(ctx, { findingId: finding?.id ?? '', kind });
  if (!('repairId' in made)) throw new Error('no repair');
  return made.repairId;
}

const repairs = async () => (await doctorView(ctx, own.enrollmentId)).repairs;
const audits = async (action: string) => unsafeDb().audit.count({ where: { tenantId: own.tenantId, action } });

describe('what is found', () => {
  test('is one finding however often it is seen, is gone when it is not seen, and is another when it comes back', async () => {
    objects = [heldAccount()];
    expect(await look()).toMatchObject({ kind: 'done', againMs: 4_000 });
    await look();
    const first = await findings();
    expect(first.map(({ kind, subject }) => [kind, subject])).toEqual([['stuck-finalizer', 'ServiceAccount held']]);
    objects = [];
    await look();
    // Not seen once is not gone: two watches do not tell at the same moment.
    expect(await findings()).toHaveLength(1);
    aheadMs = 2_000;
    await look();
    expect(await findings()).toEqual([]);
    expect((await doctorView(ctx, own.enrollmentId)).gone).toHaveLength(1);
    objects = [heldAccount()];
    await look();
    expect((await findings())[0]?.id).not.toBe(first[0]?.id);
  });

  test('is not written by a worker that has lost its lease', async () => {
    objects = [heldAccount()];
    const lost = lease(() => Promise.reject(new Error('the lease is another’s')));
    await expect(look(lost)).rejects.toThrow('another’s');
    expect(await findings()).toEqual([]);
  });

  test('is looked for again when it will be long enough so', async () => {
    objects = [{ ...heldAccount() }];
    const [account] = objects;
    if (account) account.metadata.deletionTimestamp = new Date(Date.now() - 5_000).toISOString();
    const outcome = await look();
    expect(outcome.kind === 'done' && outcome.againMs).toBeGreaterThan(8_000);
    expect(outcome.kind === 'done' && outcome.againMs).toBeLessThanOrEqual(10_000);
    expect(await findings()).toEqual([]);
  });

  test('goes with the enrollment', async () => {
    objects = [heldAccount()];
    await look();
    await proposed();
    await unsafeDb().enrollment.update({ where: { id: own.enrollmentId }, data: { state: 'withdrawn' } });
    try {
      expect(await look()).toEqual({ kind: 'gone' });
      expect(await findings()).toEqual([]);
      expect(await repairs()).toEqual([]);
    } finally {
      await unsafeDb().enrollment.update({ where: { id: own.enrollmentId }, data: { state: 'active' } });
    }
  });
});

describe('a repair', () => {
  test('is tried first, applied by a person, carried out once, recorded, and looked after', async () => {
    objects = [heldAccount()];
    await look();
    const repairId = await proposed();
    expect(sent).toEqual(['PATCH held dry']);
    expect((await repairs())[0]).toMatchObject({
      state: 'open',
      dryRun: true,
      changes: [
        {
          where: 'cluster',
          op: '~',
          what: 'ServiceAccount held: finalizer',
          from: 'acme.example/hold',
          to: 'taken off',
        },
        { where: 'cluster', op: '-', what: 'ServiceAccount held' },
      ],
    });
    // A plan is only a plan.
    await look();
    expect(sent).toEqual(['PATCH held dry']);
    await applyRepair(ctx, { repairId });
    expect(sent).toEqual(['PATCH held dry', 'PATCH held dry']);
    expect(await unsafeDb().task.count({ where: { kind: 'doctor', key: own.enrollmentId } })).toBe(1);
    await look();
    await look();
    expect(sent).toEqual(['PATCH held dry', 'PATCH held dry', 'PATCH held']);
    expect((await repairs())[0]?.state).toBe('applied');
    objects = [];
    aheadMs = 2_000;
    await look();
    expect((await repairs())[0]).toMatchObject({ state: 'helped', outcome: expect.stringContaining('nothing of it') });
    for (const action of ['repair:apply', 'repair:carried-out', 'repair:helped']) expect(await audits(action)).toBe(1);
  });

  test('that removes something removes nothing while it is a plan', async () => {
    const { metadata } = heldAccount();
    const { deletionTimestamp: _, finalizers: __, ...there } = metadata;
    const failures = { a: 'x', b: 'y', c: 'z' };
    objects = [
      {
        apiVersion: 'actions.github.com/v1alpha1',
        kind: 'EphemeralRunner',
        metadata: { ...there, name: 'failing' },
        status: { phase: 'Pending', failures },
      },
    ];
    await look();
    await applyRepair(ctx, { repairId: await proposed('restart-runners') });
    expect(sent).toEqual(['DELETE failing dry', 'DELETE failing dry']);
    await look();
    expect(sent.at(-1)).toBe('DELETE failing');
  });

  test('that does not help is said to have failed', async () => {
    objects = [heldAccount()];
    await look();
    await applyRepair(ctx, { repairId: await proposed() });
    await look();
    aheadMs = 3 * 60_000 + 1_000;
    await look();
    expect((await repairs())[0]).toMatchObject({ state: 'failed', outcome: expect.stringContaining('still so') });
  });

  test('that the cluster refuses is told, and is not tried for ever; one that finds it away is', async () => {
    objects = [heldAccount()];
    await look();
    await applyRepair(ctx, { repairId: await proposed() });
    refusal = 503;
    await expect(look()).rejects.toMatchObject({ code: 'unavailable' });
    expect((await repairs())[0]?.state).toBe('approved');
    refusal = 403;
    await look();
    expect((await repairs())[0]).toMatchObject({ state: 'failed', outcome: expect.stringContaining('it says no') });
    expect(sent.filter((each) => !each.endsWith('dry'))).toEqual([]);
  });

  test('that would do something else by now than what was read is refused', async () => {
    objects = [heldAccount()];
    await look();
    const repairId = await proposed();
    objects = [];
    await expect(applyRepair(ctx, { repairId })).rejects.toMatchObject({ code: 'stale' });
    expect((await repairs())[0]?.state).toBe('open');
  });

  test('is applied once, and not when what it was for is gone', async () => {
    objects = [heldAccount()];
    await look();
    const repairId = await proposed();
    await applyRepair(ctx, { repairId });
    await expect(applyRepair(ctx, { repairId })).rejects.toMatchObject({ code: 'stale' });
    await unsafeDb().finding.updateMany({ data: { goneAt: new Date() } });
    await unsafeDb().repair.updateMany({ data: { state: 'open' } });
    await expect(applyRepair(ctx, { repairId })).rejects.toMatchObject({ code: 'stale' });
  });

  test('of more than the tenant is an operator’s alone', async () => {
    objects = [heldAccount('foregroundDeletion')];
    await look();
    // Kubernetes' own mark goes with the pods.
    expect(await findings()).toEqual([]);
    objects = [heldAccount('actions.github.com/cleanup-protection')];
    await look();
    expect((await findings())[0]?.offers).toMatchObject([{ kind: 'drop-finalizer', mayApply: false }]);
    await expect(proposed()).rejects.toMatchObject({ code: 'forbidden' });
    // An operator who is a member here too has the member's role.
    const operator = { ...ctx, person: { ...ctx.person, isOperator: true } };
    const [finding] = await findings();
    const made = await proposeRepair(operator, { findingId: finding?.id ?? '', kind: 'drop-finalizer' });
    if (!('repairId' in made)) throw new Error('no repair');
    await expect(applyRepair(ctx, made)).rejects.toMatchObject({ code: 'forbidden' });
    await applyRepair(operator, made);
  });

  test('that was not offered is none', async () => {
    objects = [heldAccount()];
    await look();
    await expect(proposed('set-image')).rejects.toMatchObject({ code: 'stale' });
  });

  test('touches nothing that does not bear the tenant’s owner label', async () => {
    objects = [heldAccount()];
    await look();
    const repairId = await proposed();
    await applyRepair(ctx, { repairId });
    const [account] = objects;
    if (account?.metadata.labels) account.metadata.labels['flywheel.dev/tenant'] = 'bolt';
    sent = [];
    await look();
    expect(sent).toEqual([]);
  });
});

test('a job with a label that nobody has is found from what the forge told', async () => {
  await unsafeDb().strayJob.create({
    data: {
      tenantId: own.tenantId,
      enrollmentId: own.enrollmentId,
      connectionId: 'forge',
      externalId: 'stray',
      labels: ['nix-hevay'],
      repository: 'acme/app',
      queuedAt: new Date(Date.now() - 3 * 60_000),
    },
  });
  await look();
  expect(await findings()).toMatchObject([{ kind: 'wrong-label', subject: 'nix-hevay', severity: 'warn' }]);
});
