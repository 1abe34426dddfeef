import { randomBytes } from 'node:crypto';
import { open, seal, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { EnrollmentSpec } from '#lib/model/index.ts';
import { wake } from '#lib/work/index.ts';
import { lockLine } from './allocation.ts';
import type { EnrollmentRow } from './rows.ts';

/*
 * The secrets that an enrollment holds, one row a kind: sealed, bound to the tenant and the row, never shown again after they
 * were entered or made. `runner:<name>` is a registration's, its value the JSON of `KeptRunner`.
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

export type CredentialFacts = { owner?: string | null; externalId?: string | null; expiresAt?: Date | null };

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
  await db.credential.upsert({
    where: { enrollmentId_kind: { enrollmentId: row.id, kind } },
    create: { tenantId: row.tenantId, enrollmentId: row.id, kind, ...data },
    update: data,
  });
}

export async function dropCredential(row: Owned, kind: CredentialKind): Promise<void> {
  await unsafeDb().credential.deleteMany({ where: { enrollmentId: row.id, kind } });
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

/** Notes that it is in use; at most once in five minutes, since it is for people to read. */
export async function noteUse(row: Owned, kind: CredentialKind, at: Date, seenExpiry?: Date | null): Promise<void> {
  await unsafeDb().credential.updateMany({
    where: {
      enrollmentId: row.id,
      kind,
      OR: [{ usedAt: null }, { usedAt: { lt: new Date(at.getTime() - usedEveryMs) } }],
    },
    data: { usedAt: at, ...(seenExpiry === undefined ? {} : { expiresAt: seenExpiry }) },
  });
}

/** The tenant has one cache and that one password: it is kept with the enrollment that needed it first. */
async function bazelHolder(row: Owned): Promise<Owned> {
  const held = await unsafeDb().credential.findFirst({
    where: { tenantId: row.tenantId, kind: 'bazel-password' },
    select: { enrollmentId: true },
  });
  return held ? { tenantId: row.tenantId, id: held.enrollmentId } : row;
}

export async function keptBazelPassword(row: Owned): Promise<KeptCredential | null> {
  return keptCredential(await bazelHolder(row), 'bazel-password');
}

/** 256 random bits, kept until a person asks for others. A new one is told to all enrollments of the tenant that have the cache. */
export async function bazelPassword(row: Owned): Promise<string> {
  const kept = await keptBazelPassword(row);
  if (kept && kept.expiresAt === null) return kept.value;
  return unsafeTransaction(async (tx) => {
    // Of two passes at once the second finds what the first has made.
    await lockLine(tx, row.tenantId);
    const now = await keptBazelPassword(row);
    if (now && now.expiresAt === null) return now.value;
    const password = randomBytes(32).toString('base64url');
    await keepCredential(await bazelHolder(row), 'bazel-password', password, {}, tx);
    await wake(
      tx,
      'enrollment',
      (await othersWithBazel(tx, row)).map(({ id }) => id),
    );
    return password;
  });
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
  const kind = 'bazel-password';
  const [heir] = await othersWithBazel(tx, row);
  const kept = heir ? await keptCredential(row, kind) : null;
  const own = heir ? { enrollmentId: row.id } : { tenantId: row.tenantId };
  await tx.credential.deleteMany({ where: { ...own, kind } });
  if (heir && kept) await keepCredential(heir, kind, kept.value, { expiresAt: kept.expiresAt }, tx);
}
