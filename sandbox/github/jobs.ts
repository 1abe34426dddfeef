import { createHash } from 'node:crypto';
import type { Conclusion, Job, Repo, Runner, RunnerGroup, ScaleSet } from './model.ts';
import { jobEvents, type Webhooks } from './webhooks.ts';
import { same, type World } from './world.ts';

const queueHoursMax = 24;
const completedKept = 1000;

export interface JobRequest {
  repo: Repo;
  labels: string[];
  name?: string | undefined;
  workflow?: string | undefined;
  durationSeconds?: number | undefined;
  held?: boolean | undefined;
  conclusion?: Conclusion | undefined;
  senderId?: number | undefined;
}

/**
 * The life of a workflow job: queued, offered to a scale set, taken by it, run by one of its runners, completed.
 * A job finds a scale set by NAME only: that is the one thing all versions of GitHub agree on.
 */
export class Jobs {
  readonly #world: World;
  readonly #hooks: Webhooks;

  constructor(world: World, hooks: Webhooks) {
    this.#world = world;
    this.#hooks = hooks;
  }

  queue(given: JobRequest): Job {
    const id = this.#world.id();
    const job: Job = {
      id,
      runId: this.#world.id(),
      requestId: this.#world.id(),
      repositoryId: given.repo.id,
      name: given.name ?? 'build',
      workflow: given.workflow ?? 'ci',
      labels: given.labels,
      phase: 'queued',
      conclusion: null,
      wantedConclusion: given.conclusion ?? 'success',
      durationSeconds: given.durationSeconds ?? null,
      held: given.held ?? false,
      scaleSetId: null,
      runnerId: null,
      runnerName: null,
      runnerGroupId: null,
      senderId: given.senderId ?? this.#anyoneIn(given.repo),
      headSha: createHash('sha1').update(String(id)).digest('hex'),
      createdAt: this.#world.iso(),
      assignedAt: null,
      startedAt: null,
      completedAt: null,
    };
    this.#world.state.jobs[id] = job;
    this.#tell(job, 'queued');
    this.match();
    return job;
  }

  /** Gives queued jobs to the scale sets that may have them, and offers as many as the listeners have room for. */
  match(): void {
    const { jobs, scaleSets } = this.#world.state;
    this.#dropStale();
    for (const job of Object.values(jobs)) {
      if (job.phase === 'queued') job.scaleSetId = this.#setFor(job)?.id ?? null;
    }
    for (const set of Object.values(scaleSets)) this.#offer(set);
    this.#world.wake();
  }

  /** What a listener said it can run at most: it decides how many jobs are offered. */
  setCapacity(set: ScaleSet, capacity: number): void {
    if (set.maxCapacity === capacity) return;
    set.maxCapacity = capacity;
    this.#offer(set);
    this.#world.save();
  }

  /** A new listener knows nothing: what was offered to the last one is offered again. */
  offerAgain(set: ScaleSet): void {
    set.messages = [];
    set.events = set.events.filter((e) => e['messageType'] !== 'JobAvailable');
    for (const job of this.of(set)) if (job.phase === 'available') job.phase = 'queued';
    this.#offer(set);
    this.#world.wake();
  }

  acquire(set: ScaleSet, requestIds: number[]): number[] {
    const taken = this.of(set).filter((j) => j.phase === 'available' && requestIds.includes(j.requestId));
    for (const job of taken) {
      job.phase = 'assigned';
      job.assignedAt = this.#world.iso();
      set.events.push({ messageType: 'JobAssigned', ...this.#about(job) });
    }
    this.#world.wake();
    return taken.map((j) => j.requestId);
  }

  /** The oldest taken job that still has no runner, started on this one; undefined while there is none. */
  start(runner: Runner): Job | undefined {
    const set = this.#world.state.scaleSets[runner.scaleSetId];
    if (!runner.online) {
      runner.online = true;
      this.#world.wake();
    }
    const job = set && this.of(set).find((j) => j.phase === 'assigned');
    if (!job || runner.jobId !== null) return undefined;
    Object.assign(job, {
      phase: 'running',
      startedAt: this.#world.iso(),
      runnerId: runner.id,
      runnerName: runner.name,
      runnerGroupId: runner.runnerGroupId,
    } satisfies Partial<Job>);
    runner.jobId = job.id;
    set.events.push({ messageType: 'JobStarted', runnerId: runner.id, runnerName: runner.name, ...this.#about(job) });
    this.#tell(job, 'in_progress');
    this.#world.wake();
    return job;
  }

  /** Ends a job wherever it is. Its runner was made for this one job and goes with it. */
  finish(job: Job, conclusion: Conclusion): void {
    if (job.phase === 'completed') return;
    const set = job.scaleSetId === null ? undefined : this.#world.state.scaleSets[job.scaleSetId];
    const wasOffered = job.phase !== 'queued';
    Object.assign(job, { phase: 'completed', conclusion, completedAt: this.#world.iso() } satisfies Partial<Job>);
    if (set && wasOffered)
      set.events.push({
        messageType: 'JobCompleted',
        result: results[conclusion],
        runnerId: job.runnerId ?? 0,
        runnerName: job.runnerName ?? '',
        ...this.#about(job),
      });
    if (job.runnerId !== null) delete this.#world.state.runners[job.runnerId];
    this.#tell(job, 'completed');
    this.#forgetOld();
    this.match();
  }

  removeRunner(runner: Runner): void {
    delete this.#world.state.runners[runner.id];
    this.#world.wake();
  }

  removeSet(set: ScaleSet): void {
    delete this.#world.state.scaleSets[set.id];
    for (const session of Object.values(this.#world.state.sessions)) {
      if (session.scaleSetId === set.id) delete this.#world.state.sessions[session.id];
    }
    for (const runner of Object.values(this.#world.state.runners)) {
      if (runner.scaleSetId === set.id && runner.jobId === null) delete this.#world.state.runners[runner.id];
    }
    for (const job of Object.values(this.#world.state.jobs)) {
      const waiting = job.phase === 'available' || job.phase === 'assigned';
      if (job.scaleSetId === set.id && waiting)
        Object.assign(job, { phase: 'queued', scaleSetId: null, assignedAt: null } satisfies Partial<Job>);
    }
    this.match();
  }

  of(set: ScaleSet): Job[] {
    return Object.values(this.#world.state.jobs).filter((j) => j.scaleSetId === set.id);
  }

  statistics(set: ScaleSet): Record<string, number> {
    const count = (phase: Job['phase']): number => this.of(set).filter((j) => j.phase === phase).length;
    const runners = Object.values(this.#world.state.runners).filter((r) => r.scaleSetId === set.id);
    const busy = runners.filter((r) => r.jobId !== null).length;
    const running = count('running');
    const assigned = count('assigned');
    return {
      totalAvailableJobs: count('queued') + count('available'),
      totalAcquiredJobs: assigned,
      totalAssignedJobs: assigned + running,
      totalRunningJobs: running,
      totalRegisteredRunners: runners.length,
      totalBusyRunners: busy,
      totalIdleRunners: runners.filter((r) => r.online).length - busy,
    };
  }

  #offer(set: ScaleSet): void {
    if (set.maxCapacity === null) return;
    const jobs = this.of(set);
    let room =
      set.maxCapacity -
      jobs.filter((j) => j.phase === 'available' || j.phase === 'assigned' || j.phase === 'running').length;
    for (const job of jobs) {
      if (room <= 0) return;
      if (job.phase !== 'queued') continue;
      job.phase = 'available';
      set.events.push({ messageType: 'JobAvailable', acquireJobUrl: '', ...this.#about(job) });
      room -= 1;
    }
  }

  #setFor(job: Job): ScaleSet | undefined {
    const [label, ...others] = job.labels;
    if (label === undefined || others.length > 0) return undefined;
    const repo = this.#world.state.repos[job.repositoryId];
    if (!repo) return undefined;
    const named = Object.values(this.#world.state.scaleSets).filter((s) => same(s.name, label));
    // A repository's own scale set is nearer than its organization's, and that nearer than the enterprise's.
    const enterprise = this.#world.enterpriseOf(repo.ownerId);
    return (
      named.find((s) => s.scope === `r${repo.id}`) ??
      named.find((s) => s.scope === `o${repo.ownerId}` && this.#allowed(s, repo, job, repo.ownerId)) ??
      (enterprise && named.find((s) => s.scope === `e${enterprise.id}` && this.#allowed(s, repo, job, enterprise.id)))
    );
  }

  #allowed(set: ScaleSet, repo: Repo, job: Job, holderId: number): boolean {
    const group = this.#world.runnerGroups(holderId).find((g) => g.id === set.runnerGroupId);
    if (!group || !mayUseGroup(group, repo)) return false;
    return !group.restrictedToWorkflows || group.selectedWorkflows.includes(this.#workflowRef(job));
  }

  #workflowRef(job: Job): string {
    const repo = this.#world.state.repos[job.repositoryId] as Repo;
    return `${this.#world.fullName(repo)}/.github/workflows/${job.workflow}.yml@refs/heads/main`;
  }

  #about(job: Job): Record<string, unknown> {
    const repo = this.#world.state.repos[job.repositoryId] as Repo;
    const never = '0001-01-01T00:00:00Z';
    return {
      runnerRequestId: job.requestId,
      repositoryName: repo.name,
      ownerName: this.#world.account(repo.ownerId).login,
      jobId: serviceJobId(job),
      jobWorkflowRef: this.#workflowRef(job),
      jobDisplayName: job.name,
      workflowRunId: job.runId,
      eventName: 'push',
      requestLabels: job.labels,
      queueTime: job.createdAt,
      scaleSetAssignTime: job.assignedAt ?? never,
      runnerAssignTime: job.startedAt ?? never,
      finishTime: job.completedAt ?? never,
    };
  }

  #tell(job: Job, action: 'queued' | 'in_progress' | 'completed'): void {
    for (const event of jobEvents(this.#world, job, action)) this.#hooks.send(event);
  }

  #dropStale(): void {
    const oldest = this.#world.now().getTime() - queueHoursMax * 3_600_000;
    const stale = Object.values(this.#world.state.jobs).filter(
      (j) => j.phase !== 'running' && j.phase !== 'completed' && Date.parse(j.createdAt) < oldest,
    );
    for (const job of stale) this.finish(job, 'cancelled');
  }

  #forgetOld(): void {
    const done = Object.values(this.#world.state.jobs).filter((j) => j.phase === 'completed');
    for (const job of done.slice(0, Math.max(0, done.length - completedKept))) delete this.#world.state.jobs[job.id];
  }

  #anyoneIn(repo: Repo): number {
    const org = this.#world.state.orgs[repo.ownerId];
    return org ? (org.members[0]?.userId ?? repo.ownerId) : repo.ownerId;
  }
}

const results: Record<Conclusion, string> = {
  success: 'succeeded',
  failure: 'failed',
  cancelled: 'canceled',
  skipped: 'skipped',
};

/** The service names jobs by GUIDs of its own: a `workflow_job` webhook's id is another number, and nothing leads from one to the other. */
function serviceJobId(job: Job): string {
  const hex = createHash('sha256').update(`job ${job.id}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    '-',
  );
}

/** Who may send jobs to a group's runners, before workflows are looked at. */
export function mayUseGroup(group: RunnerGroup, repo: Repo): boolean {
  if (!repo.private && !group.allowsPublic) return false;
  if (group.visibility === 'private') return repo.private;
  return group.visibility === 'all' || group.repositoryIds.includes(repo.id);
}
