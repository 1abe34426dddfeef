import { randomUUID } from 'node:crypto';
import { openBytes, sealBytes, type UnsafeTx } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import type { Present } from './admit.ts';
import { stateBytesMost } from './limits.ts';
import { versionPlace } from './names.ts';
import type { Snapshot } from './snapshot.ts';

/* The rows of a stack: one transaction at a time, each version once. */

/** Sealed outside of the transaction, which is then short however large the state is. */
export type SealedState = { id: string; sealed: Buffer<ArrayBuffer>; bytes: number };

export async function sealState(stackId: string, body: Uint8Array): Promise<SealedState> {
  const id = randomUUID();
  return { id, sealed: await sealBytes(body, versionPlace(stackId, id)), bytes: body.length };
}

export async function openState(stackId: string, row: { id: string; sealed: Uint8Array | null }): Promise<Buffer> {
  if (row.sealed === null) return Buffer.alloc(0);
  return openBytes(row.sealed, versionPlace(stackId, row.id), stateBytesMost);
}

/** Whoever changes a stack's versions or its lock holds this first, so that they take turns. */
export async function lockStack(tx: UnsafeTx, name: string): Promise<{ id: string; lastUnlockedId: string | null }> {
  const [row] = await tx.$queryRaw<{ id: string; last: string | null }[]>`
    select id, last_unlocked_id as last from state_stack where name = ${name} for no key update`;
  if (!row) throw notFound('This stack');
  return { id: row.id, lastUnlockedId: row.last };
}

export type Standing = Present & { number: number };

/** What is kept, as it bears on a state of this lineage. */
export async function standingOf(tx: UnsafeTx, stackId: string, lineage: string | null): Promise<Standing> {
  const [lock, latest, purged] = [
    await tx.stateLock.findUnique({ where: { stackId }, select: { lockId: true } }),
    await tx.stateVersion.findFirst({
      where: { stackId },
      select: { number: true, kind: true, serial: true, lineage: true, md5: true },
      orderBy: { number: 'desc' },
    }),
    await tx.stateVersion.aggregate({ where: { stackId, kind: 'purge' }, _max: { number: true } }),
  ];
  const known = await tx.stateVersion.findFirst({
    where: { stackId, number: { gt: purged._max.number ?? 0 }, lineage: { not: null } },
    select: { lineage: true },
    orderBy: { number: 'desc' },
  });
  const ofLineage = lineage ?? known?.lineage ?? null;
  const top = await tx.stateVersion.aggregate({ where: { stackId, lineage: ofLineage }, _max: { serial: true } });
  return {
    lockId: lock?.lockId ?? null,
    latest,
    lineage: known?.lineage ?? null,
    topSerial: top._max.serial,
    number: latest?.number ?? 0,
  };
}

export type Origin = {
  kind: 'write' | 'rollback';
  who: string | null;
  operation: string | null;
  credential: string | null;
  ofNumber: number | null;
};

/** One more version, after what `standingOf` found in the same transaction. */
export async function addVersion(
  tx: UnsafeTx,
  stackId: string,
  standing: Standing,
  { state, snapshot, md5, origin }: { state: SealedState; snapshot: Snapshot; md5: string; origin: Origin },
): Promise<number> {
  const number = standing.number + 1;
  await tx.stateVersion.create({
    data: { ...state, ...snapshot, ...origin, stackId, number, md5 },
    select: { id: true },
  });
  return number;
}
