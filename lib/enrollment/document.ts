import {
  enrollmentObjects,
  managersOf,
  placementOf,
  redacted,
  runnerNamesOf,
  sealedValue as sealed,
  type KubernetesObject,
  type PoolInput,
  type Registration,
  type TenantInput,
} from '#lib/cluster/index.ts';
import { invalidFields } from '#lib/errors.ts';
import {
  amountsOf,
  atticViewName,
  defaultPools,
  enteredPool,
  FlywheelDocument,
  hasDaemon,
  isReady,
  labelOf,
  leftOf,
  noAmounts,
  quotaOfAmounts,
  quotaProblems,
  runnersProblems,
  scaleSetNameLengthMax,
  scopeUrl,
  unreadyReason,
  untrustedViewName,
  type ClusterDocument,
  type EnrollmentDocument,
  type Pool,
  type TenantDocument,
} from '#lib/model/index.ts';
import { devicesOf, divided, isApart } from './apart.ts';
import { atticAccess, cacheInput, firstBazelUser, type AtticSecrets } from './cache-env.ts';

type Pools = ReadonlyMap<string, Pool>;

/** The model's five, and those that documents tell of. */
function poolsAmong(documents: readonly FlywheelDocument[]): Pools {
  const told = documents.flatMap((document) => (document.kind === 'Pool' ? [document] : []));
  const own = told.map(({ metadata: { name }, spec }) => {
    const entered = enteredPool(name, spec, null);
    if ('pool' in entered) return entered.pool;
    throw invalidFields(entered.problems, `Pool ${name} does not fit its schema.`);
  });
  return new Map([...defaultPools, ...own].map((pool) => [pool.name, pool]));
}

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

/** `own` are all enrollments of the tenant, which share its quota. */
function checked(
  enrollment: EnrollmentDocument,
  tenant: TenantDocument,
  own: readonly EnrollmentDocument[],
  pools: Pools,
): void {
  const fields: Record<string, string> = {};
  for (const choice of enrollment.spec.pools) {
    const pool = pools.get(choice.pool);
    const label = labelOf({ slug: tenant.metadata.name, isDefault: tenant.spec.default }, choice.pool);
    const refusal = pool ? unreadyReason(pool) : 'is not in the catalog';
    if (refusal) fields[`pools.${choice.pool}`] = refusal;
    else if (label.length > scaleSetNameLengthMax)
      fields[`pools.${choice.pool}`] = `its label ${label} is over ${scaleSetNameLengthMax} characters`;
  }
  for (const { pool, field, message } of runnersProblems(enrollment.spec.forge, enrollment.spec.pools))
    fields[`pools.${pool}.${field}`] = message;
  const chosen = own.flatMap(({ spec }) => spec.pools);
  for (const { what, needed, quota } of quotaProblems(chosen, pools, tenant.spec.quota, bazelGibOf(own)))
    fields[`quota.${what}`] = `${needed} needed, the quota holds ${quota}`;
  if (Object.keys(fields).length > 0)
    throw invalidFields(fields, `Enrollment ${enrollment.metadata.name} cannot be had as asked.`);
}

/** Chosen pools with what they are; `checked` has refused those that cannot be had. */
function poolInputsOf({ spec }: EnrollmentDocument, tenant: TenantDocument, pools: Pools): PoolInput[] {
  return spec.pools.flatMap((choice) => {
    const pool = pools.get(choice.pool);
    if (!pool || !isReady(pool)) return [];
    const label = labelOf({ slug: tenant.metadata.name, isDefault: tenant.spec.default }, pool.name);
    // A document is of no hour: what its schedule adds is not in it.
    const holdsPlaces = spec.forge === 'gitlab' && choice.schedule !== undefined ? true : undefined;
    const { minRunners, maxRunners } = choice;
    return [{ pool, scaleSetName: label, minRunners, maxRunners, holdsPlaces }];
  });
}

/** GitHub's by ARC; the others as if the portal had registered each of their runners. */
function registrationOf(
  { spec, metadata }: EnrollmentDocument,
  chosen: readonly PoolInput[],
  cluster: ClusterDocument,
): Registration {
  const { forge, scope, credentials } = spec;
  const eachRunner = <T>(value: T) =>
    Object.fromEntries(chosen.flatMap((choice) => runnerNamesOf(forge, choice)).map((name) => [name, value]));
  if (forge === 'gitlab') return { kind: forge, url: scope.forge, runners: eachRunner({ token: sealed }) };
  if (forge === 'forgejo')
    return { kind: forge, url: scope.forge, runners: eachRunner({ uuid: sealed, token: sealed }), ephemeral: true };
  const { controller } = cluster.spec;
  if (!credentials)
    throw invalidFields(
      { 'spec.credentials': 'are needed to render what GitHub’s runners get' },
      `Enrollment ${metadata.name} cannot be rendered.`,
    );
  if (!controller)
    throw invalidFields(
      { [`Cluster ${cluster.metadata.name}`]: 'has no controller, which GitHub’s runners need' },
      `Enrollment ${metadata.name} cannot be had as asked.`,
    );
  return {
    kind: forge,
    configUrl: scopeUrl(scope),
    credentials:
      'token' in credentials
        ? { token: sealed }
        : { appId: credentials.appId, installationId: String(credentials.installationId), privateKey: sealed },
    controller,
  };
}

/** The tenant has one Bazel cache, as large as the largest that is asked for; 0 where nobody asks. */
function bazelGibOf(own: readonly EnrollmentDocument[]): number {
  return Math.max(0, ...own.map(({ spec }) => spec.planes.bazel?.sizeGib ?? 0));
}

/** What the enrollments of a tenant have in common. */
function tenantInputOf(tenant: TenantDocument, own: readonly EnrollmentDocument[], pools: Pools): TenantInput {
  const disk = { ...noAmounts, storage: BigInt(bazelGibOf(own)) * 1024n ** 3n };
  const chosen = own.flatMap((enrollment) =>
    poolInputsOf(enrollment, tenant, pools).map((choice) => ({ forge: enrollment.spec.forge, choice })),
  );
  const managers = (isWanted: boolean) =>
    chosen
      .filter(({ choice: { pool } }) => hasDaemon(pool.securityClass) === isWanted)
      .reduce((sum, { forge, choice }) => sum + managersOf(forge, [choice]), 0);
  const held = chosen.flatMap(({ choice: { pool, maxRunners } }) => {
    const known = pools.get(pool.name);
    return known ? [{ pool: known, runners: maxRunners }] : [];
  });
  // The disk of the Bazel cache stands in a namespace of its own, and is none of the runners'.
  const given = quotaOfAmounts(leftOf(amountsOf(tenant.spec.quota), disk));
  const { quota, builds } = divided(given, held);
  const fenced = held.filter((each) => !isApart(each));
  const devices = (of: typeof held) => devicesOf(pools.values(), of);
  return {
    slug: tenant.metadata.name,
    quota,
    placement: placementOf(fenced.map(({ pool }) => pool)),
    devices: devices(fenced),
    hasBazel: own.some(({ spec }) => spec.planes.bazel !== undefined),
    managers: managers(false),
    ...(builds ? { builds: { ...builds, managers: managers(true), devices: devices(held.filter(isApart)) } } : {}),
  };
}

function objectsOf(
  enrollment: EnrollmentDocument,
  tenant: TenantDocument,
  cluster: ClusterDocument,
  { shared, pools, bazelGib }: { shared: TenantInput; pools: Pools; bazelGib: number },
): KubernetesObject[] {
  const { spec, metadata } = enrollment;
  const { slug } = shared;
  const bazel = spec.planes.bazel ? { user: firstBazelUser, password: sealed, also: [] } : undefined;
  const attic = spec.planes.attic ? sealedAttic(slug, cluster) : undefined;
  const chosen = poolInputsOf(enrollment, tenant, pools);
  return enrollmentObjects({
    tenant: shared,
    name: metadata.name,
    registration: registrationOf(enrollment, chosen, cluster),
    pools: chosen,
    ...cacheInput(slug, spec, { attic, bazel }),
    bazel: bazel ? { sizeGib: bazelGib, ...bazel } : undefined,
  });
}

/** As if the server had made the views. */
function sealedAttic(slug: string, cluster: ClusterDocument): AtticSecrets {
  const [main, untrusted] = [atticViewName(slug), untrustedViewName(slug)];
  const views = [
    { name: main, trust: 'trusted' as const, url: sealed, publicKey: sealed },
    { name: untrusted, trust: 'untrusted' as const, url: sealed, publicKey: sealed },
  ];
  const known = { server: cluster.spec.atticUrl ?? sealed, token: sealed };
  return {
    trusted: atticAccess(views, 'trusted', { ...known, first: main }),
    untrusted: atticAccess(views, 'untrusted', { ...known, first: untrusted }),
  };
}

/** A mark is no base64, which `data` must be: the API server takes it as `stringData`. */
function printed(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'Secret') return object;
  const { data, ...rest } = redacted(object);
  return { ...rest, stringData: data };
}

/** Every Kubernetes object that these documents stand for, secret values as `<sealed>`. No cluster, no database. */
export function documentObjects(values: readonly unknown[]): KubernetesObject[] {
  const documents = parsed(values);
  const pools = poolsAmong(documents);
  const enrollments = documents.filter((document) => document.kind === 'Enrollment');
  if (enrollments.length === 0) throw invalidFields({ documents: 'have no Enrollment among them' });
  const byPath = new Map<string, KubernetesObject>();
  for (const enrollment of enrollments) {
    const tenant = named<TenantDocument>(documents, 'Tenant', enrollment.metadata.tenant);
    const cluster = named<ClusterDocument>(documents, 'Cluster', tenant.spec.cluster);
    const own = enrollments.filter(({ metadata }) => metadata.tenant === tenant.metadata.name);
    checked(enrollment, tenant, own, pools);
    const known = { shared: tenantInputOf(tenant, own, pools), pools, bazelGib: bazelGibOf(own) };
    for (const object of objectsOf(enrollment, tenant, cluster, known)) {
      byPath.set([object.kind, object.metadata.namespace ?? '', object.metadata.name].join('/'), printed(object));
    }
  }
  return [...byPath.values()];
}
