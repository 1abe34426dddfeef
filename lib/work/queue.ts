import { Prisma, type UnsafeTx, unsafeDb } from '#lib/db/index.ts';
import { traceparent } from '#lib/telemetry/index.ts';

/** A dead worker's keys are free after this long; a living one renews three times in it. */
export const leaseMs = 3_000;

/** The channel on which a due key is announced, so that idle workers need not ask often. */
export const channel = 'flywheel_task';

/** `traceparent`: what woke it was part of that trace, lately. */
export type Claim = { kind: string; key: string; token: bigint; attempts: number; traceparent: string | null };

/** Passes go on with a trace for so long; one that waits for days is not one story any more. */
const traceMs = 15 * 60_000;

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
 * with the column `key`, each once; `told` has to be read, or nobody hears of it. A wake within a trace hands it on; one without
 * takes none away that waits to be gone on with.
 */
export function wakeSql(kind: string, keys: Prisma.Sql, dueAt?: Date): Prisma.Sql {
  const due = dueAt ?? null;
  const trace = traceparent();
  return Prisma.sql`
    woken as (
      insert into task (kind, key, due_at, traceparent, traced_at)
      select ${kind}, key, coalesce(${due}::timestamptz, now()), ${trace}::text, case when ${trace}::text is not null then now() end
      from (${keys}) as asked
      on conflict (kind, key) do update
        set wakes = task.wakes + 1, due_at = least(task.due_at, excluded.due_at), updated_at = now(),
          traceparent = coalesce(excluded.traceparent, task.traceparent),
          traced_at = coalesce(excluded.traced_at, task.traced_at)
      returning 1),
    told as (select pg_notify(${channel}, ${kind}) from (select count(*) from woken) as counted)`;
}

/**
 * Takes up to `limit` due keys. The count of wakes seen is kept, so that a later one shows. A token is used once, also of a key
 * that was forgotten and is there again: whoever held it before holds nothing of it.
 */
export async function claim(kinds: string[], limit: number): Promise<Claim[]> {
  return unsafeDb().$queryRaw<Claim[]>`
    /* prepared: claim_tasks */
    update task set lease_until = clock_timestamp() + ${leaseMs} * interval '1 millisecond',
                    lease_token = greatest(lease_token + 1, nextval('task_lease_token')),
                    seen_wakes = wakes, attempts = attempts + 1, updated_at = now()
    where (kind, key) in (
      select kind, key from task
      where kind = any(${kinds}) and due_at <= now() and (lease_until is null or lease_until < now())
      order by due_at limit ${limit} for update skip locked)
    returning kind, key, lease_token as token, attempts,
      case when traced_at > now() - ${traceMs} * interval '1 millisecond' then traceparent end as traceparent`;
}

/** Puts off the end of these leases; answers the keys that are still ours. */
export async function renew(claims: Claim[]): Promise<Set<string>> {
  const rows = await unsafeDb().$queryRaw<{ kind: string; key: string }[]>`
    /* prepared: renew_leases */
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

/**
 * `nextMs: null` forgets the key, unless it was woken meanwhile. A success resets the attempts; one after which nothing is
 * waited for ends the trace, too.
 */
export type Finish = { nextMs: number | null; failed?: string; isDone?: boolean };

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
    /* prepared: finish_task */
    update task set lease_until = null, last_error = ${failed}, updated_at = now(),
      attempts = case when ${failed}::text is null then 0 else attempts end,
      traceparent = case when ${result.isDone === true} and wakes = seen_wakes then null else traceparent end,
      due_at = case when wakes > seen_wakes then now() else clock_timestamp() + ${nextMs} * interval '1 millisecond' end
    where kind = ${kind} and key = ${key} and lease_token = ${token}`;
  return kept > 0;
}

/** Whether anybody holds one of these keys now, of one of these kinds. */
export async function isAnyHeld(
  db: Pick<UnsafeTx, '$queryRaw'>,
  taskKinds: readonly string[],
  keys: readonly string[],
): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>`
    select 1 from task where kind = any(${[...taskKinds]}) and key = any(${[...keys]}) and lease_until > clock_timestamp() limit 1`;
  return rows.length > 0;
}

/** Locks the task's row against another claim until the caller's transaction ends, if the token is still the newest. */
export async function isHeld(tx: Pick<UnsafeTx, '$queryRaw'>, { kind, key, token }: Claim): Promise<boolean> {
  const rows = await tx.$queryRaw<unknown[]>`
    select 1 from task where kind = ${kind} and key = ${key} and lease_token = ${token} and lease_until is not null for share`;
  return rows.length > 0;
}

/** What a kind's keys wait for. `ageSeconds` is that of the oldest due one; 0 where none is. */
export type QueueOf = { kind: string; keys: number; due: number; ageSeconds: number; held: number; failing: number };

/** The queue of each kind that has a key at all. */
export async function queueNow(): Promise<QueueOf[]> {
  return unsafeDb().$queryRaw<QueueOf[]>`
    with seen as (
      select kind, due_at, last_error is not null as failed, coalesce(lease_until >= now(), false) as is_held from task
    )
    select kind, count(*)::int as keys, count(*) filter (where due_at <= now() and not is_held)::int as due,
      coalesce(extract(epoch from now() - min(due_at) filter (where due_at <= now() and not is_held)), 0)::float as "ageSeconds",
      count(*) filter (where is_held)::int as held, count(*) filter (where failed and not is_held)::int as failing
    from seen group by kind order by kind`;
}
