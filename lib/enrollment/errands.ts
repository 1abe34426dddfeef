import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { StartInput } from './draft.ts';

/*
 * Somebody is sent to a forge and comes back with a state in the address. The state is 256 random bits, kept as a hash
 * alone, of one person and one connection, and counts once within the hour: whoever brings it is who was sent, and what it
 * was for is read from our own row and from nothing that came back.
 */

const hourMs = 3_600_000;

export const connectionIdForm = /^[a-z][a-z0-9-]{0,59}$/;

/** What the forge is to be entered with. An authority's certificate is no secret. */
const NewConnection = z.object({
  name: z.string(),
  baseUrl: z.string(),
  caBundle: z.string().nullable().default(null),
  runnerEgress: z.string().nullable().default(null),
});

const details = {
  /** The operator's App for a connection, which comes into being with it where `create` says how. */
  'platform-app': z.object({ organization: z.string().nullable(), create: NewConnection.nullable() }),
  /** An App of the organization's own, for the scope and tenant that were chosen. */
  'own-app': z.object({
    start: StartInput,
    githubAppId: z.uuid(),
    /** What GitHub called the App that this one takes the place of, since that is gone; null for the first one. */
    goneAppId: z.string().nullable().default(null),
    /** When that one had last been given a key; one that is given another meanwhile is in use. */
    goneKeyReplacedAt: z.iso.datetime().nullable().default(null),
    accountId: z.string(),
    accountLogin: z.string(),
  }),
  /** An installation; of the organization's own App where one is named. */
  install: z.object({
    path: z.string().nullable(),
    own: z.object({ githubAppId: z.string(), start: StartInput }).nullable(),
  }),
};

export type ErrandKind = keyof typeof details;
export type Errand<K extends ErrandKind = ErrandKind> = {
  [Kind in K]: { kind: Kind; connectionId: string; details: z.output<(typeof details)[Kind]> };
}[K];

function hashOf(state: string): string {
  return createHash('sha256').update(state).digest('hex');
}

/** Remembers what somebody is sent for, and returns the state that they bring back. */
export async function sendOff(
  by: PersonCtx,
  errand: Errand,
  tx: Pick<UnsafeTx, 'errand'> = unsafeDb(),
): Promise<string> {
  const state = randomBytes(32).toString('base64url');
  const now = Date.now();
  await tx.errand.deleteMany({ where: { expiresAt: { lt: new Date(now) } } });
  await tx.errand.create({
    data: {
      stateHash: hashOf(state),
      userId: by.person.userId,
      connectionId: errand.connectionId,
      kind: errand.kind,
      details: errand.details,
      expiresAt: new Date(now + hourMs),
    },
  });
  return state;
}

/** What this person was sent for, without ending it. */
export async function errandOf(by: PersonCtx, state: string): Promise<Errand> {
  const row = await unsafeDb().errand.findUnique({ where: { stateHash: hashOf(state) } });
  if (row?.userId !== by.person.userId || row.expiresAt.getTime() <= Date.now()) {
    await appendAudit(unsafeDb(), by, null, {
      action: 'access:denied',
      target: row && row.userId !== by.person.userId ? 'a state of somebody else' : 'a state that does not count',
    });
    throw strangeState();
  }
  const schema = details[row.kind as ErrandKind];
  return {
    kind: row.kind,
    connectionId: row.connectionId,
    details: schema.parse(row.details),
  } as Errand;
}

/** The same, where only these kinds count. */
export async function errandOfKind<K extends ErrandKind>(
  by: PersonCtx,
  state: string,
  kinds: readonly K[],
): Promise<Errand<K>> {
  const errand = await errandOf(by, state);
  if (!kinds.some((kind) => kind === errand.kind)) throw strangeState();
  return errand as Errand<K>;
}

/** Ends it, within the transaction that keeps what it was for: of two who come at once, one is refused. A stranger ends none. */
export async function endErrand(tx: Pick<UnsafeTx, 'errand'>, by: PersonCtx, state: string): Promise<void> {
  const ended = await tx.errand.deleteMany({ where: { stateHash: hashOf(state), userId: by.person.userId } });
  if (ended.count !== 1) throw strangeState();
}

/** What this person was sent for, which is ended by that. */
export async function takeBack<K extends ErrandKind>(
  by: PersonCtx,
  state: string,
  kinds: readonly K[],
): Promise<Errand<K>> {
  const errand = await errandOfKind(by, state, kinds);
  await endErrand(unsafeDb(), by, state);
  return errand;
}

function strangeState(): AppError {
  return new AppError('forbidden', {
    log: 'a state that is unknown, used, ended or of another person',
    screen: {
      happened: 'This address was not made for you, was used before, or is more than an hour old.',
      todo: 'Begin again in the portal.',
    },
  });
}
