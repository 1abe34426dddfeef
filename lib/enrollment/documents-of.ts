import { z } from 'zod';
import { atticServerOf } from '#lib/caching/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { sealedMark, type EnrollmentSpec, type FlywheelDocument } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { quotaOf, scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';

/*
 * What a tenant has, as the documents that would ask for it: `flywheel export` writes them, and applying them again changes
 * nothing. Drafts are no part of it, since nobody has approved them.
 */

const github = { version: '0.14.2' };

const withApp = {
  ...withPosition,
  connection: { select: { ...withPosition.connection.select, appId: true } },
  githubApp: { select: { appId: true } },
} as const;
type RowWithApp = EnrollmentRow & { connection: { appId: string | null }; githubApp: { appId: string } | null };

export async function documentsOf(ctx: Ctx): Promise<FlywheelDocument[]> {
  const tenant = await ctx.db.tenant.findUniqueOrThrow({
    where: { id: ctx.tenant.id },
    include: { cluster: true, parent: { select: { slug: true } } },
  });
  const rows = await unsafeDb().enrollment.findMany({
    where: { tenantId: ctx.tenant.id, state: 'active' },
    include: withApp,
    orderBy: { name: 'asc' },
  });
  const attic = await atticServerOf(ctx.tenant);
  const { cluster, parent } = tenant;
  const controller = {
    version: cluster.controllerVersion ?? github.version,
    namespace: cluster.controllerNamespace,
    serviceAccount: cluster.controllerServiceAccount,
  };
  const apiVersion = 'flywheel/v1' as const;
  return [
    {
      apiVersion,
      kind: 'Cluster',
      metadata: { name: cluster.id },
      spec: { controller, ...(attic ? { atticUrl: attic.url } : {}) },
    },
    {
      apiVersion,
      kind: 'Tenant',
      metadata: { name: tenant.slug },
      spec: {
        kind: tenant.kind,
        cluster: cluster.id,
        ...(parent ? { parent: parent.slug } : {}),
        default: tenant.isDefault,
        quota: quotaOf(tenant),
      },
    },
    ...rows.map((row) => enrollmentDocument(row, tenant.slug)),
  ];
}

function enrollmentDocument(row: RowWithApp, tenant: string): FlywheelDocument {
  const { pools, planes } = specOf(row) ?? { pools: [], planes: {} };
  const forge = row.connection.kind;
  return {
    apiVersion: 'flywheel/v1',
    kind: 'Enrollment',
    metadata: { name: row.name, tenant },
    spec: {
      forge,
      scope: scopeOf(row),
      ...(forge === 'github' ? { credentials: credentialsOf(row) } : {}),
      // What was taken over is looked at in the cluster, and is not for a document to claim.
      pools: pools.map(({ adopted: _, ...choice }) => choice),
      planes,
    },
  };
}

function credentialsOf({ installationId, connection, githubApp }: RowWithApp) {
  const appId = githubApp?.appId ?? connection.appId;
  if (installationId === null || appId === null) return { token: sealedMark } as const;
  return { appId, installationId: Number(installationId) };
}

/** An enrollment by its id or, within its tenant, its name; and what was approved of it. Of a name, the one that is not withdrawn. */
export async function specByName(ctx: Ctx, name: string): Promise<{ id: string; spec: EnrollmentSpec | null }> {
  const where = z.uuid().safeParse(name).success ? { id: name } : { name, state: { not: 'withdrawn' as const } };
  const row = await ctx.db.enrollment.findFirst({ where, include: withPosition });
  if (!row) throw notFound('This enrollment');
  return { id: row.id, spec: specOf(row) };
}
