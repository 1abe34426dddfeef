// Passes made one by one by a test, in the place of a worker: with a clock that the test moves, and nothing in between.
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, clusterConnection, ClusterView } from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';
import { reconcileEnrollment } from '#lib/enrollment/index.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { eventually } from './eventually.ts';

export interface Passes {
  /** One pass; null where it failed in a way that a later one may heal. `check` runs whenever something is about to be written outside. */
  pass(id: string, check?: () => Promise<void>): Promise<Outcome | null>;
  /** Passes until this holds. */
  until(what: string, id: string, holds: () => Promise<boolean>, withinMs?: number): Promise<void>;
  /** What the portal's clock says. */
  now(): Date;
  /** Moves the portal's clock. What was seen lately is then looked at anew. */
  later(ms: number): void;
  /** As a worker that starts anew: nothing is remembered. */
  forget(): void;
  stop(): Promise<void>;
}

/** After `startTestPortal`, whose configuration it uses. */
export function startPasses(): Passes {
  const abort = new AbortController();
  const view = new ClusterView(new ClusterClient(clusterConnection('main')));
  view.start(abort.signal);
  let aheadMs = 0;
  const clock = { ...systemClock, now: () => new Date(Date.now() + aheadMs) };
  const deps = { clock, view: () => view, seen: new Map<string, number>() };
  async function pass(id: string, check = async () => {}): Promise<Outcome | null> {
    const lease: Lease = { key: id, attempts: 1, signal: abort.signal, check, fence: async () => {} };
    return reconcileEnrollment(deps, lease).catch((error: unknown) => {
      if (error instanceof AppError) return null;
      throw error;
    });
  }
  return {
    pass,
    async until(what, id, holds, withinMs = 30_000) {
      const once = async () => {
        await pass(id);
        return holds();
      };
      await eventually(what, once, withinMs);
    },
    now: () => clock.now(),
    later(ms) {
      aheadMs += ms;
    },
    forget: () => deps.seen.clear(),
    async stop() {
      abort.abort();
      await view.stopped();
    },
  };
}
