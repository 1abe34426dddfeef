import { Prisma, unsafeDb, type UnsafeTx } from '#lib/db/index.ts';
import { isOurs, keptAnchors, type Anchor } from './audit-anchor.ts';
import { chainOfNobody, endProblem, sameHash, type ChainPlace, type ChainProblem } from './audit-chain.ts';
import { walkChain } from './audit-walk.ts';

/** What was found of one chain. `whole` counts the records that are as they were written. */
export type ChainReport = {
  chain: string;
  /** The tenant's slug, its id where the tenant itself is gone, or null for the records without a tenant. */
  tenant: string | null;
  whole: bigint;
  /** The last anchor that the chain was held to. */
  anchored: { seq: bigint; at: string } | null;
  problem: ChainProblem | null;
};

/** A chain of many records may take minutes. */
const walkMs = 30 * 60_000;

export type VerifyInput = {
  /** One tenant's chain alone. */
  tenantId?: string | undefined;
  /** Anchors kept elsewhere, beside those of the database. */
  anchors?: readonly Anchor[];
};

/**
 * Holds every chain of records to itself, to its head and to all anchors that are known of it. Reads alone; each chain as it
 * was at one instant, so that records that come meanwhile do not matter.
 */
export async function verifyAudit({ tenantId, anchors = [] }: VerifyInput = {}): Promise<ChainReport[]> {
  const chains = tenantId === undefined ? await chainsKnown(anchors) : [tenantId];
  const slugs = new Map(
    (await unsafeDb().tenant.findMany({ select: { id: true, slug: true } })).map((row) => [row.id, row.slug]),
  );
  const reports: ChainReport[] = [];
  for (const chain of chains) {
    const found = await verifyChain(
      chain,
      anchors.filter((anchor) => anchor.chain === chain),
    );
    reports.push({ chain, tenant: chain === chainOfNobody ? null : (slugs.get(chain) ?? chain), ...found });
  }
  return reports;
}

/** Chains with a head, with a record, or with an anchor: a chain of which all else was deleted is known by its anchor. */
async function chainsKnown(anchors: readonly Anchor[]): Promise<string[]> {
  const rows = await unsafeDb().$queryRaw<{ chain: string }[]>`
    select chain from audit_head union select chain from audit_anchor
    union select coalesce(tenant_id, ${chainOfNobody}::uuid) from audit`;
  return [...new Set([...rows.map((row) => row.chain), ...anchors.map((anchor) => anchor.chain)])].toSorted();
}

type Found = Pick<ChainReport, 'whole' | 'anchored' | 'problem'>;

async function verifyChain(chain: string, elsewhere: readonly Anchor[]): Promise<Found> {
  return unsafeDb().$transaction((tx) => verifiedAt(tx, chain, elsewhere), {
    isolationLevel: 'RepeatableRead',
    timeout: walkMs,
  });
}

async function verifiedAt(tx: UnsafeTx, chain: string, elsewhere: readonly Anchor[]): Promise<Found> {
  const anchors = [...(await keptAnchors(tx, chain)), ...elsewhere].toSorted((a, b) => Number(a.seq - b.seq));
  const forged = anchors.find((anchor) => !isOurs(anchor));
  const held = new Held(anchors.filter(isOurs));
  const { last, problem } = await walkChain(tx, chain, { look: (place) => held.look(place) });
  const first =
    problem ??
    held.beyond(last) ??
    (await headProblem(tx, chain, last)) ??
    (await outside(tx, chain)) ??
    forgery(forged);
  return { whole: last.seq, anchored: held.last, problem: first };
}

/** The anchors of a chain, which its records are held to on the way. */
class Held {
  readonly #anchors: readonly Anchor[];
  last: ChainReport['anchored'] = null;

  constructor(anchors: readonly Anchor[]) {
    this.#anchors = anchors;
  }

  look(place: ChainPlace): ChainProblem | null {
    for (const anchor of this.#anchors.filter(({ seq }) => seq === place.seq)) {
      if (!sameHash(Buffer.from(anchor.hash, 'hex'), place.hash)) {
        const since = this.last ? `after record ${this.last.seq}` : 'before it';
        return {
          seq: place.seq,
          says: `is not the one that was anchored at ${anchor.at}: it, or one ${since}, was written anew`,
        };
      }
      this.last = { seq: anchor.seq, at: anchor.at };
    }
    return null;
  }

  beyond(last: ChainPlace): ChainProblem | null {
    const anchor = this.#anchors.findLast(({ seq }) => seq > last.seq);
    if (!anchor) return null;
    const place = { seq: anchor.seq, hash: Buffer.from(anchor.hash, 'hex') };
    return endProblem(last, place, `record ${anchor.seq} was anchored at ${anchor.at}`);
  }
}

async function headProblem(tx: UnsafeTx, chain: string, last: ChainPlace): Promise<ChainProblem | null> {
  const head = await tx.auditHead.findUnique({ where: { chain } });
  if (head) return endProblem(last, head, `the chain’s head says ${head.seq}`);
  return last.seq === 0n ? null : { seq: last.seq, says: 'has no head: where the chain ends was removed' };
}

/** A record that no commit chained: it was put in with the triggers off. */
async function outside(tx: UnsafeTx, chain: string): Promise<ChainProblem | null> {
  const ofChain = chain === chainOfNobody ? Prisma.sql`tenant_id is null` : Prisma.sql`tenant_id = ${chain}::uuid`;
  const [row] = await tx.$queryRaw<
    { id: string }[]
  >`select id from audit where ${ofChain} and seq is null order by at limit 1`;
  return row
    ? { seq: 0n, says: `(id ${row.id}) is outside of the chain: it was put in behind the portal’s back` }
    : null;
}

function forgery(anchor: Anchor | undefined): ChainProblem | null {
  if (!anchor) return null;
  return { seq: anchor.seq, says: `has an anchor of ${anchor.at} that the portal’s key did not sign` };
}
