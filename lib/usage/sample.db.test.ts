import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Change, ClusterView, Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { keepPoolCounts, sampleRunners, useLines } from './index.ts';

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
});
afterAll(() => rows?.stop());

const start = Date.UTC(2026, 5, 1, 12);
const at = (second: number) => new Date(start + second * 1000);
let count = 0;
let uid: string;
beforeEach(() => {
  count += 1;
  uid = `pod-${count}`;
});

function pod(status: Record<string, unknown>, more: { labels?: Record<string, string>; uid?: string } = {}): Observed {
  const labels = {
    'flywheel.dev/tenant': 'acme',
    'flywheel.dev/enrollment': 'acme',
    'flywheel.dev/pool': 'nix',
    ...more.labels,
  };
  const metadata = {
    name: more.uid ?? uid,
    namespace: 'runners-acme',
    uid: more.uid ?? uid,
    resourceVersion: '1',
    labels,
  };
  return { apiVersion: 'v1', kind: 'Pod', metadata, status };
}
const running = { phase: 'Running', startTime: at(0).toISOString() };
const over = (second: number) => ({
  ...running,
  phase: 'Succeeded',
  containerStatuses: [{ state: { terminated: { finishedAt: at(second).toISOString() } } }],
});

async function kept(podUid = uid) {
  const found = await unsafeDb().usageReading.findMany({ where: { sourceId: podUid }, orderBy: { observedAt: 'asc' } });
  return found.map(({ observedAt, quantity }) => [(observedAt.getTime() - start) / 1000, quantity.toNumber()]);
}

async function addJob({
  externalId,
  runnerName,
  from,
  to,
}: {
  externalId: string;
  runnerName: string;
  from: number;
  to: number;
}): Promise<void> {
  const [startedAt, completedAt] = [at(from), at(to)];
  await unsafeDb().job.create({
    data: {
      connectionId: 'forge',
      externalId,
      tenantId: acme.tenantId,
      enrollmentId: acme.enrollmentId,
      scaleSetName: acme.scaleSetName,
      repository: 'acme/site',
      state: 'completed',
      runnerName,
      queuedAt: startedAt,
      startedAt,
      completedAt,
    },
  });
}

/** Runner-seconds of each job, and of none, within the hour that begins at this second. */
async function shares(from: number): Promise<Record<string, number>> {
  const window = { from: at(from), to: at(from + 3600) };
  const lines = await useLines({ tenantIds: [acme.tenantId], ...window, bucket: 'day', detail: 'job' });
  return Object.fromEntries(
    lines
      .filter(({ meter }) => meter === 'runnerSeconds')
      .map(({ kind, job, quantity }) => [job ?? kind, quantity.toNumber()]),
  );
}

/** Of a pod that ran from one second to another; it runs on without the other. */
function span(from: number, to?: number): Record<string, unknown> {
  const status = { phase: 'Running', startTime: at(from).toISOString() };
  if (to === undefined) return status;
  return { ...over(to), startTime: at(from).toISOString() };
}

describe('sampling', () => {
  test('keeps how long each pod has run, with whose it is', async () => {
    expect(await sampleRunners([pod(running)], at(15))).toBe(1);
    expect(await sampleRunners([pod(running)], at(30.5))).toBe(1);
    expect(await kept()).toEqual([
      [15, 15],
      [30.5, 30.5],
    ]);
    expect(await unsafeDb().usageSource.findUnique({ where: { id: uid } })).toMatchObject({
      tenantId: acme.tenantId,
      enrollmentId: acme.enrollmentId,
      poolName: 'nix',
      name: uid,
      startedAt: at(0),
      endedAt: null,
    });
  });

  test('a pod that says it is a tenant’s is nobody’s on a cluster where that tenant does not stand', async () => {
    await sampleRunners([pod(running)], at(15), 'east');
    const source = await unsafeDb().usageSource.findUnique({ where: { id: uid } });
    expect(source).toMatchObject({ clusterId: 'east', tenantId: null, enrollmentId: null });
  });

  test('F28: a second collector, or the same instant again, adds nothing', async () => {
    const counts = await Promise.all(Array.from({ length: 4 }, () => sampleRunners([pod(running)], at(15))));
    expect(counts.reduce((sum, each) => sum + each)).toBe(1);
    expect(await kept()).toEqual([[15, 15]]);
  });

  test('a pod that ended has run to its end, however late we look', async () => {
    await sampleRunners([pod(over(42))], at(5000));
    // Whoever looks again, and later, reads the same.
    expect(await sampleRunners([pod(over(42))], at(9000))).toBe(0);
    expect(await kept()).toEqual([[42, 42]]);
    expect(await unsafeDb().usageSource.findUnique({ where: { id: uid } })).toMatchObject({
      endedAt: at(42),
      endedItself: true,
    });
  });

  test('a pod of which one container still runs, runs', async () => {
    const [ended] = over(10).containerStatuses;
    await sampleRunners([pod({ ...running, containerStatuses: [ended, { state: { running: {} } }] })], at(20));
    expect(await kept()).toEqual([[20, 20]]);
  });

  test('F19: a node whose clock is ahead of ours takes nothing away', async () => {
    await sampleRunners([pod(running)], at(-30));
    await sampleRunners([pod(over(-5))], at(40));
    expect(await kept()).toEqual([
      [-30, 0],
      [0, 0],
    ]);
  });

  test.each<[string, () => Observed]>([
    ['is of no tenant of ours', () => pod(running, { labels: { 'flywheel.dev/tenant': 'stranger' } })],
    ['is of no enrollment of the tenant', () => pod(running, { labels: { 'flywheel.dev/enrollment': 'another' } })],
    [
      'says that it is of a tenant in whose namespace it is not',
      () => {
        const foreign = pod(running);
        return { ...foreign, metadata: { ...foreign.metadata, namespace: 'runners-bolt' } };
      },
    ],
  ])('a pod that %s is read, and is nobody’s', async (_, made) => {
    expect(await sampleRunners([made()], at(15))).toBe(1);
    expect(await kept()).toEqual([[15, 15]]);
    const source = await unsafeDb().usageSource.findUnique({ where: { id: uid } });
    expect([source?.tenantId, source?.enrollmentId]).toEqual([null, null]);
  });

  test('a pod with a daemon beside its runner is the tenant’s too, with what both take and not what only began it', async () => {
    const size = (cpu: string, memory: string) => ({
      resources: { requests: { cpu, memory }, limits: { cpu, memory } },
    });
    const made = pod(running);
    const spec = {
      containers: [{ name: 'runner', ...size('1', '2Gi') }],
      initContainers: [
        { name: 'externals', ...size('1', '2Gi') },
        { name: 'dockerd', restartPolicy: 'Always', ...size('3', '6Gi') },
      ],
    };
    await sampleRunners([{ ...made, spec, metadata: { ...made.metadata, namespace: 'dind-acme' } }], at(15));
    const source = await unsafeDb().usageSource.findUniqueOrThrow({ where: { id: uid } });
    expect(source.tenantId).toBe(acme.tenantId);
    expect([Number(source.cpuCores), Number(source.memoryGib)]).toEqual([4, 8]);
  });

  test('the job that a GitLab pod is made for has its time, whichever of its witnesses wrote it first', async () => {
    const ids = ['4711', `${acme.enrollmentId}:4712`, `runner:${acme.enrollmentId}/4713`];
    for (const [index, externalId] of ids.entries()) {
      const from = (index + 1) * 3600;
      await addJob({ externalId, runnerName: 'flywheel-acme-nix', from, to: from + 60 });
      const made = pod(span(from, from + 60), {
        labels: { 'job.runner.gitlab.com/pod': 'x' },
        uid: `gitlab-${index}`,
      });
      const annotations = { 'job.runner.gitlab.com/id': String(4711 + index) };
      await sampleRunners([{ ...made, metadata: { ...made.metadata, annotations } }], at(from + 70));
      expect(await shares(from)).toEqual({ [`forge/${externalId}`]: 60 });
    }
  });

  test('a Forgejo runner’s time is that of its jobs while it ran, and of none that another process of its name had', async () => {
    const labels = { 'app.kubernetes.io/instance': 'acme-nix-0' };
    const runnerName = 'flywheel-acme-nix-0';
    const from = 10 * 3600;
    await addJob({ externalId: 'a', runnerName, from: from + 10, to: from + 40 });
    await addJob({ externalId: 'b', runnerName, from: from + 210, to: from + 260 });
    const first = pod(span(from, from + 100), { labels, uid: 'forgejo-1' });
    const second = pod(span(from + 200), { labels, uid: 'forgejo-2' });
    await sampleRunners([first, second], at(from + 300));
    expect(await shares(from)).toEqual({ 'forge/a': 30, 'forge/b': 50, idle: 120 });
  });

  test('a worker whose clock is ahead keeps nothing that has not been', async () => {
    const now = new Date(Date.now() + 120_000);
    const begun = { phase: 'Running', startTime: new Date(now.getTime() - 3600_000).toISOString() };
    expect(await sampleRunners([pod(begun)], now)).toBe(0);
    const [refusal] = await unsafeDb().usageRefusal.findMany({ where: { sourceId: uid } });
    expect(refusal?.reason).toBe('by a clock that is ahead');
  });

  test('a pod that was not started has no reading', async () => {
    expect(await sampleRunners([pod({ phase: 'Pending' })], at(15))).toBe(0);
    expect(await kept()).toEqual([]);
  });

  test('what a pod asked for goes with it', async () => {
    const asks = (cpu: string, memory: string) => ({ resources: { requests: { cpu, memory, 'nvidia.com/gpu': '1' } } });
    const spec = { containers: [asks('1500m', '4Gi'), asks('500m', '512Mi'), asks('nonsense', '1e99')] };
    await sampleRunners([{ ...pod(running), spec }], at(15));
    const source = await unsafeDb().usageSource.findUnique({ where: { id: uid } });
    expect([source?.cpuCores.toString(), source?.memoryGib.toString(), source?.gpuCount]).toEqual(['2', '4.5', 3]);
  });

  test('a pod without a pool has none, and hinders no other', async () => {
    const nameless = pod(running, { uid: `${uid}-nameless` });
    delete nameless.metadata.labels?.['flywheel.dev/pool'];
    expect(await sampleRunners([nameless, pod(running)], at(15))).toBe(1);
    expect(await kept()).toEqual([[15, 15]]);
    expect(await sampleRunners([], at(15))).toBe(0);
  });
});

describe('what the watch tells', () => {
  type Told = Pick<Change, 'kind' | 'deleted' | 'object'>;

  /** As the worker hears it. */
  function teller(pods: Observed[] = []): { tell: (change: Told) => void; failures: unknown[] } {
    const listeners: ((change: Change) => void)[] = [];
    const failures: unknown[] = [];
    const view = {
      onChange: (listener: (change: Change) => void) => listeners.push(listener),
      all: () => pods,
    } as unknown as ClusterView;
    keepPoolCounts(view, { now: () => at(100), monotonicMs: () => 0 }, (error) => failures.push(error));
    const tell = (change: Told) => listeners.forEach((listener) => listener(change as Change));
    return { tell, failures };
  }

  test.each<[string, () => Told, number]>([
    ['succeeded', () => ({ kind: 'Pod', deleted: false, object: pod(over(42)) }), 42],
    ['failed', () => ({ kind: 'Pod', deleted: false, object: pod({ ...over(42), phase: 'Failed' }) }), 42],
    ['was removed as it ran', () => ({ kind: 'Pod', deleted: true, object: pod(running) }), 100],
  ])('a pod that %s gives its last reading at once', async (_, change, seconds) => {
    const { tell, failures } = teller();
    tell(change());
    await eventually('the reading', async () => (await kept()).length > 0);
    expect(await kept()).toEqual([[seconds, seconds]]);
    expect(failures).toEqual([]);
  });

  test('the counts of a runner set go to its pool, for the pages', async () => {
    const { tell, failures } = teller();
    const status = {
      currentRunners: 4,
      pendingEphemeralRunners: 1,
      runningEphemeralRunners: 2,
      failedEphemeralRunners: 1,
    };
    const metadata = { name: acme.scaleSetName, namespace: 'runners-acme', uid: 'set', resourceVersion: '1' };
    const object = { apiVersion: 'actions.github.com/v1alpha1', kind: 'AutoscalingRunnerSet', metadata, status };
    tell({ kind: 'AutoscalingRunnerSet', deleted: false, object });
    const row = await eventually('the counts', async () => {
      const found = await unsafeDb().enrollmentPool.findUnique({ where: { scaleSetName: acme.scaleSetName } });
      return found && found.currentRunners > 0 ? found : undefined;
    });
    const expected = { currentRunners: 4, pendingRunners: 1, runningRunners: 2, failedRunners: 1, observedAt: at(100) };
    expect(row).toMatchObject(expected);
    expect(failures).toEqual([]);
  });

  test('where no controller counts, the pods of a pool are counted; ARC’s own are its own to count', async () => {
    const arc = { labels: { 'actions-ephemeral-runner': 'True' } };
    const pods = [
      pod(running, { uid: 'a' }),
      pod(running, { uid: 'b' }),
      pod({ phase: 'Pending' }, { uid: 'c' }),
      pod({ phase: 'Failed' }, { uid: 'd' }),
      pod(over(1), { uid: 'e' }),
      pod(running, { uid: 'f', labels: { 'flywheel.dev/enrollment': 'another' } }),
      pod(running, { uid: 'g', ...arc }),
    ];
    const { tell, failures } = teller(pods);
    const at0 = { currentRunners: 0, pendingRunners: 0, runningRunners: 0, failedRunners: 0 };
    await unsafeDb().enrollmentPool.update({ where: { scaleSetName: acme.scaleSetName }, data: at0 });
    tell({ kind: 'Pod', deleted: false, object: pod(running, arc) });
    tell({ kind: 'Pod', deleted: false, object: pods[0] as Observed });
    const row = await eventually('the counts', async () => {
      const found = await unsafeDb().enrollmentPool.findUnique({ where: { scaleSetName: acme.scaleSetName } });
      return found && found.currentRunners > 0 ? found : undefined;
    });
    expect(row).toMatchObject({ currentRunners: 3, pendingRunners: 1, runningRunners: 2, failedRunners: 1 });
    expect(failures).toEqual([]);
  });
});
