import { randomBytes } from 'node:crypto';
import type { TenantTx } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import type { NoticeKind } from './kinds.ts';

export type Told = { kind: NoticeKind | 'test'; title: string; body: string; href: string };

/** As Standard Webhooks asks: unique, and the same through every attempt. */
function newMessageId(): string {
  return `msg_${randomBytes(18).toString('base64url')}`;
}

/** What is sent, as text: signed byte for byte, so it is made once. `timestamp` is when it happened, not when it is sent. */
function bodyOf(tenant: string, { kind, title, body, href }: Told, now: Date): string {
  const url = new URL(href, env().PORTAL_URL).href;
  return JSON.stringify({ type: kind, timestamp: now.toISOString(), data: { tenant, title, text: body, url } });
}

/** A message to each of these endpoints, or to every one that is enabled and wants the kind; answers which those are. */
export async function addMessages(tx: TenantTx, tenantId: string, told: Told, only?: string): Promise<string[]> {
  const chosen = only === undefined ? { disabledAt: null, kinds: { has: told.kind } } : { id: only };
  const endpoints = await tx.webhookEndpoint.findMany({ where: { tenantId, ...chosen }, select: { id: true } });
  if (endpoints.length === 0) return [];
  const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { slug: true } });
  const now = new Date();
  const body = bodyOf(tenant.slug, told, now);
  const times = { createdAt: now, beganAt: now, dueAt: now };
  await tx.webhookMessage.createMany({
    data: endpoints.map(({ id }) => ({
      id: newMessageId(),
      tenantId,
      endpointId: id,
      kind: told.kind,
      body,
      ...times,
    })),
  });
  return endpoints.map(({ id }) => id);
}
