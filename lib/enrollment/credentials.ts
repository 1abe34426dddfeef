import { randomBytes } from 'node:crypto';
import { open, seal, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
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

export async function keptCredential(row: Owned, kind: CredentialKind): Promise<KeptCredential | null> {
  const kept = await unsafeDb().credential.findUnique({ where: { enrollmentId_kind: { enrollmentId: row.id, kind } } });
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
  db: Pick<ReturnType<typeof unsafeDb>, 'credential'> = unsafeDb(),
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

export async function dropCredential(
  row: Owned,
  kind: CredentialKind,
  db: Pick<ReturnType<typeof unsafeDb>, 'credential'> = unsafeDb(),
): Promise<void> {
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

/**
 * The login of runners at the tenant's Bazel cache: 256 random bits, kept until a person asks for others. Then another is made,
 * first known to the cache beside it, and given to runners when the cache has surely read it; the former one is taken for an
 * hour more. Each has a user of its own, since a password file has one password a user. `now` may be hours after the last call.
 */
export async function bazelAccess(row: Owned, now: Date): Promise<BazelAccess> {
  const kept = await keptBazel(row);
  if (!kept.present) return { ...(await makeBazelLogin(row, 'bazel-password', firstBazelUser)), also: [] };
  if (kept.former?.expiresAt && kept.former.expiresAt <= now) await dropCredential(row, 'bazel-password.former');
  if (!kept.next && kept.present.expiresAt !== null)
    await makeBazelLogin(row, 'bazel-password.next', `${firstBazelUser}-${randomBytes(4).toString('hex')}`);
  if (kept.next && now.getTime() - kept.next.since.getTime() >= bazelKnownMs)
    await followBazelLogin(row, kept.present, kept.next, new Date(now.getTime() + bazelFormerMs));
  return (await keptBazelAccess(row)) ?? bazelAccess(row, now);
}

/** As it is kept, for whoever changes nothing; null before there is one. */
export async function keptBazelAccess(row: Owned): Promise<BazelAccess | null> {
  const { present, next, former } = await keptBazel(row);
  return present && { ...loginOf(present), also: [next, former].flatMap((each) => (each ? [loginOf(each)] : [])) };
}

function loginOf({ externalId, value }: KeptCredential): BazelLogin {
  return { user: externalId ?? firstBazelUser, password: value };
}

async function keptBazel(row: Owned) {
  return {
    present: await keptCredential(row, 'bazel-password'),
    next: await keptCredential(row, 'bazel-password.next'),
    former: await keptCredential(row, 'bazel-password.former'),
  };
}

async function makeBazelLogin(row: Owned, kind: CredentialKind, user: string): Promise<BazelLogin> {
  const password = randomBytes(32).toString('base64url');
  await keepCredential(row, kind, password, { externalId: user });
  return { user, password };
}

async function followBazelLogin(row: Owned, present: KeptCredential, next: KeptCredential, until: Date): Promise<void> {
  const [was, is] = [loginOf(present), loginOf(next)];
  await unsafeTransaction(async (tx) => {
    await keepCredential(row, 'bazel-password.former', was.password, { externalId: was.user, expiresAt: until }, tx);
    await keepCredential(row, 'bazel-password', is.password, { externalId: is.user }, tx);
    await dropCredential(row, 'bazel-password.next', tx);
  });
}
