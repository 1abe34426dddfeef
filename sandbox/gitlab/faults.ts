import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Answer, Ask, Socketlike } from '#sandbox/stand-in/index.ts';
import { failure } from './access.ts';
import { throttled } from './rate-limits.ts';

/** A failure asked for beforehand: the next `times` requests that match meet it. */
export const Fault = z.object({
  match: z.object({ method: z.string().optional(), path: z.string().optional() }).default({}),
  times: z.number().int().positive().default(1),
  kind: z.enum([
    'status',
    'status-after',
    'reset-before',
    'reset-after',
    'delay',
    'primary-limit',
    'secondary-limit',
    'huge',
    'endless',
  ]),
  status: z.number().int().min(400).max(599).default(502),
  delayMs: z.number().int().min(0).default(1000),
  retryAfterSeconds: z.number().int().min(0).optional(),
});
export type Fault = z.infer<typeof Fault>;

/** More than anybody who bounds what they read will take. */
const hugeBytes = 11 * 1024 * 1024;

export class Faults {
  readonly #waiting: Fault[] = [];

  add(fault: Fault): void {
    this.#waiting.push({ ...fault });
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  list(): readonly Fault[] {
    return this.#waiting;
  }

  /** Answers as `handle` does, unless a fault matches. The kinds that end in -after first do what was asked for. */
  async meet(ask: Ask, socket: Socketlike, now: Date, handle: (ask: Ask) => Promise<Answer>): Promise<Answer> {
    const fault = this.#take(ask);
    if (!fault) return handle(ask);
    if (fault.kind === 'status') return failure(fault.status, '500 Internal Server Error');
    if (fault.kind === 'status-after') return handle(ask).then(() => failure(fault.status, 'upstream went away'));
    if (fault.kind === 'delay') return sleep(fault.delayMs).then(() => handle(ask));
    if (fault.kind === 'primary-limit') return untilReset(now, fault.retryAfterSeconds ?? 2400);
    if (fault.kind === 'secondary-limit') return throttled(fault.retryAfterSeconds);
    if (fault.kind === 'huge') return { status: 200, body: [{ id: 1, padding: 'x'.repeat(hugeBytes) }] };
    if (fault.kind === 'endless') return endless(ask, handle);
    const answer = fault.kind === 'reset-after' ? await handle(ask) : failure(502, 'Bad Gateway');
    socket.destroy();
    return answer;
  }

  #take(ask: Ask): Fault | undefined {
    const at = this.#waiting.findIndex(
      (fault) =>
        (!fault.match.method || fault.match.method.toUpperCase() === ask.method) &&
        new RegExp(fault.match.path ?? '').test(ask.path),
    );
    const fault = this.#waiting[at];
    if (!fault) return undefined;
    fault.times -= 1;
    if (fault.times === 0) this.#waiting.splice(at, 1);
    return fault;
  }
}

/** A limit that names only the time at which it starts anew. */
function untilReset(now: Date, seconds: number): Answer {
  const answer = throttled(undefined);
  const reset = String(Math.ceil(now.getTime() / 1000) + seconds);
  return { ...answer, headers: { ...answer.headers, 'ratelimit-remaining': '0', 'ratelimit-reset': reset } };
}

/** The first page again and again, with a next one each time. */
async function endless(ask: Ask, handle: (ask: Ask) => Promise<Answer>): Promise<Answer> {
  const page = Number(ask.query.get('page') ?? 1);
  const query = new URLSearchParams(ask.query);
  query.set('page', '1');
  const answer = await handle({ ...ask, query });
  return { ...answer, headers: { ...answer.headers, 'x-page': String(page), 'x-next-page': String(page + 1) } };
}
