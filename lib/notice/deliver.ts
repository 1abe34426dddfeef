import type { Clock } from '#lib/clock.ts';
import { open, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { toAppError } from '#lib/errors.ts';
import { guardedFetch, tellingOf, type GuardedFetch } from '#lib/forge/index.ts';
import { note } from '#lib/telemetry/index.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { endpointPlace } from './endpoint.ts';
import { notify } from './notify.ts';
import { givenUpMost, nextAttempt, retryAfterMs } from './schedule.ts';
import { signedHeaders } from './signature.ts';

export type DeliverDeps = { clock: Clock; fetch: GuardedFetch };

/** What a receiver may cost us: it is asked by the worker, beside whom others wait. */
const limits = { connectTimeoutMs: 5_000, totalTimeoutMs: 10_000, bytesMax: 64 * 1024 };
/** One pass for one endpoint lasts no longer, so that others' turn comes. */
const passMost = 10;
const breathMs = 5_000;

/** The only way out to an endpoint: a public https host, no redirect, ten seconds, 64 KB. The sandbox may also go to loopback. */
export function webhookFetch(): GuardedFetch {
  return tellingOf(guardedFetch({ allowLoopback: env().FLYWHEEL_SANDBOX === '1', ...limits }), 'webhook');
}

const withEndpoint = { endpoint: true } as const;
type Message = NonNullable<Awaited<ReturnType<typeof nextDue>>>;

async function nextDue(endpointId: string, now: Date) {
  return unsafeDb().webhookMessage.findFirst({
    where: { endpointId, state: 'waiting', dueAt: { lte: now }, endpoint: { disabledAt: null } },
    orderBy: [{ dueAt: 'asc' }, { createdAt: 'asc' }],
    include: withEndpoint,
  });
}

/** Sends what is due to one endpoint, one message after the other. After one that failed the endpoint is left in peace a while. */
export async function deliverDue(deps: DeliverDeps, lease: Lease): Promise<Outcome> {
  for (let sent = 0; sent < passMost; sent += 1) {
    const message = await nextDue(lease.key, deps.clock.now());
    if (!message) return whenNext(lease.key, deps.clock.now(), 0);
    note({ tenantId: message.tenantId });
    await lease.check();
    const result = await attempt(deps, message, lease.signal);
    await keep(message, result, deps.clock.now(), lease);
    if (!result.isDelivered) return whenNext(lease.key, deps.clock.now(), breathMs);
  }
  return { kind: 'done', againMs: 0 };
}

async function whenNext(endpointId: string, now: Date, atLeastMs: number): Promise<Outcome> {
  const next = await unsafeDb().webhookMessage.findFirst({
    where: { endpointId, state: 'waiting', endpoint: { disabledAt: null } },
    orderBy: { dueAt: 'asc' },
    select: { dueAt: true },
  });
  if (!next) return { kind: 'gone' };
  const againMs = Math.max(atLeastMs, next.dueAt.getTime() - now.getTime());
  return { kind: 'wait', againMs, waitingFor: 'the receiver' };
}

type Result = {
  isDelivered: boolean;
  code: number | null;
  error: string | null;
  retryAfterMs: number;
  isOver: boolean;
};

async function secretsOf({ endpoint }: Message, now: Date): Promise<string[]> {
  const { sealedSecret, sealedPrevious, previousUntil } = endpoint;
  const isBoth = sealedPrevious !== null && previousUntil !== null && previousUntil > now;
  return Promise.all(
    [sealedSecret, ...(isBoth ? [sealedPrevious] : [])].map((each) => open(each, endpointPlace(endpoint))),
  );
}

async function attempt({ clock, fetch }: DeliverDeps, message: Message, signal: AbortSignal): Promise<Result> {
  const { id, body, endpoint } = message;
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'Flywheel-Webhook/1',
    ...signedHeaders(id, clock.now(), body, await secretsOf(message, clock.now())),
  };
  try {
    const answer = await fetch(endpoint.url, { method: 'POST', headers, body, signal });
    return resultOf(answer, clock.now());
  } catch (error) {
    // The worker stops: this was no failure of theirs, and is tried again.
    signal.throwIfAborted();
    return { isDelivered: false, code: null, error: toAppError(error).screen.happened, retryAfterMs: 0, isOver: false };
  }
}

function resultOf({ ok, status, headers }: Response, now: Date): Result {
  const wait = retryAfterMs(headers.get('retry-after'), now);
  const base = { isDelivered: ok, code: status, error: null, retryAfterMs: wait, isOver: status === 410 };
  if (ok) return base;
  const isRedirect = status >= 300 && status < 400;
  const why = isRedirect ? 'It answered with a redirect, which is not followed.' : `It answered ${status}.`;
  return { ...base, error: why };
}

/** What came of an attempt, with what follows from it for the endpoint; only while the lease is ours. */
async function keep(message: Message, result: Result, now: Date, lease: Lease): Promise<void> {
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    const attempts = message.attempts + 1;
    const again = retriedAt(message, result, attempts, now);
    const state = result.isDelivered ? 'delivered' : again ? 'waiting' : 'given_up';
    const { count } = await tx.webhookMessage.updateMany({
      where: { id: message.id },
      data: {
        state,
        attempts,
        lastAttemptAt: now,
        responseCode: result.code,
        error: result.error,
        ...(again ? { dueAt: again } : {}),
      },
    });
    // The endpoint may have been removed meanwhile, and with it the message.
    if (count > 0 && message.kind !== 'test') await countFor(tx, message, state, result, now);
  });
}

function retriedAt({ kind, beganAt }: Message, result: Result, attempts: number, now: Date): Date | null {
  // A test answers whoever sent it: once.
  if (result.isDelivered || result.isOver || kind === 'test') return null;
  return nextAttempt(attempts, beganAt, now, result.retryAfterMs);
}

async function countFor(tx: UnsafeTx, message: Message, state: string, result: Result, now: Date): Promise<void> {
  const { id, tenantId, givenUp, url } = message.endpoint;
  if (state === 'waiting') return;
  if (state === 'delivered') {
    if (givenUp > 0) await tx.webhookEndpoint.update({ where: { id }, data: { givenUp: 0 } });
    return;
  }
  const count = givenUp + 1;
  const isDisabled = result.isOver || count >= givenUpMost;
  const why = result.isOver
    ? 'It answered 410, which means that it is gone for good.'
    : `It took none of ${count} messages in a row. The last time: ${result.error ?? 'it did not answer.'}`;
  await tx.webhookEndpoint.update({
    where: { id },
    data: { givenUp: count, ...(isDisabled ? { disabledAt: now, disabledBecause: why } : {}) },
  });
  if (!isDisabled) return;
  const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { slug: true } });
  await notify(tx, {
    tenantId,
    kind: 'webhook-disabled',
    title: `The webhook to ${new URL(url).host} was disabled`,
    body: `${why} Mend the receiver, then enable the webhook; what was given up can be replayed.`,
    href: `/t/${tenant.slug}/settings/webhooks/${id}`,
    dedupeKey: `webhook/${id}/${now.toISOString()}`,
  });
}
