import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { failure, forbidden, sameSecret } from './access.ts';
import type { Hooks } from './hooks.ts';
import type { Job, JobStatus, Project, Runner } from './model.ts';
import type { World } from './world.ts';

const finishedKept = 1000;

export interface JobRequest {
  project: Project;
  tags: string[];
  name?: string | undefined;
  durationSeconds?: number | undefined;
  status?: 'success' | 'failed' | undefined;
}

/** The life of a job: pending, taken by a runner that has all its tags, run, ended. Each step tells the hooks. */
export class Jobs {
  readonly #world: World;
  readonly #hooks: Hooks;

  constructor(world: World, hooks: Hooks) {
    this.#world = world;
    this.#hooks = hooks;
  }

  queue(given: JobRequest): Job {
    const id = this.#world.id();
    const job: Job = {
      id,
      pipelineId: this.#world.id(),
      projectId: given.project.id,
      name: given.name ?? 'build',
      stage: 'test',
      tags: given.tags,
      status: 'pending',
      durationSeconds: given.durationSeconds ?? 2,
      wantedStatus: given.status ?? 'success',
      runnerId: null,
      token: this.#world.token('glcbt'),
      trace: '',
      sha: createHash('sha1').update(String(id)).digest('hex'),
      userId: this.#anyoneIn(given.project),
      createdAt: this.#world.iso(),
      startedAt: null,
      finishedAt: null,
    };
    this.#world.state.jobs[id] = job;
    this.#forgetOld();
    this.#tell(job);
    return job;
  }

  /** The oldest pending job that this runner may have, started on it. */
  take(runner: Runner): Job | undefined {
    const job = Object.values(this.#world.state.jobs).find(
      (each) => each.status === 'pending' && this.#fits(runner, each),
    );
    if (!job || runner.paused) return undefined;
    Object.assign(job, { status: 'running', runnerId: runner.id, startedAt: this.#world.iso() } satisfies Partial<Job>);
    this.#tell(job);
    return job;
  }

  finish(job: Job, status: Exclude<JobStatus, 'pending' | 'running'>): void {
    if (job.finishedAt !== null) return;
    Object.assign(job, { status, finishedAt: this.#world.iso() } satisfies Partial<Job>);
    this.#tell(job);
  }

  #fits(runner: Runner, job: Job): boolean {
    const project = this.#world.state.projects[job.projectId];
    if (!project?.ciEnabled || !this.#world.serves(runner, project)) return false;
    return job.tags.length === 0 ? runner.runUntagged : job.tags.every((tag) => runner.tags.includes(tag));
  }

  #tell(job: Job): void {
    this.#world.save();
    this.#hooks.tellOfJob(job);
  }

  #forgetOld(): void {
    const ended = Object.values(this.#world.state.jobs).filter((job) => job.finishedAt !== null);
    for (const job of ended.slice(0, Math.max(0, ended.length - finishedKept))) delete this.#world.state.jobs[job.id];
  }

  #anyoneIn(project: Project): number {
    const owner = this.#world.ownerOf(project.namespaceId);
    return owner?.id ?? this.#world.lineage(project.namespaceId).flatMap((group) => group.members)[0]?.userId ?? 0;
  }
}

// ------------------------------------------------------------------------------------------------ the runner's side

const RunnerAsk = z.object({
  token: z.string().default(''),
  system_id: z.string().default('s_sandbox'),
  info: z.object({ version: z.string().optional() }).optional(),
});

/** What gitlab-runner itself calls, by its own token and by each job's (lib/api/ci/runner.rb). It does not wait for a job. */
export function runnerSideRoutes(api: Routes, world: World, jobs: Jobs): void {
  api.on('POST', '/runners/verify', (ask) => {
    const runner = authenticateRunner(world, ask);
    return {
      status: 200,
      body: { id: runner.id, token: runner.token, token_expires_at: runner.tokenExpiresAt ?? null },
    };
  });
  api.on('DELETE', '/runners', (ask) => {
    delete world.state.runners[authenticateRunner(world, ask).id];
    world.save();
    return { status: 204 };
  });
  // Registration tokens: off since 17.0, and nobody here has one.
  api.on('POST', '/runners', () => failure(403, '403 Forbidden'));
  api.on('POST', '/jobs/request', (ask) => {
    const job = jobs.take(authenticateRunner(world, ask));
    return job ? { status: 201, body: jobForRunner(world, job) } : { status: 204 };
  });
  api.on('PATCH', '/jobs/:id/trace', (ask) => {
    const job = authenticateJob(world, ask);
    const from = /^(\d+)-/.exec(headerOf(ask, 'content-range'))?.[1];
    if (from === undefined) return failure(400, '400 Missing header Content-Range');
    const headers = () => ({ 'job-status': job.status, range: `0-${job.trace.length}` });
    if (Number(from) !== job.trace.length) return failure(416, '416 Range Not Satisfiable', headers());
    job.trace += ask.rawBody.toString();
    world.save();
    return { status: 202, headers: { ...headers(), 'x-gitlab-trace-update-interval': '3' }, body: '' };
  });
  api.on('PUT', '/jobs/:id', (ask) => {
    const job = authenticateJob(world, ask);
    const given = z.object({ state: z.string().optional() }).safeParse(ask.body ?? {}).data;
    if (given?.state === 'success' || given?.state === 'failed') jobs.finish(job, given.state);
    return { status: 200, headers: { 'job-status': job.status }, body: '200' };
  });
}

function authenticateRunner(world: World, ask: Ask): Runner {
  const given = RunnerAsk.safeParse(ask.body ?? {}).data;
  const runner = Object.values(world.state.runners).find((each) => sameSecret(each.token, given?.token ?? ''));
  const isOver = runner?.tokenExpiresAt && Date.parse(runner.tokenExpiresAt) <= world.now().getTime();
  if (!runner || !given || isOver) return forbidden();
  const contactedAt = world.iso();
  runner.contactedAt = contactedAt;
  const version = given.info?.version ?? '19.3.0';
  const known = runner.managers.find((manager) => manager.systemId === given.system_id);
  if (known) Object.assign(known, { contactedAt, version });
  else
    runner.managers.push({ id: world.id(), systemId: given.system_id, version, contactedAt, createdAt: contactedAt });
  world.save();
  return runner;
}

const JobAsk = z.object({ token: z.string().optional() });

/** A job that has ended, by its runner or by somebody else, takes no more of it: `Job-Status` tells the runner to stop. */
function authenticateJob(world: World, ask: Ask): Job {
  const job = world.state.jobs[ask.params['id'] ?? ''];
  const token = headerOf(ask, 'job-token') || (JobAsk.safeParse(ask.body ?? {}).data?.token ?? '');
  if (!job || !sameSecret(job.token, token)) return forbidden();
  if (job.status === 'running') return job;
  throw new Reply(failure(403, '403 Forbidden - Job is not running', { 'job-status': job.status }));
}

function headerOf(ask: Ask, name: string): string {
  const value = ask.headers[name];
  return typeof value === 'string' ? value : '';
}

/** What a runner needs to run it. The two last variables tell a runner that only plays what to play. */
function jobForRunner(world: World, job: Job): Answer['body'] {
  const project = world.state.projects[job.projectId] as Project;
  const path = world.projectPath(project);
  const variable = (key: string, value: string) => ({ key, value, public: true, masked: false });
  return {
    id: job.id,
    token: job.token,
    allow_git_fetch: true,
    job_info: { id: job.id, name: job.name, stage: job.stage, project_id: project.id, project_name: project.name },
    git_info: {
      repo_url: `${world.url}/${path}.git`,
      ref: 'main',
      sha: job.sha,
      before_sha: '0'.repeat(40),
      ref_type: 'branch',
    },
    runner_info: { timeout: 3600, runner_session_url: null },
    variables: [
      variable('CI_JOB_ID', String(job.id)),
      variable('CI_JOB_URL', `${world.url}/${path}/-/jobs/${job.id}`),
      variable('CI_PROJECT_PATH', path),
      variable('SANDBOX_SECONDS', String(job.durationSeconds)),
      variable('SANDBOX_STATUS', job.wantedStatus),
    ],
    steps: [{ name: 'script', script: [`sleep ${job.durationSeconds}`], timeout: 3600, when: 'on_success' }],
    image: null,
    services: [],
    artifacts: null,
    cache: [],
    credentials: [],
    dependencies: [],
    features: { trace_sections: true, failure_reasons: ['script_failure'] },
  };
}
