import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { fieldChanges, type FieldChange } from '#lib/cluster/index.ts';
import { Prisma, unsafeDb, unsafeTransaction, type PlanState, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import {
  classLacks,
  CpuQuantity,
  definitionOf,
  enteredPool,
  hasDaemon,
  ImageDigest,
  ImageName,
  MemoryQuantity,
  ownKernels,
  PinnedImage,
  Pool,
  PoolDefinition,
  type PoolEntry,
  PoolName,
  securityClasses,
  sharesNodes,
  unreadyReason,
} from '#lib/model/index.ts';
import { appendAudit, actorName, operatorCtx, type PersonCtx } from '#lib/tenant/index.ts';
import { catalog, forgetPools, poolOfRow, type CatalogPool, type PoolRow } from './catalog.ts';
import { approvePlan, planRollout } from './plan.ts';
import { liveStates } from './rows.ts';
import { planView, type PlanView } from './view.ts';

/*
 * The operator's side of the catalog: what pools there are, and how a change of one comes to the enrollments that have it. A
 * change alters no runner. Each enrollment keeps what was approved of its pools until a plan of its own is applied.
 */

const empty = (text: string) => text.trim() === '';
const orNull = <T extends z.ZodType>(schema: T) =>
  z.union([
    z
      .string()
      .trim()
      .refine(empty)
      .transform(() => null),
    z
      .string()
      .trim()
      .pipe(schema as unknown as z.ZodType<z.output<T>, string>),
  ]);

/** `name=value` a line, as an object; a line without a `=` is at fault. */
const Lines = z
  .string()
  .max(4000)
  .default('')
  .transform((text, check) => {
    const pairs: Record<string, string> = {};
    for (const line of text
      .split(/\r?\n/)
      .map((each) => each.trim())
      .filter((each) => each !== '')) {
      const at = line.lastIndexOf('=');
      if (at < 1) check.addIssue({ code: 'custom', message: `has a line without a value: ${line.slice(0, 60)}` });
      else pairs[line.slice(0, at).trim()] = line.slice(at + 1).trim();
    }
    return pairs;
  });

/** `key`, `key=value`, `key=value:NoSchedule` a line, as kubectl writes taints. */
const Taints = z
  .string()
  .max(4000)
  .default('')
  .transform((text) =>
    text
      .split(/\r?\n/)
      .map((each) => each.trim())
      .filter((each) => each !== '')
      .map((line) => {
        const [, key = '', value, effect] = /^([^=:]*)(?:=([^:]*))?(?::(.*))?$/.exec(line) ?? [];
        return { key, ...(value === undefined ? {} : { value }), ...(effect === undefined ? {} : { effect }) };
      }),
  );

/** A pool as an operator's form tells it. */
export const PoolFields = z
  .strictObject({
    name: PoolName,
    isNew: z.literal('yes').optional(),
    description: z.string().trim().max(200, 'is at most 200 characters').default(''),
    cpu: orNull(CpuQuantity),
    memory: orNull(MemoryQuantity),
    storage: z.string().trim().pipe(MemoryQuantity),
    image: z.string().trim().pipe(ImageName),
    imageDigest: orNull(ImageDigest),
    imageBuiltAt: orNull(z.iso.date('is a day such as 2026-11-25')),
    devices: Lines,
    needsDevice: z.literal('yes').optional(),
    runtimeClass: z.string().trim().max(253).default(''),
    kernel: z.enum(['', ...ownKernels]).default(''),
    nodeSelector: Lines,
    tolerations: Taints,
    securityClass: z.enum(securityClasses),
    daemonImage: orNull(PinnedImage).default(null),
    requiresApproval: z.literal('yes').optional(),
    runnersMost: orNull(
      z
        .string()
        .regex(/^\d{1,4}$/, 'is a whole number')
        .transform(Number),
    ),
  })
  .transform((fields, check) => {
    const { devices, runtimeClass, kernel, nodeSelector, tolerations, ...others } = fields;
    const { isNew, needsDevice, requiresApproval, ...rest } = others;
    const placement = {
      ...(runtimeClass === '' ? {} : { runtimeClass }),
      ...(kernel === '' ? {} : { kernel }),
      ...(Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
      ...(tolerations.length === 0 ? {} : { tolerations }),
    };
    const counts = Object.fromEntries(Object.entries(devices).map(([name, count]) => [name, Number(count)]));
    const { imageBuiltAt, daemonImage, ...said } = rest;
    const pool = Pool.safeParse({
      ...said,
      // What is typed for a class and left behind by another is of no use to it.
      daemonImage: hasDaemon(said.securityClass) ? daemonImage : null,
      imageBuiltAt: imageBuiltAt === null ? null : new Date(`${imageBuiltAt}T00:00:00Z`),
      devices: counts,
      needsDevice: needsDevice === 'yes',
      requiresApproval: requiresApproval === 'yes',
      ...(Object.keys(placement).length === 0 ? {} : { placement }),
    });
    for (const issue of pool.error?.issues ?? [])
      check.addIssue({ code: 'custom', path: [fieldOf(issue.path)], message: problemOf(issue) });
    for (const { field, message } of pool.success ? classLacks(pool.data) : [])
      check.addIssue({ code: 'custom', path: [field], message });
    return pool.success ? { pool: pool.data, isNew: isNew === 'yes' } : z.NEVER;
  });
export type PoolFields = z.output<typeof PoolFields>;

function fieldOf(path: readonly PropertyKey[]): string {
  const [first, second] = path;
  return String(first === 'placement' && second !== undefined ? second : first);
}

/** A record's key or value at fault is said by what it is, since all of them stand in one field. */
function problemOf(issue: z.core.$ZodIssue): string {
  const inner = 'issues' in issue && Array.isArray(issue.issues) ? issue.issues[0] : undefined;
  const at = issue.path.slice(1).filter((part) => part !== 'nodeSelector' && part !== 'tolerations');
  const where =
    at.length === 0
      ? ''
      : `${at.map((part) => (typeof part === 'number' ? `line ${part + 1}` : String(part))).join(' ')} `;
  return `${where}${(inner ?? issue).message}`;
}

// ------------------------------------------------------------------------------------------------ changing

/** Keeps the pool as it is said to be. What runs goes on as it was approved: see `planRollouts`. */
export async function changePool(by: PersonCtx, { pool, isNew }: PoolFields): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const before = await lockedPool(tx, pool.name);
    if (isNew && before) throw invalidFields({ name: 'is in the catalog already' });
    if (!isNew && !before) throw notFound('This pool');
    await keepPool(tx, pool, before);
    await appendAudit(tx, by, null, {
      action: isNew ? 'pool:add' : 'pool:change',
      target: `pool/${pool.name}`,
      before: before && poolOfRow(before),
      after: pool,
    });
  });
  forgetPools();
}

async function lockedPool(tx: UnsafeTx, name: string): Promise<PoolRow | null> {
  await tx.$queryRaw`select pg_advisory_xact_lock(hashtextextended(${`pool/${name}`}, 0))::text`;
  return tx.pool.findUnique({ where: { name } });
}

async function keepPool(tx: UnsafeTx, pool: Pool, before: PoolRow | null): Promise<void> {
  refuseSharedNodes(pool, (await tx.pool.findMany()).map(poolOfRow));
  if (before) await pinWhatRuns(tx, before);
  const { placement, name, ...rest } = pool;
  const data = { ...rest, placement: placement ?? Prisma.DbNull, changedAt: new Date() };
  if (before) {
    await tx.pool.update({ where: { name }, data });
    return;
  }
  const position = (await tx.pool.aggregate({ _max: { position: true } }))._max.position ?? 0;
  await tx.pool.create({ data: { name, position: position + 1, ...data } });
}

/** Makes it so and says what changed; null where nothing did. Whoever calls it writes it into the audit. */
export async function enterPool(tx: UnsafeTx, name: string, entry: PoolEntry) {
  const row = await lockedPool(tx, name);
  const before = row && poolOfRow(row);
  const entered = enteredPool(name, entry, before);
  if ('problems' in entered) throw invalidFields(entered.problems);
  const { pool: after } = entered;
  const lacks = classLacks(after);
  if (lacks.length > 0) throw invalidFields(Object.fromEntries(lacks.map(({ field, message }) => [field, message])));
  if (before && isDeepStrictEqual(before, after)) return null;
  await keepPool(tx, after, row);
  return { before, after };
}

/** A privileged daemon's neighbours would be within its reach if its machine were ever left. */
function refuseSharedNodes(pool: Pool, catalog: readonly Pool[]): void {
  const others = sharesNodes(pool, catalog).map(({ name, securityClass: of }) => `${name} (${of})`);
  if (others.length === 0) return;
  const who = others.join(', ');
  throw invalidFields({
    tolerations: `let ${who} come to the same nodes, and a privileged daemon has nodes of its own`,
  });
}

/** Enrollments that follow the catalog, as those did that were approved before pools were pinned, keep what they have now. */
async function pinWhatRuns(tx: UnsafeTx, row: PoolRow): Promise<void> {
  const definition = definitionOf(poolOfRow(row));
  await tx.enrollmentPool.updateMany({
    where: { poolName: row.name, definition: { equals: Prisma.DbNull } },
    data: { definition },
  });
}

/**
 * A repair that an operator read at one enrollment: the catalog changes, and this enrollment has that at once and nothing else
 * that waits for a rollout; the others keep what they run. Answers the pool as it was and as it is.
 */
export async function repairPool(
  tx: UnsafeTx,
  enrollmentId: string,
  name: string,
  change: { image: string; imageDigest: string | null } | { placement: null },
): Promise<{ before: Pool; after: Pool }> {
  const before = await tx.pool.findUniqueOrThrow({ where: { name } });
  await pinWhatRuns(tx, before);
  const data = 'image' in change ? { ...change, imageBuiltAt: null } : { placement: Prisma.DbNull };
  refuseLacking(poolOfRow({ ...before, ...('image' in change ? {} : { placement: null }) }));
  const after = poolOfRow(await tx.pool.update({ where: { name }, data: { ...data, changedAt: new Date() } }));
  const key = { enrollmentId_poolName: { enrollmentId, poolName: name } };
  const own = await tx.enrollmentPool.findUniqueOrThrow({ where: key });
  const { placement, ...held } = PoolDefinition.parse(own.definition ?? definitionOf(poolOfRow(before)));
  const definition = 'image' in change ? { ...held, ...(placement ? { placement } : {}), ...change } : held;
  await tx.enrollmentPool.update({ where: key, data: { definition } });
  return { before: poolOfRow(before), after };
}

/** A repair takes from a pool nothing that its class needs. */
function refuseLacking(pool: Pool): void {
  const [lack] = classLacks(pool);
  if (!lack) return;
  const happened = `A pool of the class ${pool.securityClass} cannot do without that: it then ${lack.lacks}.`;
  throw new AppError('conflict', { log: `repair of ${pool.name}`, screen: { happened, todo: 'Add such nodes.' } });
}

// ------------------------------------------------------------------------------------------------ seeing

export type OperatorPoolRow = CatalogPool & {
  /** Why nobody can choose it; null where they can. */
  unready: string | null;
  imageAgeDays: number | null;
  enrollments: number;
  /** Enrollments whose runners are still made as they were before the last change. */
  behind: number;
};

function ageDays({ imageBuiltAt }: Pool, now: Date): number | null {
  return imageBuiltAt === null ? null : Math.floor((now.getTime() - imageBuiltAt.getTime()) / (24 * 3600_000));
}

async function livePoolsOf(poolName?: string) {
  return unsafeDb().enrollmentPool.findMany({
    where: { ...(poolName === undefined ? {} : { poolName }), enrollment: { state: { in: [...liveStates] } } },
    include: { enrollment: { include: { tenant: { select: { slug: true, displayName: true } } } } },
    orderBy: { scaleSetName: 'asc' },
  });
}

function isBehind(pool: Pool, definition: unknown): boolean {
  return definition !== null && !isDeepStrictEqual(PoolDefinition.parse(definition), definitionOf(pool));
}

export async function operatorPools(now: Date): Promise<OperatorPoolRow[]> {
  const [pools, live] = await Promise.all([catalog(null, now), livePoolsOf()]);
  return pools.map((pool) => {
    const own = live.filter(({ poolName }) => poolName === pool.name);
    return {
      ...pool,
      unready: unreadyReason(pool),
      imageAgeDays: ageDays(pool, now),
      enrollments: own.length,
      behind: own.filter(({ definition }) => isBehind(pool, definition)).length,
    };
  });
}

export type OperatorPool = OperatorPoolRow & {
  users: {
    tenant: string;
    tenantName: string;
    enrollmentId: string;
    enrollment: string;
    label: string;
    maxRunners: number;
    /** What a rollout would change of what its runners are made from; empty where nothing would. */
    changes: FieldChange[];
  }[];
  rollouts: { id: string; createdAt: string; createdBy: string; plans: number }[];
};

export async function operatorPool(name: string, now: Date): Promise<OperatorPool> {
  const row = (await operatorPools(now)).find((pool) => pool.name === name);
  if (!row) throw notFound('This pool');
  const [live, rollouts] = await Promise.all([
    livePoolsOf(name),
    unsafeDb().poolRollout.findMany({ where: { poolName: name }, orderBy: { createdAt: 'desc' }, take: 10 }),
  ]);
  return {
    ...row,
    users: live.map(({ definition, scaleSetName, maxRunners, enrollmentId, enrollment }) => ({
      tenant: enrollment.tenant.slug,
      tenantName: enrollment.tenant.displayName,
      enrollmentId,
      enrollment: enrollment.name,
      label: scaleSetName,
      maxRunners,
      changes: definition === null ? [] : definitionChanges(PoolDefinition.parse(definition), definitionOf(row)),
    })),
    rollouts: rollouts.map(({ id, createdAt, createdBy, plans }) => ({
      id,
      createdAt: createdAt.toISOString(),
      createdBy,
      plans: RolloutPlans.parse(plans).length,
    })),
  };
}

function definitionChanges(before: PoolDefinition, after: PoolDefinition): FieldChange[] {
  const asObject = (definition: PoolDefinition) => ({
    apiVersion: '',
    kind: '',
    metadata: { name: '' },
    ...definition,
  });
  return fieldChanges(asObject(before), asObject(after));
}

// ------------------------------------------------------------------------------------------------ rolling out

const RolloutPlans = z.array(
  z.object({
    tenant: z.string(),
    enrollmentId: z.string(),
    enrollment: z.string(),
    planId: z.string().nullable(),
    /** Why there is no plan, or why it could not be applied. */
    problem: z.string().nullable().default(null),
  }),
);

export const RolloutInput = z.strictObject({ pool: PoolName });

/** A plan for each enrollment that is behind, made as if by its own people. Nothing is changed; answers the rollout. */
export async function planRollouts(by: PersonCtx, { pool: name }: z.infer<typeof RolloutInput>): Promise<string> {
  const { users } = await operatorPool(name, new Date());
  const behind = users.filter(({ changes }) => changes.length > 0);
  if (behind.length === 0)
    throw new AppError('conflict', {
      log: 'nothing to roll out',
      screen: { happened: 'Every enrollment has this pool as it is.' },
    });
  // It is written down before its plans are: one that is cut off in the midst is there to be seen, and is planned again.
  const { id } = await unsafeTransaction(async (tx) => {
    const data = { poolName: name, plans: [], createdById: by.person.userId, createdBy: actorName(by) };
    const made = await tx.poolRollout.create({ data });
    await appendAudit(tx, by, null, { action: 'pool:plan', target: `pool/${name}`, after: { plans: behind.length } });
    return made;
  });
  const plans: z.infer<typeof RolloutPlans> = [];
  for (const { tenant, enrollmentId, enrollment } of behind) {
    const made = await attempt(async () => planRollout(await operatorCtx(by, tenant), enrollmentId));
    plans.push({ tenant, enrollmentId, enrollment, planId: made.value, problem: made.problem });
    await unsafeDb().poolRollout.update({ where: { id }, data: { plans } });
  }
  return id;
}

async function attempt<T>(run: () => Promise<T>): Promise<{ value: T | null; problem: string | null }> {
  try {
    return { value: await run(), problem: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { value: null, problem: [error.screen.happened, error.screen.todo].filter(Boolean).join(' ') };
  }
}

export type RolloutView = {
  id: string;
  pool: string;
  createdAt: string;
  createdBy: string;
  plans: {
    tenant: string;
    enrollmentId: string;
    enrollment: string;
    problem: string | null;
    state: PlanState | null;
    plan: PlanView | null;
  }[];
};

export async function rolloutView(by: PersonCtx, id: string): Promise<RolloutView> {
  const row = z.uuid().safeParse(id).success ? await unsafeDb().poolRollout.findUnique({ where: { id } }) : null;
  if (!row) throw notFound('This rollout');
  const plans = [];
  for (const { tenant, enrollmentId, enrollment, planId, problem } of RolloutPlans.parse(row.plans)) {
    // A tenant or an enrollment that has gone since takes its plans with it.
    const { value: plan } = await attempt(async () =>
      planId === null ? null : planView(await operatorCtx(by, tenant), planId),
    );
    plans.push({ tenant, enrollmentId, enrollment, problem, state: plan?.state ?? null, plan });
  }
  return { id, pool: row.poolName, createdAt: row.createdAt.toISOString(), createdBy: row.createdBy, plans };
}

export const ApplyRolloutInput = z.strictObject({ rolloutId: z.uuid() });

/**
 * Applies each plan of the rollout that is still open, one enrollment after another: each is a generation of its own, and one
 * that the world has overtaken is left and said. Answers how many were applied.
 */
export async function applyRollout(by: PersonCtx, { rolloutId }: z.infer<typeof ApplyRolloutInput>): Promise<number> {
  const row = await unsafeDb().poolRollout.findUnique({ where: { id: rolloutId } });
  if (!row) throw notFound('This rollout');
  const plans = [];
  let applied = 0;
  for (const each of RolloutPlans.parse(row.plans)) {
    const { tenant, planId } = each;
    if (planId === null || !(await isOpen(planId))) {
      plans.push(each);
      continue;
    }
    const { value, problem } = await attempt(async () => approvePlan(await operatorCtx(by, tenant), planId));
    if (value !== null) applied += 1;
    plans.push({ ...each, problem });
  }
  await unsafeDb().poolRollout.update({ where: { id: rolloutId }, data: { plans } });
  return applied;
}

async function isOpen(planId: string): Promise<boolean> {
  return (await unsafeDb().plan.count({ where: { id: planId, state: 'open' } })) > 0;
}
