import type { Answer } from '#sandbox/stand-in/index.ts';

interface Window {
  used: number;
  resetSeconds: number;
}

const windowSeconds = 60;

/** GitLab's budget a minute for each bearer. It is kept in memory: a restart starts a new minute. */
export class RateLimits {
  readonly #perMinute: number;
  readonly #windows = new Map<string, Window>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  spend(now: Date, bearer: string): { over: Answer | null; headers: Record<string, string> } {
    const window = this.#window(now, bearer);
    window.used += 1;
    const headers = {
      'ratelimit-name': 'throttle_authenticated_api',
      'ratelimit-limit': String(this.#perMinute),
      'ratelimit-observed': String(window.used),
      'ratelimit-remaining': String(Math.max(0, this.#perMinute - window.used)),
      'ratelimit-reset': String(window.resetSeconds),
    };
    const over = window.used > this.#perMinute ? throttled(window.resetSeconds - now.getTime() / 1000) : null;
    return { over, headers };
  }

  #window(now: Date, bearer: string): Window {
    const nowSeconds = Math.floor(now.getTime() / 1000);
    const held = this.#windows.get(bearer);
    if (held && held.resetSeconds > nowSeconds) return held;
    if (this.#windows.size > 10_000) this.#windows.clear();
    const fresh = { used: 0, resetSeconds: nowSeconds + windowSeconds };
    this.#windows.set(bearer, fresh);
    return fresh;
  }
}

/** Plain text, as Rack::Attack answers before the API is reached. Without seconds it says no time. */
export function throttled(seconds: number | undefined): Answer {
  const headers: Record<string, string> = { 'content-type': 'text/plain; charset=utf-8' };
  if (seconds !== undefined) headers['retry-after'] = String(Math.ceil(seconds));
  return { status: 429, headers, body: 'Retry later\n' };
}
