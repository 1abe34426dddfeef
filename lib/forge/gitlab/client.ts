import type { Users } from '@gitbeaker/rest';
import type { z } from 'zod';
import { AppError } from '../../errors.ts';
import { type GuardedFetch, guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue } from '../port.ts';
import {
  callError,
  limitSaid,
  nonsenseError,
  notFoundError,
  type Refusal,
  refusalLog,
  RefusedByGitlab,
  refusalOf,
} from './errors.ts';
import { page as pageOf, Refused } from './schema.ts';

/** Whose token it is decides what its end means: a person signs in again, a scope needs a new one, a given one is refused. */
export type As = { token: string; whose: 'person' | 'scope' | 'given' };

export type Ask = {
  as: As;
  signal?: AbortSignal | undefined;
  /** What was asked, in words that an error may show: `tinyland/site`, never a token. */
  about: string;
  /** Which refusals are an answer and not an error; 404 unless said otherwise. A rate limit is never one. */
  absent?: (refusal: Refusal) => boolean;
};

export type PageOptions = { page: number; perPage: number; showExpanded: true };

export type Client = {
  baseUrl: string;
  /** The checked answer; throws `not_found` where GitLab says 404. */
  call<T extends z.ZodType>(schema: T, ask: Ask, request: (api: Api) => Promise<unknown>): Promise<z.output<T>>;
  /** The checked answer, or null where it is absent. */
  find<T extends z.ZodType>(schema: T, ask: Ask, request: (api: Api) => Promise<unknown>): Promise<z.output<T> | null>;
  /** One page of a list and the number of the next. */
  page<T extends z.ZodType>(
    item: T,
    ask: Ask,
    number: number,
    request: (api: Api, options: PageOptions) => Promise<unknown>,
  ): Promise<{ items: z.output<T>[]; next: number | null }>;
  /** All items of all pages. */
  all<T extends z.ZodType>(
    item: T,
    ask: Ask,
    request: (api: Api, options: PageOptions) => Promise<unknown>,
  ): Promise<z.output<T>[]>;
};

export type Api = Awaited<ReturnType<typeof apiOf>>;

export const pageSize = 100;
/** 10,000 of anything is more than a person or a group has; a forge that gives more gives pages without end. */
const pagesMax = 100;

type Options = NonNullable<ConstructorParameters<typeof Users>[0]>;
type RequesterFn = NonNullable<Options['requesterFn']>;
type Requester = ReturnType<RequesterFn>;

/**
 * GitBeaker's resources, made anew for each call: the token and the caller's signal are then nobody else's. It is loaded
 * with the first one: a process that talks to no GitLab does without.
 */
async function apiOf(host: string, token: string, requesterFn: RequesterFn) {
  const gitbeaker = await import('@gitbeaker/rest');
  // No time-out of GitBeaker's: the guard's holds for the whole answer, and ends the connection.
  const options = { host, oauthToken: token, requesterFn, queryTimeout: null };
  return {
    users: new gitbeaker.Users(options),
    groups: new gitbeaker.Groups(options),
    projects: new gitbeaker.Projects(options),
    members: { group: new gitbeaker.GroupMembers(options), project: new gitbeaker.ProjectMembers(options) },
    hooks: { group: new gitbeaker.GroupHooks(options), project: new gitbeaker.ProjectHooks(options) },
    runners: new gitbeaker.Runners(options),
    tokens: new gitbeaker.PersonalAccessTokens(options),
    metadata: new gitbeaker.Metadata(options),
    levels: gitbeaker.AccessLevel,
  };
}

export function gitlabClient(connection: ForgeConnectionValue): Client {
  const { baseUrl } = connection;
  const fetch = guardOf(connection);
  const limits = limitsOf(connection, 'GitLab');

  async function find<T extends z.ZodType>(schema: T, ask: Ask, request: (api: Api) => Promise<unknown>) {
    const who = `token ${hashOf(ask.as.token)}`;
    limits.assertOpen(who);
    let data: unknown;
    try {
      data = await request(await apiOf(baseUrl, ask.as.token, requesterOf(fetch, ask.signal)));
    } catch (error) {
      ask.signal?.throwIfAborted();
      const refusal = refusalOf(error);
      const said = refusal ? limitSaid(refusal) : null;
      if (refusal && said !== null) throw limits.limited(who, said, refusalLog(refusal, baseUrl, ask));
      if (refusal && (ask.absent ?? isNotFound)(refusal)) return null;
      throw callError(error, baseUrl, ask);
    }
    const parsed = schema.safeParse(data);
    if (parsed.success) return parsed.data;
    throw nonsenseError(baseUrl, ask.about, parsed.error);
  }

  async function call<T extends z.ZodType>(schema: T, ask: Ask, request: (api: Api) => Promise<unknown>) {
    const found = await find(schema, ask, request);
    // What may be absent and is null all the same, such as the body of a 204, was not refused.
    if (found === null && !schema.safeParse(null).success) throw notFoundError(ask.about);
    return found as z.output<T>;
  }

  async function page<T extends z.ZodType>(
    item: T,
    ask: Ask,
    number: number,
    request: (api: Api, options: PageOptions) => Promise<unknown>,
  ) {
    const options: PageOptions = { page: number, perPage: pageSize, showExpanded: true };
    const { data, paginationInfo } = await call(pageOf(item), ask, (api) => request(api, options));
    return { items: data, next: paginationInfo.next ?? null };
  }

  async function all<T extends z.ZodType>(
    item: T,
    ask: Ask,
    request: (api: Api, options: PageOptions) => Promise<unknown>,
  ) {
    const items: z.output<T>[] = [];
    for (let number = 1; number <= pagesMax; number += 1) {
      const got = await page(item, ask, number, request);
      items.push(...got.items);
      if (got.next === null) return items;
    }
    throw nonsenseError(baseUrl, ask.about, 'pages without end');
  }

  return { baseUrl, call, find, page, all };
}

function isNotFound(refusal: Refusal): boolean {
  return refusal.status === 404;
}

// ------------------------------------------------------------------------------------------------ one request

type Sent = { searchParams?: Record<string, unknown> | undefined; body?: unknown };

/**
 * GitBeaker's own requester asks ten times where GitLab says 429 or 502, queues behind limits of its own and hands on no
 * signal (@gitbeaker/rest 43.8, defaultRequestHandler). This one asks once, through the guard, under the caller's signal.
 */
function requesterOf(fetch: GuardedFetch, signal: AbortSignal | undefined): RequesterFn {
  return function requester({ url: base, authHeaders }): Requester {
    const send = (method: string) => async (endpoint: string, sent?: Sent) => {
      const url = new URL(endpoint, base.endsWith('/') ? base : `${base}/`);
      url.search = queryOf(sent?.searchParams).toString();
      const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'flywheel-portal' };
      for (const [name, value] of Object.entries(authHeaders)) headers[name] = await value();
      const body = bodyOf(sent?.body);
      if (body !== null) headers['content-type'] = 'application/json';
      return answerOf(await fetch(url, { method, headers, body, signal: signal ?? null }));
    };
    // The types promise what each caller asked for; here it is unknown, and `find` checks it.
    return {
      get: send('GET'),
      post: send('POST'),
      put: send('PUT'),
      patch: send('PATCH'),
      delete: send('DELETE'),
    } as Requester;
  };
}

async function answerOf(response: Response) {
  const { status } = response;
  const text = await response.text();
  const body = text === '' ? null : parseJson(text);
  if (!response.ok) throw new RefusedByGitlab({ status, message: wordsOf(body, text), headers: response.headers });
  return { status, body, headers: Object.fromEntries(response.headers) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `{message}`, `{message: {field: […]}}`, `{error}`, or OAuth's `{error, error_description}`. */
function wordsOf(body: unknown, text: string): string {
  const parsed = Refused.safeParse(body);
  if (!parsed.success) return text.slice(0, 200);
  const { message, error, error_description: description } = parsed.data;
  const words = [message, error, description].filter((each) => each !== undefined && each !== null);
  return words.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join(' ');
}

/** GitBeaker writes names in camel case and leaves it to the requester to send them as GitLab has them. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function queryOf(params: Record<string, unknown> = {}): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null) query.set(snake(name), String(value));
  }
  return query;
}

function bodyOf(body: unknown): string | null {
  const given = Object.entries(body ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return null;
  return JSON.stringify(Object.fromEntries(given.map(([name, value]) => [snake(name), value])));
}

/** GitBeaker puts runners' ids into the path as they are; an id is digits and nothing else. */
export function numberOf(id: string): number {
  if (/^\d{1,15}$/.test(id)) return Number(id);
  throw new AppError('invalid', {
    log: `gitlab: ${JSON.stringify(id.slice(0, 40))} is no id`,
    screen: { happened: 'This id is none of GitLab’s.', todo: 'Tell the operator.' },
  });
}
