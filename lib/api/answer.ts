import { createHash, randomUUID } from 'node:crypto';
import type { z } from 'zod';
import type { Arriving } from '#lib/body.ts';
import { env } from '#lib/env.ts';
import { AppError, errorCodes, invalidFields, notFound, toAppError } from '#lib/errors.ts';
import { note } from '#lib/telemetry/index.ts';
import {
  askerOfApiToken,
  countRequest,
  logFailure,
  overAllowance,
  through,
  type Allowance,
  type TokenCtx,
} from '#lib/tenant/index.ts';
import { bodyText } from './body.ts';
import { once } from './idempotency.ts';
import { openApiDocument } from './openapi.ts';
import type { Entered, Operation } from './operation.ts';
import { problemOf } from './problem.ts';
import { find } from './table.ts';

export const apiRoot = '/api/v1';

/** What becomes of a request, whoever carries it. */
export type ApiAnswer = { status: number; headers: Record<string, string>; body: string | null };

/** A request as it came, its body not yet read. */
export type ApiRequest = Arriving & {
  method: string;
  /** With the query. */
  url: string;
};

/** Answers a request below /api/v1. Never throws. */
export async function answerApi(request: ApiRequest, now = new Date()): Promise<ApiAnswer> {
  const requestId = requestIdOf(request.headers);
  const door = `api ${request.method}`;
  return through({ kind: 'program', door, requestId: () => requestId }, () => told(request, requestId, now));
}

async function told(request: ApiRequest, requestId: string, now: Date): Promise<ApiAnswer> {
  const known: Record<string, string> = { 'x-request-id': requestId, 'cache-control': 'no-store' };
  try {
    const answer = await answered(request, requestId, known, now);
    return { ...answer, headers: { ...known, ...answer.headers } };
  } catch (error) {
    const failure = toAppError(error);
    logFailure(failure, requestId, `api ${request.method}`);
    return problemAnswer(failure, requestId, known);
  }
}

/** One's own is taken over where it is of a form that no log is broken by. */
export function requestIdOf(headers: ApiRequest['headers']): string {
  const given = headers.get('x-request-id') ?? '';
  return /^[\w-]{8,64}$/.test(given) ? given : randomUUID();
}

function problemAnswer(failure: AppError, requestId: string, known: Record<string, string>): ApiAnswer {
  const retry = failure.retryAfterMs;
  const headers: Record<string, string> = { ...known, 'content-type': 'application/problem+json' };
  if (retry !== undefined) headers['retry-after'] = String(Math.ceil(retry / 1000));
  if (failure.code === 'unauthenticated') headers['www-authenticate'] = 'Bearer realm="flywheel"';
  return { status: errorCodes[failure.code], headers, body: JSON.stringify(problemOf(failure, requestId)) };
}

async function answered(
  request: ApiRequest,
  requestId: string,
  known: Record<string, string>,
  now: Date,
): Promise<ApiAnswer> {
  const { pathname, searchParams } = new URL(request.url, 'http://portal');
  const path = pathname.slice(apiRoot.length);
  if (path === '/openapi.json') return described(request, known);
  const by = await askerOfApiToken(request.headers.get('authorization'), requestId, now);
  if (!by) throw noToken();
  const limit = env().FLYWHEEL_API_REQUESTS_PER_MINUTE;
  const allowance = await countRequest(by, limit, now);
  Object.assign(known, allowanceHeaders(allowance));
  if (allowance.isOver) throw overAllowance(allowance);
  const found = find(request.method, path);
  if (!found) throw notFound('This address');
  if ('allowed' in found) throw noSuchMethod(request.method, found.allowed, known);
  const { operation, params } = found;
  note({ door: `api ${operation.id}` });
  const entered = await operation.enter(by, params);
  const query = queryOf(operation, searchParams);
  const asked: Asked = { operation, params, query, pathname: path, search: searchParams.toString() };
  const doing = { entered, asked, now };
  return operation.method === 'GET' ? read(doing, request) : change(by, doing, request);
}

type Asked = {
  operation: Operation;
  params: Record<string, string>;
  query: unknown;
  pathname: string;
  search: string;
};

function noSuchMethod(method: string, allowed: readonly string[], known: Record<string, string>): AppError {
  known['allow'] = allowed.join(', ');
  return new AppError('method_not_allowed', {
    log: `no ${method} here`,
    screen: { happened: `There is no ${method} here.`, todo: `There is ${known['allow']}.` },
  });
}

const noToken = (): AppError =>
  new AppError('unauthenticated', {
    log: 'no token that counts',
    screen: {
      happened: 'This request brings no token that counts.',
      todo: 'Make one on the page of your account, and send it as "Authorization: Bearer …".',
    },
  });

/** https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ */
function allowanceHeaders({ limit, left, resetSeconds }: Allowance): Record<string, string> {
  return { 'ratelimit-policy': `"token";q=${limit};w=60`, ratelimit: `"token";r=${left};t=${resetSeconds}` };
}

// ------------------------------------------------------------------------------------------------ what was sent

function checked(schema: z.ZodType, value: unknown, happened: string): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields: Record<string, string> = {};
  for (const issue of result.error.issues) fields[issue.path.join('.') || '(all)'] ??= issue.message;
  throw invalidFields(fields, happened);
}

/** What Postgres keeps as text: no NUL, and no half of a character. */
function isText(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed();
}

function queryOf({ query: schema }: Operation, given: URLSearchParams): unknown {
  for (const [key, value] of given)
    if (!isText(value)) throw invalidFields({ [key]: 'is no text' }, 'The query does not fit.');
  const twice = [...given.keys()].find((key, index, all) => all.indexOf(key) !== index);
  if (twice !== undefined) throw invalidFields({ [twice]: 'is given twice' }, 'The query does not fit.');
  if (schema) return checked(schema, Object.fromEntries(given), 'The query does not fit.');
  const [first] = given.keys();
  if (first !== undefined) throw invalidFields({ [first]: 'is not known here' }, 'The query does not fit.');
  return undefined;
}

function bodyOf({ body: schema }: Operation, text: string, headers: ApiRequest['headers']): unknown {
  if (!schema) {
    if (text.trim() !== '' && text.trim() !== '{}')
      throw new AppError('malformed', { log: 'a body where none is', screen: { happened: 'This takes no body.' } });
    return undefined;
  }
  const type = headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json')
    throw new AppError('unsupported_media_type', {
      log: `body of ${type ?? 'no type'}`,
      screen: { happened: 'The body is not JSON.', todo: 'Send it as application/json.' },
    });
  return checked(schema, jsonOf(text), 'The body does not fit.');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text, (key, value: unknown) => {
      if (isText(key) && (typeof value !== 'string' || isText(value))) return value;
      throw new SyntaxError('no text');
    });
  } catch {
    throw new AppError('malformed', { log: 'no JSON', screen: { happened: 'The body is no JSON that can be kept.' } });
  }
}

// ------------------------------------------------------------------------------------------------ reading and changing

type Doing = { entered: Entered; asked: Asked; now: Date };

/** The answer cut to its shape. */
async function ask({ entered, asked: { operation, params, query }, now }: Doing, body?: unknown): Promise<unknown> {
  const value = await entered({ params, query, body, now });
  return operation.answer ? operation.answer.parse(value) : undefined;
}

export function tagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
}

function names(header: string | null, tag: string): boolean {
  if (header === null) return false;
  return header.split(',').some((each) => ['*', tag, `W/${tag}`].includes(each.trim()));
}

const jsonType = { 'content-type': 'application/json' };

async function read(doing: Doing, request: ApiRequest): Promise<ApiAnswer> {
  const value = await ask(doing);
  const text = JSON.stringify(value);
  const tag = tagOf(text);
  const headers: Record<string, string> = { etag: tag, 'cache-control': 'private, no-cache' };
  const next = nextOf(value, doing.asked);
  if (next) headers['link'] = `<${next}>; rel="next"`;
  if (names(request.headers.get('if-none-match'), tag)) return { status: 304, headers, body: null };
  return { status: 200, headers: { ...headers, ...jsonType }, body: request.method === 'HEAD' ? null : text };
}

/** RFC 8288: where the next page is. */
function nextOf(value: unknown, { pathname, search }: Asked): string | null {
  const cursor = (value as { nextCursor?: string | null } | undefined)?.nextCursor;
  if (typeof cursor !== 'string') return null;
  const query = new URLSearchParams(search);
  query.set('cursor', cursor);
  return `${apiRoot}${pathname}?${query.toString()}`;
}

async function change(by: TokenCtx, doing: Doing, request: ApiRequest): Promise<ApiAnswer> {
  const { operation, pathname: path } = doing.asked;
  const text = await bodyText(request, by.person.userId);
  const body = bodyOf(operation, text, request.headers);
  const run = async () => {
    await requireMatch(by, doing, request);
    const value = await ask(doing, body);
    return { status: operation.status ?? (operation.answer ? 200 : 204), body: value };
  };
  const key = request.headers.get('idempotency-key');
  const done =
    key === null || operation.changesNothing
      ? { ...(await run()), isReplay: false }
      : await once({ tokenId: by.token.id, key, method: operation.method, path, body: text }, doing.now, run);
  const headers: Record<string, string> = done.isReplay ? { 'idempotency-replayed': 'true' } : {};
  if (done.status === 204) return { status: 204, headers, body: null };
  return { status: done.status, headers: { ...headers, ...jsonType }, body: JSON.stringify(done.body) };
}

/** If-Match: the change is made to what its sender has seen. */
async function requireMatch(by: TokenCtx, { asked, now }: Doing, request: ApiRequest): Promise<void> {
  const wanted = request.headers.get('if-match');
  if (wanted === null) return;
  const found = find('GET', asked.pathname);
  if (!found || 'allowed' in found)
    throw new AppError('malformed', {
      log: 'If-Match where nothing can be read',
      screen: { happened: 'If-Match means nothing here: there is no GET of this address.', todo: 'Leave it out.' },
    });
  const { operation, params } = found;
  const entered = await operation.enter(by, params);
  const present = await ask({ entered, asked: { ...asked, operation, params, query: undefined }, now });
  if (names(wanted, tagOf(JSON.stringify(present)))) return;
  throw new AppError('precondition_failed', {
    log: 'If-Match does not hold',
    screen: { happened: 'It has changed since you read it.', todo: 'Read it again, and change what it is now.' },
  });
}

// ------------------------------------------------------------------------------------------------ the description

let kept: { text: string; tag: string } | undefined;

/** For everybody: it says what there is, and nothing of anybody's. */
function described({ method, headers: sent }: ApiRequest, known: Record<string, string>): ApiAnswer {
  if (method !== 'GET' && method !== 'HEAD') throw noSuchMethod(method, ['GET'], known);
  const { text, tag } = (kept ??= describe());
  const headers = { etag: tag, 'cache-control': 'public, max-age=300' };
  if (names(sent.get('if-none-match'), tag)) return { status: 304, headers, body: null };
  return { status: 200, headers: { ...headers, ...jsonType }, body: method === 'HEAD' ? null : text };
}

function describe() {
  const text = JSON.stringify(openApiDocument());
  return { text, tag: tagOf(text) };
}
