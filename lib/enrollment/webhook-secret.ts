import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { seal, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, isLockHeld, notFound, toAppError } from '#lib/errors.ts';
import { githubApps, type ForgeConnectionValue } from '#lib/forge/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { openConnection, withOwnApp } from './connections.ts';
import { githubAppPlace } from './places.ts';
import { wakeServedBy } from './served.ts';

/** Well within a transaction's time: GitHub is not still being asked when the row has been let go. */
const askMs = 10_000;

export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** Makes a secret, gives it to GitHub for the connection's App, and returns it to be kept. */
export type GiveSecret = (connection: ForgeConnectionValue) => Promise<string>;

/**
 * A transaction in which GitHub is given a new secret to sign with. It is to lock the row that keeps the secret before it gives
 * one, so that two at once do not leave GitHub with the one and the row with the other; and with `nowait`: whoever waited would
 * hold one of the pool's few connections for as long as GitHub takes. What fails once GitHub was asked, be it the commit, is
 * said as what it is: nobody here may know what GitHub signs with.
 */
export async function withNewSecret(run: (tx: UnsafeTx, give: GiveSecret) => Promise<void>): Promise<void> {
  let at: 'before' | 'asked' | 'given' = 'before';
  try {
    await unsafeTransaction((tx) =>
      run(tx, async (connection) => {
        const secret = newSecret();
        const apps = githubApps(connection);
        at = 'asked';
        await setInTime(apps, secret);
        at = 'given';
        return secret;
      }),
    );
  } catch (error) {
    if (isLockHeld(error)) throw changedJustNow(error);
    throw isUnsure(at, error) ? unsureSecret(at, toAppError(error)) : error;
  }
}

async function setInTime(apps: ReturnType<typeof githubApps>, secret: string): Promise<void> {
  const signal = AbortSignal.timeout(askMs);
  try {
    await apps.setWebhookSecret(secret, { signal });
  } catch (error) {
    throw error === signal.reason ? noAnswer(error) : error;
  }
}

function noAnswer(cause: unknown): AppError {
  return new AppError('unavailable', {
    log: `GitHub did not answer within ${askMs} ms`,
    cause,
    screen: { happened: 'GitHub did not answer in time.', todo: 'Try again in a minute.' },
  });
}

function changedJustNow(cause: unknown): AppError {
  return new AppError('conflict', {
    log: 'the row of the webhook secret is locked',
    cause,
    screen: { happened: 'Somebody is changing it just now.', todo: 'Try again in a minute.' },
  });
}

/** A refusal changed nothing at GitHub; an answer that was lost, or is awaited no longer, leaves it open. */
function isUnsure(at: 'before' | 'asked' | 'given', error: unknown): boolean {
  const isRefusal = error instanceof AppError && error.code !== 'unavailable';
  return at === 'given' || (at === 'asked' && !isRefusal);
}

function unsureSecret(at: 'before' | 'asked' | 'given', error: AppError): AppError {
  const what =
    at === 'given'
      ? 'GitHub has a new webhook secret, and it could not be kept here.'
      : 'The answer to the new webhook secret was lost.';
  return new AppError('unavailable', {
    log: error.message,
    cause: error,
    screen: {
      happened: `${what} ${error.screen.happened}`,
      changed: 'GitHub may sign with a new secret already, which the portal does not know.',
      todo: 'Do it again: until it has gone through, deliveries may be refused.',
    },
  });
}

export const OwnSecretInput = z.strictObject({ githubAppId: z.uuid() });

/** Gives an organization's own App a new webhook secret, by the App's own key. What was refused in between is looked for. */
export async function replaceOwnSecret(ctx: Ctx, { githubAppId: id }: z.output<typeof OwnSecretInput>): Promise<void> {
  const where = { id, tenantId: ctx.tenant.id };
  const known = await unsafeDb().githubApp.findFirst({ where, select: { connectionId: true } });
  if (!known) throw notFound('This App');
  const { connectionId } = known;
  const connection = await openConnection(connectionId);
  await withNewSecret(async (tx, give) => {
    await tx.$queryRaw`select 1 from github_app where id = ${id}::uuid for no key update nowait`;
    // Read under the lock: another App may have taken its place meanwhile, and its key is the one that GitHub answers to.
    const own = await tx.githubApp.findFirstOrThrow({ where });
    const secret = await give(await withOwnApp(connection, own));
    const sealedWebhookSecret = await seal(secret, githubAppPlace(own, 'webhook_secret'));
    await tx.githubApp.update({ where: { id }, data: { sealedWebhookSecret } });
    await wakeServedBy(tx, { connectionId, githubAppId: id });
    const { slug, appId } = own;
    await ctx.audit(tx, { action: 'github-app:replace-secret', target: `github-app/${slug}`, after: { appId } });
  });
}
