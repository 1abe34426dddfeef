import { Prisma, type UnsafeTx } from '#lib/db/index.ts';
import {
  chainOfNobody,
  chainStart,
  endProblem,
  linkProblem,
  type ChainPlace,
  type ChainProblem,
  type ChainRecord,
} from './audit-chain.ts';

type Db = Pick<UnsafeTx, '$queryRaw'>;

const pageSize = 1000;
const pastAllIds = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** The records after a place in a chain, in order; two of one number both. */
async function* recordsAfter(db: Db, chain: string, after: bigint): AsyncGenerator<ChainRecord> {
  const ofChain = chain === chainOfNobody ? Prisma.sql`tenant_id is null` : Prisma.sql`tenant_id = ${chain}::uuid`;
  for (let last = { seq: after, id: pastAllIds }; ;) {
    const rows = await db.$queryRaw<ChainRecord[]>`
      select seq, id, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at, tenant_id as "tenantId",
             actor_id as "actorId", actor, action, target, before::text as before, after::text as after,
             request_id as "requestId", previous, hash
      from audit where ${ofChain} and seq >= ${last.seq} and (seq, id) > (${last.seq}, ${last.id}::uuid)
      order by seq, id limit ${pageSize}`;
    yield* rows;
    const end = rows.at(-1);
    if (!end || rows.length < pageSize) return;
    last = end;
  }
}

type Walk = {
  /** A place that is known to be right; the chain's start where none is. */
  from?: ChainPlace | undefined;
  /** Where the chain is to end. Records past it are not looked at. */
  upTo?: ChainPlace | undefined;
  /** Asked at each record that was found right. */
  look?: (place: ChainPlace) => ChainProblem | null;
};

/** Follows a chain to its end, or to the first record that is not as it was written. */
export async function walkChain(
  db: Db,
  chain: string,
  { from, upTo, look }: Walk,
): Promise<{ last: ChainPlace; problem: ChainProblem | null }> {
  let last = from ?? chainStart;
  for await (const record of recordsAfter(db, chain, last.seq)) {
    if (upTo && record.seq > upTo.seq) break;
    const problem = linkProblem(last, record);
    if (problem) return { last, problem };
    const place = { seq: record.seq, hash: record.hash ?? chainStart.hash };
    const seen = look?.(place);
    if (seen) return { last, problem: seen };
    last = place;
  }
  return { last, problem: upTo ? endProblem(last, upTo, `the chain’s head says ${upTo.seq}`) : null };
}
