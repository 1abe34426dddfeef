import { AppError } from '../../errors.ts';
import { AtticError, CacheConfig } from './schema.ts';
import { type AtticPermissions, signAtticToken, type SigningKey } from './token.ts';

/** An Attic server that an operator entered. */
export type AtticServer = {
  /** Where its API answers, without a trailing slash. */
  url: string;
  /** What the server verifies tokens with. */
  key: SigningKey;
  /** A guarded fetch (lib/forge): an operator typed the URL. */
  fetch: typeof globalThis.fetch;
};

/** One view of one server. */
export type OneView = { server: AtticServer; name: string; signal?: AbortSignal | undefined };

/** Long enough for a slow server and a clock that is a little off; nobody but this request ever holds the token. */
const tokenLifeMs = 5 * 60_000;

/**
 * One call about one cache. Null where Attic says that there is no such cache, and where one that we create exists already:
 * both are what the caller goes on to look at.
 */
export async function request(
  asked: OneView,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  permissions: AtticPermissions,
  body?: object,
): Promise<CacheConfig | null> {
  const response = await send(asked, method, permissions, body);
  if (response.ok) return method === 'GET' ? readConfig(asked, response) : null;
  const error = await readError(response);
  if (error.error === 'NoSuchCache' && method !== 'PATCH') return null;
  if (error.error === 'CacheAlreadyExists') return null;
  throw refused(asked, method, response.status, error);
}

/**
 * What a token opens: whether it reads the view, and whether it may push to it. Pushing is asked about with an empty list of
 * paths, which sends nothing; of a view that anybody may read, an answer to a reader says nothing about the token.
 */
export async function tried(asked: OneView, token: string): Promise<{ reads: boolean; pushes: boolean }> {
  const headers = { authorization: `Bearer ${token}` };
  const { url, fetch } = asked.server;
  const signal = asked.signal ?? null;
  const config = await fetch(`${url}/_api/v1/cache-config/${encodeURIComponent(asked.name)}`, { headers, signal });
  const missing = await fetch(`${url}/_api/v1/get-missing-paths`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ cache: asked.name, store_path_hashes: [] }),
    signal,
  });
  return { reads: await opens(asked, 'GET', config), pushes: await opens(asked, 'POST', missing) };
}

/** A refusal is an answer here; anything else is none. */
async function opens(asked: OneView, method: string, response: Response): Promise<boolean> {
  if (response.ok) {
    await response.body?.cancel();
    return true;
  }
  const error = await readError(response);
  if (response.status === 401 || response.status === 403) return false;
  throw refused(asked, method, response.status, error);
}

async function send(
  asked: OneView,
  method: string,
  permissions: AtticPermissions,
  body: object | undefined,
): Promise<Response> {
  const token = await ownToken(asked, permissions);
  const url = `${asked.server.url}/_api/v1/cache-config/${encodeURIComponent(asked.name)}`;
  const headers: Record<string, string> = { authorization: `Bearer ${token}` };
  if (body) headers['content-type'] = 'application/json';
  return asked.server.fetch(url, {
    method,
    headers,
    ...(body ? { body: JSON.stringify(body) } : {}),
    signal: asked.signal ?? null,
  });
}

/** One call's own: it names this cache alone, and ends within minutes. */
export async function ownToken({ server, name }: OneView, permissions: AtticPermissions): Promise<string> {
  const expiresAt = new Date(Date.now() + tokenLifeMs);
  const { token } = await signAtticToken({
    key: server.key,
    subject: 'flywheel-portal',
    expiresAt,
    caches: { [name]: permissions },
  });
  return token;
}

async function readConfig(asked: OneView, response: Response): Promise<CacheConfig> {
  const parsed = CacheConfig.safeParse(await response.json().catch(() => undefined));
  if (parsed.success) return parsed.data;
  throw new AppError('unavailable', {
    log: `Attic at ${asked.server.url} answered a cache-config that we cannot read`,
    screen: {
      happened: 'The cache server answered something that the portal does not understand.',
      todo: 'It is asked again by itself; if this stays, the operator must check the server’s version.',
    },
  });
}

async function readError(response: Response): Promise<AtticError> {
  const parsed = AtticError.safeParse(await response.json().catch(() => undefined));
  return parsed.success ? parsed.data : { error: 'unknown', message: '' };
}

function refused(asked: OneView, method: string, status: number, error: AtticError): AppError {
  const log = `Attic at ${asked.server.url}: ${method} ${asked.name}: ${status} ${error.error}`;
  if (status === 401 || status === 403) {
    return new AppError('forbidden', {
      log,
      screen: {
        happened: 'The cache server refused the portal’s token.',
        todo: 'The operator must check the signing key of this cache server.',
      },
    });
  }
  if (status === 429 || status >= 500) {
    return new AppError('unavailable', {
      log,
      screen: {
        happened: 'The cache server is not able to answer now.',
        todo: 'It is asked again by itself.',
      },
    });
  }
  return new AppError('internal', {
    log,
    screen: {
      happened: 'The cache server refused what the portal asked for.',
      todo: 'The operator must check the server’s version.',
    },
  });
}
