import { App } from '@octokit/app';
import { Octokit } from '@octokit/core';
import type { z } from 'zod';
import { guardOf } from '../guard.ts';
import { hashOf, limitsOf } from '../limits.ts';
import type { ForgeConnectionValue } from '../port.ts';
import {
  callError,
  limitSaid,
  nonsenseError,
  notAnAppError,
  notFoundError,
  type Refusal,
  refusalLog,
  refusalOf,
} from './errors.ts';
import { InstallationToken } from './schema.ts';

/** Who a request is made as. */
export type As = { user: string } | { app: true } | { installation: string } | { nobody: true };

export type Ask = {
  as: As;
  signal?: AbortSignal | undefined;
  /** What was asked, in words that an error may show: `tinyland-inc`, never a token. */
  about: string;
  /** Which refusals are an answer and not an error; 404 unless said otherwise. A rate limit is never one. */
  absent?: (refusal: Refusal) => boolean;
  params?: Params;
};

export type Client = {
  hasApp: boolean;
  /** An Enterprise Server, whose version is its operator's choice. */
  isServer: boolean;
  /** The checked answer; throws `not_found` where GitHub says 404. */
  call<T extends z.ZodType>(route: string, schema: T, ask: Ask): Promise<z.output<T>>;
  /** The checked answer, or null where it is absent. */
  find<T extends z.ZodType>(route: string, schema: T, ask: Ask): Promise<z.output<T> | null>;
  /** The same with what GitHub says of the asker in its headers. */
  look<T extends z.ZodType>(
    route: string,
    schema: T,
    ask: Ask,
  ): Promise<{ data: z.output<T>; headers: Record<string, string | undefined> }>;
  /** The one question that REST has no answer to. What it refuses is in the answer. */
  graphql<T extends z.ZodType>(schema: T, ask: Ask): Promise<z.output<T>>;
  /** All items of all pages. */
  all<T extends z.ZodType, Item>(
    route: string,
    schema: T,
    itemsOf: (page: z.output<T>) => Item[],
    ask: Ask,
  ): Promise<Item[]>;
};

export type Params = Record<string, string | number | boolean | Record<string, string>>;

export const pageSize = 100;
/** 10,000 of anything is more than a person or an organization has; a forge that gives more gives pages without end. */
const pagesMax = 100;
/** A token that is about to end is not worth sending. */
const tokenMarginMs = 2 * 60_000;

const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {
  // Octokit logs to the console; what is worth saying is in the errors.
}

/** `https://api.github.com`, `https://api.<name>.ghe.com`, or an Enterprise Server's `/api/v3`. */
export function apiBaseUrl(baseUrl: string): string {
  const url = new URL(baseUrl);
  return isHosted(baseUrl) ? `${url.protocol}//api.${url.host}` : `${url.origin}/api/v3`;
}

function isHosted(baseUrl: string): boolean {
  const { hostname } = new URL(baseUrl);
  return hostname === 'github.com' || hostname.endsWith('.ghe.com');
}

/** Beside REST and not under it: https://docs.github.com/en/graphql/guides/forming-calls-with-graphql, "The GraphQL endpoint" */
function graphqlBaseUrl(baseUrl: string): string {
  return apiBaseUrl(baseUrl).replace(/\/api\/v3$/, '/api');
}

export function githubClient(connection: ForgeConnectionValue): Client {
  const Base = Octokit.defaults({
    baseUrl: apiBaseUrl(connection.baseUrl),
    userAgent: 'flywheel-portal',
    request: { fetch: guardOf(connection), log: silent },
    log: silent,
  });
  const anonymous = new Base();
  const { app } = connection;
  const asApp = app && new App({ appId: app.id, privateKey: app.privateKey, Octokit: Base, log: silent }).octokit;
  const tokens = installationTokens(mint);
  const limits = limitsOf(connection, 'GitHub');

  async function mint(installationId: string, signal: AbortSignal | undefined): Promise<InstallationToken> {
    const route = 'POST /app/installations/{installation_id}/access_tokens';
    const params = { installation_id: installationId };
    return call(route, InstallationToken, {
      as: { app: true },
      signal,
      params,
      about: `installation ${installationId}`,
    });
  }

  /** Who GitHub counts a request to: the App, one installation, or one person. */
  function whoOf(as: As): string {
    if ('user' in as) return `user ${hashOf(as.user)}`;
    if ('nobody' in as) return 'nobody';
    return 'app' in as ? `app ${app?.id}` : `app ${app?.id} installation ${as.installation}`;
  }

  async function send(route: string, ask: Ask): Promise<Answer> {
    const who = whoOf(ask.as);
    limits.assertOpen(who);
    try {
      return await sendAs(route, ask);
    } catch (error) {
      const refusal = refusalOf(error);
      const said = refusal ? limitSaid(refusal) : null;
      if (!refusal || said === null) throw error;
      throw limits.limited(who, said, refusalLog(refusal, connection.baseUrl, ask));
    }
  }

  async function sendAs(route: string, ask: Ask): Promise<Answer> {
    const { as, signal } = ask;
    const params = { ...ask.params, request: { signal } };
    if ('app' in as) {
      if (!asApp) throw notAnAppError(connection.id);
      return answerOf(await asApp.request(route, params));
    }
    if ('user' in as) {
      return answerOf(await anonymous.request(route, { ...params, headers: { authorization: `Bearer ${as.user}` } }));
    }
    if ('nobody' in as) return answerOf(await anonymous.request(route, params));
    const token = await tokens.get(as.installation, signal);
    return answerOf(await anonymous.request(route, { ...params, headers: { authorization: `Bearer ${token}` } }));
  }

  /** A 401 to an installation's token is answered once with a new one: keys are replaced and tokens ended in mid-work. */
  async function sendFresh(route: string, ask: Ask): Promise<Answer> {
    try {
      return await send(route, ask);
    } catch (error) {
      if (!('installation' in ask.as) || refusalOf(error)?.status !== 401) throw error;
      tokens.drop(ask.as.installation);
      return send(route, ask);
    }
  }

  async function findAnswer<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    let answer: Answer;
    try {
      answer = await sendFresh(route, ask);
    } catch (error) {
      ask.signal?.throwIfAborted();
      const refusal = refusalOf(error);
      if (refusal && (ask.absent ?? isNotFound)(refusal)) return null;
      throw callError(error, connection, ask);
    }
    const parsed = schema.safeParse(answer.data);
    if (parsed.success) return { data: parsed.data, headers: answer.headers };
    throw nonsenseError(connection.baseUrl, route, parsed.error);
  }

  async function find<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    const found = await findAnswer(route, schema, ask);
    return found && found.data;
  }

  async function look<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    const found = await findAnswer(route, schema, ask);
    if (found === null) throw notFoundError(ask.about);
    return found;
  }

  async function call<T extends z.ZodType>(route: string, schema: T, ask: Ask) {
    return (await look(route, schema, ask)).data;
  }

  async function graphql<T extends z.ZodType>(schema: T, ask: Ask) {
    const params = { ...ask.params, baseUrl: graphqlBaseUrl(connection.baseUrl) };
    return call('POST /graphql', schema, { ...ask, params });
  }

  async function all<T extends z.ZodType, Item>(
    route: string,
    schema: T,
    itemsOf: (page: z.output<T>) => Item[],
    ask: Ask,
  ): Promise<Item[]> {
    const items: Item[] = [];
    for (let page = 1; page <= pagesMax; page += 1) {
      const params = { ...ask.params, per_page: pageSize, page };
      const more = itemsOf(await call(route, schema, { ...ask, params }));
      items.push(...more);
      if (more.length < pageSize) return items;
    }
    throw nonsenseError(connection.baseUrl, route, 'pages without end');
  }

  return { hasApp: app !== undefined, isServer: !isHosted(connection.baseUrl), call, find, look, graphql, all };
}

function isNotFound(refusal: Refusal): boolean {
  return refusal.status === 404;
}

type Answer = { data: unknown; headers: Record<string, string | undefined> };

function answerOf({ data, headers }: { data: unknown; headers: object }): Answer {
  return { data, headers: headers as Answer['headers'] };
}

type Minted = { token: string; endsAtMs: number };

/**
 * Installation tokens of one connection. Octokit's own App authentication is not used for this: it keeps the mints under
 * way in one map for the whole process, keyed by the installation's number alone (@octokit/auth-app 8,
 * get-installation-authentication.js), so that two forges where the number is the same could be handed each other's
 * token. It also waits through a 401 in ways that no AbortSignal ends.
 */
function installationTokens(mint: (id: string, signal: AbortSignal | undefined) => Promise<InstallationToken>) {
  const minted = new Map<string, Minted>();
  return {
    async get(installationId: string, signal: AbortSignal | undefined): Promise<string> {
      const known = minted.get(installationId);
      if (known && known.endsAtMs - Date.now() > tokenMarginMs) return known.token;
      const { token, expires_at: expiresAt } = await mint(installationId, signal);
      minted.set(installationId, { token, endsAtMs: expiresAt.getTime() });
      return token;
    },
    drop(installationId: string): void {
      minted.delete(installationId);
    },
  };
}
