import { randomBytes } from 'node:crypto';
import { open, seal, unsafeDb } from '#lib/db/index.ts';
import type { EnrollmentRow } from './rows.ts';

/*
 * The secrets that an enrollment holds, one row a kind: sealed, bound to the tenant and the row, never shown again after they
 * were entered or made. `runner:<name>` is a registration's, its value the JSON of `KeptRunner`, and `runner:<name>.next` its
 * successor's while there is one (rotation.ts).
 */
export type CredentialKind = 'forge-token' | 'attic-token' | 'bazel-password' | `runner:${string}`;

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

/** 256 random bits, kept until a person asks for others. */
export async function bazelPassword(row: Owned): Promise<string> {
  const kept = await keptCredential(row, 'bazel-password');
  if (kept && kept.expiresAt === null) return kept.value;
  const password = randomBytes(32).toString('base64url');
  await keepCredential(row, 'bazel-password', password, { replaces: kept });
  return password;
}
