import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { databaseUrl, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  count,
  observe,
  span,
  spanIds,
  stopwatch,
  within,
  withoutSecrets,
  type Fail,
  type SetAttributes,
} from '#lib/telemetry/index.ts';
import { channel, type Claim, claim, finish, type Finish, idOf, isHeld, leaseMs, renew } from './queue.ts';

/** Held while a key runs. `signal` aborts when the lease is lost or the worker stops. */
export type Lease = {
  key: string;
  attempts: number;
  signal: AbortSignal;
  /** Call before each write outside: throws when the lease may be another worker's. */
  check(): Promise<void>;
  /** Within a transaction: throws, and so rolls it back, unless this very lease is still held (the fencing token). */
  fence(tx: Pick<UnsafeTx, '$queryRaw'>): Promise<void>;
};

/** done: all is as it should be, look again later. wait: somebody else must move. gone: forget the key. */
export type Outcome =
  | { kind: 'done'; againMs: number }
  | { kind: 'wait'; againMs: number; waitingFor: string }
  | { kind: 'gone' };

export type Task = (lease: Lease) => Promise<Outcome>;
export type Tasks = Record<string, Task>;

export type LoopOptions = {
  tasks: Tasks;
  concurrency: number;
  signal: AbortSignal;
  /** Called each time the loop comes round, which it does twice a second at least while nothing holds it up. */
  onTurn?: () => void;
  log?: (entry: { level: 'info' | 'warn' | 'error'; message: string } & Record<string, unknown>) => void;
};

const pollMs = 500;
const backoffMsMost = 5 * 60_000;

/** Doubles from one second, with half of it random, so that what failed together does not return together. */
function backoffMs(attempts: number): number {
  const most = Math.min(backoffMsMost, 1000 * 2 ** Math.min(attempts - 1, 12));
  return most / 2 + Math.random() * (most / 2);
}

class LeaseLost extends Error {
  override name = 'LeaseLost';
}

type Running = { claim: Claim; abort: AbortController; heldUntilMs: number };

/** Runs due keys until the signal aborts, then lets what runs stop and answers. */
export async function loop(options: LoopOptions): Promise<void> {
  const kinds = Object.keys(options.tasks);
  const running = new Map<string, Running>();
  const bell = new Bell(options.signal);
  const listener = listen(bell, options);
  const heart = setInterval(() => void beat(running).catch(() => undefined), leaseMs / 3);
  const free = () => options.concurrency - running.size;
  try {
    while (!options.signal.aborted) {
      options.onTurn?.();
      // The lease counts from when it was asked for: an answer that took long is no more time.
      const heldUntilMs = performance.now() + leaseMs;
      const claims = free() > 0 ? await claimOrWarn(kinds, free(), options) : [];
      for (const taken of claims)
        void start({ claim: taken, abort: new AbortController(), heldUntilMs }, running, options, bell);
      if (claims.length === 0 || free() === 0) await bell.wait(pollMs);
    }
    for (const each of running.values()) each.abort.abort(new LeaseLost('the worker stops'));
    while (running.size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  } finally {
    clearInterval(heart);
    await listener.stop();
  }
}

async function claimOrWarn(kinds: string[], limit: number, options: LoopOptions): Promise<Claim[]> {
  try {
    return await claim(kinds, limit);
  } catch (error) {
    options.log?.({ level: 'warn', message: 'tasks cannot be claimed', error: messageOf(error) });
    return [];
  }
}

async function start(entry: Running, running: Map<string, Running>, options: LoopOptions, bell: Bell): Promise<void> {
  const id = idOf(entry.claim);
  running.set(id, entry);
  // All that is told of this pass bears one id.
  await within({ requestId: randomUUID(), task: id }, () => pass(entry, running, options, bell));
}

async function pass(entry: Running, running: Map<string, Running>, options: LoopOptions, bell: Bell): Promise<void> {
  const taken = entry.claim;
  const id = idOf(taken);
  try {
    const { kind, traceparent, attempts } = taken;
    const attributes = { 'flywheel.task': id, 'flywheel.attempts': attempts };
    const about = { kind: 'consumer', traceparent, attributes } as const;
    const result = await span(`pass ${kind}`, about, (set, fail) => run(taken, entry, options, { set, fail }));
    if (result && !(await finish(taken, result)))
      options.log?.({ level: 'warn', message: 'another worker took the key', task: id });
  } catch (error) {
    options.log?.({
      level: 'error',
      message: 'a task could not be given back; its lease will end',
      task: id,
      error: messageOf(error),
    });
  } finally {
    running.delete(id);
    bell.ring();
  }
}

type Tell = { set: SetAttributes; fail: Fail };

/** Null when the lease was lost: whoever holds it now will finish it. */
async function run(taken: Claim, entry: Running, options: LoopOptions, { set, fail }: Tell): Promise<Finish | null> {
  const task = options.tasks[taken.kind];
  if (!task) throw new Error(`no task of kind ${taken.kind}`);
  const took = stopwatch();
  const ended = (outcome: string) => {
    observe('passSeconds', { task: taken.kind, outcome }, took());
    set({ 'flywheel.outcome': outcome, ...spanIds() });
  };
  try {
    const outcome = await task(leaseOf(taken, entry));
    ended(outcome.kind);
    return { nextMs: outcome.kind === 'gone' ? null : outcome.againMs, isDone: outcome.kind === 'done' };
  } catch (error) {
    ended(error instanceof LeaseLost ? 'lost' : 'failed');
    fail(messageOf(error));
    if (error instanceof LeaseLost) {
      options.log?.({ level: 'warn', message: error.message, task: idOf(taken) });
      return options.signal.aborted ? { nextMs: 0 } : null;
    }
    const retryAfterMs = error instanceof AppError ? (error.retryAfterMs ?? 0) : 0;
    const nextMs = Math.max(backoffMs(taken.attempts), retryAfterMs);
    options.log?.({
      level: 'error',
      message: 'a task failed',
      task: idOf(taken),
      attempts: taken.attempts,
      nextMs,
      error: messageOf(error),
    });
    return { nextMs, failed: messageOf(error) };
  }
}

function leaseOf(taken: Claim, entry: Running): Lease {
  return {
    key: taken.key,
    attempts: taken.attempts,
    signal: entry.abort.signal,
    async check() {
      if (entry.abort.signal.aborted) throw lost(entry);
      // Within the time that the last renewal bought, by a clock that runs on while we are paused, nobody else has it.
      if (performance.now() < entry.heldUntilMs) return;
      await beat(new Map([[idOf(taken), entry]]));
      if (entry.abort.signal.aborted) throw lost(entry);
    },
    async fence(tx) {
      if (!(await isHeld(tx, taken))) throw lost(entry);
    },
  };
}

function lost(entry: Running): LeaseLost {
  const reason: unknown = entry.abort.signal.reason;
  return reason instanceof LeaseLost ? reason : new LeaseLost('the lease was lost');
}

/** One statement renews all leases. What is not ours any more is aborted. */
async function beat(running: Map<string, Running>): Promise<void> {
  if (running.size === 0) return;
  const asked = [...running.values()];
  const askedAtMs = performance.now();
  const ours = await renew(asked.map((entry) => entry.claim));
  for (const entry of asked) {
    if (ours.has(idOf(entry.claim))) entry.heldUntilMs = askedAtMs + leaseMs;
    else if (!entry.abort.signal.aborted) {
      count('leasesLost', {});
      entry.abort.abort(new LeaseLost('another worker has the lease'));
    }
  }
}

/** Wakes a sleeping loop; a ring while nobody waits is kept. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.ring());
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async wait(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
    this.#wake = undefined;
  }
}

/** LISTEN on a connection of its own. Without it work is found by polling, so its loss is only slower. */
function listen(bell: Bell, options: LoopOptions): { stop: () => Promise<void> } {
  let client: pg.Client | undefined;
  let stopped = false;
  const connect = async () => {
    if (stopped) return;
    const fresh = new pg.Client({ connectionString: databaseUrl() });
    fresh.on('notification', () => bell.ring());
    fresh.on('error', () => undefined);
    try {
      await fresh.connect();
      fresh.on('end', () => void setTimeout(() => void connect(), pollMs).unref());
      await fresh.query(`listen ${channel}`);
      client = fresh;
    } catch (error) {
      options.log?.({ level: 'warn', message: 'cannot listen for tasks; polling', error: messageOf(error) });
      setTimeout(() => void connect(), 10 * pollMs).unref();
    }
  };
  void connect();
  return {
    async stop() {
      stopped = true;
      await client?.end().catch(() => undefined);
    },
  };
}

/** Operators read it, in the log and in the table of tasks. */
function messageOf(error: unknown): string {
  return withoutSecrets(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
}
