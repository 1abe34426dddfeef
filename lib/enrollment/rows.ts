import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import { note } from '#lib/telemetry/index.ts';
import { EnrollmentSpec, type Quota, type Scope } from '#lib/model/index.ts';

export const withPosition = {
  tenant: true,
  connection: {
    select: { id: true, kind: true, name: true, baseUrl: true, appSlug: true, caBundle: true, runnerEgress: true },
  },
  pools: { orderBy: { scaleSetName: 'asc' } },
} as const satisfies Prisma.EnrollmentInclude;

export type EnrollmentRow = Prisma.EnrollmentGetPayload<{ include: typeof withPosition }>;

export async function enrollmentRow(id: string): Promise<EnrollmentRow | null> {
  const row = await unsafeDb().enrollment.findUnique({ where: { id }, include: withPosition });
  if (row) note({ enrollmentId: row.id, tenantId: row.tenantId });
  return row;
}

export function scopeOf(row: Pick<EnrollmentRow, 'level' | 'path' | 'connection'>): Scope {
  return { forge: row.connection.baseUrl, level: row.level, path: row.path };
}

type QuotaColumns = { quotaCpu: string; quotaMemory: string; quotaRunners: number; quotaStorage: string };

export function quotaOf(tenant: QuotaColumns): Quota {
  const { quotaCpu: cpu, quotaMemory: memory, quotaRunners: runners, quotaStorage: storage } = tenant;
  return { cpu, memory, runners, storage };
}

export function quotaColumns({ cpu, memory, runners, storage }: Quota): QuotaColumns {
  return { quotaCpu: cpu, quotaMemory: memory, quotaRunners: runners, quotaStorage: storage };
}

/** What was approved; null before the first approval. */
export function specOf(row: Pick<EnrollmentRow, 'spec'>): EnrollmentSpec | null {
  return row.spec === null ? null : EnrollmentSpec.parse(row.spec);
}

/** Whether it belongs to another account than the one whose administrators have a say in the tenant. */
export function hasMoved({ ownerId }: Pick<EnrollmentRow, 'ownerId'>, now: { ownerId: string | null }): boolean {
  return now.ownerId !== null && ownerId !== null && now.ownerId !== ownerId;
}

export const liveStates = ['active', 'withdrawing'] as const;
