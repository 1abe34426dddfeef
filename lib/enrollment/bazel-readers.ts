import type { EnrollmentInput } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';

type Readers = NonNullable<EnrollmentInput['bazel']>['readers'];

/** Who may read the Bazel caches of a cluster beside each tenant's own runners: `namespace/NAME` or a CIDR. */
export async function bazelReadersOf(clusterId: string): Promise<Readers> {
  const cluster = await unsafeDb().cluster.findUnique({ where: { id: clusterId }, select: { bazelReaders: true } });
  const text = cluster?.bazelReaders ?? null;
  if (text === null) return undefined;
  const [, namespace] = /^namespace\/(.+)$/.exec(text) ?? [];
  return namespace === undefined ? { cidr: text } : { namespace };
}
