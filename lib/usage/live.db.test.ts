import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Change, ClusterView, Observed } from '#lib/cluster/index.ts';
import { tenantDb, unsafeDb, type Prisma } from '#lib/db/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { liveUsage, sharedUsage, usageAfter, sweepRunners, watchRunners } from './index.ts';

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  await addTenant('bolt');
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  await unsafeDb().$transaction([unsafeDb().job.deleteMany(), unsafeDb().runner.deleteMany()]);
});

const start = Date.UTC(2026, 10, 1, 10);
const at = (second: number) => new Date(start + second * 1000);
const own = () => ({ tenantId: acme.tenantId, enrollmentId: acme.enrollmentId, scaleSetName: acme.scaleSetName });

async function addRunner(name: string, more: Partial<Prisma.RunnerUncheckedCreateInput> = {}): Promise<void> {
  const seen = { createdAt: at(0), seenAt: at(0), version: 1, clusterId: 'main', servesOne: true };
  await unsafeDb().runner.create({ data: { ...own(), ...seen, uid: name, name, state: 'idle', ...more } });
}

async function addJob(id: string, more: Partial<Prisma.JobUncheckedCreateInput> = {}): Promise<void> {
  const data = { ...own(), connectionId: 'forge', externalId: id, repository: 'acme/app', queuedAt: at(0) };
  await unsafeDb().job.create({ data: { ...data, state: 'queued', ...more } });
}

const now = () => liveUsage({ db: tenantDb(acme.tenantId) });

describe('what runs now', () => {
  test('is counted by the runners that there are, and who has a job by what the forge told', async () => {
    await addRunner('r-1');
    await addRunner('r-2');
    await addRunner('r-3', { state: 'running', node: 'node-1' });
    await addRunner('r-4', { state: 'starting', reason: 'QuotaExceeded' });
    await addRunner('r-5', { state: 'failed' });
    await addRunner('r-6', { endedAt: at(5) });
    await addJob('1');
    await addJob('2', { state: 'running', runnerName: 'r-2', name: 'build', startedAt: at(1) });
    await addJob('3', { state: 'completed', runnerName: 'r-6' });
    const { pools, runners } = await now();
    expect(pools).toMatchObject([
      { label: 'acme-nix', queued: 1, pending: 1, running: 2, idle: 1, failed: 1, maxRunners: 2 },
    ]);
    expect(runners.map(({ name, state, job }) => [name, state, job?.name])).toEqual([
      ['r-1', 'idle', undefined],
      ['r-2', 'running', 'build'],
      ['r-3', 'running', undefined],
      ['r-4', 'starting', undefined],
      ['r-5', 'failed', undefined],
    ]);
  });

  test('a job whose runner goes by another name has one of those that seem to wait', async () => {
    await addRunner('pod-1');
    await addRunner('pod-2');
    await addJob('1', { state: 'running', runnerName: 'a name of the forge’s own' });
    expect((await now()).pools).toMatchObject([{ running: 1, idle: 1 }]);
  });

  test('a place that is held for a job is no runner that stands ready, and has no job', async () => {
    await addRunner('acme-nix-gitlab-place-7d9f-abcde');
    await addJob('1', { state: 'running', runnerName: 'a name of the forge’s own' });
    const { pools, runners } = await now();
    expect(pools).toMatchObject([{ running: 0, idle: 0, places: 1 }]);
    expect(runners).toMatchObject([{ state: 'place', job: null }]);
  });

  test('is read once a moment for however many look, and never with a stranger’s', async () => {
    await addRunner('r-1');
    const db = tenantDb(acme.tenantId);
    const reads = vi.fn((args: Prisma.RunnerFindManyArgs) => db.runner.findMany(args));
    const counted = { db: { ...db, enrollmentPool: db.enrollmentPool, job: db.job, runner: { findMany: reads } } };
    const usages = await Promise.all(
      Array.from({ length: 1000 }, () => sharedUsage(acme.tenantId, counted as unknown as { db: typeof db })),
    );
    expect(reads).toHaveBeenCalledTimes(1);
    expect(usages.every(({ runners }) => runners.length === 1)).toBe(true);
  });
});

describe('who has it already', () => {
  // What a test before this one read is another's by then.
  beforeEach(() => sleep(300));

  test('is answered as soon as there is something else, and not before', async () => {
    const db = tenantDb(acme.tenantId);
    const { tag } = await usageAfter(acme.tenantId, { db }, null);
    let isAnswered = false;
    const held = usageAfter(acme.tenantId, { db }, tag).then((usage) => {
      isAnswered = true;
      return usage;
    });
    await sleep(700);
    expect(isAnswered).toBe(false);
    const from = performance.now();
    await addRunner('r-new');
    const usage = await held;
    expect(performance.now() - from).toBeLessThan(2000);
    expect(usage.tag).not.toBe(tag);
    expect(usage.runners.map(({ name }) => name)).toEqual(['r-new']);
  });

  test('is answered after eight seconds all the same: who looks is asked for anew', async () => {
    const db = tenantDb(acme.tenantId);
    const { tag } = await usageAfter(acme.tenantId, { db }, null);
    const from = performance.now();
    expect((await usageAfter(acme.tenantId, { db }, tag)).tag).toBe(tag);
    expect(performance.now() - from).toBeGreaterThan(7500);
  }, 20_000);
});

// ------------------------------------------------------------------------------------------------ from the watch

type Told = {
  kind: 'Pod' | 'EphemeralRunner';
  name: string;
  status?: Record<string, unknown>;
  deleted?: boolean;
  version?: string;
};

function objectOf({ kind, name, status = {}, version = '1' }: Told): Observed {
  const labels = {
    'flywheel.dev/tenant': 'acme',
    'flywheel.dev/enrollment': 'acme',
    'flywheel.dev/pool': 'nix',
    ...(kind === 'Pod' ? { 'actions-ephemeral-runner': 'True' } : {}),
  };
  const metadata = {
    name,
    namespace: 'runners-acme',
    uid: `${kind}-${name}`,
    resourceVersion: version,
    creationTimestamp: at(0).toISOString(),
    labels,
    ...(kind === 'Pod' ? { ownerReferences: [{ kind: 'EphemeralRunner', uid: `EphemeralRunner-${name}` }] } : {}),
  };
  return { apiVersion: kind === 'Pod' ? 'v1' : 'actions.github.com/v1alpha1', kind, metadata, status };
}

/** A view that is told by hand, as the watch would. */
function watched() {
  const objects = new Map<string, Observed>();
  const listeners: ((change: Change) => void)[] = [];
  const failures: unknown[] = [];
  let second = 10;
  const clock = { now: () => at(second), monotonicMs: () => 0 };
  const view = {
    client: { id: 'main' },
    synced: true,
    onChange: (listener: (change: Change) => void) => listeners.push(listener),
    get: ({ kind, metadata }: Observed) => objects.get(`${kind}/${metadata.name}`),
    all: (kind: string) => [...objects.values()].filter((each) => each.kind === kind),
  } as unknown as ClusterView;
  watchRunners(view, { clock, onError: (error) => failures.push(error) });
  const tell = (told: Told) => {
    const object = objectOf(told);
    if (told.deleted) objects.delete(`${told.kind}/${told.name}`);
    else objects.set(`${told.kind}/${told.name}`, object);
    const change = {
      kind: told.kind,
      namespace: 'runners-acme',
      name: told.name,
      deleted: told.deleted ?? false,
      object,
    };
    for (const listener of listeners) listener(change as Change);
  };
  return { view, tell, failures, clock, at: (to: number) => (second = to) };
}

const job = { jobRepositoryName: 'acme/app', jobDisplayName: 'build', workflowRunId: 7 };

describe('what the watch tells', () => {
  test('of a runner from its beginning to its end is a row, and a line of the ledger', async () => {
    const { tell, failures, at: to } = watched();
    tell({ kind: 'EphemeralRunner', name: 'r-1' });
    await eventually('a runner', async () => (await now()).runners[0]?.state === 'starting');
    tell({ kind: 'Pod', name: 'r-1', status: { phase: 'Running' }, version: '2' });
    tell({ kind: 'EphemeralRunner', name: 'r-1', status: { phase: 'Running', ...job }, version: '3' });
    await eventually('its job', async () => (await now()).runners[0]?.job?.name === 'build');
    to(60);
    tell({ kind: 'Pod', name: 'r-1', deleted: true, version: '4' });
    tell({ kind: 'EphemeralRunner', name: 'r-1', status: { phase: 'Running', ...job }, deleted: true, version: '5' });
    await eventually('its end', async () => (await now()).runners.length === 0);
    expect(await unsafeDb().job.findMany()).toMatchObject([
      { state: 'completed', repository: 'acme/app', runnerName: 'r-1', startedAt: at(10), completedAt: at(60) },
    ]);
    expect(failures).toEqual([]);
  });

  test('of a pod that went while its runner stays is no end', async () => {
    const { tell, failures } = watched();
    tell({ kind: 'EphemeralRunner', name: 'r-1', status: { phase: 'Pending' }, version: '2' });
    tell({ kind: 'Pod', name: 'r-1', status: { phase: 'Failed' }, deleted: true, version: '3' });
    await eventually('a runner', async () => (await now()).runners.length === 1);
    expect(await unsafeDb().runner.findMany()).toMatchObject([{ state: 'starting', endedAt: null }]);
    expect(failures).toEqual([]);
  });

  test('F7: what went while nobody watched went when it was last seen, and what could not be written is written', async () => {
    const { view, tell, at: to } = watched();
    await addRunner('gone', { seenAt: at(3) });
    await addRunner('new', { seenAt: at(100) });
    await addRunner('elsewhere', { clusterId: 'main', seenAt: at(3), uid: 'EphemeralRunner-r-1' });
    tell({ kind: 'EphemeralRunner', name: 'r-1', version: '2' });
    tell({ kind: 'EphemeralRunner', name: 'r-2', version: '2' });
    to(120);
    await sweepRunners(view, at(120));
    const found = await unsafeDb().runner.findMany({ orderBy: { uid: 'asc' } });
    expect(found.map(({ uid, endedAt }) => [uid, endedAt])).toEqual([
      ['EphemeralRunner-r-1', null],
      ['EphemeralRunner-r-2', null],
      ['gone', at(3)],
      ['new', null],
    ]);
    // Where somebody looked since it was seen last, it was there then.
    await unsafeDb().usageWatch.create({ data: { clusterId: 'main', beganAt: at(-60), seenUntil: at(300) } });
    await addRunner('later', { seenAt: at(3) });
    await sweepRunners(view, at(320));
    expect((await unsafeDb().runner.findUniqueOrThrow({ where: { uid: 'later' } })).endedAt).toEqual(at(300));
    await addRunner('newer', { seenAt: at(400) });
    Object.assign(view, { synced: false });
    await sweepRunners(view, at(500));
    expect((await unsafeDb().runner.findUniqueOrThrow({ where: { uid: 'newer' } })).endedAt).toBeNull();
  });
});
