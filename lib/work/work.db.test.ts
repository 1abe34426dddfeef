import { setTimeout as sleep } from 'node:timers/promises';
import type { Span } from '@opentelemetry/api';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { contextNow, note, within } from '#lib/telemetry/index.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { claim, finish, isHeld, leaseMs, renew, type Claim } from './queue.ts';
import { loop, wake, type Lease, type Outcome, type Task } from './index.ts';

let rows: TestRows;
beforeAll(async () => {
  rows = await startTestRows();
});
afterAll(() => rows?.stop());
beforeEach(() => unsafeDb().task.deleteMany());

const done: Outcome = { kind: 'done', againMs: 3_600_000 };

async function taskOf(key: string) {
  return unsafeDb().task.findUnique({ where: { kind_key: { kind: 'look', key } } });
}

async function soon(key: string): Promise<void> {
  await wake(unsafeDb(), 'look', key);
}

/** Workers of this process, stopped and waited for at the end of the test. */
async function withLoops<T>(count: number, task: Task, use: () => Promise<T>, concurrency = 4): Promise<T> {
  const abort = new AbortController();
  const options = { tasks: { look: task }, concurrency, signal: abort.signal };
  const loops = Array.from({ length: count }, () => loop(options));
  try {
    return await use();
  } finally {
    abort.abort();
    await Promise.all(loops);
  }
}

function held(): { until: Promise<void>; let: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { until: promise, let: resolve };
}

describe('waking', () => {
  test('a key is one row, however often it is woken, and by however many at once', async () => {
    await Promise.all(Array.from({ length: 20 }, () => soon('a')));
    const all = await unsafeDb().task.findMany();
    expect(all.map(({ key, wakes, seenWakes }) => [key, wakes, seenWakes])).toEqual([['a', 20n, 0n]]);
  });

  test('a wake of a transaction that is rolled back never was', async () => {
    const undone = unsafeTransaction(async (tx) => {
      await wake(tx, 'look', 'a');
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    expect(await taskOf('a')).toBeNull();
    await unsafeTransaction((tx) => wake(tx, 'look', 'a'));
    expect(await taskOf('a')).not.toBeNull();
  });

  test('a later time never puts off an earlier one', async () => {
    const [early, late] = [new Date(Date.now() + 60_000), new Date(Date.now() + 120_000)];
    await wake(unsafeDb(), 'look', 'a', late);
    await wake(unsafeDb(), 'look', 'a', early);
    await wake(unsafeDb(), 'look', 'a', late);
    expect((await taskOf('a'))?.dueAt).toEqual(early);
    expect(await claim(['look'], 10)).toEqual([]);
  });

  test('an idle worker is told, and need not ask', async () => {
    let ranAt = 0;
    const waits: number[] = [];
    const look = async () => {
      ranAt = performance.now();
      return done;
    };
    await withLoops(1, look, async () => {
      for (let count = 0; count < 5; count += 1) {
        // Idle by now, and about to ask again in 400 ms.
        await sleep(100);
        const wokenAt = performance.now();
        await soon('a');
        await eventually('the run', () => ranAt > wokenAt);
        waits.push(ranAt - wokenAt);
        await eventually('rest', async () => (await taskOf('a'))?.leaseUntil === null);
      }
    });
    expect(Math.min(...waits)).toBeLessThan(200);
  });

  test('a wake during a run is never lost: the key runs again', async () => {
    const gate = held();
    let runs = 0;
    await withLoops(
      2,
      async () => {
        runs += 1;
        if (runs === 1) await gate.until;
        return done;
      },
      async () => {
        await soon('a');
        await eventually('the first run', () => runs === 1);
        await soon('a');
        await sleep(100);
        expect(runs).toBe(1);
        gate.let();
        await eventually('the second run', () => runs === 2);
        await eventually('rest', async () => (await taskOf('a'))?.leaseUntil === null);
        const task = await taskOf('a');
        expect([task?.wakes, task?.seenWakes]).toEqual([2n, 2n]);
        expect(task?.dueAt.getTime()).toBeGreaterThan(Date.now() + 3_000_000);
      },
    );
  });

  test('a key that is gone stays when it was woken meanwhile', async () => {
    await soon('a');
    const [first] = await claim(['look'], 1);
    if (!first) throw new Error('nothing was claimed');
    await soon('a');
    expect(await finish(first, { nextMs: null })).toBe(true);
    const [second] = await claim(['look'], 1);
    if (!second) throw new Error('it did not stay');
    expect(second.token).toBeGreaterThan(first.token);
    expect(await finish(second, { nextMs: null })).toBe(true);
    expect(await taskOf('a')).toBeNull();
  });
});

describe('traces', () => {
  let spans = 0;
  /** As if somebody collected traces: each span a trace of its own, all of whose ids are its number. */
  const traced = async <T>(run: () => Promise<T>) => {
    spans += 1;
    const [traceId, spanId] = [spans.toString(16).padStart(32, '0'), spans.toString(16).padStart(16, '0')];
    const own = { spanContext: () => ({ traceId, spanId, traceFlags: 1 }) } as Span;
    await within({}, () => Object.assign(contextNow() ?? {}, { span: own }) && run());
    return `00-${traceId}-${spanId}-01`;
  };
  const inTrace = () => traced(() => soon('a'));
  const claimed = async (): Promise<Claim> => {
    await unsafeDb().$executeRaw`update task set due_at = now()`;
    const [taken] = await claim(['look'], 1);
    if (!taken) throw new Error('nothing was claimed');
    return taken;
  };

  test('a pass goes on with the trace of the last wake that had one', async () => {
    await inTrace();
    const last = await inTrace();
    await soon('a');
    expect((await claimed()).traceparent).toBe(last);
  });

  test('a wake of no trace has none', async () => {
    await soon('a');
    expect(await taskOf('a')).toMatchObject({ traceparent: null, tracedAt: null });
    expect((await claimed()).traceparent).toBeNull();
  });

  test('so do those after it while something is waited for or failed, and none after one that is done', async () => {
    const trace = await inTrace();
    for (const result of [{ nextMs: 0 }, { nextMs: 0, failed: 'x' }, { nextMs: 0, isDone: true }]) {
      const taken = await claimed();
      expect(taken.traceparent).toBe(trace);
      await finish(taken, result);
    }
    expect((await claimed()).traceparent).toBeNull();
  });

  test('a wake during a pass is gone on with, though the pass is done', async () => {
    await inTrace();
    const taken = await claimed();
    const later = await inTrace();
    await finish(taken, { nextMs: 0, isDone: true });
    expect((await claimed()).traceparent).toBe(later);
  });

  test('another worker goes on with it after one that died; nobody does for ever', async () => {
    const trace = await inTrace();
    await claimed();
    await unsafeDb().$executeRaw`update task set lease_until = now() - interval '1 second'`;
    const second = await claimed();
    expect(second.traceparent).toBe(trace);
    await finish(second, { nextMs: 0 });
    await unsafeDb().$executeRaw`update task set traced_at = now() - interval '16 minutes'`;
    expect((await claimed()).traceparent).toBeNull();
  });
});

describe('I7: one at a time', () => {
  test('many workers, many wakes: no key runs twice at once, and each runs after its last wake', async () => {
    const keys = Array.from({ length: 8 }, (_, index) => `key-${index}`);
    const running = new Map<string, { isShared: boolean }>();
    const clashes: string[] = [];
    const startedAt = new Map<string, number>();
    const wokenAt = new Map<string, number>();
    let runs = 0;
    const look = async (lease: Lease): Promise<Outcome> => {
      const mine = { isShared: false };
      const other = running.get(lease.key);
      if (other) other.isShared = true;
      running.set(lease.key, mine);
      startedAt.set(lease.key, performance.now());
      runs += 1;
      await sleep(Math.random() * 20);
      if (running.get(lease.key) === mine) running.delete(lease.key);
      // Were this process stopped for longer than a lease, another may have begun: then this run may no longer write.
      await lease.check();
      if (mine.isShared) clashes.push(lease.key);
      return Math.random() < 0.2 ? { kind: 'gone' } : done;
    };
    await withLoops(
      4,
      look,
      async () => {
        const until = performance.now() + 2_000;
        const waker = async () => {
          while (performance.now() < until) {
            const key = keys[Math.floor(Math.random() * keys.length)] ?? '';
            wokenAt.set(key, performance.now());
            await soon(key);
            await sleep(Math.random() * 10);
          }
        };
        await Promise.all([waker(), waker(), waker()]);
        await eventually('rest', async () => {
          const open = await unsafeDb().$queryRaw<unknown[]>`
            select 1 from task where wakes > seen_wakes or lease_until is not null`;
          return open.length === 0;
        });
      },
      3,
    );
    expect(clashes).toEqual([]);
    expect(runs).toBeGreaterThan(20);
    // The count of wakes is taken before a run begins, so a run may begin at most a statement before the last wake ended.
    const missed = [...wokenAt].filter(([key, at]) => (startedAt.get(key) ?? 0) < at);
    expect(missed).toEqual([]);
  });

  test('no worker runs more at once than it may', async () => {
    let now = 0;
    let most = 0;
    let runs = 0;
    const look = async () => {
      now += 1;
      most = Math.max(most, now);
      await sleep(10);
      now -= 1;
      runs += 1;
      return done;
    };
    for (let index = 0; index < 12; index += 1) await soon(`key-${index}`);
    await withLoops(1, look, () => eventually('all', () => runs === 12), 3);
    expect(most).toBeLessThanOrEqual(3);
  });

  test('a kind that a worker does not know is left to others', async () => {
    await wake(unsafeDb(), 'another', 'a');
    await soon('a');
    expect((await claim(['look'], 10)).map(({ kind }) => kind)).toEqual(['look']);
  });
});

describe('failing', () => {
  test('what fails is tried again, later each time and never at once, and a success forgets it', async () => {
    await soon('a');
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      await unsafeDb().task.updateMany({ data: { dueAt: new Date(0) } });
      await withLoops(
        1,
        () => Promise.reject(new Error('it is broken')),
        () =>
          eventually(
            'the failure',
            async () => (await taskOf('a'))?.attempts === attempt && (await taskOf('a'))?.leaseUntil === null,
          ),
      );
      const task = await taskOf('a');
      expect(task?.lastError).toBe('Error: it is broken');
      waits.push((task?.dueAt.getTime() ?? 0) - (task?.updatedAt.getTime() ?? 0));
    }
    // Half of 1, 2, 4, 8 seconds at least, and all of them at most.
    waits.forEach((ms, index) => {
      expect(ms).toBeGreaterThan(0.5 * 1000 * 2 ** index - 100);
      expect(ms).toBeLessThan(1000 * 2 ** index + 100);
    });
    await unsafeDb().task.updateMany({ data: { dueAt: new Date(0) } });
    await withLoops(
      1,
      () => Promise.resolve(done),
      () => eventually('success', async () => (await taskOf('a'))?.attempts === 0),
    );
    expect((await taskOf('a'))?.lastError).toBeNull();
  });

  test('a pass has an id of its own, by which all of it is told; what it failed by is kept without a secret', async () => {
    await soon('a');
    const told: unknown[] = [];
    const look = async () => {
      note({ tenantId: 'learnt on the way' });
      told.push({ ...contextNow()?.fields });
      throw new Error('postgres://user:a-password@host refused');
    };
    const abort = new AbortController();
    const log = (entry: object) => told.push({ ...entry, ...contextNow()?.fields });
    const done = loop({ tasks: { look }, concurrency: 1, signal: abort.signal, log });
    await eventually('the failure', async () => (await taskOf('a'))?.lastError);
    abort.abort();
    await done;
    const fields = {
      task: 'look/a',
      tenantId: 'learnt on the way',
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    };
    expect(told).toMatchObject([fields, { ...fields, message: 'a task failed' }]);
    expect((await taskOf('a'))?.lastError).toBe('Error: postgres://[cut]@host refused');
    expect(JSON.stringify(told[1])).not.toContain('a-password');
  });

  test('F3, F13: the other side’s time is waited for, were it longer than ours', async () => {
    await soon('a');
    const limited = new AppError('rate_limited', { log: 'x', screen: { happened: 'x' }, retryAfterMs: 40 * 60_000 });
    await withLoops(
      1,
      () => Promise.reject(limited),
      () => eventually('the failure', async () => (await taskOf('a'))?.lastError),
    );
    expect((await taskOf('a'))?.dueAt.getTime()).toBeGreaterThan(Date.now() + 39 * 60_000);
    expect(await claim(['look'], 10)).toEqual([]);
  });

  test('F26: a key that always fails delays no other', async () => {
    for (let index = 0; index < 20; index += 1) await soon(`poison-${index}`);
    await soon('good');
    const ran: string[] = [];
    const look = async ({ key }: Lease) => {
      if (key.startsWith('poison')) throw new Error('poison');
      ran.push(key);
      return done;
    };
    await withLoops(1, look, () => eventually('the good one', () => ran.length > 0, 5_000), 2);
    expect(ran).toEqual(['good']);
  });
});

describe('leases', () => {
  test('F1: a dead worker’s key is taken over when its lease has ended, within two seconds more', async () => {
    await soon('a');
    const [dead] = await claim(['look'], 1);
    expect(dead?.key).toBe('a');
    const diedAt = performance.now();
    let takenAt = 0;
    await withLoops(
      1,
      async () => {
        takenAt = performance.now();
        return done;
      },
      () => eventually('the take-over', () => takenAt > 0),
    );
    expect(takenAt - diedAt).toBeGreaterThan(leaseMs - 100);
    expect(takenAt - diedAt).toBeLessThan(leaseMs + 2_000);
  });

  test('a worker that lives keeps its key for as long as it runs', async () => {
    let runs = 0;
    let isOver = false;
    await soon('a');
    await withLoops(
      2,
      async (lease) => {
        runs += 1;
        await sleep(leaseMs * 1.5);
        await lease.check();
        isOver = true;
        return done;
      },
      () => eventually('the end', () => isOver, leaseMs * 4),
    );
    expect(runs).toBe(1);
  });

  test('F21, I7: a stale worker cannot finish, renew or pass the fence, and its transaction leaves nothing', async () => {
    await soon('a');
    const [stale] = await claim(['look'], 1);
    if (!stale) throw new Error('nothing was claimed');
    // Paused for longer than its lease, as by SIGSTOP.
    await unsafeDb().$executeRaw`update task set lease_until = now() - interval '1 second'`;
    const [fresh] = await claim(['look'], 1);
    if (!fresh) throw new Error('nothing was claimed');
    expect(fresh.token).toBeGreaterThan(stale.token);

    expect(await finish(stale, { nextMs: 0 })).toBe(false);
    expect(await finish(stale, { nextMs: null })).toBe(false);
    expect(await renew([stale])).toEqual(new Set());
    expect(await isHeld(unsafeDb(), stale)).toBe(false);
    expect(await isHeld(unsafeDb(), fresh)).toBe(true);
    expect(await renew([fresh, stale])).toEqual(new Set(['look/a']));
    expect((await taskOf('a'))?.leaseToken).toBe(fresh.token);
    expect(await finish(fresh, { nextMs: 1000 })).toBe(true);
    // And once it is given back, not even its last holder holds it.
    expect(await isHeld(unsafeDb(), fresh)).toBe(false);
    expect(await renew([fresh])).toEqual(new Set());
  });

  test('F21, I7: whoever held a key before it was forgotten holds nothing of it when it is there again', async () => {
    await soon('a');
    const [stale] = await claim(['look'], 1);
    await unsafeDb().$executeRaw`update task set lease_until = now() - interval '1 second'`;
    const [next] = await claim(['look'], 1);
    if (!stale || !next) throw new Error('nothing was claimed');
    expect(await finish(next, { nextMs: null })).toBe(true);
    await soon('a');
    const [again] = await claim(['look'], 1);
    expect(again?.token).toBeGreaterThan(next.token);
    expect(await isHeld(unsafeDb(), stale)).toBe(false);
    expect(await renew([stale, next])).toEqual(new Set());
    for (const nextMs of [null, 0]) expect(await finish(stale, { nextMs })).toBe(false);
    expect(again && (await isHeld(unsafeDb(), again))).toBe(true);
  });

  test('F21: a run whose lease was lost is told so by signal, check and fence', async () => {
    const gate = held();
    const told: Record<string, unknown> = {};
    await soon('a');
    await withLoops(
      1,
      async (lease) => {
        // Another worker took it: as if this process had been stopped for a minute.
        await unsafeDb()
          .$executeRaw`update task set lease_token = lease_token + 1, lease_until = now() + interval '1 hour'`;
        const fenced = unsafeTransaction(async (tx) => {
          await tx.audit.create({ data: { actor: 'stale', action: 'stale', target: 'stale' } });
          await lease.fence(tx);
        });
        told['fence'] = await fenced.catch((error: Error) => error.name);
        await eventually('the signal', () => lease.signal.aborted);
        told['check'] = await lease.check().catch((error: Error) => error.name);
        gate.let();
        throw lease.signal.reason;
      },
      () => gate.until,
    );
    expect(told).toEqual({ fence: 'LeaseLost', check: 'LeaseLost' });
    expect(await unsafeDb().audit.count({ where: { actor: 'stale' } })).toBe(0);
    // The other's lease stands, with no failure written beside it.
    const task = await taskOf('a');
    expect([task?.lastError, task?.leaseUntil === null]).toEqual([null, false]);
  });

  test('F21: an answer that came late is no more time: the lease counts from when it was asked for', async () => {
    await soon('a');
    const gate = held();
    let checked: unknown;
    // Whoever claims waits for this row's lock, longer than the lease of the loop that waits first.
    const blocker = unsafeTransaction(async (tx) => {
      await tx.$executeRaw`lock table task in share row exclusive mode`;
      await sleep(leaseMs + 500);
    });
    await sleep(100);
    await withLoops(
      1,
      async (lease) => {
        // As if another had taken it since: only asking the database tells, and it must be asked.
        await unsafeDb().$executeRaw`update task set lease_token = lease_token + 1`;
        checked = await lease.check().then(
          () => 'may write',
          (error: Error) => error.name,
        );
        gate.let();
        return done;
      },
      () => gate.until,
    );
    await blocker;
    expect(checked).toBe('LeaseLost');
  });

  test('the fence holds the key until its transaction ends: nobody takes it in between', async () => {
    await soon('a');
    const [claimed] = await claim(['look'], 1);
    if (!claimed) throw new Error('nothing was claimed');
    await unsafeDb().$executeRaw`update task set lease_until = now() - interval '1 second'`;
    const within = await unsafeTransaction(async (tx) => {
      expect(await isHeld(tx, claimed)).toBe(true);
      return claim(['look'], 1);
    });
    expect(within).toEqual([]);
    expect(await claim(['look'], 1)).toHaveLength(1);
  });

  test('a worker that is asked to stop gives its keys back at once', async () => {
    await soon('a');
    const begun = held();
    await withLoops(
      1,
      async (lease) => {
        begun.let();
        await sleep(60_000, undefined, { signal: lease.signal }).catch(() => undefined);
        await lease.check();
        return done;
      },
      () => begun.until,
    );
    const task = await taskOf('a');
    expect([task?.leaseUntil, task?.lastError]).toEqual([null, null]);
    expect(task?.dueAt.getTime()).toBeLessThanOrEqual(Date.now());
  });
});
