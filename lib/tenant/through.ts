import { contextNow, inPart, note, observe, span, spanIds, stopwatch, within } from '#lib/telemetry/index.ts';
import type { Ctx } from './ctx.ts';

export type DoorKind = 'page' | 'action' | 'view' | 'route' | 'webhook' | 'program';

type Way = { kind: DoorKind; door: string; requestId: () => string | Promise<string> };

/**
 * All that passes a door: told of under one request id, and counted by how it ended, which whoever refuses it notes. Where
 * lib/web.ts answers, the id is the whole request's, of which this may be one of several doors.
 */
export async function through<T>({ kind, door, requestId }: Way, run: () => Promise<T>): Promise<T> {
  if (contextNow() === undefined) {
    const id = await requestId();
    return within({ requestId: id }, () => through({ kind, door, requestId }, run));
  }
  return inPart((part) =>
    span(`${kind} ${door}`, { kind: 'server', isFailure }, async (set, fail) => {
      note({ door });
      const took = stopwatch();
      try {
        return await run();
      } finally {
        const code = part.outcome ?? 'ok';
        observe('requestSeconds', { door: kind, code }, took());
        // A door that many ways lead through says by now which it was.
        if (code === 'internal' || code === 'unavailable') fail(code);
        set({ 'flywheel.door': contextNow()?.fields.door, 'flywheel.outcome': code, ...spanIds() });
      }
    }),
  );
}

/** By throwing, Next leads elsewhere: to another page, or to what says that there is none. */
function isFailure(error: unknown): boolean {
  return !String((error as { digest?: unknown } | null)?.digest).startsWith('NEXT_');
}

/** Whose request this is, for whoever tells of it. */
export function known(ctx: Ctx | null): Ctx | null {
  if (ctx) note({ tenantId: ctx.tenant.id });
  return ctx;
}
