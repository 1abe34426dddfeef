import { randomBytes, randomInt } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import {
  addPersonTokenIn,
  apiScopes,
  ApiTokenInput,
  refuseOperatorScope,
  type ApiScope,
  type ApiTokenOnce,
} from './api-token.ts';
import { countAttempt, forgetAttempts } from './attempts.ts';
import { appendAudit, appendSystemAudit } from './audit.ts';
import type { PersonCtx } from './ctx.ts';
import { personOf, type PersonRow, personSql, tokenHash } from './session.ts';
import { confirmFirst, isFresh } from './step-up.ts';

/*
 * How a program on a machine without a browser comes to a token of its person (RFC 8628). It asks for two codes: a secret one
 * that it asks again with, and a short one that it shows. The person types the short one on a page of ours, reads what asks,
 * and approves it after a fresh sign-in. The page takes no code from its address, since who sends somebody a link would be
 * who asked. Neither code is kept but as a hash, and the token comes into being when it is fetched.
 */

export const deviceLoginMs = 10 * 60_000;
/** One that is over is remembered for as long again, so that a terminal is told that it was late, and not that its code is another's. */
const deviceKeptMs = 2 * deviceLoginMs;
const intervalSeconds = 5;
/** RFC 8628, 3.5: who asks too soon waits so much longer from then on. */
const slowDownSeconds = 5;
/** Clocks of two processes, and a network that is not always equally slow. */
const slackMs = 500;

/** Whoever stands before the portal is one address for all: few enough for that, and none takes up what all may. */
const asksFromOne = { most: 20, windowMs: 60_000 };
const asksOfAll = { most: 300, windowMs: 60_000 };
/** A code is one of 20^8; with this many tries nobody finds one that waits. */
const triesOfOne = { most: 10, windowMs: deviceLoginMs };

/** Without vowels and what is read as something else, so that no word comes of it (RFC 8628, 6.1). */
const alphabet = 'BCDFGHJKLMNPQRSTVWXZ';

/** What a machine calls itself: shown to its person, so nothing that could pass for more than a name. */
const Machine = z
  .string()
  .trim()
  .min(1, 'is needed')
  .max(60, 'is at most 60 characters')
  .regex(/^[\p{L}\p{N} ._@:-]+$/u, 'is letters, digits, spaces and ._@:-');

export const DeviceAsk = z.strictObject({
  machine: Machine,
  scopes: ApiTokenInput.shape.scopes,
  days: ApiTokenInput.shape.days,
});
export type DeviceAsk = z.infer<typeof DeviceAsk>;

export type DeviceCodes = {
  deviceCode: string;
  userCode: string;
  expiresInSeconds: number;
  intervalSeconds: number;
};

/** Two codes for a program that asks. `from` is the address that it asks from, as far as anybody can tell. */
export async function askForDevice(
  { machine, scopes, days }: DeviceAsk,
  from: string,
  now: Date,
): Promise<DeviceCodes> {
  await countAttempt(`device-ask/${tokenHash(from)}`, asksFromOne, now);
  await countAttempt('device-ask', asksOfAll, now);
  await forgetAttempts(now, deviceLoginMs);
  await forgetDevices(now);
  const deviceCode = randomBytes(32).toString('base64url');
  const userCode = Array.from({ length: 8 }, () => alphabet[randomInt(alphabet.length)]).join('');
  await unsafeDb().deviceLogin.create({
    data: {
      deviceCodeHash: tokenHash(deviceCode),
      userCodeHash: tokenHash(userCode),
      machine,
      scopes: apiScopes.filter((scope) => scopes.includes(scope)),
      days,
      intervalSeconds,
      createdAt: now,
      expiresAt: new Date(now.getTime() + deviceLoginMs),
    },
  });
  return {
    deviceCode,
    userCode: `${userCode.slice(0, 4)}-${userCode.slice(4)}`,
    expiresInSeconds: deviceLoginMs / 1000,
    intervalSeconds,
  };
}

export async function forgetDevices(now: Date): Promise<void> {
  const kept = new Date(now.getTime() - deviceKeptMs);
  await unsafeDb().deviceLogin.deleteMany({ where: { createdAt: { lt: kept } } });
}

// ------------------------------------------------------------------------------------------------ the person

export const DeviceCode = z.strictObject({ code: z.string().max(40) });
export const DeviceDecision = z.strictObject({ login: z.guid(), decision: z.enum(['approve', 'deny']) });
export type DeviceDecision = z.infer<typeof DeviceDecision>;

/** The request that shows this code. From now on it is this person's alone. */
export async function findDevice(by: PersonCtx, { code }: z.infer<typeof DeviceCode>, now: Date): Promise<string> {
  const { userId } = by.person;
  await countAttempt(`device-try/${userId}`, triesOfOne, now);
  const typed = code.toUpperCase().replaceAll(/[^A-Z]/g, '');
  const found = await unsafeDb().deviceLogin.updateManyAndReturn({
    where: {
      userCodeHash: tokenHash(typed),
      state: 'pending',
      expiresAt: { gt: now },
      OR: [{ userId: null }, { userId }],
    },
    data: { userId },
    select: { id: true },
  });
  if (found[0]) return found[0].id;
  throw invalidFields(
    { code: 'is none that waits' },
    'No terminal waits with this code: it was mistyped, used, or is more than ten minutes old.',
  );
}

export type DeviceView = {
  id: string;
  machine: string;
  scopes: ApiScope[];
  days: number;
  askedAt: string;
  state: 'pending' | 'approved' | 'denied' | 'ended';
};

/** What asks, for whoever typed its code. */
export async function readDevice(by: PersonCtx, id: string, now: Date): Promise<DeviceView> {
  const isId = z.guid().safeParse(id).success;
  const row = isId ? await unsafeDb().deviceLogin.findFirst({ where: { id, userId: by.person.userId } }) : null;
  if (!row) throw notFound('This request');
  const { machine, days, createdAt, expiresAt, state } = row;
  const isOver = state === 'pending' && expiresAt <= now;
  return {
    id,
    machine,
    scopes: apiScopes.filter((scope) => row.scopes.includes(scope)),
    days,
    askedAt: createdAt.toISOString(),
    state: isOver ? 'ended' : state === 'delivered' ? 'approved' : state,
  };
}

/** To approve it gives a token away, so it wants a sign-in of the last minutes; to deny it wants nothing. */
export async function decideDevice(by: PersonCtx, { login: id, decision }: DeviceDecision, now: Date): Promise<void> {
  const { scopes, machine, days } = await readDevice(by, id, now);
  if (decision === 'approve') {
    refuseOperatorScope(by, null, scopes);
    if (!isFresh(by, now)) throw confirmFirst();
  }
  const state = decision === 'approve' ? 'approved' : 'denied';
  const { userId } = by.person;
  await unsafeTransaction(async (tx) => {
    const where = { id, userId, state: 'pending' as const, expiresAt: { gt: now } };
    const { count } = await tx.deviceLogin.updateMany({ where, data: { state } });
    if (count !== 1) throw decidedBefore();
    const after = { machine, scopes, days };
    await appendAudit(tx, by, null, { action: `device:${decision}`, target: `device/${id}`, after });
  });
}

const decidedBefore = (): AppError =>
  new AppError('conflict', {
    log: 'a device that was decided on before, or too late',
    screen: {
      happened: 'This request was decided before, or is more than ten minutes old.',
      todo: 'Begin again in the terminal.',
    },
  });

// ------------------------------------------------------------------------------------------------ the program

/** As RFC 8628 names what may come of asking. */
export type DeviceAnswer =
  | { ok: true; token: ApiTokenOnce; scopes: ApiScope[] }
  | { ok: false; error: 'authorization_pending' | 'slow_down' | 'access_denied' | 'expired_token' | 'invalid_grant' };

const refused = (error: Exclude<DeviceAnswer, { ok: true }>['error']): DeviceAnswer => ({ ok: false, error });

/** What has become of it; and the token, once. */
export async function pollDevice(deviceCode: string, requestId: string, now: Date): Promise<DeviceAnswer> {
  const row = await unsafeDb().deviceLogin.findUnique({ where: { deviceCodeHash: tokenHash(deviceCode) } });
  if (!row) return refused('invalid_grant');
  if (row.state === 'delivered') return shownTwice(row);
  if (row.expiresAt <= now) return refused('expired_token');
  if (await isTooSoon(row, now)) return refused('slow_down');
  if (row.state === 'denied') return refused('access_denied');
  if (row.state === 'pending' || row.userId === null) return refused('authorization_pending');
  return deliver({ ...row, userId: row.userId }, requestId, now);
}

type Row = NonNullable<Awaited<ReturnType<ReturnType<typeof unsafeDb>['deviceLogin']['findUnique']>>>;

async function isTooSoon({ id, polledAt, intervalSeconds: seconds }: Row, now: Date): Promise<boolean> {
  const isSoon = polledAt !== null && now.getTime() - polledAt.getTime() < seconds * 1000 - slackMs;
  const slower = isSoon ? { intervalSeconds: { increment: slowDownSeconds } } : {};
  await unsafeDb().deviceLogin.updateMany({ where: { id }, data: { polledAt: now, ...slower } });
  return isSoon;
}

/** The token comes into being here, so that it is kept nowhere until then. Of two who fetch it at once, one gets it. */
async function deliver(row: Row & { userId: string }, requestId: string, now: Date): Promise<DeviceAnswer> {
  const [user] = await unsafeDb().$queryRaw<{ person: PersonRow }[]>`
    select ${personSql} as person from app_user u where u.id = ${row.userId}::uuid`;
  if (!user || user.person.isDisabled) return refused('access_denied');
  const by: PersonCtx = { person: personOf(user.person), requestId };
  const scopes = apiScopes.filter((scope) => row.scopes.includes(scope));
  const token = await unsafeTransaction(async (tx) => {
    const made = await addPersonTokenIn(tx, by, { name: row.machine, scopes, days: row.days }, now);
    const where = { id: row.id, state: 'approved' as const };
    const { count } = await tx.deviceLogin.updateMany({ where, data: { state: 'delivered', tokenId: made.id } });
    if (count !== 1) throw decidedBefore();
    return made;
  });
  return { ok: true, token, scopes };
}

/** A code that is shown again was lost on its way or stolen, and nobody can tell which: what it gave counts no more (RFC 6749, 4.1.2). */
async function shownTwice({ tokenId, id }: Row): Promise<DeviceAnswer> {
  const revokedBy = 'portal';
  await unsafeTransaction(async (tx) => {
    const where = { id: tokenId ?? '', revokedAt: null };
    const { count } = await tx.apiToken.updateMany({ where, data: { revokedAt: new Date(), revokedBy } });
    if (count === 0) return;
    const after = { because: `the code of device/${id} was shown twice` };
    await appendSystemAudit(tx, null, { action: 'api-token:revoke', target: `api-token/${tokenId}`, after });
  });
  return refused('invalid_grant');
}
