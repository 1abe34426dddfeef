import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AppError, errorCodes, nothingChanged, type ErrorCode } from '../errors.ts';
import { readStore } from './store.ts';
import { UsageError, type Terminal } from './terminal.ts';

/*
 * The portal's REST API. What is asked twice is done once: each change carries a key of its own, so that an answer that was
 * lost is simply asked for again.
 */

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Access = { url: string; token: string };
export type Answer = { status: number; headers: Headers; text: string };

const answerMs = 120_000;
const triesMost = 6;
const waitMsMost = 60_000;

const Problem = z.object({
  detail: z.string(),
  code: z.string().optional(),
  changed: z.string().optional(),
  todo: z.string().optional(),
  errors: z.record(z.string(), z.string()).optional(),
  requestId: z.string().optional(),
});

const unknownChange = 'We cannot say whether anything was changed.';

/** Where to ask and as whom: the environment first, then who signed in. */
export function accessOf(terminal: Terminal, url?: string): Access {
  const { FLYWHEEL_TOKEN, FLYWHEEL_URL } = terminal.environment;
  const kept = readStore(terminal);
  const at = portalUrl(url ?? FLYWHEEL_URL ?? kept.current ?? undefined);
  if (at === null) throw signedOut('No portal is known yet.', 'flywheel login --url https://flywheel.example.org');
  warnOfPlain(terminal, at);
  const token = FLYWHEEL_TOKEN ?? kept.portals[at]?.token;
  if (token === undefined || token === '')
    throw signedOut(`You are not signed in at ${at}.`, `flywheel login --url ${at}`);
  return { url: at, token };
}

/** An origin, and nothing else; null where nothing was said. */
export function portalUrl(text: string | undefined): string | null {
  if (text === undefined || text === '') return null;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '' && url.username === '')
    return url.origin;
  throw new UsageError(`${text} is not the address of a portal, such as https://flywheel.example.org.`);
}

const loopback = new Set(['localhost', '127.0.0.1', '[::1]']);

export function warnOfPlain({ err }: Terminal, url: string): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'http:' && !loopback.has(hostname))
    err(`${url} is not https: whoever is on the way reads the token.\n`);
}

export function signedOut(happened: string, how: string): AppError {
  return new AppError('unauthenticated', { log: happened, screen: { happened, todo: `Sign in: ${how}` } });
}

// ------------------------------------------------------------------------------------------------ asking

type Asked = { method: Method; path: string; body?: unknown; key?: string };

export class Portal {
  readonly url: string;
  readonly #access: Access;
  readonly #terminal: Terminal;

  constructor(terminal: Terminal, access: Access) {
    this.#terminal = terminal;
    this.#access = access;
    this.url = access.url;
  }

  /** Below /api/v1. Whatever is answered; throws where nothing is. */
  async raw(asked: Asked): Promise<Answer> {
    const { method, path, body, key } = asked;
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#access.token}`,
      accept: 'application/json',
    };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (method !== 'GET') headers['idempotency-key'] = key ?? randomUUID();
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    return send(this.#terminal, `${this.url}/api/v1${path}`, init);
  }

  async get<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
    return this.#read(await this.raw({ method: 'GET', path }), schema, false);
  }

  /** Null where there is none, or none for this person. */
  async find<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S> | null> {
    const answer = await this.raw({ method: 'GET', path });
    return answer.status === 404 ? null : this.#read(answer, schema, false);
  }

  /** All items of a list, or so many; `isMore` where there are more than that. */
  async list<S extends z.ZodType>(
    path: string,
    item: S,
    most = Number.POSITIVE_INFINITY,
  ): Promise<{ items: z.output<S>[]; isMore: boolean }> {
    const Page = z.object({ items: z.array(item), nextCursor: z.string().nullable() });
    const items: z.output<S>[] = [];
    for (let cursor: string | null = null; ;) {
      const [address = '', search] = path.split('?');
      const query = new URLSearchParams(search);
      if (cursor !== null) query.set('cursor', cursor);
      const page: z.output<typeof Page> = await this.get(`${address}?${query.toString()}`, Page);
      items.push(...page.items);
      cursor = page.nextCursor;
      if (cursor === null || items.length >= most)
        return { items: items.slice(0, most), isMore: cursor !== null || items.length > most };
    }
  }

  async change<S extends z.ZodType>(method: Method, path: string, body: unknown, schema: S): Promise<z.output<S>> {
    return this.#read(await this.raw({ method, path, body }), schema, true);
  }

  #read<S extends z.ZodType>(answer: Answer, schema: S, isChange: boolean): z.output<S> {
    if (answer.status < 200 || answer.status > 299) throw problemOf(answer, this.url, isChange);
    const parsed = schema.safeParse(answer.status === 204 ? undefined : jsonOf(answer.text));
    if (parsed.success) return parsed.data;
    throw new AppError('internal', {
      log: z.prettifyError(parsed.error),
      screen: {
        happened: `The answer of ${this.url} is not what this version of flywheel understands.`,
        changed: isChange ? 'It was done all the same.' : nothingChanged,
        todo: 'Take the command line of the portal’s own version.',
      },
    });
  }
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the portal said, as an error of ours. */
export function problemOf({ status, text, headers }: Answer, url: string, isChange: boolean): AppError {
  const parsed = Problem.safeParse(jsonOf(text));
  // Another token would not help whose forge no longer tells of them.
  if (status === 401 && parsed.data?.code !== 'reauthenticate')
    return signedOut(`The token is none that counts at ${url}.`, `flywheel login --url ${url}`);
  if (!parsed.success) return strangeAnswer(status, headers, url, isChange);
  const { detail: happened, code, changed, errors: fields, requestId } = parsed.data;
  const todo =
    code === 'reauthenticate' ? `Sign in with it at ${url}, in a browser; then ask again.` : parsed.data.todo;
  const known = Object.keys(errorCodes).find((each) => each === code) as ErrorCode | undefined;
  const number = requestId === undefined ? '' : `request ${requestId}`;
  return new AppError(known ?? 'invalid', {
    log: number,
    screen: {
      happened,
      changed: changed ?? unknownChange,
      ...(todo === undefined ? {} : { todo }),
      ...(fields === undefined ? {} : { fields }),
    },
  });
}

function strangeAnswer(status: number, headers: Headers, url: string, isChange: boolean): AppError {
  const location = headers.get('location');
  const elsewhere = status >= 300 && status < 400 && location !== null;
  return new AppError(status >= 500 ? 'unavailable' : 'invalid', {
    log: `HTTP ${status}`,
    screen: {
      happened: elsewhere
        ? `${url} sends elsewhere: ${location}.`
        : `${url} answers with status ${status} and no words.`,
      changed: isChange && !elsewhere ? unknownChange : nothingChanged,
      todo: elsewhere ? 'Give the address that it names as --url.' : 'Look whether that is the portal’s address.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ asking again

/** Of a portal that is busy, restarting or behind a broken line; and of a first request with the same key that is under way. */
const again = new Set([429, 502, 503, 504]);

function isToRepeat({ status, headers }: Answer): boolean {
  return again.has(status) || (status === 409 && headers.has('retry-after'));
}

function waitOf(attempt: number, after: string | null): number {
  const seconds = after === null ? Number.NaN : Number(after);
  if (Number.isFinite(seconds)) return Math.min(seconds * 1000, waitMsMost);
  return 500 * 2 ** attempt * (0.5 + Math.random());
}

type Init = { method: string; headers: Record<string, string>; body?: string | URLSearchParams };

/** One answer, of several tries where the line broke or the other side asked for patience. */
export async function send(terminal: Terminal, url: string, init: Init): Promise<Answer> {
  for (let attempt = 0; ; attempt += 1) {
    const isLast = attempt + 1 >= triesMost;
    const tried = await once(terminal, url, init);
    if ('text' in tried && (isLast || !isToRepeat(tried))) return tried;
    if (!('text' in tried) && isLast) throw away(url, tried.error, init.method);
    const ms = waitOf(attempt, 'text' in tried ? tried.headers.get('retry-after') : null);
    const why = 'text' in tried ? `answers ${tried.status}` : `does not answer (${tried.error})`;
    terminal.err(`${new URL(url).origin} ${why}: asked again in ${Math.ceil(ms / 1000)} s.\n`);
    await terminal.sleep(ms);
  }
}

async function once({ fetch }: Terminal, url: string, init: Init): Promise<Answer | { error: string }> {
  try {
    // A redirect would carry the token to wherever it leads.
    const answer = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(answerMs) });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
    return { error: cause?.code ?? cause?.message ?? message };
  }
}

function away(url: string, error: string, method: string): AppError {
  return new AppError('unavailable', {
    log: error,
    screen: {
      happened: `${new URL(url).origin} does not answer: ${error}.`,
      changed: method === 'GET' ? nothingChanged : unknownChange,
      todo: 'Look whether the address is right and the portal is up, then ask again.',
    },
  });
}
