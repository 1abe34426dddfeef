import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Change, ClusterView, Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { keepPoolCounts, sampleRunners } from './index.ts';

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
  const found = await unsafeDb().runnerReading.findMany({ where: { podUid }, orderBy: { observedAt: 'asc' } });
  return found.map(({ observedAt, runnerSeconds }) => [
    (observedAt.getTime() - start) / 1000,
    runnerSeconds.toNumber(),
  ]);
}

describe('sampling', () => {
  test('keeps how long each pod has run, with whose it is', async () => {
    expect(await sampleRunners([pod(running)], at(15))).toBe(1);
    expect(await sampleRunners([pod(running)], at(30.5))).toBe(1);
    expect(await kept()).toEqual([
      [15, 15],
      [30.5, 30.5],
    ]);
    const [row] = await unsafeDb().runnerReading.findMany({ where: { podUid: uid } });
    expect(row).toMatchObject({
      tenantId: acme.tenantId,
      enrollmentId: acme.enrollmentId,
      poolName: 'nix',
      startedAt: at(0),
    });
  });

  test('F28: a second collector, or the same instant again, adds nothing', async () => {
    const counts = await Promise.all(Array.from({ length: 4 }, () => sampleRunners([pod(running)], at(15))));
    expect(counts.reduce((sum, each) => sum + each)).toBe(1);
    expect(await kept()).toEqual([[15, 15]]);
  });

  test('a pod that ended has run to its end, however late we look', async () => {
    await sampleRunners([pod(over(42))], at(5000));
    expect(await kept()).toEqual([[5000, 42]]);
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
      [40, 0],
    ]);
  });

  test.each<[string, () => Observed]>([
    ['was not started', () => pod({ phase: 'Pending' })],
    ['is of no tenant of ours', () => pod(running, { labels: { 'flywheel.dev/tenant': 'stranger' } })],
    ['is of no enrollment of the tenant', () => pod(running, { labels: { 'flywheel.dev/enrollment': 'another' } })],
  ])('a pod that %s has no reading', async (_, made) => {
    expect(await sampleRunners([made()], at(15))).toBe(0);
    expect(await kept()).toEqual([]);
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
    expect(await kept()).toEqual([[100, seconds]]);
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
