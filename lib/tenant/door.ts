import { randomUUID } from 'node:crypto';
import type { ReactNode } from 'react';
import type { z } from 'zod';
import type { Arriving } from '#lib/body.ts';
import { AppError, errorCodes, notFound, toAppError, type ErrorCode, type Screen } from '#lib/errors.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { appendAudit } from './audit.ts';
import type { Ctx, PersonCtx } from './ctx.ts';
import { formObject, typedValues } from './form.ts';
import { errorPage } from './html.ts';
import { log } from '#lib/log.ts';
import { contextNow, noteOutcome } from '#lib/telemetry/index.ts';
import { askAnew } from './follow.ts';
import { tenantCtx } from './membership.ts';
import { isSensitive, may, type OperatorPermission, type TenantPermission } from './permission.ts';
import { currentPerson, requestId } from './session.ts';
import { confirmFirst, isFresh } from './step-up.ts';
import { known, through, type DoorKind } from './through.ts';

/*
 * The doors. Each begins with the permission it needs, finds out who asks and for whom, and turns what is thrown inside into
 * what a person may read. What a stranger gets is what they would get if the thing did not exist.
 */

/** What a person reads of an error, and what they give to the operator. */
export type ShownError = Screen & { code: ErrorCode; requestId: string };

export type ActionResult<T> = { ok: true; value: T } | { ok: false; error: ShownError; values: Record<string, string> };

/** What `useActionState` holds: nothing before the first press. */
export type ActionState<T> = ActionResult<T> | null;

export function shown(error: AppError, id: string): ShownError {
  return { ...error.screen, code: error.code, requestId: id };
}

/** An error as Next carries it to the browser: of a thrown error only the digest survives. `readDigest` is its other end. */
function withDigest(error: AppError, id: string): Error {
  return Object.assign(new Error(error.message, { cause: error }), {
    digest: JSON.stringify(shown(error, id)),
  });
}

/** Once, by the door that answers it. */
export function logFailure(error: AppError, id: string, door: string): void {
  noteOutcome(error.code);
  const foreseen = error.code !== 'internal' && error.code !== 'unavailable';
  const details = { requestId: id, door, code: error.code, reason: error.message };
  if (foreseen) log().info(details, 'refused');
  else log().error({ ...details, stack: stackOf(error) }, 'failed');
}

function stackOf(error: AppError): string | undefined {
  return error.cause instanceof Error ? error.cause.stack : error.stack;
}

/** A denial leaves a record that operators read; the tenant asked for is named as it was asked, since it may not exist. */
export async function recordDenial(by: PersonCtx, door: string, target: string): Promise<void> {
  noteOutcome('not_found');
  log().warn({ requestId: by.requestId, userId: by.person.userId, door, target }, 'denied');
  // As it was asked, and it may be anything: what cannot be kept or would break a line is shown as such.
  const shown = target.slice(0, 100).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '\uFFFD');
  await appendAudit(unsafeDb(), by, null, { action: 'access:denied', target: `${door} of ${shown}` });
}

export const notAllowed = (): AppError =>
  new AppError('forbidden', {
    log: 'the role does not hold the permission',
    screen: { happened: 'Your role may not do this.', todo: 'Ask an admin of the tenant.' },
  });

const signedOut = (): AppError =>
  new AppError('unauthenticated', {
    log: 'no live session',
    screen: {
      happened: 'You are no longer signed in.',
      todo: 'Sign in again in another tab, then press the button again; what you entered stays here.',
    },
  });

const foreignOrigin = (origin: string | null): AppError =>
  new AppError('forbidden', {
    log: `origin ${origin ?? 'missing'} is not the portal's`,
    screen: {
      happened: 'This request did not come from the portal’s own page.',
      todo: `Open ${env().PORTAL_URL} and try again there.`,
    },
  });

/** Next compares Origin with Host and lets a missing one pass; neither header of a proxy nor absence counts here. */
export function isOwnOrigin(origin: string | null): boolean {
  return origin !== null && origin === new URL(env().PORTAL_URL).origin;
}

async function requireOwnOrigin(): Promise<void> {
  const { headers } = await import('next/headers');
  const origin = (await headers()).get('origin');
  if (!isOwnOrigin(origin)) throw foreignOrigin(origin);
}

// ---------------------------------------------------------------------------------------------------------- pages

type SearchParams = Record<string, string | string[] | undefined>;
type PageProps<P> = { params: Promise<P>; searchParams: Promise<SearchParams> };
type Shown<P> = { params: P; searchParams: SearchParams };
type Render<C, P> = (ctx: C, props: Shown<P>) => ReactNode | Promise<ReactNode>;

async function signedInPerson(): Promise<PersonCtx> {
  const by = await currentPerson();
  if (by) return by;
  const { redirect } = await import('next/navigation');
  const { headers } = await import('next/headers');
  const path = (await headers()).get('x-portal-path') ?? '/';
  return redirect(`/sign-in?next=${encodeURIComponent(path)}`);
}

async function absent(): Promise<never> {
  const { notFound: absentPage } = await import('next/navigation');
  return absentPage();
}

async function rendered<C, P>(
  by: PersonCtx,
  door: string,
  ctx: C,
  props: PageProps<P>,
  render: Render<C, P>,
): Promise<ReactNode> {
  try {
    return await render(ctx, { params: await props.params, searchParams: await props.searchParams });
  } catch (error) {
    const { unstable_rethrow } = await import('next/navigation');
    unstable_rethrow(error);
    const failure = toAppError(error);
    logFailure(failure, by.requestId, door);
    if (failure.code === 'not_found') return absent();
    throw withDigest(failure, by.requestId);
  }
}

/** Through a door of Next's, which knows the request's id. */
function pass<T>(kind: DoorKind, door: string, run: () => Promise<T>): Promise<T> {
  return through({ kind, door, requestId }, run);
}

/** The way into a tenant for a page: a role that nobody can say any more is told in words, and is no 404. */
async function wayIn(by: PersonCtx, door: string, slug: string): Promise<Ctx | null> {
  try {
    return known(await tenantCtx(by, slug));
  } catch (error) {
    const failure = toAppError(error);
    logFailure(failure, by.requestId, door);
    throw withDigest(failure, by.requestId);
  }
}

/** A page or layout of a tenant. Who is no member, or may not see this, finds nothing here. */
export function page<P extends { tenant: string }>(
  permission: TenantPermission,
  render: Render<Ctx, P>,
): (props: PageProps<P>) => Promise<ReactNode> {
  return async function Page(props) {
    return pass('page', permission, async () => {
      const by = await signedInPerson();
      const { tenant } = await props.params;
      const ctx = await wayIn(by, permission, tenant);
      if (!ctx || !may(ctx.role, permission)) {
        await recordDenial(by, permission, tenant);
        return absent();
      }
      return rendered(by, permission, ctx, props, render);
    });
  };
}

type LayoutProps<P> = { children: ReactNode; params: Promise<P> };

/** The frame around a tenant's pages. It is no fence: each page within asks for itself. */
export function layout<P extends { tenant: string }>(
  permission: TenantPermission,
  render: (ctx: Ctx, children: ReactNode) => ReactNode | Promise<ReactNode>,
): (props: LayoutProps<P>) => Promise<ReactNode> {
  return async function Layout({ children, params }) {
    const by = await signedInPerson();
    const { tenant } = await params;
    const ctx = await wayIn(by, permission, tenant);
    if (!ctx || !may(ctx.role, permission)) return absent();
    return render(ctx, children);
  };
}

/** A page for whoever is signed in. */
export function personPage<P = Record<string, never>>(
  render: Render<PersonCtx, P>,
): (props: PageProps<P>) => Promise<ReactNode> {
  return async function Page(props) {
    return pass('page', 'person', async () => {
      const by = await signedInPerson();
      return rendered(by, 'person', by, props, render);
    });
  };
}

/** A page of the operators. For anybody else it does not exist. */
export function operatorPage<P = Record<string, never>>(
  permission: OperatorPermission,
  render: Render<PersonCtx, P>,
): (props: PageProps<P>) => Promise<ReactNode> {
  return async function Page(props) {
    return pass('page', permission, async () => {
      const by = await signedInPerson();
      if (!by.person.isOperator) {
        await recordDenial(by, permission, 'operator');
        return absent();
      }
      return rendered(by, permission, by, props, render);
    });
  };
}

// -------------------------------------------------------------------------------------------------------- actions

/** A form, or the same as an object where a component calls the action itself. */
export type ActionInput = FormData | object;

function parsed<S extends z.ZodType>(schema: S, input: ActionInput): z.output<S> {
  const value = input instanceof FormData ? formObject(input) : input;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields: Record<string, string> = {};
  for (const issue of result.error.issues) fields[issue.path.join('.')] ??= issue.message;
  throw new AppError('invalid', {
    log: `invalid: ${JSON.stringify(fields)}`,
    screen: {
      happened: 'Some of what was entered does not fit.',
      fields,
      todo: 'Mend what is marked and try again.',
    },
  });
}

function performed<T>(door: string, input: ActionInput, run: () => Promise<T>): Promise<ActionResult<T>> {
  return pass('action', door, () => resultOf(door, input, run));
}

async function resultOf<T>(door: string, input: ActionInput, run: () => Promise<T>): Promise<ActionResult<T>> {
  try {
    await requireOwnOrigin();
    return { ok: true, value: await run() };
  } catch (error) {
    const { unstable_rethrow } = await import('next/navigation');
    unstable_rethrow(error);
    const failure = toAppError(error);
    const id = await requestId();
    logFailure(failure, id, door);
    const values = input instanceof FormData ? typedValues(input) : {};
    return { ok: false, error: shown(failure, id), values };
  }
}

async function requiredPerson(): Promise<PersonCtx> {
  const by = await currentPerson();
  if (!by) throw signedOut();
  return by;
}

/** What wants a sign-in of the last minutes (ASVS 7.5.3): always, or where the rule says so of what is asked. */
export type Fresh<C, I> = { fresh?: true | ((ctx: C, input: I) => boolean | Promise<boolean>) };

async function requireFresh<C extends PersonCtx, I>({ fresh }: Fresh<C, I>, ctx: C, input: I): Promise<void> {
  if (fresh === undefined || (fresh !== true && !(await fresh(ctx, input)))) return;
  if (!isFresh(ctx, new Date())) throw confirmFirst();
}

/**
 * A server action within a tenant. It is reachable by a bare POST, so it trusts nothing that the page checked; a stranger's
 * tenant answers 404, as an absent one does.
 */
export function action<S extends z.ZodType, T>(
  permission: TenantPermission,
  schema: S,
  run: (ctx: Ctx, input: z.output<S>) => Promise<T>,
  wants: Fresh<Ctx, z.output<S>> = {},
): (slug: string, before: ActionState<unknown>, input: ActionInput) => Promise<ActionResult<T>> {
  return async function act(given: unknown, _before, input) {
    // Whatever the type says, this came over the network.
    const slug = typeof given === 'string' ? given : '';
    return performed(permission, input, async () => {
      const by = await requiredPerson();
      // An open page outlives a role: what is sensitive is not done by one that was looked at a minute ago.
      if (isSensitive(permission) || wants.fresh !== undefined) await askAnew(by, slug);
      const ctx = known(await tenantCtx(by, slug));
      if (!ctx || !may(ctx.role, permission)) await recordDenial(by, permission, slug);
      if (!ctx) return absent();
      if (!may(ctx.role, permission)) throw notAllowed();
      const given = parsed(schema, input);
      await requireFresh(wants, ctx, given);
      return run(ctx, given);
    });
  };
}

/** A server action of whoever is signed in. */
export function personAction<S extends z.ZodType, T>(
  schema: S,
  run: (by: PersonCtx, input: z.output<S>) => Promise<T>,
  wants: Fresh<PersonCtx, z.output<S>> = {},
): (before: ActionState<unknown>, input: ActionInput) => Promise<ActionResult<T>> {
  return async function act(_before, input) {
    return performed('person', input, async () => {
      const by = await requiredPerson();
      const given = parsed(schema, input);
      await requireFresh(wants, by, given);
      return run(by, given);
    });
  };
}

/** A server action of the operators. */
export function operatorAction<S extends z.ZodType, T>(
  permission: OperatorPermission,
  schema: S,
  run: (by: PersonCtx, input: z.output<S>) => Promise<T>,
  wants: Fresh<PersonCtx, z.output<S>> = {},
): (before: ActionState<unknown>, input: ActionInput) => Promise<ActionResult<T>> {
  return async function act(_before, input) {
    return performed(permission, input, async () => {
      const by = await requiredPerson();
      if (!by.person.isOperator) {
        await recordDenial(by, permission, 'operator');
        return absent();
      }
      const given = parsed(schema, input);
      await requireFresh(wants, by, given);
      return run(by, given);
    });
  };
}

/** A server action for anybody, signed in or not, such as signing in itself. */
export function openAction<S extends z.ZodType, T>(
  schema: S,
  run: (input: z.output<S>) => Promise<T>,
): (before: ActionState<unknown>, input: ActionInput) => Promise<ActionResult<T>> {
  return async function act(_before, input) {
    return performed('open', input, async () => run(parsed(schema, input)));
  };
}

// ---------------------------------------------------------------------------------------------------------- views

type RouteContext<P> = { params: Promise<P> };
type RouteHandler<P> = (request: Request, context: RouteContext<P>) => Promise<Response>;
type Asked<P> = { params: P; searchParams: URLSearchParams };

function json(body: unknown, status: number, extra: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { 'cache-control': 'no-store', ...extra } });
}

/** What a program is answered, whoever carries it there. */
export type Answer = { status: number; headers: Record<string, string>; body: unknown };

function failed(error: AppError, id: string): Answer {
  const retry = error.retryAfterMs;
  const headers: Record<string, string> = {};
  if (retry !== undefined) headers['retry-after'] = String(Math.ceil(retry / 1000));
  return { status: errorCodes[error.code], headers, body: { error: shown(error, id) } };
}

function sent({ status, headers, body }: Answer): Response {
  return json(body, status, headers);
}

function answered(kind: DoorKind, door: string, run: () => Promise<Response>): Promise<Response> {
  return pass(kind, door, () => answerOf(door, run));
}

async function answerOf(door: string, run: () => Promise<Response>): Promise<Response> {
  try {
    return await run();
  } catch (error) {
    const { unstable_rethrow } = await import('next/navigation');
    unstable_rethrow(error);
    const failure = toAppError(error);
    const id = await requestId();
    logFailure(failure, id, door);
    return sent(failed(failure, id));
  }
}

async function tenantOrAbsent(permission: TenantPermission, slug: string): Promise<Ctx> {
  const by = await requiredPerson();
  const ctx = known(await tenantCtx(by, slug));
  if (ctx && may(ctx.role, permission)) return ctx;
  await recordDenial(by, permission, slug);
  throw notFound('This');
}

/** A read as JSON, for pages that poll. */
export function view<P extends { tenant: string }, T>(
  permission: TenantPermission,
  read: (ctx: Ctx, asked: Asked<P>) => Promise<T>,
): RouteHandler<P> {
  return (request, context) =>
    answered('view', permission, async () => {
      const params = await context.params;
      const ctx = await tenantOrAbsent(permission, params.tenant);
      const { searchParams } = new URL(request.url);
      return json(await read(ctx, { params, searchParams }), 200);
    });
}

/** A read of the operators as JSON. */
export function operatorView<T, P = Record<string, never>>(
  permission: OperatorPermission,
  read: (by: PersonCtx, params: P) => Promise<T>,
): RouteHandler<P> {
  return (_, context) =>
    answered('view', permission, async () => {
      const by = await requiredPerson();
      if (!by.person.isOperator) {
        await recordDenial(by, permission, 'operator');
        throw notFound('This');
      }
      return json(await read(by, await context.params), 200);
    });
}

/**
 * A door that nobody signs in to, such as a webhook's. The permission is in what it is given (a signature, a token), and
 * checking that is the first thing that `answer` does. What is thrown is an answer too.
 */
export async function openDoor(
  door: string,
  { headers }: Pick<Arriving, 'headers'>,
  answer: () => Promise<{ status: number; body: unknown }>,
): Promise<Answer> {
  const kind = door === 'webhook' ? 'webhook' : 'program';
  return through({ kind, door, requestId: () => idIn(headers) }, async () => {
    try {
      return { headers: {}, ...(await answer()) };
    } catch (error) {
      return refused(door, headers, error);
    }
  });
}

function idIn(headers: Arriving['headers']): string {
  return contextNow()?.fields.requestId ?? headers.get('x-request-id') ?? randomUUID();
}

function refused(door: string, headers: Arriving['headers'], error: unknown): Answer {
  const failure = toAppError(error);
  const id = idIn(headers);
  logFailure(failure, id, door);
  return failed(failure, id);
}

/** The same as a route of Next; what it answers is JSON. */
export function openRoute<P>(
  door: string,
  answer: (arrived: Arriving, params: P) => Promise<{ status: number; body: unknown }>,
): RouteHandler<P> {
  return async (request, context) => {
    const params = await context.params;
    return sent(await openDoor(door, request, () => answer(request, params)));
  };
}

/** A door for programs, whose answers have a form of their own. The permission is in what they show, and `answer` asks for it first. */
export function programRoute<P>(
  door: string,
  answer: (request: Request, params: P) => Promise<Response>,
): RouteHandler<P> {
  return (request, context) =>
    through({ kind: 'program', door, requestId: () => idIn(request.headers) }, async () => {
      try {
        return await answer(request, await context.params);
      } catch (error) {
        return sent(refused(door, request.headers, error));
      }
    });
}

/**
 * An address that a browser is sent to, by us or by a forge that sends somebody back. Who is not signed in signs in first and
 * comes to the same address again; an error is a page in words and no JSON.
 */
export function personRoute(
  door: string,
  answer: (by: PersonCtx, request: Request) => Promise<Response>,
): (request: Request) => Promise<Response> {
  return function go(request) {
    return pass('route', door, async () => {
      try {
        const by = await currentPerson();
        if (by) return await answer(by, request);
        const { pathname, search } = new URL(request.url);
        const location = `/sign-in?next=${encodeURIComponent(pathname + search)}`;
        return new Response(null, { status: 303, headers: { location, 'cache-control': 'no-store' } });
      } catch (error) {
        const failure = toAppError(error);
        const id = request.headers.get('x-request-id') ?? (await requestId());
        logFailure(failure, id, door);
        return errorPage(shown(failure, id), errorCodes[failure.code]);
      }
    });
  };
}

/** A tenant's route that answers in its own form, such as a CSV or YAML file. What is not a GET must come from our own page. */
export function route<P extends { tenant: string }>(
  permission: TenantPermission,
  answer: (ctx: Ctx, request: Request, params: P) => Promise<Response>,
): RouteHandler<P> {
  return (request, context) =>
    answered('route', permission, async () => {
      const origin = request.headers.get('origin');
      if (request.method !== 'GET' && !isOwnOrigin(origin)) throw foreignOrigin(origin);
      const params = await context.params;
      return answer(await tenantOrAbsent(permission, params.tenant), request, params);
    });
}

/**
 * An operators' route that answers in its own form. Where it wants a fresh sign-in, which a link cannot ask for as a form does,
 * it leads there and back to itself.
 */
export function operatorRoute<P = Record<string, never>>(
  permission: OperatorPermission,
  answer: (by: PersonCtx, request: Request, params: P) => Promise<Response>,
  { fresh = false }: { fresh?: boolean } = {},
): RouteHandler<P> {
  return (request, context) =>
    answered('route', permission, async () => {
      const origin = request.headers.get('origin');
      if (request.method !== 'GET' && !isOwnOrigin(origin)) throw foreignOrigin(origin);
      const by = await requiredPerson();
      if (!by.person.isOperator) {
        await recordDenial(by, permission, 'operator');
        throw notFound('This');
      }
      if (!fresh || isFresh(by, new Date())) return answer(by, request, await context.params);
      const location = `/confirm?next=${encodeURIComponent(new URL(request.url).pathname)}`;
      return new Response(null, { status: 303, headers: { location, 'cache-control': 'no-store' } });
    });
}
