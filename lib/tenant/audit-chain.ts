import { createHash } from 'node:crypto';

/*
 * The chain of audit records, as values: what a record's hash is over, and what the next record says of the one before.
 * The database writes the chain (prisma/migrations/20261125100000_audit_chain); this computes the same by itself, since a
 * check that asked the database's own function would believe whoever had replaced it.
 */

/** The chain of the records that concern no single tenant. */
export const chainOfNobody = '00000000-0000-0000-0000-000000000000';

/** A record as text, the way it is hashed: JSON as Postgres writes it, the time in UTC to the microsecond. */
export type ChainRecord = {
  seq: bigint;
  id: string;
  at: string;
  tenantId: string | null;
  actorId: string | null;
  actor: string;
  action: string;
  target: string;
  before: string | null;
  after: string | null;
  requestId: string | null;
  previous: Uint8Array | null;
  hash: Uint8Array | null;
};

/** A place in a chain: how many records there are up to here, and the hash of the last. */
export type ChainPlace = { seq: bigint; hash: Uint8Array };

export const chainStart: ChainPlace = { seq: 0n, hash: createHash('sha256').digest() };

/** Each part as `<bytes>:<text>`, an absent one as `-`: no two lists of parts read the same. */
function textOf(parts: readonly (string | null)[]): string {
  return parts.map((part) => (part === null ? '-' : `${Buffer.byteLength(part)}:${part}`)).join(',');
}

/** SHA-256 over the hash before it and the record's own content, its place and its tenant included. */
export function recordHash(record: ChainRecord, previous: Uint8Array): Uint8Array {
  const { seq, id, at, tenantId, actorId, actor, action, target, before, after, requestId } = record;
  const parts = [String(seq), id, at, tenantId, actorId, actor, action, target, before, after, requestId];
  return createHash('sha256').update(previous).update(textOf(parts)).digest();
}

/** The first record that is not as it was written, and why, in words that go after its number. */
export type ChainProblem = { seq: bigint; says: string };

export function sameHash(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a !== null && b !== null && Buffer.compare(a, b) === 0;
}

/** Whether `record` is the one that follows `last`. */
export function linkProblem(last: ChainPlace, record: ChainRecord): ChainProblem | null {
  const next = last.seq + 1n;
  if (record.seq > next) return { seq: next, says: `is missing: the next that is there is ${record.seq}` };
  if (record.seq < next) return { seq: record.seq, says: 'is there twice: one of the two was put in' };
  const isItself = record.previous !== null && sameHash(recordHash(record, record.previous), record.hash);
  if (!isItself) return { seq: record.seq, says: 'was changed, moved or put in: its content does not give its hash' };
  if (sameHash(record.previous, last.hash)) return null;
  if (last.seq === 0n)
    return { seq: record.seq, says: 'is not the first that was written: what was before it is gone' };
  return {
    seq: last.seq,
    says: `is not the one that record ${record.seq} was chained to: it was changed and hashed anew`,
  };
}

/** Whether the chain ends where `end` says, after the last record that is there. `witness` is who says so. */
export function endProblem(last: ChainPlace, end: ChainPlace, witness: string): ChainProblem | null {
  if (end.seq > last.seq) {
    const next = last.seq + 1n;
    const missing = end.seq === next ? 'is missing' : `and all up to ${end.seq} are missing`;
    return { seq: next, says: `${missing} at the end: ${witness}` };
  }
  if (end.seq < last.seq) return { seq: end.seq + 1n, says: `was added past the end: ${witness}` };
  if (sameHash(end.hash, last.hash)) return null;
  return { seq: last.seq, says: `was changed and hashed anew: ${witness}` };
}
