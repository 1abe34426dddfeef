import type { Prisma, TenantTx } from '#lib/db/index.ts';
import { contextNow } from '#lib/telemetry/index.ts';
import type { AuditEntry, PersonCtx } from './ctx.ts';

/** JSON as Postgres keeps it: what is absent stays absent, dates become text. */
function asJson(value: unknown): Prisma.InputJsonValue | undefined {
  if (value === undefined || value === null) return undefined;
  return JSON.parse(JSON.stringify(value)) as Prisma.InputJsonValue;
}

/**
 * One record, in the transaction of the change that it tells of: either both are kept or neither. `tenantId` is null for
 * what concerns no single tenant, which only operators read.
 */
export async function appendAudit(
  tx: TenantTx,
  by: PersonCtx,
  tenantId: string | null,
  entry: AuditEntry,
): Promise<void> {
  const before = asJson(entry.before);
  const after = asJson(entry.after);
  await tx.audit.create({
    data: {
      tenantId,
      actorId: by.person.userId,
      actor: actorName(by),
      action: entry.action,
      target: entry.target.slice(0, 500),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
      requestId: by.requestId,
    },
  });
}

/** What the portal itself did, with nobody asking; or a program, which is then the actor. */
export async function appendSystemAudit(
  tx: TenantTx,
  tenantId: string | null,
  entry: AuditEntry,
  actor = 'portal',
): Promise<void> {
  const before = asJson(entry.before);
  const after = asJson(entry.after);
  await tx.audit.create({
    data: {
      tenantId,
      actor,
      action: entry.action,
      target: entry.target.slice(0, 500),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
      // Of the pass that did it, as the log has it.
      requestId: contextNow()?.fields.requestId ?? null,
    },
  });
}

/** Who somebody is, in a record: logins change and are re-used, so the identity's key stands beside. */
export function actorName({ person, token }: PersonCtx): string {
  const first = person.identities[0];
  const who = first ? `${first.login} (${first.connectionId}:${first.subject})` : person.name;
  return token ? `${who} by the token ${token.name}` : who;
}
