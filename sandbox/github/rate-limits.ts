import type { Who } from './access.ts';

interface Window {
  used: number;
  resetSeconds: number;
}

const hourSeconds = 3600;

/** GitHub's hourly budget for each bearer, as far as headers and a refusal go. It is kept in memory: a restart starts a new hour. */
export class RateLimits {
  readonly #perHour: number;
  readonly #windows = new Map<string, Window>();

  constructor(perHour: number) {
    this.#perHour = perHour;
  }

  spend(now: Date, bearer: string): { over: boolean; headers: Record<string, string> } {
    const window = this.#window(now, bearer);
    window.used += 1;
    const remaining = Math.max(0, this.#perHour - window.used);
    return {
      over: window.used > this.#perHour,
      headers: {
        'x-ratelimit-limit': String(this.#perHour),
        'x-ratelimit-remaining': String(remaining),
        'x-ratelimit-used': String(Math.min(window.used, this.#perHour)),
        'x-ratelimit-reset': String(window.resetSeconds),
        'x-ratelimit-resource': 'core',
      },
    };
  }

  overview(now: Date, who: Who): Record<string, unknown> {
    const resetSeconds = Math.ceil(now.getTime() / 1000) + hourSeconds;
    const full = {
      limit: who.kind === 'anonymous' ? 60 : this.#perHour,
      used: 0,
      remaining: this.#perHour,
      reset: resetSeconds,
    };
    return { resources: { core: full, search: full }, rate: full };
  }

  #window(now: Date, bearer: string): Window {
    const nowSeconds = Math.floor(now.getTime() / 1000);
    const held = this.#windows.get(bearer);
    if (held && held.resetSeconds > nowSeconds) return held;
    if (this.#windows.size > 10_000) this.#windows.clear();
    const fresh = { used: 0, resetSeconds: nowSeconds + hourSeconds };
    this.#windows.set(bearer, fresh);
    return fresh;
  }
}
