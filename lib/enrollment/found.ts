import { managedBy, tenantLabel, type ClusterView } from '#lib/cluster/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { notify } from '#lib/notice/index.ts';
import type { PassScope } from './pass.ts';

/*
 * What is in a cluster and the database knows nothing of, as after it was restored from a backup: it is left as it is, and
 * operators are told.
 */

/** Why these were left alone, in sentences. */
export function newerWords(names: readonly string[]): string {
  return `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} from a later approval than any that is known here, and left as found: approve a change that has what is wanted.`;
}

/** Once a set of names and worker, and once for all to people. */
export async function tellOfNewer({ row, lease, seen, clock }: PassScope, names: readonly string[]): Promise<void> {
  const dedupeKey = `found-newer/${row.id}/${names.join(',')}`;
  if (seen.has(`${row.id}/told/${dedupeKey}`)) return;
  await unsafeTransaction(async (tx) => {
    await lease.fence(tx);
    await notify(tx, {
      tenantId: row.tenantId,
      kind: 'found-unknown',
      title: `${row.tenant.slug} has more in the cluster than is known here`,
      body: newerWords(names),
      href: `/t/${row.tenant.slug}/enrollments/${row.id}`,
      dedupeKey,
    });
  });
  seen.set(`${row.id}/told/${dedupeKey}`, clock.now().getTime());
}

/** Tells operators of namespaces that bear the portal's mark for a tenant that there is not. Answers how many there are. */
export async function tellOfUnknown(views: Iterable<ClusterView>): Promise<number> {
  const tenants = new Set((await unsafeDb().tenant.findMany({ select: { slug: true } })).map(({ slug }) => slug));
  let found = 0;
  for (const view of views) {
    const bySlug = new Map<string, string[]>();
    for (const { metadata } of view.all('Namespace')) {
      const slug = metadata.labels?.[tenantLabel];
      // The namespace in which plans are tried is the portal's own.
      if (metadata.labels?.['app.kubernetes.io/managed-by'] !== managedBy || slug === undefined) continue;
      if (slug === managedBy || tenants.has(slug)) continue;
      bySlug.set(slug, [...(bySlug.get(slug) ?? []), metadata.name]);
    }
    for (const [slug, names] of bySlug) await tellOf(view.client.id, slug, names.toSorted());
    found += bySlug.size;
  }
  return found;
}

async function tellOf(clusterId: string, slug: string, names: string[]): Promise<void> {
  await unsafeTransaction((tx) =>
    notify(tx, {
      tenantId: null,
      kind: 'found-unknown',
      title: `${clusterId} has ${names.join(' and ')} of a tenant that is not known here`,
      body: `The portal made ${names.length === 1 ? 'it' : 'them'} for a tenant ${slug}, which is not in its database, as after a restore from before it was made. What is there was left as it is. Whoever begins a tenant ${slug} would get it: enrol the tenant anew yourself, or remove the namespaces.`,
      href: '/operator/tenants',
      dedupeKey: `found-unknown/${clusterId}/${slug}`,
    }),
  );
}
