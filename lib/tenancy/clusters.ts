import { z } from 'zod';
import { unsafeDb, type ClusterModel, type MoveState, type Prisma, type TenantState } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import { candidates, podsHeld, whoStandsOn } from '#lib/fleet/index.ts';
import { formatAmounts, noAmounts, type TenantKind } from '#lib/model/index.ts';
import type { Ctx, PersonCtx } from '#lib/tenant/index.ts';
import { clusterFit } from './capacity.ts';
import { MovePlan } from './move-plan.ts';

/* Clusters and moves as operators see them: from what workers wrote, so that no page asks a cluster. */

/** A worker looks every quarter of a minute; after this nobody has. */
const unlookedMs = 2 * 60_000;

export type ClusterHealth = { kind: 'good' | 'bad' | 'unlooked'; words: string };

export type ClusterRow = {
  id: string;
  name: string;
  state: ClusterModel['state'];
  health: ClusterHealth;
  kubernetesVersion: string | null;
  controllerVersion: string | null;
  reachableAt: string | null;
  /** How it is reached, in words. */
  way: string;
  /** None named is all. */
  pools: string[];
  /** All that stand here, and those of them that are on their way here or away. */
  tenants: number;
  moving: number;
  capacityCpu: string | null;
  capacityMemory: string | null;
  given: Size;
  /** Of what can be given, in parts of one; null where the capacity is not known. */
  share: number | null;
  /** Whether the API server keeps runners' pods to their profile; null where none has looked. */
  holdsPods: boolean | null;
};

type Size = { cpu: string; memory: string };

export async function clusterRows(now: Date): Promise<ClusterRow[]> {
  const [clusters, rooms, holds, standing] = await Promise.all([
    unsafeDb().cluster.findMany({ orderBy: { id: 'asc' } }),
    candidates(unsafeDb()),
    podsHeld(),
    unsafeDb().tenant.findMany({ where: stays, select: { clusterId: true, otherClusterId: true } }),
  ]);
  return clusters.flatMap((cluster) => {
    const { id } = cluster;
    const room = rooms.find((each) => each.id === id);
    const here = standing.filter(({ clusterId, otherClusterId }) => clusterId === id || otherClusterId === id);
    const moving = here.filter(({ otherClusterId }) => otherClusterId !== null).length;
    return room ? [{ ...knownOf(cluster, room, now), holdsPods: holds(id), tenants: here.length, moving }] : [];
  });
}

const stays = { state: { not: 'left' } } satisfies Prisma.TenantWhereInput;

type Part = { cpu: bigint; memory: bigint };
type Room = { capacity: Part | null; given: Part };
type Known = Omit<ClusterRow, 'holdsPods' | 'tenants' | 'moving'>;

function knownOf(cluster: ClusterModel, room: Room, now: Date): Known {
  const { id, name, state, kubernetesVersion, controllerVersion, capacityCpu, capacityMemory, pools } = cluster;
  return {
    id,
    name,
    state,
    kubernetesVersion,
    controllerVersion,
    capacityCpu,
    capacityMemory,
    pools,
    health: healthOf(cluster, now),
    reachableAt: cluster.reachableAt?.toISOString() ?? null,
    way: wayWords(cluster),
    given: sizeOf(room.given),
    share: shareOf(room),
  };
}

function sizeOf({ cpu, memory }: Part): Size {
  const words = formatAmounts({ ...noAmounts, cpu, memory });
  return { cpu: words.cpu, memory: words.memory };
}

/** Of CPU and memory the one of which more was given. */
function shareOf({ capacity, given }: Room): number | null {
  if (!capacity) return null;
  const part = (taken: bigint, whole: bigint) => (whole === 0n ? 1 : Number((taken * 1000n) / whole) / 1000);
  return Math.max(part(given.cpu, capacity.cpu), part(given.memory, capacity.memory));
}

function healthOf({ trouble, lookedAt }: ClusterModel, now: Date): ClusterHealth {
  if (lookedAt === null) return { kind: 'unlooked', words: 'No worker has looked at it yet.' };
  if (now.getTime() - lookedAt.getTime() > unlookedMs)
    return { kind: 'unlooked', words: 'No worker looks at it any more.' };
  return trouble === null ? { kind: 'good', words: 'It answers.' } : { kind: 'bad', words: trouble };
}

function wayWords({ kubeconfig, context }: ClusterModel): string {
  return kubeconfig === null ? 'The portal’s own cluster' : `${kubeconfig}, context ${context}`;
}

// ------------------------------------------------------------------------------------------------ one cluster

export type StandingTenant = {
  slug: string;
  displayName: string;
  kind: TenantKind;
  state: TenantState;
  enrollments: number;
  runners: number;
  /** Below which other tenant it is, with which it moves. */
  below: string | null;
  /** Whether it may be moved from here: by itself, and not on its way already. */
  mayMove: boolean;
  /** Its move that is under way, whichever way it goes. */
  move: { id: string; state: MoveState; from: string; to: string } | null;
};

export type ClusterView = Omit<ClusterRow, 'tenants' | 'moving'> & {
  bazelUrl: string | null;
  bazelReaders: string | null;
  /** Which Attic server serves it. */
  attic: string | null;
  /** What pools take when each is at its maximum, and what runners hold now. */
  promised: Size;
  used: Size;
  standing: StandingTenant[];
  /** Clusters that a tenant could be moved to. */
  targets: { id: string; name: string }[];
  moves: MoveRow[];
};

export type MoveRow = {
  id: string;
  tenant: string;
  displayName: string;
  from: string;
  to: string;
  state: MoveState;
  createdAt: string;
  createdBy: string;
  endedAt: string | null;
};

const movesMost = 20;
export const underWay: readonly MoveState[] = ['preparing', 'closing', 'leaving', 'calling_off'];

export async function clusterView(by: PersonCtx, id: string, now: Date): Promise<ClusterView> {
  if (!by.person.isOperator) throw notFound();
  const cluster = await unsafeDb().cluster.findUnique({
    where: { id },
    include: { atticServer: true, cacheServers: { where: { plane: 'attic' }, take: 1 } },
  });
  if (!cluster) throw notFound('This cluster');
  const [fit, standing, targets, moves, holds] = await Promise.all([
    clusterFit(id),
    standingOn(id),
    unsafeDb().cluster.findMany({
      where: { id: { not: id }, state: 'open', duplicateOf: null },
      orderBy: { id: 'asc' },
      select: { id: true, name: true },
    }),
    movesOf({ OR: [{ fromClusterId: id }, { toClusterId: id }] }),
    podsHeld(),
  ]);
  return {
    ...knownOf(cluster, fit, now),
    holdsPods: holds(id),
    bazelUrl: cluster.bazelUrl,
    bazelReaders: cluster.bazelReaders,
    attic: (cluster.atticServer ?? cluster.cacheServers[0])?.url ?? null,
    promised: sizeOf(fit.promised),
    used: sizeOf(fit.used),
    standing,
    targets,
    moves,
  };
}

async function standingOn(clusterId: string): Promise<StandingTenant[]> {
  const rows = await unsafeDb().tenant.findMany({
    where: whoStandsOn(clusterId),
    orderBy: { displayName: 'asc' },
    include: {
      parent: { select: { displayName: true } },
      enrollments: { where: { state: { in: ['active', 'withdrawing'] } }, include: { pools: true } },
      moves: { where: { state: { in: [...underWay] } }, take: 1 },
    },
  });
  return rows.map(({ slug, displayName, kind, state, parent, enrollments, moves: [move] }) => ({
    slug,
    displayName,
    kind,
    state,
    enrollments: enrollments.length,
    runners: enrollments.flatMap(({ pools }) => pools).reduce((sum, { currentRunners }) => sum + currentRunners, 0),
    below: parent?.displayName ?? null,
    mayMove: parent === null && !move && state !== 'leaving',
    move: move
      ? { id: move.leadId ?? move.id, state: move.state, from: move.fromClusterId, to: move.toClusterId }
      : null,
  }));
}

async function movesOf(where: Prisma.TenantMoveWhereInput): Promise<MoveRow[]> {
  const rows = await unsafeDb().tenantMove.findMany({
    where: { ...where, leadId: null, state: { not: 'discarded' } },
    orderBy: { createdAt: 'desc' },
    take: movesMost,
    include: { tenant: { select: { slug: true, displayName: true } } },
  });
  return rows.map(({ id, tenant, fromClusterId: from, toClusterId: to, state, createdAt, createdBy, endedAt }) => ({
    id,
    tenant: tenant.slug,
    displayName: tenant.displayName,
    from,
    to,
    state,
    createdAt: createdAt.toISOString(),
    createdBy,
    endedAt: endedAt?.toISOString() ?? null,
  }));
}

// ------------------------------------------------------------------------------------------------ one move

/** For the tenant's own people: the move that is under way; null where there is none. */
export async function presentMove(ctx: Ctx): Promise<{ from: string; to: string } | null> {
  const move = await ctx.db.tenantMove.findFirst({ where: { state: { in: [...underWay] } } });
  return move && { from: move.fromClusterId, to: move.toClusterId };
}

export type MoveView = MoveRow & {
  limitMinutes: number;
  decidedAt: string | null;
  decidedBy: string | null;
  handedOverAt: string | null;
  said: string | null;
  plan: MovePlan;
};

/** One that may be shown to this person at all; those that go along with another have no page of their own. */
function moveOf({ person }: PersonCtx, id: string): { id: string; leadId: null } {
  if (!person.isOperator || !z.uuid().safeParse(id).success) throw notFound('This move');
  return { id, leadId: null };
}

export async function moveView(by: PersonCtx, id: string): Promise<MoveView> {
  const row = await unsafeDb().tenantMove.findFirst({ where: moveOf(by, id), include: { tenant: true } });
  if (!row) throw notFound('This move');
  return {
    id,
    tenant: row.tenant.slug,
    displayName: row.tenant.displayName,
    from: row.fromClusterId,
    to: row.toClusterId,
    state: row.state,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    endedAt: row.endedAt?.toISOString() ?? null,
    limitMinutes: row.limitMinutes,
    decidedAt: row.decidedAt?.toISOString() ?? null,
    decidedBy: row.decidedBy,
    handedOverAt: row.handedOverAt?.toISOString() ?? null,
    said: row.said,
    plan: MovePlan.parse(row.plan),
  };
}

/** What changes of a move while it is under way, which open pages ask for all the time: without the plan, which names every object. */
export type MoveProgress = Pick<MoveView, 'state' | 'said' | 'handedOverAt' | 'endedAt'> & { isUnderWay: boolean };

export async function moveProgress(by: PersonCtx, id: string): Promise<MoveProgress> {
  const row = await unsafeDb().tenantMove.findFirst({
    where: moveOf(by, id),
    select: { state: true, said: true, handedOverAt: true, endedAt: true },
  });
  if (!row) throw notFound('This move');
  return progressOf({
    ...row,
    handedOverAt: row.handedOverAt?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
  });
}

export function progressOf({ state, said, handedOverAt, endedAt }: Omit<MoveProgress, 'isUnderWay'>): MoveProgress {
  return { state, said, handedOverAt, endedAt, isUnderWay: underWay.includes(state) };
}
