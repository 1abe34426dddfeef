import { unsafeDb } from './client.ts';
import { Prisma } from './generated/client.ts';
import { presentKey } from './keys.ts';
import { keyIdOfMark, resealed, textMark } from './seal.ts';

/*
 * Rotation of the portal's key: what another key sealed is sealed anew by the present one, while everything runs. State
 * bodies and audit anchors are their own rooms' (lib/state, lib/tenant).
 */

type IdType = 'uuid' | 'text';

/** Every column that holds a sealed text; a test holds the list to schema.prisma. */
export const sealedTexts: readonly { table: string; column: string; idType: IdType }[] = [
  { table: 'identity', column: 'sealed_token', idType: 'uuid' },
  { table: 'forge_connection', column: 'sealed_client_secret', idType: 'text' },
  { table: 'forge_connection', column: 'sealed_private_key', idType: 'text' },
  { table: 'forge_connection', column: 'sealed_webhook_secret', idType: 'text' },
  { table: 'github_app', column: 'sealed_private_key', idType: 'uuid' },
  { table: 'github_app', column: 'sealed_webhook_secret', idType: 'uuid' },
  { table: 'credential', column: 'sealed_value', idType: 'uuid' },
  { table: 'cache_server', column: 'sealed_signing_secret', idType: 'text' },
  { table: 'cache_server', column: 'sealed_statistics_url', idType: 'text' },
  { table: 'api_answer', column: 'sealed_body', idType: 'uuid' },
  { table: 'webhook_endpoint', column: 'sealed_secret', idType: 'uuid' },
  { table: 'webhook_endpoint', column: 'sealed_previous', idType: 'uuid' },
];

/** How a look went: what was sealed anew, what changed meanwhile and is left to the next look, and what no known key opens. */
export type Resealed = { resealed: number; changed: number; closed: number };

/** How many values each key seals; null stands for values that name none. */
export type ByKey = Map<string | null, number>;

const batchSize = 100;

/** `check` is asked before each batch and throws where the look is to end. */
export async function resealTexts(check: () => Promise<void>): Promise<Resealed> {
  const found: Resealed = { resealed: 0, changed: 0, closed: 0 };
  for (const each of sealedTexts) await resealColumn(each, check, found);
  return found;
}

type Sealed = { id: string; sealed: string };

async function resealColumn(
  { table, column, idType }: (typeof sealedTexts)[number],
  check: () => Promise<void>,
  found: Resealed,
): Promise<void> {
  const [from, value, type] = [Prisma.raw(`"${table}"`), Prisma.raw(`"${column}"`), Prisma.raw(idType)];
  const mark = textMark(presentKey().id);
  for (let after: string | null = null; ;) {
    await check();
    const rows: Sealed[] = await unsafeDb().$queryRaw<Sealed[]>`
      select id::text as id, ${value} as sealed from ${from}
      where left(${value}, ${mark.length}) <> ${mark} and (${after}::${type} is null or id > ${after}::${type})
      order by id limit ${batchSize}`;
    for (const { id, sealed } of rows) {
      const anew = await resealed(sealed).catch(() => null);
      if (anew === null) {
        found.closed += 1;
        continue;
      }
      const count = await unsafeDb().$executeRaw`
        update ${from} set ${value} = ${anew} where id = ${id}::${type} and ${value} = ${sealed}`;
      if (count === 1) found.resealed += 1;
      else found.changed += 1;
    }
    if (rows.length < batchSize) return;
    after = rows.at(-1)?.id ?? null;
  }
}

/** How many texts each key seals, whether it is known here or not. */
export async function textsByKey(): Promise<ByKey> {
  const { length } = textMark(presentKey().id);
  const found: ByKey = new Map();
  for (const { table, column } of sealedTexts) {
    const [from, value] = [Prisma.raw(`"${table}"`), Prisma.raw(`"${column}"`)];
    const rows = await unsafeDb().$queryRaw<{ mark: string; count: number }[]>`
      select left(${value}, ${length}) as mark, count(*)::int as count from ${from} where ${value} is not null group by 1`;
    for (const { mark, count } of rows) {
      const keyId = keyIdOfMark(mark) ?? null;
      found.set(keyId, (found.get(keyId) ?? 0) + count);
    }
  }
  return found;
}
