import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Answer, Ask, Socketlike } from '#sandbox/stand-in/index.ts';
import { failure } from './access.ts';

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
    'delay-after',
    'primary-limit',
    'secondary-limit',
  ]),
  status: z.number().int().min(400).max(599).default(502),
  delayMs: z.number().int().min(0).default(1000),
  retryAfterSeconds: z.number().int().min(0).optional(),
});
export type Fault = z.infer<typeof Fault>;

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
  async meet(ask: Ask, socket: Socketlike, now: Date, handle: () => Promise<Answer>): Promise<Answer> {
    const fault = this.#take(ask);
    if (!fault) return handle();
    if (fault.kind === 'status') return failure(fault.status, 'Server Error');
    if (fault.kind === 'status-after') return handle().then(() => failure(fault.status, 'Server Error'));
    if (fault.kind === 'delay') return sleep(fault.delayMs).then(handle);
    if (fault.kind === 'delay-after') return handle().then((answer) => sleep(fault.delayMs, answer));
    if (fault.kind === 'primary-limit') return primaryLimit(now, fault.retryAfterSeconds ?? 2400);
    if (fault.kind === 'secondary-limit') return secondaryLimit(fault);
    const answer = fault.kind === 'reset-after' ? await handle() : failure(502, 'Server Error');
    socket.destroy();
    return answer;
  }

  #take(ask: Ask): Fault | undefined {
    const at = this.#waiting.findIndex(
      (f) =>
        (!f.match.method || f.match.method.toUpperCase() === ask.method) &&
        new RegExp(f.match.path ?? '').test(ask.path),
    );
    const fault = this.#waiting[at];
    if (!fault) return undefined;
    fault.times -= 1;
    if (fault.times === 0) this.#waiting.splice(at, 1);
    return fault;
  }
}

/** The hourly limit is used up: no Retry-After, only the time at which it starts anew. */
function primaryLimit(now: Date, seconds: number): Answer {
  const reset = Math.ceil(now.getTime() / 1000) + seconds;
  const answer = failure(403, 'API rate limit exceeded for installation.');
  return { ...answer, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(reset) } };
}

function secondaryLimit(fault: Fault): Answer {
  const answer = failure(
    403,
    'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
  );
  return fault.retryAfterSeconds === undefined
    ? answer
    : { ...answer, headers: { 'retry-after': String(fault.retryAfterSeconds) } };
}
