import { Prisma, type ByKey, type Resealed, keyIdBytes, presentKey, resealedBytes, unsafeDb } from '#lib/db/index.ts';
import { versionPlace } from './names.ts';

/* Rotation of the portal's key, for the bodies of versions: one in memory at a time, each as large as a state may be. */

/** The format, and the salt that begins with the key's id. */
const headBytes = 33;
/** As `sealBytes` writes it. */
const keyIdOf = Prisma.sql`encode(substring(sealed from 2 for ${keyIdBytes}), 'hex')`;

/** Seals by the present key what another sealed. `check` is asked before each version and throws where the look is to end. */
export async function resealVersions(check: () => Promise<void>): Promise<Resealed> {
  const found: Resealed = { resealed: 0, changed: 0, closed: 0 };
  const rows = await unsafeDb().$queryRaw<{ id: string }[]>`
    select id from state_version where sealed is not null and ${keyIdOf} <> ${presentKey().id} order by id`;
  for (const { id } of rows) {
    await check();
    found[await resealVersion(id)] += 1;
  }
  return found;
}

async function resealVersion(id: string): Promise<keyof Resealed> {
  const row = await unsafeDb().stateVersion.findUnique({ where: { id }, select: { stackId: true, sealed: true } });
  if (!row?.sealed) return 'changed';
  const anew = await resealedBytes(row.sealed, versionPlace(row.stackId, id)).catch(() => null);
  if (anew === null) return 'closed';
  // Its salt is its own: no other body begins so.
  const head = Buffer.from(row.sealed.subarray(0, headBytes));
  const count = await unsafeDb().$executeRaw`
    update state_version set sealed = ${anew}
    where id = ${id}::uuid and substring(sealed from 1 for ${headBytes}) = ${head}`;
  return count === 1 ? 'resealed' : 'changed';
}

/** How many versions each of these keys seals; null stands for all others, since what is before a salt's rest says only a known id. */
export async function versionsByKey(keyIds: readonly string[]): Promise<ByKey> {
  const rows = await unsafeDb().$queryRaw<{ keyId: string | null; count: number }[]>`
    select case when ${keyIdOf} = any(${keyIds}) then ${keyIdOf} end as "keyId", count(*)::int as count
    from state_version where sealed is not null group by 1`;
  return new Map(rows.map(({ keyId, count }) => [keyId, count]));
}
