import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ApiError, type Kube, type Obj } from '#sandbox/arc/kube.ts';
import { keyOf } from '#sandbox/arc/watched.ts';
import { gitlabConfig, type GitlabConfig, type GitlabRunner } from './config.ts';
import { jobPod, managerNameLabel } from './job-pod.ts';
import type { Play } from './play.ts';

const version = '19.3.0';
/** How often it looks whether its configuration has changed (gitlab-runner, commands/multi.go). */
const reloadMs = 3000;

/** What lies in the folder that its pod mounts. */
export type ManagerFiles = { config: string; systemId: string | undefined };

/** What GitLab gives to a runner that asks (POST /api/v4/jobs/request); the last two variables say what to play. */
const GivenJob = z
  .looseObject({
    id: z.int(),
    token: z.string(),
    job_info: z.looseObject({ name: z.string(), project_id: z.int() }),
    runner_info: z.looseObject({ timeout: z.int() }),
    image: z.looseObject({ name: z.string().default('') }).nullish(),
    services: z.array(z.looseObject({ name: z.string() })).nullish(),
    variables: z.array(z.looseObject({ key: z.string(), value: z.string() })).default([]),
  })
  .transform((job) => ({
    id: job.id,
    token: job.token,
    name: job.job_info.name,
    projectId: job.job_info.project_id,
    url: valueOf(job.variables, 'CI_JOB_URL') ?? '',
    image: job.image?.name || null,
    services: (job.services ?? []).map(({ name }) => name),
    timeoutSeconds: job.runner_info.timeout,
    seconds: Number(valueOf(job.variables, 'SANDBOX_SECONDS') ?? Number.NaN),
    state: valueOf(job.variables, 'SANDBOX_STATUS') === 'failed' ? ('failed' as const) : ('success' as const),
  }));
type GivenJob = z.infer<typeof GivenJob>;

function valueOf(variables: { key: string; value: string }[], key: string): string | undefined {
  return variables.find((each) => each.key === key)?.value;
}

/**
 * gitlab-runner's manager, with the Kubernetes executor: asks its GitLab for jobs while it has room, makes a pod for each, and
 * tells what became of it. It acts as its pod's ServiceAccount, so that a right that its Role does not have is missed. When
 * its pod goes it asks for no more and its jobs end in their time, as on SIGQUIT; when the sandbox ends, all ends. A
 * configuration that changes is read again every three seconds; a job goes on with the runner that it was given to.
 */
export class GitlabManager {
  readonly #kube: Kube;
  readonly #read: () => Promise<ManagerFiles | undefined>;
  readonly #play: Play;
  readonly #systemId: string;
  /** Each with the runner that it was given to. */
  readonly #jobs = new Map<Promise<void>, string>();
  #text: string;
  #config: GitlabConfig;
  #readAtMs = Date.now();

  constructor(kube: Kube, files: ManagerFiles, read: () => Promise<ManagerFiles | undefined>, play: Play) {
    this.#kube = kube;
    this.#text = files.config;
    this.#config = gitlabConfig(files.config);
    this.#systemId = files.systemId ?? `r_${randomBytes(6).toString('hex')}`;
    this.#read = read;
    this.#play = play;
  }

  /** The exit code; it ends by itself only with its pod. */
  async run(podSignal: AbortSignal): Promise<number> {
    const signal = AbortSignal.any([podSignal, this.#play.signal]);
    await this.#removeLeftovers();
    await this.#retried('verify', signal, async () => {
      const answer = await this.#post(this.#config.runners[0], '/runners/verify', {}, signal);
      if (answer.status !== 200) throw new Error(`verify: ${answer.status} ${await answer.text()}`);
      return true;
    });
    while (!signal.aborted) {
      await this.#reload();
      let isGiven = false;
      for (const runner of this.#config.runners) {
        const job = this.#hasRoom(runner) ? await this.#request(runner, signal) : undefined;
        if (job) this.#begin(runner, job);
        isGiven ||= job !== undefined;
      }
      if (!isGiven) await this.#pause(this.#config.check_interval * 1000, signal);
    }
    await Promise.all(this.#jobs.keys());
    return 0;
  }

  /** What it cannot read it passes over, and goes on with what it has. */
  async #reload(): Promise<void> {
    if (Date.now() - this.#readAtMs < reloadMs * this.#play.waitScale) return;
    this.#readAtMs = Date.now();
    const text = (await this.#read().catch(() => undefined))?.config;
    if (text === undefined || text === this.#text) return;
    this.#text = text;
    this.#config = gitlabConfig(text);
  }

  #hasRoom({ token, limit }: GitlabRunner): boolean {
    const own = [...this.#jobs.values()].filter((each) => each === token).length;
    return this.#jobs.size < this.#config.concurrent && (limit === 0 || own < limit);
  }

  #begin(runner: GitlabRunner, job: GivenJob): void {
    const running: Promise<void> = this.#run(runner, job)
      .catch((error: unknown) => this.#play.report('job', String(job.id), error))
      .finally(() => this.#jobs.delete(running));
    this.#jobs.set(running, runner.token);
  }

  async #request(runner: GitlabRunner, signal: AbortSignal): Promise<GivenJob | undefined> {
    try {
      const answer = await this.#post(runner, '/jobs/request', {}, signal);
      if (answer.status === 201) return GivenJob.parse(await answer.json());
      const text = await answer.text();
      // 204: none. 409: somebody else was faster.
      if (answer.status !== 204 && answer.status !== 409) throw new Error(`jobs/request: ${answer.status} ${text}`);
    } catch (error) {
      if (!signal.aborted) this.#play.report('runner', runner.name, error);
    }
    return undefined;
  }

  async #run(runner: GitlabRunner, job: GivenJob): Promise<void> {
    const { signal } = this.#play;
    let pod: Obj | undefined;
    try {
      pod = await this.#createPod(runner, job, signal);
      await this.#running(pod, signal);
      const trace = `Running with gitlab-runner ${version}\nUsing Kubernetes executor\nRunning on ${pod.metadata.name}\n`;
      if (!(await this.#trace(job, 0, trace))) return;
      await this.#work(job, trace.length, signal);
      await this.#put(job, job.state, job.state === 'failed' ? 'script_failure' : undefined);
    } catch (error) {
      // As on SIGTERM: the job ends with its runner, and GitLab is told so.
      if (signal.aborted) return await this.#put(job, 'failed', 'runner_system_failure', AbortSignal.timeout(2000));
      await this.#trace(job, 0, `ERROR: Job failed (system failure): ${String(error)}\n`).catch(() => undefined);
      await this.#put(job, 'failed', 'runner_system_failure');
      throw error;
    } finally {
      if (pod) await this.#deletePod(pod);
    }
  }

  /** Room in the quota may come: as often again as `retry_limits` says, later and later. */
  async #createPod(runner: GitlabRunner, job: GivenJob, signal: AbortSignal): Promise<Obj> {
    const { retry_limits: limits, retry_backoff_max: mostMs } = runner.kubernetes;
    for (let tries = 0; ; tries += 1) {
      const pod = jobPod(runner, job);
      this.#play.jobPods.add(keyOf(pod));
      try {
        return await this.#kube.create(pod);
      } catch (error) {
        this.#play.jobPods.delete(keyOf(pod));
        const known = Object.entries(limits).find(([text]) => String(error).includes(text));
        if (!known || tries >= known[1] || !(error instanceof ApiError)) throw error;
        await sleep(Math.min(mostMs, 500 * 2 ** tries) * this.#play.waitScale, undefined, { signal });
      }
    }
  }

  async #deletePod(pod: Obj): Promise<void> {
    await this.#kube.delete(pod, 0).catch((error: unknown) => this.#play.report('Pod', keyOf(pod), error));
    this.#play.jobPods.delete(keyOf(pod));
  }

  async #running(pod: Obj, signal: AbortSignal): Promise<void> {
    for (;;) {
      const now = await this.#kube.get<Obj & { status?: { phase?: string } }>(
        'Pod',
        pod.metadata.namespace,
        pod.metadata.name,
      );
      if (!now) throw new Error(`pod ${pod.metadata.name} is gone`);
      if (now.status?.phase === 'Running') return;
      await sleep(100, undefined, { signal });
    }
  }

  /** The job's time, while GitLab is asked now and then whether it was cancelled. */
  async #work(job: GivenJob, traceLength: number, signal: AbortSignal): Promise<void> {
    const untilMs = Date.now() + (Number.isFinite(job.seconds) ? job.seconds : this.#play.jobSeconds) * 1000;
    while (Date.now() < untilMs) {
      await sleep(Math.min(1000, Math.max(1, untilMs - Date.now())), undefined, { signal });
      if (!(await this.#trace(job, traceLength, ''))) return;
    }
  }

  /** False once GitLab wants no more of it. */
  async #trace(job: GivenJob, from: number, text: string): Promise<boolean> {
    const answer = await this.#send('PATCH', `/jobs/${job.id}/trace`, text, {
      'job-token': job.token,
      'content-range': `${from}-${from + Math.max(0, text.length - 1)}`,
      'content-type': 'text/plain',
    });
    await answer.text();
    if (answer.status === 403) return false;
    return !/^(canceled|canceling|failed)$/.test(answer.headers.get('job-status') ?? '');
  }

  async #put(
    job: GivenJob,
    state: 'success' | 'failed',
    failure: string | undefined,
    signal = this.#play.signal,
  ): Promise<void> {
    const body = { ...this.#self(job.token), state, ...(failure ? { failure_reason: failure } : {}) };
    await this.#retried('end', signal, async () => {
      const answer = await this.#send('PUT', `/jobs/${job.id}`, JSON.stringify(body), json, signal);
      await answer.text();
      // 403: it had ended already.
      if (answer.status >= 500 || answer.status === 429) throw new Error(`jobs/${job.id}: ${answer.status}`);
      return true;
    });
  }

  /** Pods of a former manager, whose jobs nobody follows any more; in a real cluster the Pod Cleanup application's work. */
  async #removeLeftovers(): Promise<void> {
    const [runner] = this.#config.runners;
    const query = new URLSearchParams({ labelSelector: `${managerNameLabel}=${runner.name}` });
    const path = `/api/v1/namespaces/${runner.kubernetes.namespace}/pods?${query.toString()}`;
    const { items } = await this.#kube.call<{ items: Obj[] }>({ method: 'GET', path });
    const followed = (pod: Obj) => this.#play.jobPods.has(keyOf(pod));
    for (const pod of items.filter((each) => !followed(each))) await this.#kube.delete({ ...pod, kind: 'Pod' }, 0);
  }

  async #retried<T>(what: string, signal: AbortSignal, call: () => Promise<T>): Promise<T | undefined> {
    while (!signal.aborted) {
      try {
        return await call();
      } catch (error) {
        if (!signal.aborted) this.#play.report(what, this.#config.runners[0].name, error);
        await this.#pause(3000, signal);
      }
    }
    return undefined;
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(ms * this.#play.waitScale, undefined, { signal }).catch(() => undefined);
  }

  #self(token: string): Record<string, unknown> {
    const features = { trace_reset: true, cancelable: true, image: true, services: true, variables: true };
    return {
      token,
      system_id: this.#systemId,
      info: {
        name: 'gitlab-runner',
        version,
        platform: 'linux',
        architecture: 'amd64',
        executor: 'kubernetes',
        features,
      },
    };
  }

  #post(runner: GitlabRunner, path: string, more: object, signal: AbortSignal): Promise<Response> {
    const body = JSON.stringify({ ...this.#self(runner.token), ...more });
    return this.#send('POST', path, body, json, signal);
  }

  #send(
    method: string,
    path: string,
    body: string,
    headers: Record<string, string>,
    signal: AbortSignal = this.#play.signal,
  ): Promise<Response> {
    const base = this.#config.runners[0].url.replace(/\/$/, '');
    const timely = AbortSignal.any([signal, AbortSignal.timeout(30_000)]);
    return fetch(`${base}/api/v4${path}`, { method, headers, body, signal: timely, redirect: 'error' });
  }
}

const json = { 'content-type': 'application/json' };
