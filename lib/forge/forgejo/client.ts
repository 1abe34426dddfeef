import type { z } from 'zod';
import { guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue } from '../port.ts';
import { callError, hostOf, limitSaid, nonsenseError, notFoundError, type Refusal, refusalLog } from './errors.ts';
import { Refused, Version } from './schema.ts';

/** Who a request is made as: a person, or the token that an enrolled scope is reached by. */
export type As = { user: string } | { scope: string };

export type Ask = {
  /** Nobody where it is not given: the version, and a runner's registration, which proves itself. */
  as?: As;
  signal?: AbortSignal | undefined;
  /** What was asked, in words that an error may show: `tinyland`, never a token. */
  about: string;
  /** Which refusals are an answer and not an error; 404 unless said otherwise. A limit is never one. */
  absent?: (refusal: Refusal) => boolean;
  params?: Record<string, string | number>;
  body?: unknown;
};

export type Server = { software: 'forgejo' | 'gitea'; major: number; minor: number };

export type Page<Item> = { items: Item[]; total: number | null };

export type Client = {
  baseUrl: string;
  server(ask: Ask): Promise<Server>;
  /** The checked answer; throws `not_found` where the forge says 404. */
  call<T extends z.ZodType>(route: string, schema: T, ask: Ask): Promise<z.output<T>>;
  /** The checked answer, or null where it is absent. */
  find<T extends z.ZodType>(route: string, schema: T, ask: Ask): Promise<z.output<T> | null>;
  /** One page, and whether there are more behind it. */
  page<Item>(
    route: string,
    schema: z.ZodType<Page<Item>>,
    page: number,
    ask: Ask,
  ): Promise<{ items: Item[]; isLast: boolean }>;
  /** All items of all pages. */
  all<Item>(route: string, schema: z.ZodType<Page<Item>>, ask: Ask): Promise<Item[]>;
  /** What the forge says where a refusal is an answer; null where it does not refuse. That a token has ended is an error. */
  refusalTo(route: string, ask: Ask): Promise<Refusal | null>;
  /** One call of the runners' own protocol (Connect, in JSON). */
  rpc<T extends z.ZodType>(method: string, schema: T, ask: Ask): Promise<z.output<T>>;
};

/** The most that a server gives unless its operator allowed more; it may also give less. */
const pageSize = 50;
/** 10,000 of anything is more than a person or an organization has; a forge that gives more gives pages without end. */
const itemsMax = 10_000;
const pagesMax = itemsMax / pageSize;

type Answer = { data: unknown; headers: Headers };

export function forgejoClient(connection: ForgeConnectionValue): Client {
  const { baseUrl } = connection;
  const fetch = guardOf(connection);
  const limits = limitsOf(connection, hostOf(baseUrl));

  /** A refusal that is a limit is thrown here, so that it is never taken for an answer. */
  async function send(method: string, url: string, ask: Ask): Promise<Answer | Refusal> {
    const { as, body } = ask;
    const token = as && ('user' in as ? as.user : as.scope);
    const who = token === undefined ? 'nobody' : `token ${hashOf(token)}`;
    limits.assertOpen(who);
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json',
        'user-agent': 'flywheel-portal',
        ...(token === undefined ? {} : { authorization: `token ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: ask.signal ?? null,
    });
    const { status, headers } = response;
    const data = parseJson(await response.text());
    if (status < 300) return { data, headers };
    const refusal = { status, headers, message: Refused.safeParse(data).data?.message ?? '' };
    const said = limitSaid(refusal);
    if (said !== null) throw limits.limited(who, said, refusalLog(refusal, baseUrl, ask));
    return refusal;
  }

  async function answered(route: string, ask: Ask): Promise<Answer | null> {
    const { method, url } = target(`${baseUrl}/api/v1`, route, ask.params);
    const answer = await send(method, url, ask);
    if (!('status' in answer)) return answer;
    if ((ask.absent ?? isNotFound)(answer)) return null;
    throw callError(answer, baseUrl, ask);
  }

  function checked<T extends z.ZodType>(route: string, schema: T, data: unknown): z.output<T> {
    const parsed = schema.safeParse(data);
    if (parsed.success) return parsed.data;
    throw nonsenseError(baseUrl, route, parsed.error);
  }

  async function find<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    const answer = await answered(route, ask);
    return answer && checked(route, schema, answer.data);
  }

  async function call<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    const found = await find(route, schema, ask);
    if (found === null) throw notFoundError(ask.about);
    return found;
  }

  async function page<Item>(route: string, schema: z.ZodType<Page<Item>>, number: number, ask: Ask) {
    const answer = await answered(route, { ...ask, params: { ...ask.params, page: number, limit: pageSize } });
    if (!answer) throw notFoundError(ask.about);
    const { items, total: told } = checked(route, schema, answer.data);
    const header = answer.headers.get('x-total-count');
    const total = told ?? (header === null ? null : Number(header));
    const hasNext = /rel="next"/.test(answer.headers.get('link') ?? '');
    return { items, total, isLast: items.length === 0 || !hasNext };
  }

  async function all<Item>(route: string, schema: z.ZodType<Page<Item>>, ask: Ask): Promise<Item[]> {
    const items: Item[] = [];
    for (let number = 1; number <= pagesMax; number += 1) {
      const { items: more, total, isLast } = await page(route, schema, number, ask);
      items.push(...more);
      // Gitea's list of runners names no next page, only how many there are.
      if (total === null ? isLast : more.length === 0 || items.length >= total) return items;
    }
    throw nonsenseError(baseUrl, route, 'pages without end');
  }

  return {
    baseUrl,
    call,
    find,
    page,
    all,
    async server(ask) {
      return serverOf((await call('GET /version', Version, ask)).version);
    },
    async refusalTo(route, ask) {
      const { method, url } = target(`${baseUrl}/api/v1`, route, ask.params);
      const answer = await send(method, url, ask);
      if (!('status' in answer)) return null;
      const isAnswer = answer.status < 500 && (answer.status !== 401 || ask.absent?.(answer));
      if (!isAnswer) throw callError(answer, baseUrl, ask);
      return answer;
    },
    async rpc(method, schema, ask) {
      const route = `POST /api/actions/runner.v1.RunnerService/${method}`;
      const { url } = target(baseUrl, route, undefined);
      const answer = await send('POST', url, ask);
      if ('status' in answer) throw callError(answer, baseUrl, ask);
      return checked(route, schema, answer.data);
    },
  };
}

/** What a route's `{name}` does not take goes into the query. */
function target(root: string, route: string, params: Ask['params'] = {}): { method: string; url: string } {
  const [method = 'GET', template = ''] = route.split(' ');
  const left = new Map(Object.entries(params));
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(left.get(name) ?? '');
    left.delete(name);
    // Dots would climb out of the route, and nothing at all would end it early; neither is a name.
    if (/^\.{0,2}$/.test(value)) throw notFoundError(value || 'A nameless thing');
    return encodeURIComponent(value);
  });
  const query = new URLSearchParams([...left].map(([name, value]) => [name, String(value)])).toString();
  return { method, url: `${root}${path}${query && `?${query}`}` };
}

/**
 * Forgejo's version reads like `15.0.1+gitea-1.22.0`, naming the Gitea whose API it has kept; Gitea's like `1.26.0`. The
 * numbers of the two have nothing to do with each other.
 */
export function serverOf(version: string): Server {
  const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  const software = /[+-]gitea-/.test(version) || Number(major) > 1 ? 'forgejo' : 'gitea';
  return { software, major: Number(major), minor: Number(minor) };
}

function isNotFound(refusal: Refusal): boolean {
  return refusal.status === 404;
}

/** Undefined for what is no JSON, which then fits no schema; an answer without a body is no mistake. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
