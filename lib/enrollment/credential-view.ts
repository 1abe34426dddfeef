import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import type { ForgeKind } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';

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
};

const purposes: Record<string, string> = {
  'forge-token': 'Registers runners at the forge',
  'attic-token': 'Lets runners reach the Attic view',
  'bazel-password': 'Lets runners reach the Bazel cache',
  'bazel-password.next': 'Is known to the Bazel cache, and given to runners next',
  'bazel-password.former': 'Lets jobs that have begun before reach the Bazel cache',
};

function purposeOf(kind: string): string {
  const runner = kind.slice(kind.indexOf(':') + 1);
  if (kind.startsWith('runner:') && kind.endsWith('.next'))
    return `Registration that is to follow that of the runner ${runner.slice(0, -'.next'.length)}`;
  return purposes[kind] ?? `Registration of the runner ${runner}`;
}

/** What the tenant's live enrollments hold; what ends first comes first. */
export async function listCredentials(ctx: Ctx): Promise<CredentialRow[]> {
  const enrollments = await ctx.db.enrollment.findMany({
    where: { state: { not: 'withdrawn' } },
    select: { id: true, name: true, connection: { select: { kind: true, name: true } } },
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
  // What follows or went before is of a rotation that is under way already.
  if (!row || kind === 'forge-token' || /\.(next|former)$/.test(kind)) throw notFound('This credential');
  const due = await unsafeDb().credential.updateMany({
    where: { tenantId: ctx.tenant.id, enrollmentId, kind },
    data: { expiresAt: new Date() },
  });
  if (due.count !== 1) throw notFound('This credential');
  await ctx.audit(unsafeDb(), { action: 'credential:rotate', target: `enrollment/${row.name}/${kind}` });
  await wake(unsafeDb(), 'enrollment', enrollmentId);
}
