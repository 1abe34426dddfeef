import { z } from 'zod';
import { hasAttic } from '#lib/caching/index.ts';
import { tenantDb, unsafeDb, unsafeTransaction, type MembershipSource, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { candidates, mayHave, takesTenants, placeFor } from '#lib/fleet/index.ts';
import { githubApps, type ScopeChoice, type ScopeRole } from '#lib/forge/index.ts';
import {
  amountsOf,
  EnrollmentName,
  enrollmentNameOf,
  EnrollmentSpec,
  isReady,
  labelOf,
  mostRunners,
  noAmounts,
  PoolChoice,
  PoolName,
  Planes,
  promisedBy,
  quotaPartLabel,
  runnersProblems,
  scaleSetNameLengthMax,
  scopeContains,
  scopeLevels,
  sharings,
  shortages,
  sumOf,
  TenantName,
  TenantSlug,
  type Amounts,
  type ForgeKind,
  type Pool,
  type Quota,
  type Sharing,
  type TenantKind,
  unreadyReason,
  warmMost,
  WarmSchedule,
} from '#lib/model/index.ts';
import { appendAudit, tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { allocationOf, lockLine, type Allocation } from './allocation.ts';
import { catalog, poolsByName, type CatalogPool } from './catalog.ts';
import { actAs, identityAt, openConnectionFor, openForge, type ActsBy } from './connections.ts';
import { sharedByTenant } from './desired.ts';
import { keepForgeToken, provenToken } from './forge-token.ts';
import { accountOf, refuseAnotherIn } from './sharing.ts';
import { liveStates, quotaColumns, quotaOf, scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';
import type { Scope } from '#lib/model/index.ts';

/** What a tenant gets that nobody decided otherwise for. */
export const defaultQuota: Quota = { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' };
const draftsMostPerPerson = 20;

export const StartInput = z.strictObject({
  connectionId: z.string().min(1).max(100),
  level: z.enum(scopeLevels),
  path: z.string().max(400),
  /** What it is called within the tenant; after its path where it is left out. */
  name: EnrollmentName.optional(),
  /** The access token that the runners are registered by, at forges where that is no App's doing. */
  token: z.string().trim().min(8).max(1000).optional(),
  tenant: z.union([
    z.strictObject({ slug: TenantSlug }),
    z.strictObject({
      new: z.strictObject({
        slug: TenantSlug,
        displayName: TenantName,
        kind: z.literal('organization'),
        /** Dedicated where it is left out. */
        sharing: z.enum(sharings).optional(),
      }),
    }),
  ]),
});
export type StartInput = z.infer<typeof StartInput>;

/** The scopes that this person administers on a forge, a page at a time. */
export async function listScopesOf(
  by: PersonCtx,
  connectionId: string,
  search: { query?: string | undefined; cursor?: string | undefined },
) {
  const { forge, token } = await actAs(by, connectionId);
  const page = await forge.listScopes({ userToken: token, ...search });
  return { ...page, enrolled: await enrolledAmong(connectionId, page.scopes) };
}

/** Scope ids of these that are enrolled, themselves or by what they are inside of. */
async function enrolledAmong(connectionId: string, scopes: ScopeChoice[]): Promise<string[]> {
  const live = await liveScopes(connectionId);
  return scopes.filter((scope) => live.some((row) => holdsScope(row, scope))).map((scope) => scope.scopeId);
}

type Reads = Pick<UnsafeTx, 'enrollment'>;
type LiveScope = { id: string; level: Scope['level']; scopeId: string; path: string };

async function liveScopes(connectionId: string, db: Reads = unsafeDb()): Promise<LiveScope[]> {
  return db.enrollment.findMany({
    where: { connectionId, state: { in: [...liveStates] } },
    select: { id: true, level: true, scopeId: true, path: true },
  });
}

export type HeldScope = Pick<EnrollmentRow, 'level' | 'scopeId' | 'ownerId' | 'path'>;

/**
 * Whether an enrolled scope is this one or serves it. Ids decide, and count at their own level only: a repository and an
 * organization may have the same number. Groups nest, and of those above a parent only the paths are at hand.
 */
function holdsScope(enrolled: LiveScope, scope: HeldScope): boolean {
  if (enrolled.level === scope.level && enrolled.scopeId === scope.scopeId) return true;
  if (enrolled.level === 'instance') return true;
  if (enrolled.level === 'group') return scopeContains({ forge: '', ...enrolled }, { forge: '', ...scope });
  const serves = enrolled.level === 'organization' || enrolled.level === 'account';
  return serves && scope.level === 'repository' && enrolled.scopeId === scope.ownerId;
}

export function refusePath(message: string, todo?: string): AppError {
  return new AppError('invalid', {
    log: `scope refused: ${message}`,
    screen: { happened: message, fields: { path: message }, ...(todo ? { todo } : {}) },
  });
}

type AskedScope = ActsBy & { level: Scope['level']; path: string; token?: string | undefined };

/**
 * An organization's own App is asked by itself: a person's token is of the connection's App, which need not be installed
 * there, and GitHub then tells it of no role.
 */
async function seenScope(by: PersonCtx, asked: AskedScope): Promise<ScopeChoice & { role: ScopeRole }> {
  const { connectionId, level, path } = asked;
  if (level === 'enterprise') return seenEnterprise(by, asked);
  if (asked.githubAppId === null) {
    const { forge, token } = await actAs(by, connectionId);
    return forge.findScope({ userToken: token, level, path });
  }
  const { subject, login } = identityAt(by, connectionId);
  const app = await unsafeDb().githubApp.findFirst({ where: { id: asked.githubAppId, tenantId: asked.tenantId } });
  if (!app || level !== 'organization') throw notFound('The organization’s own App');
  const apps = githubApps(await openConnectionFor(asked));
  return apps.ownScope({ accountId: app.accountId, person: { subject, login } });
}

/** No App may register runners for an enterprise: an operator enters a token that may, and the token is what is asked. */
async function seenEnterprise(by: PersonCtx, asked: AskedScope): Promise<ScopeChoice & { role: ScopeRole }> {
  if (!by.person.isOperator) throw refusePath('Only an operator of the platform enrols an enterprise.', 'Ask them.');
  const userToken = asked.token ?? '';
  if (userToken === '') throw invalidFields({ token: 'is needed' }, 'An enterprise is enrolled by an access token.');
  const forge = await openForge(asked.connectionId);
  return forge.findScope({ userToken, level: 'enterprise', path: asked.path });
}

/** The scope as the forge shows it to this very person, who administers it, with the App installed and able (A13). */
export async function provenScope(by: PersonCtx, asked: AskedScope): Promise<ScopeChoice> {
  const { path } = asked;
  const scope = await seenScope(by, asked).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'not_found')
      throw refusePath(`${path} does not exist, or you may not see it.`);
    throw error;
  });
  if (scope.role !== 'admin')
    throw refusePath(`You do not administer ${scope.path}.`, 'Ask one of its owners to enrol it.');
  if (scope.credential === 'token') return scope;
  const { installation } = scope;
  if (!installation)
    throw refusePath(
      `The App is not installed on ${scope.path}.`,
      `Install it at ${scope.installUrl}, then come back.`,
    );
  if (installation.suspended)
    throw refusePath(`The App’s installation on ${scope.path} is suspended.`, `Resume it at ${scope.installUrl}.`);
  if (installation.permissionsMissing.length > 0) {
    throw refusePath(
      `The App lacks ${installation.permissionsMissing.join(', ')} on ${scope.path}.`,
      `Accept the new permissions at ${scope.installUrl}.`,
    );
  }
  return scope;
}

/** `exceptId` is the enrollment that asks. Given a transaction, nobody else takes a scope of this forge until it ends. */
export async function refuseEnrolled(
  connectionId: string,
  scope: HeldScope,
  exceptId?: string,
  tx?: UnsafeTx,
): Promise<void> {
  if (tx) await tx.$queryRaw`select id from forge_connection where id = ${connectionId} for no key update`;
  const live = await liveScopes(connectionId, tx);
  const other = live.find((row) => row.id !== exceptId && holdsScope(row, scope));
  if (!other) return;
  const same = other.level === scope.level && other.scopeId === scope.scopeId;
  throw refusePath(
    same ? `${scope.path} is enrolled already.` : `${scope.path} is inside ${other.path}, which is enrolled already.`,
    'Its runners serve this scope too; ask an admin of that tenant.',
  );
}

/**
 * Steps one and two of the wizard: a proven scope and a tenant become a draft. Nothing outside is written. `ownApp` is an
 * App of that very tenant, which must be there already.
 */
export async function startEnrollment(
  by: PersonCtx,
  input: StartInput,
  ownApp: { id: string; tenantId: string } | null = null,
): Promise<{ tenantSlug: string; enrollmentId: string }> {
  const existing = 'slug' in input.tenant ? await adminOf(by, input.tenant.slug) : null;
  if (ownApp && ownApp.tenantId !== existing?.tenant.id) throw notFound('The organization’s own App');
  const acts = { tenantId: existing?.tenant.id ?? '', githubAppId: ownApp?.id ?? null };
  const scope = await provenScope(by, { ...input, ...acts });
  await refuseEnrolled(input.connectionId, scope);
  if (existing) await refuseAnotherIn(existing, accountOf({ ...input, ...scope }));
  const token = scope.credential === 'token' ? await provenToken(by, input, scope) : null;
  return unsafeTransaction(async (tx) => {
    await refuseTooManyDrafts(tx, by);
    const tenant = existing?.tenant ?? (await createTenant(tx, by, input));
    await keepInstallation(tx, input.connectionId, scope);
    const enrollment = await tx.enrollment.create({
      data: {
        tenantId: tenant.id,
        name: await (input.name ? askedName(tx, tenant.id, input.name) : freeName(tx, tenant.id, scope.path)),
        connectionId: input.connectionId,
        level: scope.level,
        path: scope.path,
        scopeId: scope.scopeId,
        ownerId: scope.ownerId,
        installationId: scope.installation?.id ?? null,
        githubAppId: ownApp?.id ?? null,
        draft: { pools: [], planes: (await hasAttic(tx, tenant)) ? { attic: { public: false } } : {} },
        createdById: by.person.userId,
      },
    });
    if (token) await keepForgeToken(enrollment, token, tx);
    await appendAudit(tx, by, tenant.id, {
      action: 'enrollment:start',
      target: `enrollment/${enrollment.name}`,
      after: { scope: scope.path, level: scope.level },
    });
    return { tenantSlug: tenant.slug, enrollmentId: enrollment.id };
  });
}

export async function adminOf(by: PersonCtx, slug: string): Promise<Ctx> {
  const ctx = await tenantCtx(by, slug);
  if (!ctx || (ctx.role !== 'admin' && ctx.role !== 'operator'))
    throw invalidFields({ 'tenant.slug': 'You are not an admin of this tenant.' });
  if (['suspended', 'leaving', 'left'].includes(ctx.tenant.state))
    throw invalidFields({ 'tenant.slug': `This tenant is ${ctx.tenant.state}.` });
  return ctx;
}

async function refuseTooManyDrafts(tx: UnsafeTx, by: PersonCtx): Promise<void> {
  const drafts = await tx.enrollment.count({ where: { createdById: by.person.userId, state: 'draft' } });
  if (drafts >= draftsMostPerPerson) {
    throw new AppError('conflict', {
      log: 'too many drafts',
      screen: { happened: `You have ${drafts} unfinished enrollments.`, todo: 'Finish or discard one of them first.' },
    });
  }
}

export async function createTenant(
  tx: UnsafeTx,
  by: PersonCtx,
  input: Pick<StartInput, 'tenant' | 'level'>,
): Promise<MadeTenant> {
  if (!('new' in input.tenant)) throw notFound('This tenant');
  const { slug, displayName, kind, sharing = 'dedicated' } = input.tenant.new;
  await freeSlug(tx, slug, 'tenant.new.slug', by);
  // No forge tells who belongs to an enterprise: what its operator began would be taken from them at the next sign-in.
  const source = input.level === 'enterprise' ? 'operator' : 'forge';
  return newTenant(tx, by, {
    slug,
    displayName,
    kind,
    sharing,
    state: 'draft',
    quota: defaultQuota,
    parent: null,
    source,
  });
}

/**
 * Slugs are for ever: that of a tenant that left is not given out again. Nor is one, to anybody else, while somebody is away to
 * make the App of a new tenant of that name: an App whose tenant cannot be made would be lost. Whoever asks for the same slug
 * waits until the transaction has ended.
 */
export async function freeSlug(tx: UnsafeTx, slug: string, field: string, by: PersonCtx): Promise<void> {
  await tx.$queryRaw`select pg_advisory_xact_lock(hashtextextended(${`tenant/${slug}`}, 0))::text`;
  const taken = await tx.tenant.findUnique({ where: { slug }, select: { id: true } });
  const isAway = { kind: 'own-app', userId: { not: by.person.userId }, expiresAt: { gt: new Date() } };
  const details = { path: ['start', 'tenant', 'new', 'slug'], equals: slug };
  if (taken ?? (await tx.errand.findFirst({ where: { ...isAway, details }, select: { stateHash: true } })))
    throw invalidFields({ [field]: 'is taken; choose another' });
}

export type NewTenant = {
  slug: string;
  displayName: string;
  kind: TenantKind;
  /** Dedicated where it is left out. */
  sharing?: Sharing;
  state: 'draft' | 'active';
  quota: Quota;
  /** It pays for the tenants below it, and they run where it does. */
  parent: { id: string; clusterId: string; billingAccountId: string } | null;
  source: MembershipSource;
};

export type MadeTenant = { id: string; slug: string; clusterId: string };

/** A tenant with the person as its first admin. */
export async function newTenant(tx: UnsafeTx, by: PersonCtx, wish: NewTenant): Promise<MadeTenant> {
  const { slug, displayName, kind, sharing = 'dedicated', state, quota, parent, source } = wish;
  const tenant = await tx.tenant.create({
    data: {
      slug,
      displayName,
      kind,
      sharing,
      state,
      ...quotaColumns(quota),
      cluster: { connect: { id: parent?.clusterId ?? (await placeFor(tx, { pools: [], amounts: amountsOf(quota) })) } },
      billingAccount: parent ? { connect: { id: parent.billingAccountId } } : { create: { name: displayName } },
      ...(parent ? { parent: { connect: { id: parent.id } } } : {}),
      members: { create: { userId: by.person.userId, role: 'admin', source } },
    },
  });
  await appendAudit(tx, by, tenant.id, {
    action: 'tenant:create',
    target: `tenant/${slug}`,
    after: { displayName, kind, sharing, quota, parent: parent?.id },
  });
  return tenant;
}

/**
 * Which pools a tenant wants is known when they are chosen: one that has nothing anywhere yet is then placed where they are, if
 * they are not where it was placed at first.
 */
async function placeDraft(row: EnrollmentRow, pools: readonly PoolChoice[]): Promise<void> {
  const { state, parentId, clusterId } = row.tenant;
  if (state !== 'draft' || parentId !== null) return;
  row.tenant.clusterId = await unsafeTransaction(async (tx) => {
    await lockLine(tx, row.tenantId);
    const others = await tx.enrollment.findMany({ where: { tenantId: row.tenantId, id: { not: row.id } } });
    const wanted = [...others.flatMap((other) => draftOf(other).pools), ...pools].map(({ pool }) => pool);
    const here = (await candidates(tx)).find(({ id }) => id === clusterId);
    // Teams run where their organization does, and may have begun.
    if ((await tx.tenant.count({ where: { parentId: row.tenantId } })) > 0) return clusterId;
    if (here && takesTenants(here) && mayHave(here, wanted)) return clusterId;
    const place = await placeFor(tx, { pools: [...new Set(wanted)], amounts: amountsOf(quotaOf(row.tenant)) });
    await tx.tenant.updateMany({ where: { id: row.tenantId, state: 'draft' }, data: { clusterId: place } });
    return place;
  });
}

async function keepInstallation(tx: UnsafeTx, connectionId: string, scope: ScopeChoice): Promise<void> {
  if (!scope.installation) return;
  const seen = {
    accountId: scope.ownerId,
    accountLogin: scope.path.split('/')[0] ?? scope.path,
    accountType: scope.level === 'organization' ? 'Organization' : 'User',
    repositorySelection: scope.installation.repositorySelection,
    removedAt: null,
    suspendedAt: null,
    observedAt: new Date(),
  };
  await tx.installation.upsert({
    where: { connectionId_externalId: { connectionId, externalId: scope.installation.id } },
    create: { connectionId, externalId: scope.installation.id, permissions: {}, ...seen },
    update: seen,
  });
}

async function freeName(tx: UnsafeTx, tenantId: string, path: string): Promise<string> {
  const wanted = enrollmentNameOf(path);
  const rows = await tx.enrollment.findMany({
    where: { tenantId, name: { startsWith: wanted.slice(0, 40) }, state: { not: 'withdrawn' } },
    select: { name: true },
  });
  const taken = new Set(rows.map((row) => row.name));
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wanted : `${wanted.slice(0, 40).replace(/-+$/, '')}-${number}`;
    if (!taken.has(name)) return name;
  }
}

async function askedName(tx: UnsafeTx, tenantId: string, name: string): Promise<string> {
  if (await tx.enrollment.findFirst({ where: { tenantId, name, state: { not: 'withdrawn' } }, select: { id: true } }))
    throw invalidFields({ name: 'is taken in this tenant' });
  return name;
}

// ------------------------------------------------------------------------------------------------ steps three and four

const Draft = z.object({ pools: z.array(PoolChoice), planes: Planes });
export type Draft = z.infer<typeof Draft>;

export type EnrollmentDraft = {
  id: string;
  name: string;
  scope: Scope;
  forgeName: string;
  forgeKind: ForgeKind;
  state: EnrollmentRow['state'];
  generation: number;
  draft: Draft;
  /** Whether the tenant's cluster has an Attic server, without which a view would wait for the operator. */
  hasAttic: boolean;
  /** What the tenant has for its own pools: its quota, less what tenants below it hold. */
  quota: Quota;
  /** What other live enrollments of the tenant may use at most, out of the same quota. */
  promised: Amounts;
  pools: (CatalogPool & { ready: boolean; unready: string | null; label: string; mostRunners: number })[];
};

async function ownRow(ctx: Ctx, id: string): Promise<EnrollmentRow> {
  const row = z.uuid().safeParse(id).success
    ? await ctx.db.enrollment.findFirst({ where: { id }, include: withPosition })
    : null;
  if (!row) throw notFound('This enrollment');
  return row;
}

/** What is being edited: the draft, else what was approved. */
function draftOf(row: Pick<EnrollmentRow, 'draft' | 'spec'>): Draft {
  return Draft.parse(row.draft ?? row.spec ?? { pools: [], planes: {} });
}

/** The wizard's and the change form's view of an enrollment. */
export async function enrollmentDraft(ctx: Ctx, id: string): Promise<EnrollmentDraft> {
  const row = await ownRow(ctx, id);
  const pools = await catalog(ctx.tenant.id);
  const { own: quota, promised } = await allocationOf(unsafeDb(), ctx.tenant.id, await poolsByName(), row.id);
  return {
    id,
    name: row.name,
    scope: scopeOf(row),
    forgeName: row.connection.name,
    forgeKind: row.connection.kind,
    state: row.state,
    generation: row.generation,
    draft: draftOf(row),
    hasAttic: await hasAttic(unsafeDb(), row.tenant),
    quota,
    promised,
    pools: pools.map((pool) => ({
      ...pool,
      ready: isReady(pool),
      unready: unreadyReason(pool),
      label: labelOf(row.tenant, pool.name),
      mostRunners: isReady(pool) ? mostRunners(pool, quota) : 0,
    })),
  };
}

/** Where pools that are chosen now will run: in a move that is being prepared, on the new cluster as well. */
function clustersFor({ tenant: { clusterId, otherClusterId, moving } }: EnrollmentRow): string[] {
  return moving === 'preparing' && otherClusterId !== null ? [clusterId, otherClusterId] : [clusterId];
}

function whyThere({ tenant }: EnrollmentRow, clusterId: string): string {
  return clusterId === tenant.clusterId ? 'on which this tenant is' : 'to which this tenant is being moved';
}

/**
 * Throws with the message at the pool's own field: `pools.<name>.maxRunners` or `pools.<name>`; `pools` for all together.
 * `planes` are those that the pools would stand beside.
 */
export async function checkPools(
  ctx: Ctx,
  row: EnrollmentRow,
  pools: PoolChoice[],
  planes: Planes = draftOf(row).planes,
): Promise<void> {
  const fields: Record<string, string> = {};
  const known = await poolsByName();
  const there = await unsafeDb().cluster.findMany({ where: { id: { in: clustersFor(row) } }, orderBy: { id: 'asc' } });
  const labels = new Map(pools.map((choice) => [labelOf(row.tenant, choice.pool), choice.pool]));
  for (const [label, name] of labels) {
    const pool = known.get(name);
    const lacking = there.find((cluster) => !mayHave(cluster, [name]));
    const absent = lacking ? `is not had by the cluster ${lacking.id}, ${whyThere(row, lacking.id)}` : null;
    const refusal = pool ? (unreadyReason(pool) ?? absent) : 'is not in the catalog';
    if (refusal) fields[`pools.${name}`] = refusal;
    else if (label.length > scaleSetNameLengthMax)
      fields[`pools.${name}`] = `its label ${label} is over ${scaleSetNameLengthMax} characters`;
  }
  const taken = await unsafeDb().enrollmentPool.findMany({
    where: { scaleSetName: { in: [...labels.keys()] }, enrollmentId: { not: row.id } },
    select: { scaleSetName: true },
  });
  for (const { scaleSetName } of taken)
    fields[`pools.${labels.get(scaleSetName)}`] = `its label ${scaleSetName} is in use by another enrollment`;
  for (const { pool, field, message } of runnersProblems(row.connection.kind, pools))
    fields[`pools.${pool}.${field}`] ??= message;
  for (const choice of pools) {
    if (warmMost(choice) > choice.maxRunners)
      fields[`pools.${choice.pool}.maxRunners`] ??= `is less than the ${warmMost(choice)} that are kept warm`;
  }
  for (const [pool, message] of await tooMany(unsafeDb(), row, pools, known))
    fields[`pools.${pool}.maxRunners`] ??= message;
  const allocation = await allocationOf(unsafeDb(), ctx.tenant.id, known, row.id);
  for (const [path, message] of Object.entries(quotaFields(row, { pools, planes }, known, allocation)))
    fields[path] ??= message;
  if (Object.keys(fields).length > 0) throw invalidFields(fields, 'These pools cannot be had as asked.');
}

/** Pools of which an operator lets one tenant have only so many, over all of its enrollments. */
export async function tooMany(
  db: Pick<UnsafeTx, 'enrollmentPool'>,
  row: Pick<EnrollmentRow, 'id' | 'tenantId'>,
  pools: readonly PoolChoice[],
  known: ReadonlyMap<string, Pool>,
): Promise<[string, string][]> {
  const limited = pools.flatMap(({ pool, maxRunners }) => {
    const most = known.get(pool)?.runnersMost ?? null;
    return most === null ? [] : [{ pool, maxRunners, most }];
  });
  if (limited.length === 0) return [];
  const held = await db.enrollmentPool.groupBy({
    by: ['poolName'],
    where: { tenantId: row.tenantId, enrollmentId: { not: row.id } },
    _sum: { maxRunners: true },
  });
  return limited.flatMap(({ pool, maxRunners, most }): [string, string][] => {
    const others = held.find(({ poolName }) => poolName === pool)?._sum.maxRunners ?? 0;
    if (maxRunners + others <= most) return [];
    const beside = others === 0 ? '' : `, of which the tenant’s other enrollments have ${others}`;
    return [[pool, `is more than the operator gives a tenant: ${most}${beside}`]];
  });
}

function quotaFields(
  row: EnrollmentRow,
  { pools, planes }: Draft,
  known: ReadonlyMap<string, Pool>,
  { own: quota, promised }: Allocation,
): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const choice of pools) {
    const pool = known.get(choice.pool);
    if (pool && isReady(pool) && choice.maxRunners > mostRunners(pool, quota))
      fields[`pools.${choice.pool}.maxRunners`] = `the quota holds ${mostRunners(pool, quota)} at most`;
  }
  const wanted = promisedBy(pools, known, planes.bazel?.sizeGib);
  // Who shares takes nothing that others were promised: each gets a fair share of what all ask for.
  const beside = row.tenant.sharing === 'shared' ? noAmounts : promised;
  const words = shortages(sumOf([beside, wanted]), amountsOf(quota)).map(
    ({ what, needed, quota: had }) => `${needed} of ${had} ${quotaPartLabel[what]}`,
  );
  if (words.length > 0)
    fields['pools'] = `Together they would need ${words.join(' and ')} at their maximum, more than the quota holds.`;
  return fields;
}

async function saveDraft(ctx: Ctx, row: EnrollmentRow, part: Partial<Draft>): Promise<void> {
  if (row.state !== 'draft' && row.state !== 'active') {
    throw new AppError('conflict', {
      log: `enrollment is ${row.state}`,
      screen: { happened: 'This enrollment is being withdrawn and can no longer be changed.' },
    });
  }
  await tenantDb(ctx.tenant.id).enrollment.update({
    where: { id: row.id },
    data: { draft: { ...draftOf(row), ...part } },
  });
}

export const PoolsInput = z.strictObject({ enrollmentId: z.uuid(), pools: EnrollmentSpec.shape.pools });

/** Step three: the pools and their sizes. */
export async function savePools(ctx: Ctx, input: z.infer<typeof PoolsInput>): Promise<void> {
  const row = await ownRow(ctx, input.enrollmentId);
  const pools = withWhatStays(row, input.pools);
  await placeDraft(row, pools);
  await checkPools(ctx, row, pools);
  await saveDraft(ctx, row, { pools });
}

/** Sizes are chosen here; a pool's schedule, and that its set was taken over, are matters of the pool's own page. */
function withWhatStays(row: EnrollmentRow, pools: readonly PoolChoice[]): PoolChoice[] {
  const before = new Map(draftOf(row).pools.map((choice) => [choice.pool, choice]));
  return pools.map((choice) => {
    const { schedule, adopted, minRunners = 0 } = before.get(choice.pool) ?? {};
    // Only at GitHub is the least of them asked for beside the most.
    const least = schedule && row.connection.kind !== 'github' ? { minRunners } : {};
    return { ...(adopted ? { adopted } : {}), ...(schedule ? { schedule } : {}), ...choice, ...least };
  });
}

export const WarmthInput = z.strictObject({
  enrollmentId: z.uuid(),
  pool: PoolName,
  minRunners: z.int().min(0).max(1000),
  schedule: WarmSchedule.nullable(),
});
export type WarmthInput = z.infer<typeof WarmthInput>;

/** What one pool keeps warm and when, in the draft; all else of it stays as it is there. */
export async function saveWarmth(ctx: Ctx, { enrollmentId, pool, minRunners, schedule }: WarmthInput): Promise<void> {
  await changeChoice(ctx, enrollmentId, pool, ({ schedule: _, ...choice }) => ({
    ...choice,
    minRunners,
    ...(schedule ? { schedule } : {}),
  }));
}

/** A set that was taken over follows the catalog from then on: in the draft, so that a plan says what that makes anew. */
export async function leaveAdopted(ctx: Ctx, enrollmentId: string, pool: string): Promise<void> {
  await changeChoice(ctx, enrollmentId, pool, ({ adopted: _, ...choice }) => choice);
}

async function changeChoice(
  ctx: Ctx,
  enrollmentId: string,
  pool: string,
  change: (choice: PoolChoice) => PoolChoice,
): Promise<void> {
  const row = await ownRow(ctx, enrollmentId);
  const { pools: before } = draftOf(row);
  if (!before.some((choice) => choice.pool === pool))
    throw new AppError('conflict', {
      log: `pool ${pool} is not chosen`,
      screen: { happened: 'This pool is not chosen any more.', todo: 'Choose it again, then set what it keeps warm.' },
    });
  const pools = before.map((choice) => (choice.pool === pool ? change(choice) : choice));
  await checkPools(ctx, row, pools);
  await saveDraft(ctx, row, { pools });
}

export const PlanesInput = z.strictObject({ enrollmentId: z.uuid(), planes: Planes });

/** Step four: the cache planes. */
export async function savePlanes(ctx: Ctx, input: z.infer<typeof PlanesInput>): Promise<void> {
  const row = await ownRow(ctx, input.enrollmentId);
  if (input.planes.bazel) await refuseSmaller(row, input.planes.bazel.sizeGib);
  await saveDraft(ctx, row, { planes: input.planes });
}

/** A spec as a program asks for it, whole; only that a set was taken over stays as it is, which no document can say. */
export async function checkedSpec(ctx: Ctx, row: EnrollmentRow, asked: EnrollmentSpec): Promise<EnrollmentSpec> {
  const before = new Map(draftOf(row).pools.map((choice) => [choice.pool, choice.adopted]));
  const pools = asked.pools.map(({ adopted: _, ...choice }) => {
    const adopted = before.get(choice.pool);
    return adopted ? { ...choice, adopted } : choice;
  });
  await checkPools(ctx, row, pools, asked.planes);
  if (asked.planes.bazel) await refuseSmaller(row, asked.planes.bazel.sizeGib);
  return { ...asked, pools };
}

/** The tenant has one Bazel cache, and its disk does not shrink. A larger one is for the cluster to allow: see the plan. */
async function refuseSmaller(row: EnrollmentRow, sizeGib: number): Promise<void> {
  const { bazelGib } = await sharedByTenant(row, specOf(row));
  if (sizeGib >= bazelGib) return;
  throw invalidFields({
    bazelSizeGib: `is less than the ${bazelGib} GiB that the tenant’s one Bazel cache has; a disk does not shrink`,
  });
}
