import { AppError } from '../errors.ts';
import { allowanceIn, count, observe, sawAllowance, sawForge, span, stopwatch } from '../telemetry/index.ts';
import type { GuardedFetch } from './guard.ts';
import type { ForgeConnectionValue } from './port.ts';

/* What is told of each request through the guard: to operators, and never what was asked or answered. */

type Told = {
  method: string;
  /** The answer's status; `none` where none came, `cancelled` where we did not wait for it. */
  code: string;
  seconds: number;
  answer: Response | null;
  /** Why there is none, in words. */
  failure: string | null;
};

function telling(
  fetch: GuardedFetch,
  what: 'forge' | 'cache' | 'webhook',
  tell: (told: Told, init: RequestInit) => void,
): GuardedFetch {
  return function told(target, init = {}) {
    const method = init.method ?? 'GET';
    const attributes = { 'http.request.method': method, ...placeOf(target, what) };
    return span(`${what} ${method}`, { kind: 'client', attributes }, async (set) => {
      const took = stopwatch();
      try {
        const answer = await fetch(target, init);
        tell({ method, code: String(answer.status), seconds: took(), answer, failure: null }, init);
        set({ 'http.response.status_code': answer.status });
        return answer;
      } catch (error) {
        const code = init.signal?.aborted === true ? 'cancelled' : 'none';
        const failure = error instanceof AppError ? error.screen.happened : 'It does not answer.';
        tell({ method, code, seconds: took(), answer: null, failure }, init);
        throw error;
      }
    });
  };
}

/** For an hour and once, whoever has the code gets the new App's private key. */
const manifestCode = /(?<=\/app-manifests\/)[^/]+/;

/** Where it goes, for a trace: never the query. The path to somebody's webhook may be all that keeps others out. */
export function placeOf(target: string | URL | Request, what: string): Record<string, string> {
  const url = URL.parse(target instanceof Request ? target.url : target);
  if (!url) return {};
  const path = url.pathname.replace(manifestCode, '{code}');
  return { 'server.address': url.hostname, ...(what === 'webhook' ? {} : { 'url.path': path }) };
}

export function tellingOfForge(
  fetch: GuardedFetch,
  { id, kind }: Pick<ForgeConnectionValue, 'id' | 'kind'>,
): GuardedFetch {
  return telling(fetch, 'forge', ({ method, code, seconds, answer, failure }, { headers }) => {
    count('forgeRequests', { forge: kind, method, code });
    if (code === 'cancelled') return;
    observe('forgeSeconds', { forge: kind }, seconds);
    // One that is only being entered has no id yet.
    if (id === '') return;
    sawForge(id, { failure: failure ?? (answer && answer.status >= 500 ? `It answers ${code}.` : null) });
    const allowance = answer && allowanceIn(answer.headers);
    if (allowance) sawAllowance(id, askerIn(headers), allowance);
  });
}

/** Whose window an answer speaks of. */
function askerIn(init: RequestInit['headers']): string {
  const headers = new Headers(init);
  return headers.get('authorization') ?? headers.get('private-token') ?? '';
}

/** The same for what is no forge: caches, and the webhooks of tenants. */
export function tellingOf(fetch: GuardedFetch, what: 'cache' | 'webhook'): GuardedFetch {
  return telling(fetch, what, ({ method, code }) => {
    if (what === 'cache') count('cacheRequests', { method, code });
    else count('webhookRequests', { code });
  });
}
