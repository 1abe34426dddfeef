import { Prisma, type UnsafeTx, unsafeDb } from '#lib/db/index.ts';

/** A dead worker's keys are free after this long; a living one renews three times in it. */
export const leaseMs = 3_000;

/** The channel on which a due key is announced, so that idle workers need not ask often. */
export const channel = 'flywheel_task';

export type Claim = { kind: string; key: string; token: bigint; attempts: number };

type Raw = Pick<UnsafeTx, '$executeRaw' | '$queryRaw'>;

/**
 * Asks for a look at these keys, within the caller's transaction: it happens if and only if that commits. One statement
 * however many they are, and in one order, so that two who wake the same keys never wait for each other in a circle.
 */
export async function wake(tx: Raw, kind: string, keys: string | readonly string[], dueAt?: Date): Promise<void> {
  const sorted = typeof keys === 'string' ? [keys] : [...new Set(keys)].toSorted();
  if (sorted.length === 0) return;
  const asked = Prisma.sql`select key from unnest(${sorted}::text[]) with ordinality as asked (key, place) order by place`;
  await tx.$executeRaw`with ${wakeSql(kind, asked, dueAt)} select 1 from told`;
}

/**
 * The same as the parts `woken` and `told` of somebody else's statement, for who writes and wakes in one go. `keys` is a query
 * with the column `key`, each once; `told` has to be read, or nobody hears of it.
 */
export function wakeSql(kind: string, keys: Prisma.Sql, dueAt?: Date): Prisma.Sql {
  const due = dueAt ?? null;
  return Prisma.sql`
    woken as (
      insert into task (kind, key, due_at)
      select ${kind}, key, coalesce(${due}::timestamptz, now()) from (${keys}) as asked
      on conflict (kind, key) do update
        set wakes = task.wakes + 1, due_at = least(task.due_at, excluded.due_at), updated_at = now()
      returning 1),
    told as (select pg_notify(${channel}, ${kind}) from (select count(*) from woken) as counted)`;
}

/** Takes up to `limit` due keys. The count of wakes seen is kept, so that a later one shows. */
export async function claim(kinds: string[], limit: number): Promise<Claim[]> {
  return unsafeDb().$queryRaw<Claim[]>`
    update task set lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond', lease_token = lease_token + 1,
                    seen_wakes = wakes, attempts = attempts + 1, updated_at = now()
    where (kind, key) in (
      select kind, key from task
      where kind = any(${kinds}) and due_at <= now() and (lease_until is null or lease_until < now())
      order by due_at limit ${limit} for update skip locked)
    returning kind, key, lease_token as token, attempts`;
}

/** Puts off the end of these leases; answers the keys that are still ours. */
export async function renew(claims: Claim[]): Promise<Set<string>> {
  const rows = await unsafeDb().$queryRaw<{ kind: string; key: string }[]>`
    update task set lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
    from unnest(${claims.map((claim) => claim.kind)}::text[], ${claims.map((claim) => claim.key)}::text[],
                ${claims.map((claim) => claim.token)}::bigint[]) as held (kind, key, token)
    where task.kind = held.kind and task.key = held.key and task.lease_token = held.token and task.lease_until is not null
    returning task.kind, task.key`;
  return new Set(rows.map(idOf));
}

export function idOf(claim: { kind: string; key: string }): string {
  return `${claim.kind}/${claim.key}`;
}

/** `nextMs: null` forgets the key, unless it was woken meanwhile. A success resets the attempts. */
export type Finish = { nextMs: number | null; failed?: string };

/** Gives a key back, only under its own token; false when another worker has it. */
export async function finish(claim: Claim, result: Finish): Promise<boolean> {
  const { kind, key, token } = claim;
  if (result.nextMs === null) {
    const gone = await unsafeDb().$executeRaw`
      delete from task where kind = ${kind} and key = ${key} and lease_token = ${token} and wakes = seen_wakes`;
    if (gone > 0) return true;
  }
  const nextMs = result.nextMs ?? 0;
  const failed = result.failed ?? null;
  const kept = await unsafeDb().$executeRaw`
    update task set lease_until = null, last_error = ${failed}, updated_at = now(),
      attempts = case when ${failed}::text is null then 0 else attempts end,
      due_at = case when wakes > seen_wakes then now() else clock_timestamp() + ${nextMs} * interval '1 millisecond' end
    where kind = ${kind} and key = ${key} and lease_token = ${token}`;
  return kept > 0;
}

/** Locks the task's row against another claim until the caller's transaction ends, if the token is still the newest. */
export async function isHeld(tx: Pick<UnsafeTx, '$queryRaw'>, { kind, key, token }: Claim): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    select 1 from task where kind = ${kind} and key = ${key} and lease_token = ${token} and lease_until is not null for share`;
  return rows.length > 0;
}
