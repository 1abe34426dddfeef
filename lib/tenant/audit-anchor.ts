import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import { required } from '#lib/env.ts';
import { log } from '#lib/log.ts';
import { endProblem, type ChainPlace, type ChainProblem } from './audit-chain.ts';
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

function macOf({ chain, seq, hash, at }: Omit<Anchor, 'mac'>): Buffer {
  const key = hkdfSync('sha256', Buffer.from(required('FLYWHEEL_SECRET_KEY'), 'base64'), '', 'audit anchor', 32);
  return createHmac('sha256', Buffer.from(key)).update(`${chain} ${seq} ${hash} ${at}`).digest();
}

/** Whether the portal made it: whoever has the database alone cannot. */
export function isOurs(anchor: Anchor): boolean {
  return timingSafeEqual(macOf(anchor), Buffer.from(anchor.mac, 'hex'));
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
  const said = { chain, seq, hash: Buffer.from(hash).toString('hex'), at: now.toISOString() };
  const mac = macOf(said);
  const kept = { chain, seq, hash: Uint8Array.from(hash), at: now, mac: Uint8Array.from(mac) };
  const { count } = await unsafeDb().auditAnchor.createMany({ data: [kept], skipDuplicates: true });
  // The copy that whoever owns the database does not hold: `audit:verify --anchor` reads these lines.
  log().info({ anchor: { ...said, seq: String(seq), mac: mac.toString('hex') } }, 'audit anchored');
  return count;
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
