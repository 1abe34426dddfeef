import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import type { Context } from './context.ts';
import type { Instruments, Reader } from './metrics.ts';
import type { Seen } from './seen.ts';
import type { Tracing } from './traces.ts';

/*
 * Next loads a module once for each bundle, and all of them are one process with the one that serves its metrics: what is
 * counted in either is held here once.
 */

type Held = {
  context: AsyncLocalStorage<Context>;
  instruments: Instruments | undefined;
  readers: Map<string, Reader>;
  tracing: Tracing | undefined;
  seen: Seen;
  /** Hashes of what is secret: secrets.ts. */
  secrets: { salt: Uint8Array; words: Set<number>; own: Set<number> };
};

const holder = globalThis as typeof globalThis & { flywheelTelemetry?: Held };

export function held(): Held {
  return (holder.flywheelTelemetry ??= {
    context: new AsyncLocalStorage(),
    instruments: undefined,
    readers: new Map(),
    tracing: undefined,
    seen: { forges: new Map(), clusters: new Map() },
    secrets: { salt: randomBytes(16), words: new Set(), own: new Set() },
  });
}
