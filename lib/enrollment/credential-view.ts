import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import type { Condition, ForgeKind } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { parsedConditions } from './conditions.ts';

/* The credentials of a tenant as people see them: whose, for what, since when, until when. Never a value. */

export type CredentialRow = {
  enrollmentId: string;
  enrollment: string;
  forgeKind: ForgeKind;
  forgeName: string;
  kind: string;
  /** In words, for what it is. */
  purpose: string;
  owner: string;
  keptAt: string;
  usedAt: string | null;
  expiresAt: string | null;
  /** Who sees to a new one: the portal before it ends, or a person who enters it. */
  renewedBy: 'portal' | 'person';
  /** Whether a person has to enter a new one: soon, or now, since its forge accepts this one no more. */
  standing: 'works' | 'ends-soon' | 'ended';
};

const soonMs = 14 * 24 * 3600_000;

const purposes: Record<string, string> = {
  'forge-token': 'Registers runners at the forge',
  'attic-token': 'Lets runners reach the Attic view',
  'bazel-password': 'Lets runners reach the Bazel cache',
};

function purposeOf(kind: string): string {
  return purposes[kind] ?? `Registration of the runner ${kind.slice(kind.indexOf(':') + 1)}`;
}

type Token = { kind: string; createdAt: Date; expiresAt: Date | null };

/** By its date, or by what the forge last said of it. What was said of a former one says nothing of this. */
function standingOf({ kind, createdAt, expiresAt }: Token, conditions: readonly Condition[], now: Date) {
  if (kind !== 'forge-token') return 'works';
  const refused = conditions.some(({ reason, since }) => reason === 'TokenEnded' && new Date(since) >= createdAt);
  if (refused || (expiresAt !== null && expiresAt <= now)) return 'ended';
  return expiresAt !== null && expiresAt.getTime() - now.getTime() < soonMs ? 'ends-soon' : 'works';
}

/** What the tenant's live enrollments hold at that time; what ends first comes first. */
export async function listCredentials(ctx: Ctx, now = new Date()): Promise<CredentialRow[]> {
  const enrollments = await ctx.db.enrollment.findMany({
    where: { state: { not: 'withdrawn' } },
    select: { id: true, name: true, conditions: true, connection: { select: { kind: true, name: true } } },
  });
  const byId = new Map(enrollments.map((row) => [row.id, row]));
  const rows = await unsafeDb().credential.findMany({
    where: { tenantId: ctx.tenant.id, enrollmentId: { in: [...byId.keys()] } },
    select: { enrollmentId: true, kind: true, owner: true, createdAt: true, usedAt: true, expiresAt: true },
    orderBy: [{ expiresAt: { sort: 'asc', nulls: 'last' } }, { kind: 'asc' }],
  });
  return rows.flatMap((row): CredentialRow[] => {
    const enrollment = byId.get(row.enrollmentId);
    if (!enrollment) return [];
    return [
      {
        enrollmentId: row.enrollmentId,
        enrollment: enrollment.name,
        forgeKind: enrollment.connection.kind,
        forgeName: enrollment.connection.name,
        kind: row.kind,
        purpose: purposeOf(row.kind),
        owner: row.owner ?? 'the portal',
        keptAt: row.createdAt.toISOString(),
        usedAt: row.usedAt?.toISOString() ?? null,
        expiresAt: row.expiresAt?.toISOString() ?? null,
        renewedBy: row.kind === 'forge-token' ? 'person' : 'portal',
        standing: standingOf(row, parsedConditions(enrollment.conditions), now),
      },
    ];
  });
}

export const RotateInput = z.strictObject({ enrollmentId: z.uuid(), kind: z.string().max(200) });

/**
 * Asks for a new one of what the portal makes itself. The next pass makes it, gives it to the runners and, where the other
 * side knows both, lets the old one end by itself; until then the old one is in force.
 */
export async function rotateCredential(ctx: Ctx, { enrollmentId, kind }: z.infer<typeof RotateInput>): Promise<void> {
  const row = await ctx.db.enrollment.findFirst({
    where: { id: enrollmentId, state: 'active' },
    select: { name: true },
  });
  if (!row || kind === 'forge-token') throw notFound('This credential');
  const due = await unsafeDb().credential.updateMany({
    where: { tenantId: ctx.tenant.id, enrollmentId, kind },
    data: { expiresAt: new Date() },
  });
  if (due.count !== 1) throw notFound('This credential');
  await ctx.audit(unsafeDb(), { action: 'credential:rotate', target: `enrollment/${row.name}/${kind}` });
  await wake(unsafeDb(), 'enrollment', enrollmentId);
}
