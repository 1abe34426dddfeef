import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Answer, Ask, Socketlike } from '#sandbox/stand-in/index.ts';
import { failure } from './access.ts';

/** A failure asked for beforehand: the next `times` requests that match meet it. A limit is what stands before Forgejo. */
export const Fault = z.object({
  match: z.object({ method: z.string().optional(), path: z.string().optional() }).default({}),
  times: z.number().int().positive().default(1),
  kind: z.enum(['status', 'status-after', 'reset-before', 'reset-after', 'delay', 'limit']),
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
  async meet(ask: Ask, socket: Socketlike, handle: () => Promise<Answer>): Promise<Answer> {
    const fault = this.#take(ask);
    if (!fault) return handle();
    if (fault.kind === 'status') return failure(fault.status, 'Bad Gateway');
    if (fault.kind === 'status-after') return handle().then(() => failure(fault.status, 'Bad Gateway'));
    if (fault.kind === 'delay') return sleep(fault.delayMs).then(handle);
    if (fault.kind === 'limit') return limit(fault);
    const answer = fault.kind === 'reset-after' ? await handle() : failure(502, 'Bad Gateway');
    socket.destroy();
    return answer;
  }

  #take(ask: Ask): Fault | undefined {
    const at = this.#waiting.findIndex(
      ({ match }) =>
        (!match.method || match.method.toUpperCase() === ask.method) && new RegExp(match.path ?? '').test(ask.path),
    );
    const fault = this.#waiting[at];
    if (!fault) return undefined;
    fault.times -= 1;
    if (fault.times === 0) this.#waiting.splice(at, 1);
    return fault;
  }
}

function limit({ retryAfterSeconds }: Fault): Answer {
  const headers: Record<string, string> = { 'content-type': 'text/html' };
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds);
  return { status: 429, headers, body: '<h1>Too Many Requests</h1>' };
}
