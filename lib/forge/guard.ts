import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import { callbackify } from 'node:util';
import { Agent, fetch as undiciFetch, type RequestInit as UndiciRequestInit } from 'undici';
import { AppError } from '../errors.ts';
import { isLoopback, isPrivateAddress, isPublicAddress, refusalOf } from './address.ts';
import type { ForgeConnectionValue } from './port.ts';
import { tellingOfForge } from './told.ts';

/**
 * The only way out to a URL that a person typed, an operator included. A request leaves only to a public address over
 * https (in the sandbox also to loopback, and to hosts that the operator named also into a private network), the connection is made to the very address that was checked, redirects are
 * handed back and never followed, and time and size are bounded, the size after unpacking.
 */
export type GuardedFetch = typeof globalThis.fetch;

export type Resolved = { address: string; family: number };

export type GuardOptions = {
  allowLoopback: boolean;
  /** Hosts that the operator named as living in a private network. */
  privateHosts?: readonly string[] | undefined;
  /** PEM of authorities to trust beside the system's own. */
  caBundle?: string | undefined;
  /** All addresses of a name; the system's resolver unless a test brings its own. */
  resolve?: (name: string) => Promise<Resolved[]>;
  connectTimeoutMs?: number;
  totalTimeoutMs?: number;
  bytesMax?: number;
};

const defaults = { connectTimeoutMs: 10_000, totalTimeoutMs: 30_000, bytesMax: 10 * 1024 * 1024 };

// Connections are kept alive and shared: a guard is made once for all who may go the same ways.
const usual = new Map<string, GuardedFetch>();
const usualMost = 200;

export function guardedFetch(options: GuardOptions): GuardedFetch {
  const { allowLoopback, privateHosts = [], caBundle, ...tests } = options;
  if (Object.keys(tests).length > 0) return makeGuard(options);
  const key = JSON.stringify([allowLoopback, privateHosts, caBundle]);
  const made = usual.get(key) ?? makeGuard(options);
  if (usual.size < usualMost) usual.set(key, made);
  return made;
}

/** The ways that a forge's connection may go. */
export function guardOf(connection: ForgeConnectionValue): GuardedFetch {
  const { allowLoopback, privateHosts, caBundle } = connection;
  return tellingOfForge(guardedFetch({ allowLoopback, privateHosts, caBundle }), connection);
}

function makeGuard(options: GuardOptions): GuardedFetch {
  const limits = { ...defaults, ...options };
  const privateHosts = new Set(options.privateHosts ?? []);
  const dispatcher = new Agent({
    // undici 8.12: over HTTP/2 a request that is cancelled as it begins makes a later idle time-out throw where nobody can catch it.
    allowH2: false,
    connect: {
      timeout: limits.connectTimeoutMs,
      lookup: pinnedLookup(limits, privateHosts),
      ...(limits.caBundle ? { ca: [...rootCertificates, limits.caBundle] } : {}),
    },
    headersTimeout: limits.totalTimeoutMs,
    bodyTimeout: limits.totalTimeoutMs,
  });
  return async function guarded(target, init = {}) {
    const url = allowedUrl(target, limits.allowLoopback, privateHosts);
    const { signal: callerSignal, ...rest } = init;
    const timeOut = AbortSignal.timeout(limits.totalTimeoutMs);
    const signal = callerSignal ? AbortSignal.any([callerSignal, timeOut]) : timeOut;
    try {
      const request = { ...rest, dispatcher, redirect: 'manual', signal } as UndiciRequestInit;
      const answer = await undiciFetch(url, request);
      return await wholeResponse(answer, limits.bytesMax, url);
    } catch (error) {
      callerSignal?.throwIfAborted();
      throw guardError(error, url, timeOut.aborted);
    }
  };
}

function allowedUrl(target: string | URL | Request, allowLoopback: boolean, privateHosts: ReadonlySet<string>): URL {
  const url = URL.parse(target instanceof Request ? target.url : target);
  const refusal = url ? refusalOf(url, allowLoopback, privateHosts) : 'is not a URL';
  if (url && refusal === null) return url;
  throw refusedError(url?.host ?? 'an unreadable URL', refusal ?? '');
}

/**
 * Resolves and checks in one step, and what it returns is what is connected to: a name cannot be public when it is checked
 * and private when it is used. One bad address among several refuses the name.
 */
function pinnedLookup(options: GuardOptions, privateHosts: ReadonlySet<string>): LookupFunction {
  const resolve = options.resolve ?? ((name) => systemLookup(name, { all: true, verbatim: true }));
  const resolveChecked = callbackify(async (name: string) => {
    const found = await resolve(name);
    // The sandbox's `localhost` alone may be loopback; any other name that resolves there is somebody's trick.
    const isPrivate = privateHosts.has(name);
    const isOutside = (address: string) => isPublicAddress(address) || (isPrivate && isPrivateAddress(address));
    const isAllowed = name === 'localhost' && options.allowLoopback ? isLoopback : isOutside;
    const bad = found.find((each) => !isAllowed(each.address));
    if (bad || found.length === 0) throw refusedError(name, `resolves to ${bad?.address ?? 'nothing'}`);
    return found;
  });
  return function lookup(name, { all }, callback) {
    resolveChecked(name, (error, found) => {
      const first = found?.[0];
      if (error || !first) callback(error, '', 0);
      else if (all) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };
}

type Answer = Awaited<ReturnType<typeof undiciFetch>>;

/** Reads all of the answer here, so that a body that never ends is cut by the same time-out as one that never begins. */
async function wholeResponse(answer: Answer, bytesMax: number, url: URL): Promise<Response> {
  const headers = new Headers([...answer.headers]);
  headers.delete('content-encoding');
  headers.delete('content-length');
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (answer.body) {
    for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      // Leaving the loop cancels the stream, and with it the connection.
      if (size > bytesMax) throw tooLargeError(url, bytesMax);
      chunks.push(chunk);
    }
  }
  const empty = answer.status === 204 || answer.status === 205 || answer.status === 304;
  const body = empty ? null : Buffer.concat(chunks);
  return new Response(body, { status: answer.status, statusText: answer.statusText, headers });
}

function guardError(error: unknown, url: URL, timedOut: boolean): AppError {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof AppError) return each;
  }
  const reason = timedOut ? 'no whole answer in time' : reasonOf(error);
  return new AppError('unavailable', {
    log: `${url.host} cannot be reached: ${reason}`,
    screen: {
      happened: `${url.hostname} does not answer.`,
      changed: 'If a change was on its way, we cannot say whether it arrived.',
      todo: 'The portal looks again by itself; try again in a minute.',
    },
  });
}

/** undici says `fetch failed` and keeps what happened in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return 'unknown';
  const code = (cause as NodeJS.ErrnoException).code;
  return code ?? cause.message;
}

function refusedError(host: string, why: string): AppError {
  return new AppError('invalid', {
    log: `guard: ${host} ${why}`,
    screen: {
      happened: `The portal does not send requests to ${host}.`,
      todo: 'The operator must enter a public https address.',
    },
  });
}

function tooLargeError(url: URL, bytesMax: number): AppError {
  return new AppError('unavailable', {
    log: `${url.host} answered more than ${bytesMax} bytes`,
    screen: {
      happened: `${url.hostname} answered more than the portal reads.`,
      changed: 'We cannot say whether anything was changed there.',
      todo: 'If this stays, the operator must look at that server.',
    },
  });
}
