import type { Condition, ForgeKind } from '#lib/model/index.ts';

/* What the doctor goes by: what was observed already, as plain values. */

/** One thing that was seen: of which object, when, and what it said. */
export type Evidence = { object: string; at: string | null; said: string };

/** A pool of the enrollment, as it was approved and as the catalog has it. */
export type PoolFact = {
  pool: string;
  label: string;
  image: string;
  /** Whether the catalog says on which nodes its runners run, and they might run on others too. */
  isPlaced: boolean;
  /** Whether its runner set was somebody else's and keeps its own template. */
  isAdopted: boolean;
};

/** An AutoscalingRunnerSet. `version` is its label's, null where it is missing. */
export type SetFact = { name: string; version: string | null; phase: string | null; isEnding: boolean };

/** What listens for a set's jobs, by its pod in the controller's namespace. */
export type ListenerFact = {
  set: string;
  pod: string;
  isReady: boolean;
  /** Why it is not: a container's reason, and its words or the end of its log. */
  reason: string | null;
  message: string;
  restarts: number;
  startedAt: string;
  /** Since when it is ready, or is not. */
  since: string;
};

/** A runner as ARC has it (EphemeralRunner), before, while and after it has a pod. */
export type RunnerFact = {
  name: string;
  set: string;
  pool: string | null;
  phase: string | null;
  reason: string | null;
  message: string;
  /** When each of its pods failed. */
  failedAt: string[];
  /** Whether it waits for a job or runs one. */
  isReady: boolean;
  createdAt: string;
};

/** A pod of the tenant's, as far as it tells of trouble. */
export type PodFact = {
  name: string;
  pool: string | null;
  image: string | null;
  createdAt: string;
  /** Why a container waits, such as ImagePullBackOff; `isDaemon` where it is the one beside the runner. */
  waiting: { reason: string; message: string; isDaemon: boolean } | null;
  unschedulable: { since: string; message: string } | null;
  /** Made by nobody who is still there, though it bears our label. */
  isOrphan: boolean;
};

/** A Deployment whose pods the cluster does not make. */
export type DeploymentFact = { name: string; pool: string | null; said: string; at: string | null };

/** An object of ours that was told to go and has not gone. */
export type EndingFact = {
  kind: string;
  apiVersion: string;
  name: string;
  namespace: string | null;
  since: string;
  finalizers: string[];
  /** Whether runners of it still have work: then it is not stuck. */
  isBusy: boolean;
};

/** A job that waits for labels that no pool of ours answers to. */
export type StrayFact = {
  repository: string;
  workflow: string | null;
  name: string | null;
  labels: string[];
  queuedAt: string;
};

export type Facts = {
  now: Date;
  forge: ForgeKind;
  forgeName: string;
  path: string;
  /** The labels key of a workflow at this forge: `runs-on` or `tags`. */
  labelKey: string;
  /** The version of the controller that is installed; null where there is none or it was not asked. */
  controllerVersion: string | null;
  pools: PoolFact[];
  sets: SetFact[];
  listeners: ListenerFact[];
  runners: RunnerFact[];
  pods: PodFact[];
  deployments: DeploymentFact[];
  ending: EndingFact[];
  conditions: Condition[];
  strays: StrayFact[];
};

export const findingKinds = [
  'quota-blocked',
  'image-gone',
  'image-too-old',
  'pod-failures',
  'unschedulable',
  'version-label',
  'scale-set-gone',
  'session-held',
  'installation-suspended',
  'listener-restarting',
  'wrong-label',
  'stuck-finalizer',
] as const;
export type FindingKind = (typeof findingKinds)[number];

export const repairKinds = [
  'remove-orphans',
  'fit-maximum',
  'set-image',
  'clear-placement',
  'restart-runners',
  'stamp-version',
  'register-anew',
  'restart-listener',
  'drop-finalizer',
  'look-again',
] as const;
export type RepairKind = (typeof repairKinds)[number];

/** A repair that fits a finding. `who` may apply it: what touches the catalog, or leaves something at a forge, is an operator's. */
export type Offer = { kind: RepairKind; who: 'admin' | 'operator'; params: Record<string, string | string[]> };

/** What a diagnosis says of one thing. `todo` is what a person does where no repair of ours can. */
export type Found = {
  kind: FindingKind;
  subject: string;
  /** bad: jobs wait or are lost. warn: it will be so, or may be on purpose. */
  severity: 'bad' | 'warn';
  title: string;
  words: string;
  evidence: Evidence[];
  offers: Offer[];
};
