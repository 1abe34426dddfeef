import { randomBytes } from 'node:crypto';
import { open, seal, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { EnrollmentSpec } from '#lib/model/index.ts';
import { wake } from '#lib/work/index.ts';
import { lockLine } from './allocation.ts';
import { firstBazelUser, type BazelAccess, type BazelLogin } from './cache-env.ts';
import type { EnrollmentRow } from './rows.ts';

/*
 * The secrets that an enrollment holds, one row a kind: sealed, bound to the tenant and the row, never shown again after they
 * were entered or made. `runner:<name>` is a registration's, its value the JSON of `KeptRunner`, and `runner:<name>.next` its
 * successor's while there is one (rotation.ts).
 */
export type CredentialKind =
  | 'forge-token'
  | 'attic-token'
  | 'attic-token.untrusted'
  | 'bazel-password'
  | 'bazel-password.next'
  | 'bazel-password.former'
  | `runner:${string}`;

type Owned = Pick<EnrollmentRow, 'tenantId' | 'id'>;

export type KeptCredential = {
  value: string;
  owner: string | null;
  externalId: string | null;
  expiresAt: Date | null;
  /** When this value was kept: the beginning of its life. */
  since: Date;
};

function place(row: Owned, kind: CredentialKind): string {
  return `tenant/${row.tenantId}/enrollment/${row.id}/${kind}`;
}

type CredentialDb = Pick<ReturnType<typeof unsafeDb>, 'credential'>;

export async function keptCredential(
  row: Owned,
  kind: CredentialKind,
  db: CredentialDb = unsafeDb(),
): Promise<KeptCredential | null> {
  const kept = await db.credential.findUnique({ where: { enrollmentId_kind: { enrollmentId: row.id, kind } } });
  if (!kept) return null;
  const { owner, externalId, expiresAt, createdAt: since } = kept;
  return { value: await open(kept.sealedValue, place(row, kind)), owner, externalId, expiresAt, since };
}

export type CredentialFacts = {
  owner?: string | null;
  externalId?: string | null;
  expiresAt?: Date | null;
  /** What was found before this one was made. Was another asked for since, then this one is due at once as well. */
  replaces?: KeptCredential | null;
};

export async function keepCredential(
  row: Owned,
  kind: CredentialKind,
  value: string,
  facts: CredentialFacts = {},
  db: CredentialDb = unsafeDb(),
): Promise<void> {
  const data = {
    sealedValue: await seal(value, place(row, kind)),
    owner: facts.owner ?? null,
    externalId: facts.externalId ?? null,
    expiresAt: facts.expiresAt ?? null,
    createdAt: new Date(),
  };
  const create = { tenantId: row.tenantId, enrollmentId: row.id, kind, ...data };
  const found = facts.replaces ?? null;
  if (found !== null) {
    const same = { enrollmentId: row.id, kind, createdAt: found.since, expiresAt: found.expiresAt };
    if ((await db.credential.updateMany({ where: same, data })).count === 1) return;
  }
  const { expiresAt: _, ...dueAtOnce } = data;
  const where = { enrollmentId_kind: { enrollmentId: row.id, kind } };
  await db.credential.upsert({ where, create, update: found === null ? data : dueAtOnce });
}

export async function dropCredential(row: Owned, kind: CredentialKind, db: CredentialDb = unsafeDb()): Promise<void> {
  await db.credential.deleteMany({ where: { enrollmentId: row.id, kind } });
}

/** Kinds that an enrollment holds which begin so. */
export async function credentialKinds(row: Owned, prefix: string): Promise<CredentialKind[]> {
  const rows = await unsafeDb().credential.findMany({
    where: { enrollmentId: row.id, kind: { startsWith: prefix } },
    select: { kind: true },
    orderBy: { kind: 'asc' },
  });
  return rows.map(({ kind }) => kind as CredentialKind);
}

const usedEveryMs = 5 * 60_000;

/**
 * Notes that it is in use; at most once in five minutes, since it is for people to read. An expiry that the forge does not
 * tell takes none away that is known.
 */
export async function noteUse(row: Owned, kind: CredentialKind, at: Date, seenExpiry?: Date | null): Promise<void> {
  await unsafeDb().credential.updateMany({
    where: {
      enrollmentId: row.id,
      kind,
      OR: [{ usedAt: null }, { usedAt: { lt: new Date(at.getTime() - usedEveryMs) } }],
    },
    data: { usedAt: at, ...(seenExpiry ? { expiresAt: seenExpiry } : {}) },
  });
}

/** The same of the key of an organization's own App. */
export async function noteAppUse(githubAppId: string, at: Date): Promise<void> {
  const before = new Date(at.getTime() - usedEveryMs);
  await unsafeDb().githubApp.updateMany({
    where: { id: githubAppId, OR: [{ usedAt: null }, { usedAt: { lt: before } }] },
    data: { usedAt: at },
  });
}

/** Within this a Secret that has changed is with the cache's server, whose kubelet looks about once a minute. */
export const bazelKnownMs = 2 * 60_000;
/** As long as a runner that is replaced may wait for its job, which goes on with what it was given. */
const bazelFormerMs = 3600_000;
const bazelKinds = ['bazel-password', 'bazel-password.next', 'bazel-password.former'] as const;

/** The tenant has one cache and one login at a time: it is kept with the enrollment that needed it first. */
async function bazelHolder(row: Owned, db: CredentialDb): Promise<Owned> {
  const held = await db.credential.findFirst({
    where: { tenantId: row.tenantId, kind: 'bazel-password' },
    select: { enrollmentId: true },
  });
  return held ? { tenantId: row.tenantId, id: held.enrollmentId } : row;
}

type KeptBazel = Record<'present' | 'next' | 'former', KeptCredential | null>;

async function keptBazel(holder: Owned, db: CredentialDb): Promise<KeptBazel> {
  return {
    present: await keptCredential(holder, 'bazel-password', db),
    next: await keptCredential(holder, 'bazel-password.next', db),
    former: await keptCredential(holder, 'bazel-password.former', db),
  };
}

/** What comes next in the life of a login; null while there is nothing to do. */
function bazelStep({ present, next, former }: KeptBazel, now: Date): 'first' | 'begin' | 'follow' | 'forget' | null {
  if (!present) return 'first';
  if (next) return now.getTime() - next.since.getTime() >= bazelKnownMs ? 'follow' : null;
  if (present.expiresAt !== null) return 'begin';
  return former?.expiresAt && former.expiresAt <= now ? 'forget' : null;
}

/**
 * The login of runners at the tenant's Bazel cache: 256 random bits, kept until a person asks for others. Then another is made,
 * first known to the cache beside it, and given to runners when the cache has surely read it; the former one is taken for an
 * hour more. Each has a user of its own, since a password file has one password a user. `now` may be hours after the last call.
 * All enrollments of the tenant that have the cache are told of a change.
 */
export async function bazelAccess(row: Owned, now: Date): Promise<BazelAccess> {
  const kept = await keptBazel(await bazelHolder(row, unsafeDb()), unsafeDb());
  const known = accessOf(kept);
  if (known && bazelStep(kept, now) === null) return known;
  await unsafeTransaction(async (tx) => {
    // Of two passes at once the second finds what the first has made.
    await lockLine(tx, row.tenantId);
    await moveBazel(tx, await bazelHolder(row, tx), now);
    const others = await othersWithBazel(tx, row);
    await wake(
      tx,
      'enrollment',
      others.map(({ id }) => id),
    );
  });
  return (await keptBazelAccess(row)) ?? bazelAccess(row, now);
}

async function moveBazel(tx: UnsafeTx, holder: Owned, now: Date): Promise<void> {
  const kept = await keptBazel(holder, tx);
  const step = bazelStep(kept, now);
  if (step === 'first') await makeBazelLogin(tx, holder, 'bazel-password', firstBazelUser);
  if (step === 'begin')
    await makeBazelLogin(tx, holder, 'bazel-password.next', `${firstBazelUser}-${randomBytes(4).toString('hex')}`);
  if (step === 'forget') await dropCredential(holder, 'bazel-password.former', tx);
  if (step === 'follow' && kept.present && kept.next)
    await followBazelLogin(tx, holder, [loginOf(kept.present), loginOf(kept.next)], now);
}

/** As it is kept, for whoever changes nothing; null before there is one. */
export async function keptBazelAccess(row: Owned): Promise<BazelAccess | null> {
  return accessOf(await keptBazel(await bazelHolder(row, unsafeDb()), unsafeDb()));
}

function accessOf({ present, next, former }: KeptBazel): BazelAccess | null {
  return present && { ...loginOf(present), also: [next, former].flatMap((each) => (each ? [loginOf(each)] : [])) };
}

function loginOf({ externalId, value }: KeptCredential): BazelLogin {
  return { user: externalId ?? firstBazelUser, password: value };
}

async function makeBazelLogin(tx: UnsafeTx, holder: Owned, kind: CredentialKind, user: string): Promise<void> {
  await keepCredential(holder, kind, randomBytes(32).toString('base64url'), { externalId: user }, tx);
}

async function followBazelLogin(
  tx: UnsafeTx,
  holder: Owned,
  [was, is]: readonly [BazelLogin, BazelLogin],
  now: Date,
): Promise<void> {
  const until = new Date(now.getTime() + bazelFormerMs);
  await keepCredential(holder, 'bazel-password.former', was.password, { externalId: was.user, expiresAt: until }, tx);
  await keepCredential(holder, 'bazel-password', is.password, { externalId: is.user }, tx);
  await dropCredential(holder, 'bazel-password.next', tx);
}

async function othersWithBazel(tx: UnsafeTx, { tenantId, id }: Owned): Promise<Owned[]> {
  const others = await tx.enrollment.findMany({
    where: { tenantId, id: { not: id }, state: 'active' },
    orderBy: { createdAt: 'asc' },
  });
  return others.filter(({ spec }) => EnrollmentSpec.parse(spec).planes.bazel);
}

/** It outlives the enrollment that it is kept with as long as another one has the cache, and goes with the last. Call under `lockLine`. */
export async function leaveBazelPassword(tx: UnsafeTx, row: Owned): Promise<void> {
  const [heir] = await othersWithBazel(tx, row);
  for (const kind of bazelKinds) {
    const kept = heir ? await keptCredential(row, kind, tx) : null;
    const own = heir ? { enrollmentId: row.id } : { tenantId: row.tenantId };
    await tx.credential.deleteMany({ where: { ...own, kind } });
    if (heir && kept) {
      const { externalId, expiresAt, value } = kept;
      await keepCredential(heir, kind, value, { externalId, expiresAt }, tx);
    }
  }
}
