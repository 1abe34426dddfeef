import type { ControllerInput, EnrollmentInput, GithubCredentials, PoolInput } from '#lib/cluster/index.ts';
import { open, unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError } from '#lib/errors.ts';
import { guardedFetch } from '#lib/forge/index.ts';
import type { AtticServer } from '#lib/cache/index.ts';
import { isReady, labelOf, scopeUrl, type EnrollmentSpec, type Pool } from '#lib/model/index.ts';
import { cacheEnv, type Secrets } from './cache-env.ts';
import { openConnectionFor } from './connections.ts';
import { cacheServerPlace } from './places.ts';
import { liveStates, quotaOf, scopeOf, type EnrollmentRow } from './rows.ts';

/** Chosen pools with what they are: a pool that lost its resources since is left out, and said by the caller. */
export function poolInputs(row: EnrollmentRow, spec: EnrollmentSpec, pools: ReadonlyMap<string, Pool>): PoolInput[] {
  return spec.pools.flatMap((choice) => {
    const pool = pools.get(choice.pool);
    if (!pool || !isReady(pool)) return [];
    return [
      {
        pool,
        scaleSetName: labelOf(row.tenant, pool.name),
        minRunners: choice.minRunners,
        maxRunners: choice.maxRunners,
      },
    ];
  });
}

export function enrollmentInput(
  row: EnrollmentRow,
  spec: EnrollmentSpec,
  known: { pools: ReadonlyMap<string, Pool>; controller: ControllerInput; secrets: Secrets; tenantHasBazel: boolean },
): EnrollmentInput {
  return {
    tenant: { slug: row.tenant.slug, quota: quotaOf(row.tenant), hasBazel: known.tenantHasBazel },
    name: row.name,
    registration: {
      kind: 'github',
      configUrl: scopeUrl(scopeOf(row)),
      runnerGroup: row.runnerGroup ?? undefined,
      credentials: known.secrets.credentials,
      controller: known.controller,
    },
    pools: poolInputs(row, spec, known.pools),
    cacheEnv: cacheEnv(row.tenant.slug, known.secrets),
    bazel:
      spec.planes.bazel && known.secrets.bazel
        ? { sizeGib: spec.planes.bazel.sizeGib, ...known.secrets.bazel }
        : undefined,
  };
}

/** Whether any live enrollment of the tenant has the Bazel plane: its runners' namespace then lets them through. */
export async function tenantHasBazel(row: EnrollmentRow, spec: EnrollmentSpec | null): Promise<boolean> {
  if (spec?.planes.bazel) return true;
  const others = await unsafeDb().enrollment.count({
    where: {
      tenantId: row.tenantId,
      id: { not: row.id },
      state: 'active',
      spec: { path: ['planes', 'bazel'], not: 'null' },
    },
  });
  return others > 0;
}

/** How many other enrollments still use the tenant's namespace and view. */
export async function otherLiveEnrollments(row: EnrollmentRow): Promise<number> {
  return unsafeDb().enrollment.count({
    where: { tenantId: row.tenantId, id: { not: row.id }, state: { in: [...liveStates] } },
  });
}

/** The credentials that ARC wants beside the runner set: of the organization's own App where it has one. */
export async function githubCredentials(row: EnrollmentRow): Promise<GithubCredentials> {
  const { app } = await openConnectionFor(row);
  if (!app || !row.installationId) {
    throw new AppError('forbidden', {
      log: `connection ${row.connectionId} has no App, or the enrollment no installation`,
      screen: { happened: 'The forge has no App that could register runners.', todo: 'The operator must enter one.' },
    });
  }
  return { appId: app.id, installationId: row.installationId, privateKey: app.privateKey };
}

/** The Attic server of the tenant's cluster; null where the operator entered none. */
export async function atticServerOf(row: EnrollmentRow): Promise<(AtticServer & { id: string }) | null> {
  const server = await unsafeDb().cacheServer.findFirst({ where: { clusterId: row.tenant.clusterId, plane: 'attic' } });
  if (!server?.sealedSigningSecret) return null;
  return {
    id: server.id,
    url: server.url,
    signingSecret: await open(server.sealedSigningSecret, cacheServerPlace(server.id)),
    fetch: guardedFetch({ allowLoopback: env().FLYWHEEL_SANDBOX === '1' }),
  };
}
