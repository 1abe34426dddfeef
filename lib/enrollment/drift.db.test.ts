import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Change } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { wakeOfChange } from './drift.ts';

let rows: TestRows;
let own: TenantRows;
let other: TenantRows;
beforeAll(async () => {
  rows = await startTestRows();
  own = await addTenant('own');
  other = await addTenant('other');
}, 60_000);
afterAll(() => rows?.stop());
beforeEach(() => unsafeDb().task.deleteMany());

function changeOf(kind: string, more: Partial<Change> = {}): Change {
  const object = { apiVersion: 'v1', kind, metadata: { name: 'x', uid: 'x', resourceVersion: '1' } };
  return { kind, object, tenant: own.slug, enrollment: undefined, first: false, ...more } as Change;
}

const failed = (error: unknown) => expect.fail(String(error));

async function wakes(): Promise<[string, bigint | number][]> {
  const tasks = await unsafeDb().task.findMany({ where: { kind: 'enrollment' } });
  return tasks.map(({ key, wakes: count }) => [key, count]);
}

describe('what a watch saw', () => {
  test('wakes at once after a while, and what follows is gathered', async () => {
    const tell = wakeOfChange(failed);
    tell(changeOf('NetworkPolicy'));
    await expect.poll(wakes, { interval: 5, timeout: 2_000 }).toHaveLength(1);
    for (let count = 0; count < 13; count += 1) tell(changeOf('Secret'));
    await sleep(200);
    const [[key, count] = ['', 0]] = await wakes();
    expect(key).toBe(own.enrollmentId);
    expect(Number(count)).toBe(2);
  });

  test('of one tenant is not gathered with another’s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const tell = wakeOfChange(failed);
    tell(changeOf('NetworkPolicy', { tenant: other.slug }));
    vi.advanceTimersByTime(1);
    tell(changeOf('NetworkPolicy'));
    vi.advanceTimersByTime(1);
    // What is still waited for by the other clock never comes.
    vi.useRealTimers();
    await expect.poll(wakes, { interval: 5, timeout: 2_000 }).toHaveLength(2);
  });

  test('of a pod, a runner, a first list or nobody’s wakes nobody', async () => {
    const tell = wakeOfChange(failed);
    tell(changeOf('Pod'));
    tell(changeOf('EphemeralRunner'));
    tell(changeOf('NetworkPolicy', { first: true }));
    tell(changeOf('NetworkPolicy', { tenant: undefined }));
    await sleep(200);
    expect(await wakes()).toEqual([]);
  });

  test('of one enrollment’s wakes that one alone', async () => {
    const tell = wakeOfChange(failed);
    tell(changeOf('AutoscalingRunnerSet', { enrollment: 'another' }));
    await sleep(200);
    expect(await wakes()).toEqual([]);
  });
});
