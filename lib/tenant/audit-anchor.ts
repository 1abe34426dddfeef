import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { keysFor, presentKey, unsafeDb, type ByKey, type Resealed, type SecretKey } from '#lib/db/index.ts';
import { log } from '#lib/log.ts';
import { chainOfNobody, endProblem, type ChainPlace, type ChainProblem } from './audit-chain.ts';
import { walkChain } from './audit-walk.ts';

/*
 * Anchors: where a chain ended at some time, signed with the portal's key and told to the log. The chain shows what was
 * changed within it; that its end was cut off, or that all of it was written anew, only somebody who remembers can show.
 */

/** A chain's end at an instant. `hash` and `mac` are hexadecimal; `at` is ISO 8601 in UTC, to the millisecond. */
export const Anchor = z.object({
  chain: z.guid(),
  seq: z.coerce.bigint().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.iso.datetime(),
  mac: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Anchor = z.infer<typeof Anchor>;

function macOf({ chain, seq, hash, at }: Omit<Anchor, 'mac'>, key: SecretKey): Buffer {
  return createHmac('sha256', key.bytes).update(`${chain} ${seq} ${hash} ${at}`).digest();
}

/** Whether the portal made it, by its present key or one that it had before: whoever has the database alone cannot. */
export function isOurs(anchor: Anchor): boolean {
  const mac = Buffer.from(anchor.mac, 'hex');
  return keysFor('audit anchor').some((key) => timingSafeEqual(macOf(anchor, key), mac));
}

/** The same, signed by the present key. */
function signed(said: Omit<Anchor, 'mac'>): Anchor {
  return { ...said, mac: macOf(said, keysFor('audit anchor')[0]).toString('hex') };
}

type Row = { chain: string; seq: bigint; hash: Uint8Array; at: Date; mac: Uint8Array };

function anchorOf({ chain, seq, hash, at, mac }: Row): Anchor {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return { chain, seq, hash: hex(hash), at: at.toISOString(), mac: hex(mac) };
}

/** The anchors that the database keeps of a chain, the oldest first. */
export async function keptAnchors(
  db: Pick<ReturnType<typeof unsafeDb>, 'auditAnchor'>,
  chain: string,
): Promise<Anchor[]> {
  const rows = await db.auditAnchor.findMany({ where: { chain }, orderBy: { seq: 'asc' } });
  return rows.map(anchorOf);
}

/**
 * Anchors each chain that has changed since its last anchor, after a look at what was added: an end that does not follow from
 * the last anchor is said aloud and not signed. Answers how many were anchored.
 */
export async function anchorChains(now: Date): Promise<number> {
  const heads = await unsafeDb().$queryRaw<Head[]>`
    select chain, seq, hash from audit_head h
    where seq > 0 and not exists (select from audit_anchor a where a.chain = h.chain and a.seq = h.seq and a.hash = h.hash)`;
  let anchored = 0;
  for (const head of heads) {
    const problem = await problemSinceLast(head);
    if (problem) log().error({ chain: head.chain }, `audit record ${problem.seq} ${problem.says}`);
    else anchored += await keepAnchor(head, now);
  }
  return anchored;
}

type Head = ChainPlace & { chain: string };

async function problemSinceLast(head: Head): Promise<ChainProblem | null> {
  const { chain } = head;
  const [row] = await unsafeDb().auditAnchor.findMany({ where: { chain }, orderBy: { seq: 'desc' }, take: 1 });
  const last = row && isOurs(anchorOf(row)) ? row : undefined;
  if (last && last.seq >= head.seq) return endProblem(head, last, `record ${last.seq} was anchored`);
  return (await walkChain(unsafeDb(), chain, { from: last, upTo: head })).problem;
}

async function keepAnchor({ chain, seq, hash }: Head, now: Date): Promise<number> {
  const anchor = signed({ chain, seq, hash: Buffer.from(hash).toString('hex'), at: now.toISOString() });
  const mac = Uint8Array.from(Buffer.from(anchor.mac, 'hex'));
  const kept = { chain, seq, hash: Uint8Array.from(hash), at: now, mac, keyId: presentKey().id };
  const { count } = await unsafeDb().auditAnchor.createMany({ data: [kept], skipDuplicates: true });
  tell(anchor);
  return count;
}

/** The copy that whoever owns the database does not hold: `audit:verify --anchor` reads these lines. */
function tell(anchor: Anchor): void {
  log().info({ anchor: { ...anchor, seq: String(anchor.seq) } }, 'audit anchored');
}

const batchSize = 500;

/**
 * Signs by the present key what a key before it signed, so that the anchors outlast it; the last of each chain goes to the
 * log once more. One that no known key signed is left as it is: `audit:verify` names it.
 */
export async function resignAnchors(check: () => Promise<void>): Promise<Resealed> {
  const found: Resealed = { resealed: 0, changed: 0, closed: 0 };
  const last = new Map<string, Anchor>();
  for (let after: Pick<Row, 'chain' | 'seq'> | null = null; ;) {
    await check();
    const rows: Row[] = await anchorsOfOthers(after);
    for (const row of rows) {
      const before = anchorOf(row);
      if (!isOurs(before)) {
        found.closed += 1;
        continue;
      }
      const anchor = signed(before);
      const isKept = await resign(before, anchor);
      found[isKept ? 'resealed' : 'changed'] += 1;
      if (isKept) last.set(row.chain, anchor);
    }
    if (rows.length < batchSize) break;
    after = rows.at(-1) ?? null;
  }
  for (const anchor of last.values()) tell(anchor);
  return found;
}

async function anchorsOfOthers(after: Pick<Row, 'chain' | 'seq'> | null): Promise<Row[]> {
  const [chain, seq] = [after?.chain ?? chainOfNobody, after?.seq ?? 0n];
  return unsafeDb().$queryRaw<Row[]>`
    select chain, seq, hash, at, mac from audit_anchor
    where key_id is distinct from ${presentKey().id} and (chain, seq) > (${chain}::uuid, ${seq})
    order by chain, seq limit ${batchSize}`;
}

async function resign(before: Anchor, anchor: Anchor): Promise<boolean> {
  const mac = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
  const { count } = await unsafeDb().auditAnchor.updateMany({
    where: { chain: anchor.chain, seq: anchor.seq, mac: mac(before.mac) },
    data: { mac: mac(anchor.mac), keyId: presentKey().id },
  });
  return count === 1;
}

/** How many anchors each key signed; null stands for those of which it was not written down. */
export async function anchorsByKey(): Promise<ByKey> {
  const rows = await unsafeDb().auditAnchor.groupBy({ by: ['keyId'], _count: true });
  return new Map(rows.map(({ keyId, _count }) => [keyId, _count]));
}

/** The anchors among the lines of a log, or of a file of anchors alone; throws nothing for lines that are something else. */
export function anchorsIn(text: string): Anchor[] {
  return text.split('\n').flatMap((line) => {
    if (!line.includes('"mac"')) return [];
    const parsed = Anchor.safeParse(anchorWithin(line));
    return parsed.success ? [parsed.data] : [];
  });
}

function anchorWithin(line: string): unknown {
  try {
    const value = JSON.parse(line.slice(line.indexOf('{'))) as { anchor?: unknown };
    return value.anchor ?? value;
  } catch {
    return undefined;
  }
}
