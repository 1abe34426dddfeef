import { setTimeout as sleep } from 'node:timers/promises';
import { removeAtticView } from '#lib/cache/index.ts';
import { atticServerOf } from '#lib/caching/index.ts';
import {
  appliedHash,
  enrollmentLabel,
  isLater,
  tenantObjects,
  type KubernetesObject,
  type Observed,
} from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { namespacesOf, runnersNamespacesOf, untrustedViewName } from '#lib/model/index.ts';
import { lockLine } from './allocation.ts';
import type { KnownView } from './cache-env.ts';
import type { PhaseResult } from './conditions.ts';
import { dropCredential, leaveBazelPassword } from './credentials.ts';
import { tenantInputOf, type SharedByTenant } from './desired.ts';
import type { PassScope } from './pass.ts';
import { remove, stuck } from './removal.ts';
import type { EnrollmentRow } from './rows.ts';

/*
 * What the tenant's live enrollments ask for no more: an enrollment's own objects, and what all of them share. A plan says what
 * is not wanted and a pass takes it away by the same function, so that the one is what the other does.
 */

const keyOf = ({ kind, metadata }: KubernetesObject) => [kind, metadata.namespace ?? '', metadata.name].join('/');

/** Of what is there, what we applied for this enrollment or for the whole tenant and that nobody wants. */
export function unwanted(
  row: EnrollmentRow,
  present: readonly Observed[],
  wanted: readonly KubernetesObject[],
  { hasBazel }: Pick<SharedByTenant, 'hasBazel'>,
): Observed[] {
  const keys = new Set(wanted.map(keyOf));
  const { bazel } = namespacesOf(row.tenant.slug);
  return present.filter((object) => {
    const { name, namespace, labels = {} } = object.metadata;
    if (appliedHash(object) === undefined) return false;
    // The cache is the tenant's, whichever of its enrollments asked for it.
    if ((namespace ?? name) === bazel) return !hasBazel;
    const of = labels[enrollmentLabel];
    return (of === undefined || of === row.name) && !keys.has(keyOf(object));
  });
}

/** The tenant's views that are at the server and stay there. */
export async function knownViews(tenantId: string, serverId: string): Promise<KnownView[]> {
  const rows = await unsafeDb().cacheView.findMany({
    where: { tenantId, serverId, plane: 'attic', removingAt: null },
    orderBy: { name: 'asc' },
  });
  return rows.flatMap(({ name, trust, substituterUrl: url, publicKey }) =>
    url === null || publicKey === null
      ? []
      : [{ name, trust: trust === 'untrusted' ? ('untrusted' as const) : ('trusted' as const), url, publicKey }],
  );
}

/** The views that no live enrollment of the tenant asks for any more: all, or the one of what is not trusted. */
export async function unwantedViews(
  { tenantId, tenant: { slug } }: Pick<EnrollmentRow, 'tenantId' | 'tenant'>,
  { attic, hasUntrusted }: Pick<SharedByTenant, 'attic' | 'hasUntrusted'>,
) {
  const views = await unsafeDb().cacheView.findMany({ where: { tenantId, plane: 'attic' }, orderBy: { name: 'asc' } });
  if (!attic) return views;
  return hasUntrusted ? [] : views.filter(({ name }) => name === untrustedViewName(slug));
}

/** They go from the server, and then from our tables. */
export async function removeViews(scope: PassScope): Promise<string> {
  const { row, lease } = scope;
  const views = await unwantedViews(row, await scope.shared());
  const server = views.length > 0 ? await atticServerOf(row.tenant) : null;
  if (!server) return 'No view is left.';
  for (const { id, name } of views) {
    await lease.check();
    await removeAtticView({ server, name, signal: lease.signal });
    await unsafeDb().cacheView.deleteMany({ where: { id } });
  }
  const names = views.map(({ name }) => name).join(', ');
  return views.length === 1 ? `The view ${names} is gone.` : `The views ${names} are gone.`;
}

/** Ways and namespaces in the cluster that the tenant's live enrollments want no more. Null when none is left. */
export async function removeShared(scope: PassScope): Promise<PhaseResult | null> {
  const { row, view } = scope;
  const shared = await scope.shared();
  const { bazel, dind } = namespacesOf(row.tenant.slug);
  const wanted = tenantObjects(tenantInputOf(row.tenant.slug, shared));
  // Whose runners have not all gone is left: they need what is beside them to go.
  const isBusy = () =>
    (['AutoscalingRunnerSet', 'Deployment', 'Pod'] as const).some((kind) => !view.allIn(dind, kind).next().done);
  const present = () => {
    const namespaces = (isBusy() ? [bazel] : [bazel, dind]).flatMap(
      (name) => view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }) ?? [],
    );
    const ways = [...view.allIn(runnersNamespacesOf(row.tenant.slug), 'NetworkPolicy')].filter(
      ({ metadata }) => !metadata.labels?.[enrollmentLabel],
    );
    const there = unwanted(row, [...ways, ...namespaces], wanted, shared);
    // What is from a later decision than any that is known is not ours to take away: see `own`.
    return there.filter((object) => !isLater(object, shared.decidedAt));
  };
  for (const object of present()) await remove(scope, object);
  await untilGone(scope, present);
  const [left] = present();
  return left ? stuck(left.kind, left) : null;
}

/** Most namespaces are gone within a second or two; asking once more saves a round. */
export async function untilGone(
  { lease }: Pick<PassScope, 'lease'>,
  present: () => readonly Observed[],
): Promise<void> {
  for (let round = 0; round < 10 && present().length > 0; round += 1)
    await sleep(100, undefined, { signal: lease.signal });
}

/** What this enrollment's spec wants no planes' secrets for, and the view where no other has it either. */
export async function leavePlanes(scope: PassScope): Promise<PhaseResult | null> {
  const { row, spec } = scope;
  const left = await removeShared(scope);
  // What was ready once of this generation left what it does not want.
  if (left || row.observedGeneration === row.generation) return left;
  const isMixed = spec.planes.attic !== undefined && (spec.planes.untrusted ?? []).length > 0;
  if (!spec.planes.attic) await dropCredential(row, 'attic-token');
  if (!isMixed) await dropCredential(row, 'attic-token.untrusted');
  await removeViews(scope);
  if (!spec.planes.bazel)
    await unsafeTransaction(async (tx) => {
      await lockLine(tx, row.tenantId);
      await leaveBazelPassword(tx, row);
    });
  return null;
}
