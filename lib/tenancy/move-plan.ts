import { z } from 'zod';
import {
  PlanChange,
  poolsByName,
  presentAllocation,
  sharesAttic,
  tenantChanges,
  type TenantChanges,
} from '#lib/enrollment/index.ts';
import { candidates, clusterRoom, givenTo, hasRoom, mayHave } from '#lib/fleet/index.ts';
import { unsafeDb, type TenantModel } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import { formatAmounts, sumOf } from '#lib/model/index.ts';
import { below } from './family.ts';

/* What a move to another cluster would do, as an operator reads it before they apply it. */

export const MoveEnrollment = z.object({
  id: z.string(),
  name: z.string(),
  scope: z.string(),
  generation: z.number(),
  forge: z.string(),
  labels: z.array(z.string()),
});

export const MovePlan = z.object({
  tenants: z.array(
    z.object({ id: z.string(), slug: z.string(), displayName: z.string(), enrollments: z.array(MoveEnrollment) }),
  ),
  arriving: z.array(PlanChange),
  /** False where the new cluster did not answer its dry run. */
  arrivingChecked: z.boolean(),
  leaving: z.array(PlanChange),
  leavingChecked: z.boolean(),
  /** Runners that run now, and that may run at most on both clusters together until the old one is left. */
  running: z.number(),
  most: z.number(),
  /** What is to be known of it, in sentences. */
  notes: z.array(z.string()),
});
export type MovePlan = z.infer<typeof MovePlan>;

type Family = Pick<TenantModel, 'id' | 'slug' | 'displayName' | 'clusterId'>[];

/** All that move with a tenant, itself first; who has left is on no cluster. */
async function familyOf(tenantId: string): Promise<TenantModel[]> {
  const ids = await below(tenantId);
  const rows = await unsafeDb().tenant.findMany({ where: { id: { in: ids.map(({ id }) => id) } } });
  return ids.flatMap(({ id }) => rows.find((row) => row.id === id) ?? []).filter(({ state }) => state !== 'left');
}

function refuse(happened: string, todo?: string): AppError {
  return new AppError('conflict', { log: `no move: ${happened}`, screen: { happened, ...(todo ? { todo } : {}) } });
}

/** Throws, in words, where the tenant cannot be moved there; else its family. */
export async function movable(slug: string, toClusterId: string, beyondCapacity: boolean): Promise<TenantModel[]> {
  const tenant = await unsafeDb().tenant.findUnique({ where: { slug }, include: { parent: true } });
  if (!tenant) throw notFound('This tenant');
  if (tenant.parent)
    throw refuse(`${tenant.displayName} runs where ${tenant.parent.displayName} does.`, 'Move that tenant.');
  if (tenant.state === 'left' || tenant.state === 'leaving') throw refuse(`${tenant.displayName} is ${tenant.state}.`);
  const family = await familyOf(tenant.id);
  const moving = family.find((each) => each.moving !== null);
  if (moving) throw refuse(`${moving.displayName} is being moved already.`);
  await refuseCluster(tenant, toClusterId, beyondCapacity);
  return family;
}

async function refuseCluster(tenant: TenantModel, id: string, beyondCapacity: boolean): Promise<void> {
  if (id === tenant.clusterId) throw refuse(`${tenant.displayName} is on ${id} already.`);
  const to = (await candidates(unsafeDb())).find((each) => each.id === id);
  if (!to) throw notFound('This cluster');
  if (to.state !== 'open') throw refuse(`The cluster ${id} is ${to.state}: nothing is placed there.`, 'Open it first.');
  if (to.isDuplicate || !to.answers)
    throw refuse(`The cluster ${id} does not answer as it should.`, 'See what is wrong with it under Clusters.');
  if (beyondCapacity || hasRoom(await clusterRoom(unsafeDb(), id), givenTo(tenant)) !== false) return;
  const { cpu, memory } = formatAmounts(givenTo(tenant));
  throw refuse(
    `The cluster ${id} has no room for ${cpu} CPU and ${memory} memory beside what was given there.`,
    'Choose another, or say that it may be more than the cluster holds.',
  );
}

/** What only the enrollments tell: pools that are not there, caches that would be lost, what is on its way out. */
async function refuseChanges(tenant: Family[number], changes: TenantChanges, to: string): Promise<void> {
  const { displayName, clusterId } = tenant;
  const { pools } = await unsafeDb().cluster.findUniqueOrThrow({ where: { id: to }, select: { pools: true } });
  const missing = changes.pools.filter((pool) => !mayHave({ pools }, [pool]));
  if (missing.length > 0)
    throw refuse(`${to} does not have what ${displayName} runs: ${missing.join(', ')}.`, 'Choose another cluster.');
  if (changes.isWithdrawing)
    throw refuse(`An enrollment of ${displayName} is being withdrawn.`, 'Wait until it is gone.');
  if (changes.adopted.length > 0)
    throw refuse(
      `${changes.adopted.join(', ')} of ${displayName} was taken over as somebody made it, with a Secret that is not the portal’s to copy.`,
      'Let its pool follow the catalog first.',
    );
  if (changes.hasAttic && !(await sharesAttic(clusterId, to)))
    throw refuse(
      `${to} has another Attic server than ${clusterId}: what ${displayName} keeps there would be lost.`,
      'Enter the same server for both clusters.',
    );
}

export async function movePlan(family: Family, to: string, limitMinutes: number): Promise<MovePlan> {
  const tenants: MovePlan['tenants'] = [];
  const all: TenantChanges[] = [];
  for (const tenant of family) {
    const changes = await tenantChanges(tenant, to);
    await refuseChanges(tenant, changes, to);
    const { id, slug, displayName } = tenant;
    tenants.push({ id, slug, displayName, enrollments: changes.enrollments });
    all.push(changes);
  }
  const from = family[0]?.clusterId ?? '';
  const { running, most } = await runnersOf(family.map(({ id }) => id));
  return {
    tenants,
    arriving: all.flatMap(({ arriving }) => arriving),
    arrivingChecked: all.every(({ arrivingChecked }) => arrivingChecked),
    leaving: all.flatMap(({ leaving }) => leaving),
    leavingChecked: all.every(({ leavingChecked }) => leavingChecked),
    running,
    most: running + most,
    notes: notesOf(all, { from, to, limitMinutes }),
  };
}

async function runnersOf(tenantIds: readonly string[]): Promise<{ running: number; most: number }> {
  const pools = await poolsByName();
  const [rows, allocations] = await Promise.all([
    unsafeDb().enrollmentPool.findMany({ where: { tenantId: { in: [...tenantIds] } } }),
    Promise.all(tenantIds.map((id) => presentAllocation(id, pools))),
  ]);
  const running = rows.reduce((sum, { currentRunners }) => sum + currentRunners, 0);
  return { running, most: Number(sumOf(allocations.map(({ promised }) => promised)).runners) };
}

function notesOf(
  all: readonly TenantChanges[],
  { from, to, limitMinutes }: { from: string; to: string; limitMinutes: number },
): string[] {
  const forges = new Set(all.flatMap(({ enrollments }) => enrollments.map(({ forge }) => forge)));
  return [
    ...(forges.has('github')
      ? [
          `At GitHub each scale set stays: the runner set on ${to} takes it over by its name, and the one on ${from} leaves it.`,
        ]
      : []),
    ...(forges.has('gitlab')
      ? [
          `At GitLab each runner stays registered: its manager on ${to} begins when the one on ${from} takes no more jobs.`,
        ]
      : []),
    ...(forges.has('forgejo')
      ? [
          `At Forgejo each runner stays registered: its process on ${to} begins when the one on ${from} has ended its job.`,
        ]
      : []),
    ...(all.some(({ enrollments }) => enrollments.length > 0)
      ? [
          limitMinutes === 0
            ? `Jobs that run on ${from} are ended as soon as ${to} takes over.`
            : `Jobs that run on ${from} end there. Those that still run ${limitWords(limitMinutes)} after ${to} took over are ended.`,
        ]
      : []),
    ...(all.some(({ hasBazel }) => hasBazel)
      ? [`The Bazel cache begins empty on ${to}; the disk on ${from} goes with all that is in it.`]
      : []),
    ...(all.every(({ leavingChecked }) => leavingChecked)
      ? []
      : [`${from} does not answer: what is there is taken away when it does.`]),
  ];
}

export function limitWords(minutes: number): string {
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  const words = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
  const parts = [...(hours > 0 ? [words(hours, 'hour')] : []), ...(rest > 0 ? [words(rest, 'minute')] : [])];
  return parts.join(' and ');
}
