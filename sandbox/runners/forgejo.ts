import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { forgejoConfig, type ForgejoRunnerConfig } from './config.ts';
import type { Play } from './play.ts';

/* The runner's side of Forgejo's and Gitea's Actions: Connect's JSON form of runner.v1.RunnerService (actions-proto). */

const version = 'v12.0.0';

/** 64-bit numbers are strings in proto's JSON. */
const Task = z.looseObject({
  id: z.union([z.string(), z.int()]).transform(String),
  workflowPayload: z.string().default(''),
  /** What the sandbox's own server wishes to be played. */
  context: z
    .looseObject({ sandbox: z.object({ durationSeconds: z.number(), conclusion: z.string() }).optional() })
    .default({}),
});
const Fetched = z.looseObject({ task: Task.nullish(), tasksVersion: z.union([z.string(), z.int()]).nullish() });
const Updated = z.looseObject({ state: z.looseObject({ result: z.string().nullish() }).nullish() });
type Task = z.infer<typeof Task>;

/**
 * forgejo-runner with host labels: declares itself, fetches tasks, lets their time pass and says how they ended. As `one-job
 * --wait` it ends with its task, as `daemon` it goes on. What a task does is what the sandbox's Forgejo wishes; of another
 * server, a workflow's `sleep N` is how long it runs, and one that says `exit 1` fails.
 */
export class ForgejoRunner {
  readonly #config: ForgejoRunnerConfig;
  readonly #oneJob: boolean;
  readonly #play: Play;

  constructor(configText: string, command: readonly string[], play: Play) {
    this.#config = forgejoConfig(configText);
    this.#oneJob = command.includes('one-job');
    this.#play = play;
  }

  /** The exit code: 1 when it cannot declare itself, because the server is away or does not know it (any more). */
  async run(podSignal: AbortSignal): Promise<number> {
    const signal = AbortSignal.any([podSignal, this.#play.signal]);
    try {
      await this.#declare(signal);
      while (!signal.aborted) {
        const task = await this.#fetch(signal);
        if (task) {
          await this.#run(task, signal);
          if (this.#oneJob) return 0;
        } else await this.#pause(this.#config.fetchMs, signal);
      }
    } catch (error) {
      if (signal.aborted) return 0;
      this.#play.report('runner', this.#config.uuid, error);
      return 1;
    }
    return 0;
  }

  async #declare(signal: AbortSignal): Promise<void> {
    const labels = this.#config.labels.map((label) => label.split(':')[0]);
    await this.#call('Declare', { version, labels }, signal);
  }

  /** Whatever is answered, it asks again: forgejo-runner's poller only says that it failed. */
  async #fetch(signal: AbortSignal): Promise<Task | undefined> {
    try {
      // Version 0 asks for a look into the database each time.
      const answer = Fetched.parse(await this.#call('FetchTask', { tasksVersion: '0' }, signal));
      return answer.task ?? undefined;
    } catch (error) {
      if (!signal.aborted) this.#play.report('runner', this.#config.uuid, error);
      return undefined;
    }
  }

  async #run(task: Task, signal: AbortSignal): Promise<void> {
    const wish = wishOf(task);
    const startedAt = new Date().toISOString();
    const untilMs = Date.now() + (wish.seconds ?? this.#play.jobSeconds) * 1000;
    let { result } = wish;
    await this.#update({ id: task.id, startedAt }, signal);
    while (Date.now() < untilMs && result !== 'RESULT_CANCELLED') {
      await this.#pauseFor(Math.min(1000, untilMs - Date.now()), signal);
      if (signal.aborted || (await this.#update({ id: task.id, startedAt }, signal))) result = 'RESULT_CANCELLED';
    }
    // Its pod has gone, and still it says so: nobody else would.
    const last = this.#play.signal.aborted ? AbortSignal.timeout(2000) : this.#play.signal;
    const rows = [{ time: new Date().toISOString(), content: `Played by the sandbox: ${result}` }];
    await this.#call('UpdateLog', { taskId: task.id, index: '0', rows, noMore: true }, last);
    await this.#update({ id: task.id, startedAt, stoppedAt: new Date().toISOString(), result }, last);
  }

  /** Whether the server has ended it meanwhile. */
  async #update(state: Record<string, string>, signal: AbortSignal): Promise<boolean> {
    const answer = Updated.parse(await this.#call('UpdateTask', { state }, signal));
    return answer.state?.result === 'RESULT_CANCELLED';
  }

  async #call(procedure: string, message: object, signal: AbortSignal): Promise<unknown> {
    const base = this.#config.url.replace(/\/$/, '');
    const answer = await fetch(`${base}/api/actions/runner.v1.RunnerService/${procedure}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'connect-protocol-version': '1',
        'x-runner-uuid': this.#config.uuid,
        'x-runner-token': this.#config.token,
      },
      body: JSON.stringify(message),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${procedure}: ${answer.status} ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await this.#pauseFor(ms * this.#play.waitScale, signal);
  }

  async #pauseFor(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(Math.max(1, ms), undefined, { signal }).catch(() => undefined);
  }
}

const results: Record<string, string> = {
  success: 'RESULT_SUCCESS',
  failure: 'RESULT_FAILURE',
  cancelled: 'RESULT_CANCELLED',
  skipped: 'RESULT_SKIPPED',
};

function wishOf({ workflowPayload, context: { sandbox } }: Task): { seconds: number | undefined; result: string } {
  if (sandbox) return { seconds: sandbox.durationSeconds, result: results[sandbox.conclusion] ?? 'RESULT_SUCCESS' };
  const workflow = Buffer.from(workflowPayload, 'base64').toString();
  const told = /\bsleep (\d+(?:\.\d+)?)/.exec(workflow)?.[1];
  return {
    seconds: told === undefined ? undefined : Number(told),
    result: /\bexit [1-9]/.test(workflow) ? 'RESULT_FAILURE' : 'RESULT_SUCCESS',
  };
}
