import { z } from 'zod';
import type { Answer, Ask, Routes } from '#sandbox/stand-in/index.ts';
import { sameSecret } from './access.ts';
import type { Jobs } from './jobs.ts';
import type { Conclusion, Job, Runner } from './model.ts';
import { addRunner } from './rest-scoped.ts';
import type { World } from './world.ts';

const service = '/api/actions/runner.v1.RunnerService';

const results: Record<string, Conclusion> = {
  RESULT_SUCCESS: 'success',
  RESULT_FAILURE: 'failure',
  RESULT_CANCELLED: 'cancelled',
  RESULT_SKIPPED: 'skipped',
};

const Register = z.object({
  token: z.string().default(''),
  name: z.string().default(''),
  version: z.string().default(''),
  labels: z.array(z.string()).default([]),
  ephemeral: z.boolean().default(false),
});
const Declare = z.object({ version: z.string().default(''), labels: z.array(z.string()).default([]) });
const Fetch = z.object({ tasksVersion: z.coerce.string().default('0'), handle: z.string().optional() });
const Update = z.object({
  state: z.object({ id: z.coerce.number(), result: z.string().default('RESULT_UNSPECIFIED') }),
});
const Log = z.object({
  taskId: z.coerce.number(),
  index: z.coerce.number().default(0),
  rows: z.array(z.unknown()).default([]),
});

/**
 * The runners' own protocol (runner.v1, Connect) in its JSON form, in which 64-bit numbers are strings and what is at its
 * zero is left out. A runner proves itself by two headers; what is wrong is answered as Gitea 1.26 answers it.
 */
export function runnerServiceRoutes(web: Routes, world: World, jobs: Jobs): void {
  const on = <T>(method: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => Answer) =>
    web.on('POST', `${service}/${method}`, (ask) => {
      if (!(ask.headers['content-type'] ?? '').startsWith('application/json')) return { status: 415, body: '' };
      const body = schema.safeParse(ask.body ?? {});
      return body.success ? handle(body.data, ask) : failure(400, 'invalid_argument', z.prettifyError(body.error));
    });
  on('Register', Register, (given) => register(world, given));
  const asRunner = <T>(method: string, schema: z.ZodType<T>, handle: (body: T, runner: Runner) => Answer) =>
    on(method, schema, (body, ask) => {
      const runner = runnerOf(world, ask);
      if (!runner) return failure(500, 'unknown', 'rpc error: code = Unauthenticated desc = unregistered runner');
      runner.lastOnline = world.now().getTime();
      world.save();
      return handle(body, runner);
    });
  asRunner('Declare', Declare, ({ version, labels }, runner) => {
    Object.assign(runner, { version, labels });
    // Other labels may fit what waits.
    world.queueChanged();
    return { status: 200, body: { runner: shown(runner) } };
  });
  asRunner('FetchTask', Fetch, ({ tasksVersion, handle }, runner) => {
    // The version of before the pick, which moves it: the runner then asks again, as a second task may wait.
    const now = String(world.state.tasksVersion);
    const job = tasksVersion === now ? undefined : jobs.pick(runner, handle);
    return { status: 200, body: { ...(job ? { task: task(world, job) } : {}), tasksVersion: now } };
  });
  asRunner('UpdateTask', Update, ({ state }, runner) => {
    const job = jobOf(world, runner, state.id);
    if (!job) return failure(500, 'unknown', 'rpc error: code = Internal desc = update task: resource does not exist');
    const conclusion = results[state.result];
    if (conclusion) jobs.finish(job, conclusion);
    return { status: 200, body: { state: { id: String(job.taskId), result: resultOf(job) } } };
  });
  asRunner('UpdateLog', Log, ({ taskId, index, rows }, runner) => {
    const job = jobOf(world, runner, taskId);
    if (!job) return failure(500, 'unknown', 'rpc error: code = Internal desc = invalid runner for task');
    job.logLines = Math.max(job.logLines, index + rows.length);
    world.save();
    return { status: 200, body: { ackIndex: String(job.logLines) } };
  });
}

function failure(status: number, code: string, message: string): Answer {
  return { status, body: { code, message } };
}

function register(world: World, { token, name, version, labels, ephemeral }: z.infer<typeof Register>): Answer {
  if (token === '' || name === '') return failure(500, 'unknown', 'missing runner token, name');
  const scope = Object.entries(world.state.registrationTokens).find(([, each]) => sameSecret(each, token))?.[0];
  if (scope === undefined) return failure(500, 'unknown', 'runner registration token not found');
  const runner = addRunner(world, { name, scope, version, labels, ephemeral });
  return { status: 200, body: { runner: { ...shown(runner), token: runner.token } } };
}

function runnerOf(world: World, { headers }: Ask): Runner | undefined {
  const { 'x-runner-uuid': uuid, 'x-runner-token': token } = headers;
  const runner = Object.values(world.state.runners).find((each) => each.uuid === uuid);
  return runner && sameSecret(runner.token, String(token)) ? runner : undefined;
}

function shown({ id, uuid, name, version, labels }: Runner): Record<string, unknown> {
  return { id: String(id), uuid, name, ...(version ? { version } : {}), ...(labels.length > 0 ? { labels } : {}) };
}

function jobOf(world: World, runner: Runner, taskId: number): Job | undefined {
  return Object.values(world.state.jobs).find((job) => job.taskId === taskId && job.runnerId === runner.id);
}

function resultOf({ status }: Job): string {
  const result = Object.entries(results).find(([, conclusion]) => conclusion === status)?.[0];
  return result ?? 'RESULT_UNSPECIFIED';
}

/** The workflow is one job of one step that sleeps and ends as was wished; a stand-in for a runner may read the wish itself. */
function task(world: World, job: Job): Record<string, unknown> {
  const script = `sleep ${job.durationSeconds}; exit ${job.wantedConclusion === 'success' ? 0 : 1}`;
  const workflow = {
    name: job.workflow,
    on: ['push'],
    jobs: { [job.name]: { 'runs-on': job.runsOn, steps: [{ run: script }] } },
  };
  const repo = world.state.repos[job.repoId];
  const context = {
    run_id: String(job.runId),
    repository: repo ? world.fullName(repo) : '',
    job: job.name,
    sandbox: { durationSeconds: job.durationSeconds, conclusion: job.wantedConclusion },
  };
  // JSON is YAML, which is what a workflow is.
  const workflowPayload = Buffer.from(JSON.stringify(workflow)).toString('base64');
  return { id: String(job.taskId), workflowPayload, context };
}
