import { unsafeDb } from '#lib/db/index.ts';

/** The message to a webhook that has been waiting longest, its tries included, and for how long it should have been sent. */
export type Unsent = {
  tenantSlug: string;
  endpointId: string;
  ageSeconds: number;
  overdueSeconds: number;
  tries: number;
};

/** Null where nothing waits. What is disabled waits for its tenant. */
export async function oldestUnsent(): Promise<Unsent | null> {
  const [row] = await unsafeDb().$queryRaw<Unsent[]>`
    select tenant.slug as "tenantSlug", message.endpoint_id as "endpointId", message.attempts as tries,
      extract(epoch from clock_timestamp() - message.began_at)::float as "ageSeconds",
      greatest(0, extract(epoch from clock_timestamp() - message.due_at))::float as "overdueSeconds"
    from webhook_message as message
    join webhook_endpoint as endpoint on endpoint.id = message.endpoint_id and endpoint.disabled_at is null
    join tenant on tenant.id = message.tenant_id
    where message.state = 'waiting' order by message.began_at limit 1`;
  return row ?? null;
}
