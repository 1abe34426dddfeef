import { randomUUID } from 'node:crypto';
import type { Conclusion, Job, Repo, Runner } from './model.ts';
import type { Webhooks } from './webhooks.ts';
import type { World } from './world.ts';

export interface JobRequest {
  repo: Repo;
  runsOn: string[];
  name?: string | undefined;
  workflow?: string | undefined;
  conclusion?: Conclusion | undefined;
  durationSeconds?: number | undefined;
  senderId?: number | undefined;
}

/** The queue: a job waits until a runner asks whose labels it wants, and is that runner's until it says how it ended. */
export class Jobs {
  readonly #world: World;
  readonly #hooks: Webhooks;

  constructor(world: World, hooks: Webhooks) {
    this.#world = world;
    this.#hooks = hooks;
  }

  queue(request: JobRequest): Job {
    const world = this.#world;
    const { repo, runsOn, name = 'build', workflow = 'ci', conclusion = 'success', durationSeconds = 5 } = request;
    const owner = world.state.orgs[repo.ownerId]?.teams[0]?.members[0] ?? repo.ownerId;
    const job: Job = {
      id: world.id(),
      runId: world.id(),
      attempt: 1,
      handle: randomUUID(),
      repoId: repo.id,
      name,
      workflow,
      runsOn,
      status: 'waiting',
      wantedConclusion: conclusion,
      durationSeconds,
      runnerId: null,
      runnerName: null,
      taskId: 0,
      logLines: 0,
      senderId: request.senderId ?? owner,
      createdAt: world.iso(),
      startedAt: null,
      stoppedAt: null,
    };
    world.state.jobs[job.id] = job;
    world.queueChanged();
    return job;
  }

  /** The oldest waiting job that this runner serves, which is now its own. A runner of one job at a time takes no second. */
  pick(runner: Runner, handle?: string): Job | undefined {
    const world = this.#world;
    if (runner.jobId !== null) return undefined;
    const fits = (job: Job) => job.status === 'waiting' && job.runsOn.every((label) => runner.labels.includes(label));
    const job = world
      .jobsIn(runner.scope)
      .filter((each) => fits(each) && (handle === undefined || each.handle === handle))
      .toSorted((a, b) => a.id - b.id)[0];
    if (!job) return undefined;
    runner.jobId = job.id;
    Object.assign(job, { status: 'running', runnerId: runner.id, runnerName: runner.name, taskId: world.id() });
    job.startedAt = world.iso();
    world.queueChanged();
    return job;
  }

  /** A runner that was made for one job is gone with it. */
  finish(job: Job, conclusion: Conclusion): void {
    const { state } = this.#world;
    if (job.status !== 'waiting' && job.status !== 'running') return;
    job.status = conclusion;
    job.stoppedAt = this.#world.iso();
    const runner = job.runnerId === null ? undefined : state.runners[job.runnerId];
    if (runner) runner.jobId = null;
    if (runner?.ephemeral) delete state.runners[runner.id];
    this.#world.queueChanged();
    this.#hooks.runEnded(job);
  }

  /** What a runner that is deleted was running is at an end. */
  removeRunner(runner: Runner): void {
    const job = runner.jobId === null ? undefined : this.#world.state.jobs[runner.jobId];
    delete this.#world.state.runners[runner.id];
    if (job) this.finish(job, 'cancelled');
    this.#world.save();
  }
}
