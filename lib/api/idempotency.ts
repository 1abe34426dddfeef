import { createHash } from 'node:crypto';
import { z } from 'zod';
import { open, Prisma, seal, unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { answersKeptMs } from '#lib/tenant/index.ts';

/*
 * A change that is asked for twice under one key is done once: whoever lost the answer asks again and is given the same. Of
 * what failed on our side nothing is kept, so that it can be tried again.
 * https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
 */

/** A process that died in the middle leaves a key taken for so long: nobody knows how far it came. One that lives says so. */
const underWayMs = 60_000;
const aliveEveryMs = underWayMs / 3;

const Key = z.string().regex(/^[\x21-\x7e]{1,200}$/, 'is 1 to 200 visible characters');

export type Kept = { status: number; body: unknown };
const Stored = z.object({ body: z.unknown() });

function refused(code: 'malformed' | 'conflict' | 'invalid', happened: string, todo: string, retryAfterMs?: number) {
  const log = `idempotency key: ${happened}`;
  return new AppError(code, { log, screen: { happened, todo }, ...(retryAfterMs ? { retryAfterMs } : {}) });
}

function place(tokenId: string, key: string): string {
  return `api-answer/${tokenId}/${key}`;
}

type Asked = { tokenId: string; key: string; method: string; path: string; body: string };

/** Runs once for a key. `isReplay` where the answer is that of before. */
export async function once(
  { tokenId, key: given, method, path, body }: Asked,
  now: Date,
  run: () => Promise<Kept>,
): Promise<Kept & { isReplay: boolean }> {
  const parsed = Key.safeParse(given);
  if (!parsed.success)
    throw refused('malformed', 'The Idempotency-Key cannot be read.', `It ${parsed.error.issues[0]?.message}.`);
  const key = parsed.data;
  const requestHash = createHash('sha256')
    .update(JSON.stringify([method, path, body]))
    .digest('hex');
  const id = await taken({ tokenId, key, requestHash }, now);
  if (id === null) return { ...(await replay(tokenId, key, requestHash)), isReplay: true };
  const done = await whileAlive(id, run);
  const sealedBody = await seal(JSON.stringify({ body: done.body ?? null }), place(tokenId, key));
  // By its id: whoever took the key over, since nothing was heard of us, answers for it.
  await unsafeDb().apiAnswer.updateMany({ where: { id }, data: { status: done.status, sealedBody } });
  return { ...done, isReplay: false };
}

/** A change may wait for a forge longer than a key waits for who holds it. */
async function whileAlive(id: string, run: () => Promise<Kept>): Promise<Kept> {
  const sayAlive = () => unsafeDb().apiAnswer.updateMany({ where: { id }, data: { createdAt: new Date() } });
  const alive = setInterval(() => void sayAlive().catch(() => undefined), aliveEveryMs);
  try {
    return await run();
  } catch (error) {
    await unsafeDb().apiAnswer.deleteMany({ where: { id } });
    throw error;
  } finally {
    clearInterval(alive);
  }
}

/** Its id where the key is ours now: it is new, or what was under it is past. */
async function taken(row: { tokenId: string; key: string; requestHash: string }, now: Date): Promise<string | null> {
  const { tokenId, key } = row;
  const past = (ms: number) => ({ lt: new Date(now.getTime() - ms) });
  await unsafeDb().apiAnswer.deleteMany({
    where: {
      tokenId,
      OR: [{ createdAt: past(answersKeptMs) }, { key, status: null, createdAt: past(underWayMs) }],
    },
  });
  try {
    return (await unsafeDb().apiAnswer.create({ data: { ...row, createdAt: now }, select: { id: true } })).id;
  } catch (error) {
    if (error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002') return null;
    throw error;
  }
}

async function replay(tokenId: string, key: string, requestHash: string): Promise<Kept> {
  const row = await unsafeDb().apiAnswer.findUnique({ where: { tokenId_key: { tokenId, key } } });
  if (row && row.requestHash !== requestHash)
    throw refused('invalid', 'This Idempotency-Key was used for another request.', 'Take a new key for each change.');
  if (row?.status == null || row.sealedBody === null)
    throw refused(
      'conflict',
      'The first request with this Idempotency-Key is under way.',
      'Ask again in a moment.',
      1000,
    );
  const { body } = Stored.parse(JSON.parse(await open(row.sealedBody, place(tokenId, key))));
  return { status: row.status, body };
}
