import type { ClusterView, KubernetesObject, Observed } from '#lib/cluster/index.ts';
import { appliedHash, enrollmentLabel, isLater } from '#lib/cluster/index.ts';
import type { Clock } from '#lib/clock.ts';
import type { AtScope, Forge } from '#lib/forge/index.ts';
import { runnersNamespacesOf, type EnrollmentSpec, type Pool, type Reason } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import type { Secrets } from './cache-env.ts';
import type { PhaseResult } from './conditions.ts';
import { heldGrants, lastDecision, type PoolsKnown, type SharedByTenant } from './desired.ts';
import type { EnrollmentRow } from './rows.ts';

/* What the phases of one pass share. */

/** What the phases of one pass read and write. Nothing of it outlives the pass. */
export type PassScope = {
  row: EnrollmentRow;
  spec: EnrollmentSpec;
  /** The catalog, with what was approved of this enrollment's own. */
  pools: ReadonlyMap<string, Pool>;
  view: ClusterView;
  forge: () => Promise<Forge>;
  /** The scope and the power over it, opened once a pass; null where that power is missing. */
  at: () => Promise<AtScope | null>;
  lease: Lease;
  clock: Clock;
  /** When the forge and the caches were last seen to be as they should; a restart looks again. */
  seen: Map<string, number>;
  attic: Secrets['attic'];
  /** What the phases before this one found. */
  found: Map<string, PhaseResult>;
  /** Asks for another pass so soon, though all should be well: for what is under way and nothing tells of. */
  lookAgain: (ms: number) => void;
  /** What the tenant's enrollments have in common; asked once a pass. */
  shared: () => Promise<SharedByTenant>;
  /** Whether no other enrollment of the tenant has anything in its namespace; asked once a pass. */
  isLast: () => Promise<boolean>;
  /** In a move between clusters: whether this process has to wait, since its namesake on the other one may be at work. */
  isHeld?: (process: KubernetesObject) => boolean;
};

export type Phase = {
  type: string;
  label: string;
  /** Phases that must be True first; else this one is not looked at. */
  needs: readonly string[];
  /** Of these, what was ready once of this generation is kept without: it was made, and stays so while they are away. */
  keptWithout?: readonly string[];
  run: (scope: PassScope) => Promise<PhaseResult>;
};

const lookAgainMs = 5 * 60_000;
const viewWaitMs = 5_000;

/** What sizes follow from in this pass: what was approved of the pools, the hour, and the shares that were given. */
export function knownIn({ pools, clock, row }: PassScope): PoolsKnown {
  return { pools, now: clock.now(), grants: heldGrants(row) };
}

/** Asked when it is first wanted, and not again in this pass. */
export function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => (answer ??= ask());
}

export const ok = (message: string): PhaseResult => ({
  status: 'True',
  reason: 'AsWanted',
  message,
  waitingFor: 'nobody',
});

export const wait = (reason: Reason, message: string, waitingFor: PhaseResult['waitingFor']): PhaseResult => ({
  status: 'False',
  reason,
  message,
  waitingFor,
});

export const notReached = (waitingFor: PhaseResult['waitingFor']): PhaseResult => ({
  status: 'Unknown',
  reason: 'NotReached',
  message: 'Waits for the steps before it.',
  waitingFor,
});

/** Whether all of this generation was ready once. */
export function wasReady({ row }: PassScope): boolean {
  return row.observedGeneration === row.generation;
}

/** Whether an outside thing was looked at lately: a pass that changes nothing then sends nothing. */
export function isFresh(scope: PassScope, what: string, since?: Date | null): boolean {
  const at = scope.seen.get(`${scope.row.id}/${what}`);
  if (at === undefined) return false;
  const nowMs = scope.clock.now().getTime();
  return nowMs - at < lookAgainMs && (since === null || since === undefined || since.getTime() <= at);
}

/** `atMs`: when it was asked for, where that matters. */
export function markSeen(scope: PassScope, what: string, atMs = scope.clock.now().getTime()): void {
  scope.seen.set(`${scope.row.id}/${what}`, atMs);
}

export async function clusterKnown({ view, lease }: PassScope): Promise<PhaseResult | null> {
  if (await view.whenSynced(viewWaitMs, lease.signal)) return null;
  return wait('ClusterAway', 'The cluster does not answer yet; this goes on by itself when it does.', 'cluster');
}

type OwnKind =
  | 'AutoscalingRunnerSet'
  | 'Deployment'
  | 'Secret'
  | 'ConfigMap'
  | 'NetworkPolicy'
  | 'Role'
  | 'RoleBinding'
  | 'ServiceAccount';

/**
 * What this enrollment applied itself where runners are. What is from a later decision than any that is known is not counted:
 * the database is older than the cluster then, and what somebody approved since is not ours to take away.
 */
export function own(scope: PassScope, kind: OwnKind, matches: (object: Observed) => boolean): Observed[] {
  return applied(scope, kind).filter((object) => !isLater(object, lastDecision([scope.row])) && matches(object));
}

function applied({ row, view }: PassScope, kind: OwnKind): Observed[] {
  // ARC hands labels on to what it makes; the annotation says what we applied ourselves.
  return [...view.allIn(runnersNamespacesOf(row.tenant.slug), kind)].filter(
    (object) => appliedHash(object) !== undefined && object.metadata.labels?.[enrollmentLabel] === row.name,
  );
}

const processKinds = ['AutoscalingRunnerSet', 'Deployment'] as const;

/** The processes that are left alone because what they are from is not known here, by name. */
export function foundNewer(scope: PassScope): string[] {
  return processKinds
    .flatMap((kind) => applied(scope, kind))
    .filter((object) => isLater(object, lastDecision([scope.row])))
    .map(({ metadata }) => metadata.name)
    .toSorted();
}
