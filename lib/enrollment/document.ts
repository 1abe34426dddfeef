import { enrollmentObjects, redacted, type KubernetesObject } from '#lib/cluster/index.ts';
import { invalidFields } from '#lib/errors.ts';
import {
  atticViewName,
  defaultPools,
  FlywheelDocument,
  isReady,
  labelOf,
  quotaProblems,
  scaleSetNameLengthMax,
  scopeUrl,
  unreadyReason,
  type ClusterDocument,
  type EnrollmentDocument,
  type Pool,
  type TenantDocument,
} from '#lib/model/index.ts';
import { bazelUser, cacheEnv } from './cache-env.ts';

const sealed = '<sealed>';
const pools: ReadonlyMap<string, Pool> = new Map(defaultPools.map((pool) => [pool.name, pool]));

function parsed(values: readonly unknown[]): FlywheelDocument[] {
  return values.map((value, index) => {
    const result = FlywheelDocument.safeParse(value);
    if (result.success) return result.data;
    const fields = result.error.issues.map((issue) => [
      `document ${index + 1}: ${issue.path.join('.')}`,
      issue.message,
    ]);
    throw invalidFields(Object.fromEntries(fields) as Record<string, string>, 'A document does not fit its schema.');
  });
}

function named<T extends FlywheelDocument>(documents: readonly FlywheelDocument[], kind: T['kind'], name: string): T {
  const found = documents.filter((document) => document.kind === kind && document.metadata.name === name);
  if (found.length === 1) return found[0] as T;
  throw invalidFields({
    [`${kind} ${name}`]: found.length === 0 ? 'is named, but not among the documents' : 'is there more than once',
  });
}

function checked(enrollment: EnrollmentDocument, tenant: TenantDocument): void {
  const fields: Record<string, string> = {};
  for (const choice of enrollment.spec.pools) {
    const pool = pools.get(choice.pool);
    const label = labelOf({ slug: tenant.metadata.name, isDefault: tenant.spec.default }, choice.pool);
    const refusal = pool ? unreadyReason(pool) : 'is not in the catalog';
    if (refusal) fields[`pools.${choice.pool}`] = refusal;
    else if (label.length > scaleSetNameLengthMax)
      fields[`pools.${choice.pool}`] = `its label ${label} is over ${scaleSetNameLengthMax} characters`;
  }
  for (const { what, needed, quota } of quotaProblems(enrollment.spec.pools, pools, tenant.spec.quota))
    fields[`quota.${what}`] = `${needed} needed, the quota holds ${quota}`;
  if (Object.keys(fields).length > 0)
    throw invalidFields(fields, `Enrollment ${enrollment.metadata.name} cannot be had as asked.`);
}

function objectsOf(
  enrollment: EnrollmentDocument,
  tenant: TenantDocument,
  cluster: ClusterDocument,
  hasBazel: boolean,
): KubernetesObject[] {
  const { spec, metadata } = enrollment;
  const slug = metadata.tenant;
  const bazel = spec.planes.bazel ? { user: bazelUser, password: sealed } : undefined;
  const attic = spec.planes.attic
    ? {
        server: cluster.spec.atticUrl ?? sealed,
        view: atticViewName(slug),
        token: sealed,
        substituterUrl: sealed,
        publicKey: sealed,
      }
    : undefined;
  const credentials = {
    appId: spec.credentials.appId,
    installationId: String(spec.credentials.installationId),
    privateKey: sealed,
  };
  return enrollmentObjects({
    tenant: { slug, quota: tenant.spec.quota, hasBazel },
    name: metadata.name,
    registration: {
      kind: 'github',
      configUrl: scopeUrl(spec.scope),
      credentials,
      controller: cluster.spec.controller,
    },
    pools: spec.pools.flatMap((choice) => {
      const pool = pools.get(choice.pool);
      if (!pool || !isReady(pool)) return [];
      return [
        {
          pool,
          scaleSetName: labelOf({ slug, isDefault: tenant.spec.default }, pool.name),
          minRunners: choice.minRunners,
          maxRunners: choice.maxRunners,
        },
      ];
    }),
    cacheEnv: cacheEnv(slug, { credentials, attic, bazel }),
    bazel: spec.planes.bazel && bazel ? { sizeGib: spec.planes.bazel.sizeGib, ...bazel } : undefined,
  });
}

/** Every Kubernetes object that these documents stand for, secret values as `<sealed>`. No cluster, no database. */
export function documentObjects(values: readonly unknown[]): KubernetesObject[] {
  const documents = parsed(values);
  const enrollments = documents.filter((document) => document.kind === 'Enrollment');
  if (enrollments.length === 0) throw invalidFields({ documents: 'have no Enrollment among them' });
  const byPath = new Map<string, KubernetesObject>();
  for (const enrollment of enrollments) {
    const tenant = named<TenantDocument>(documents, 'Tenant', enrollment.metadata.tenant);
    const cluster = named<ClusterDocument>(documents, 'Cluster', tenant.spec.cluster);
    checked(enrollment, tenant);
    const hasBazel = enrollments.some(
      (other) => other.metadata.tenant === enrollment.metadata.tenant && other.spec.planes.bazel !== undefined,
    );
    for (const object of objectsOf(enrollment, tenant, cluster, hasBazel)) {
      byPath.set([object.kind, object.metadata.namespace ?? '', object.metadata.name].join('/'), redacted(object));
    }
  }
  return [...byPath.values()];
}
