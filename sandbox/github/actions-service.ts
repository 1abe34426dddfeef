import { randomUUID } from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { type Answer, type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { fail, notFound } from './access.ts';
import type { Jobs } from './jobs.ts';
import type { Job, Runner, ScaleSet, Session } from './model.ts';
import { same, type World } from './world.ts';

export interface ServiceTimes {
  /** How long a poll waits for a message; GitHub holds it for about 50 s. */
  pollSeconds: number;
  /** How long a session outlives its last poll. Until then a second listener gets 409. */
  sessionIdleSeconds: number;
}

const adminTokenSeconds = 3600;
const batchMax = 50;
const base = '/_services/actions/:scope';
const sets = `${base}/_apis/runtime/runnerscalesets`;
const agents = `${base}/_apis/distributedtask/pools/0/agents`;

/**
 * The runner-scale-set protocol, as github.com/actions/scaleset v0.4.0 speaks it, and the runner's own side of it, which
 * that client does not know and a stand-in for the runner needs: wait for a job, say that it is done.
 */
export function actionsServiceRoutes(api: Routes, web: Routes, world: World, jobs: Jobs, times: ServiceTimes): void {
  const polling = new Set<string>();
  api.on('POST', '/actions/runner-registration', (ask) => register(world, ask));

  const asAdmin = (
    method: string,
    path: string,
    handle: (scope: string, ask: Ask) => Answer | Promise<Answer>,
  ): void => {
    web.on(method, path, async (ask) => handle(await needAdmin(world, ask), ask));
  };
  asAdmin('GET', `${base}/_apis/runtime/runnergroups`, (scope, ask) => groups(world, scope, ask));
  asAdmin('GET', sets, (scope, ask) => listSets(world, jobs, scope, ask));
  asAdmin('POST', sets, (scope, ask) => createSet(world, jobs, scope, ask));
  asAdmin('GET', `${sets}/:id`, (scope, ask) => ({
    status: 200,
    body: showSet(world, jobs, oneSet(world, scope, ask)),
  }));
  asAdmin('PATCH', `${sets}/:id`, (scope, ask) => changeSet(world, jobs, scope, ask));
  asAdmin('DELETE', `${sets}/:id`, (scope, ask) => {
    jobs.removeSet(oneSet(world, scope, ask));
    return { status: 204 };
  });
  asAdmin('POST', `${sets}/:id/generatejitconfig`, (scope, ask) => makeRunner(world, scope, ask));
  asAdmin('POST', `${sets}/:id/sessions`, (scope, ask) =>
    openSession(world, jobs, times, polling, oneSet(world, scope, ask), ask),
  );
  asAdmin('PATCH', `${sets}/:id/sessions/:session`, async (scope, ask) => {
    const set = oneSet(world, scope, ask);
    return { status: 200, body: await showSession(world, jobs, set, oneSession(world, set, ask)) };
  });
  asAdmin('DELETE', `${sets}/:id/sessions/:session`, (scope, ask) => {
    delete world.state.sessions[oneSession(world, oneSet(world, scope, ask), ask).id];
    world.save();
    return { status: 204 };
  });

  const inSession = (
    method: string,
    path: string,
    handle: (set: ScaleSet, session: Session, ask: Ask) => Answer | Promise<Answer>,
  ): void => {
    web.on(method, path, async (ask) => {
      const session = await needSession(world, ask);
      const set = world.state.scaleSets[session.scaleSetId];
      if (!set || String(set.id) !== ask.params['id'])
        return exception(404, 'RunnerScaleSetNotFoundException', 'No such runner scale set.');
      session.seenAt = world.now().getTime();
      return handle(set, session, ask);
    });
  };
  inSession('POST', `${sets}/:id/acquirejobs`, (set, _, ask) => {
    const ids = z.array(z.number()).safeParse(ask.body);
    if (!ids.success) return exception(400, 'ArgumentException', 'A list of request ids was expected.');
    const value = jobs.acquire(set, ids.data);
    return { status: 200, body: { count: value.length, value } };
  });
  inSession('GET', `${sets}/:id/messages`, (set, session, ask) => poll(world, jobs, times, polling, set, session, ask));
  inSession('DELETE', `${sets}/:id/messages/:message`, (set, _, ask) => {
    set.messages = set.messages.filter((m) => String(m.id) !== ask.params['message']);
    world.save();
    return { status: 204 };
  });

  asAdmin('GET', agents, (scope, ask) => {
    const value = Object.values(world.state.runners).filter(
      (r) => r.scope === scope && r.name === ask.query.get('agentName'),
    );
    return { status: 200, body: { count: value.length, value: value.map(showRunner) } };
  });
  asAdmin('GET', `${agents}/:id`, (scope, ask) => ({ status: 200, body: showRunner(oneRunner(world, scope, ask)) }));
  asAdmin('DELETE', `${agents}/:id`, (scope, ask) => {
    const runner = oneRunner(world, scope, ask);
    if (runner.jobId !== null)
      return exception(400, 'JobStillRunningException', `Runner ${runner.name} is still running a job.`);
    jobs.removeRunner(runner);
    return { status: 204 };
  });
  runnerSide(web, world, jobs, times);
}

/** What the program on a runner does with its JIT configuration. The real runner speaks another protocol here; this one is ours. */
function runnerSide(web: Routes, world: World, jobs: Jobs, times: ServiceTimes): void {
  web.on('POST', `${base}/_sandbox/runners/:id/job`, async (ask) => {
    const deadline = Date.now() + times.pollSeconds * 1000;
    for (;;) {
      const runner = needRunner(world, ask);
      const job = runner.jobId === null ? jobs.start(runner) : world.state.jobs[runner.jobId];
      if (job) return { status: 200, body: forRunner(world, job) };
      const left = deadline - Date.now();
      if (left <= 0 || ask.signal.aborted) return { status: 202 };
      await world.sleepUntilWoken(left, ask.signal);
    }
  });
  web.on('POST', `${base}/_sandbox/runners/:id/finish`, (ask) => {
    const runner = needRunner(world, ask);
    const job = runner.jobId === null ? undefined : world.state.jobs[runner.jobId];
    if (!job) return exception(409, 'NoJobException', 'This runner has no job.');
    if (job.held) return exception(503, 'JobHeldException', 'This job goes on.');
    const wanted = z
      .object({ conclusion: z.enum(['success', 'failure', 'cancelled', 'skipped']).optional() })
      .safeParse(ask.body ?? {});
    jobs.finish(job, (wanted.success ? wanted.data.conclusion : undefined) ?? job.wantedConclusion);
    return { status: 204 };
  });
}

function forRunner(world: World, job: Job): Record<string, unknown> {
  const repo = world.state.repos[job.repositoryId];
  return {
    jobId: job.id,
    runId: job.runId,
    name: job.name,
    repository: repo && world.fullName(repo),
    durationSeconds: job.durationSeconds,
    conclusion: job.wantedConclusion,
  };
}

function exception(status: number, name: string, message: string): Answer {
  return {
    status,
    headers: { activityid: randomUUID() },
    body: { $id: '1', typeName: `GitHub.Actions.Sandbox.${name}`, typeKey: name, message, errorCode: 0 },
  };
}

function raise(status: number, name: string, message: string): never {
  throw new Reply(exception(status, name, message));
}

function secret(world: World): Uint8Array {
  return Buffer.from(world.state.serviceKey, 'base64url');
}

async function sign(world: World, claims: Record<string, string>): Promise<string> {
  const nowSeconds = Math.floor(world.now().getTime() / 1000);
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + adminTokenSeconds)
    .sign(secret(world));
}

/** The scope that a token of ours names; 401 for any other. */
async function claim(world: World, ask: Ask, name: 'admin' | 'session'): Promise<string> {
  const token = (ask.headers.authorization ?? '').replace(/^bearer /i, '');
  try {
    const { payload } = await jwtVerify(token, secret(world), { algorithms: ['HS256'], currentDate: world.now() });
    const value = payload[name];
    if (typeof value === 'string') return value;
  } catch {
    // Falls through to the one answer for every token that is not good.
  }
  return raise(401, 'UnauthorizedRequestException', 'The token is not valid or has expired.');
}

async function needAdmin(world: World, ask: Ask): Promise<string> {
  const scope = await claim(world, ask, 'admin');
  return same(scope, ask.params['scope'] as string)
    ? scope
    : raise(403, 'AccessDeniedException', 'The token is for another scope.');
}

async function needSession(world: World, ask: Ask): Promise<Session> {
  const id = await claim(world, ask, 'session');
  return world.state.sessions[id] ?? raise(401, 'UnauthorizedRequestException', 'The session has ended.');
}

/** Trades a registration token for the service's address and a token for it. The address names the scope. */
async function register(world: World, ask: Ask): Promise<Answer> {
  const token = world.state.tokens[(ask.headers.authorization ?? '').replace(/^remoteauth /i, '')];
  if (token?.kind !== 'registration' || token.expiresAt <= world.now().getTime()) return fail(401, 'Bad credentials');
  const wanted = z.object({ url: z.url(), runner_event: z.literal('register') }).safeParse(ask.body);
  if (!wanted.success) return fail(422, 'Invalid request.');
  if (scopeOf(world, wanted.data.url) !== token.scope) return notFound();
  return {
    status: 200,
    body: {
      url: `${world.url}/_services/actions/${token.scope}/`,
      token: await sign(world, { admin: token.scope }),
      token_schema: 'OAuthAccessToken',
    },
  };
}

function scopeOf(world: World, configUrl: string): string | undefined {
  const [owner, repo, ...rest] = new URL(configUrl).pathname.split('/').filter(Boolean);
  if (!owner || rest.length > 0) return undefined;
  if (owner === 'enterprises') {
    const enterprise = world.enterprise(repo ?? '');
    return enterprise && `e${enterprise.id}`;
  }
  const found = repo === undefined ? world.org(owner) : world.repo(owner, repo);
  return found && `${repo === undefined ? 'o' : 'r'}${found.id}`;
}

/** A repository has the default group only. */
function groups(world: World, scope: string, ask: Ask): Answer {
  const name = ask.query.get('groupName');
  const value = groupsIn(world, scope).filter((g) => name === null || same(g.name, name));
  return {
    status: 200,
    body: {
      count: value.length,
      value: value.map((g) => ({ id: g.id, name: g.name, size: 0, isDefaultGroup: g.id === 1 })),
    },
  };
}

function groupsIn(world: World, scope: string): { id: number; name: string }[] {
  return /^[oe]/.test(scope) ? world.runnerGroups(Number(scope.slice(1))) : [{ id: 1, name: 'Default' }];
}

function setsIn(world: World, scope: string): ScaleSet[] {
  return Object.values(world.state.scaleSets).filter((s) => s.scope === scope);
}

function oneSet(world: World, scope: string, ask: Ask): ScaleSet {
  return (
    setsIn(world, scope).find((s) => String(s.id) === ask.params['id']) ??
    raise(404, 'RunnerScaleSetNotFoundException', 'No such runner scale set.')
  );
}

function listSets(world: World, jobs: Jobs, scope: string, ask: Ask): Answer {
  const name = ask.query.get('name');
  const group = ask.query.get('runnerGroupId');
  const value = setsIn(world, scope).filter(
    (s) => (name === null || same(s.name, name)) && (group === null || String(s.runnerGroupId) === group),
  );
  return { status: 200, body: { count: value.length, value: value.map((s) => showSet(world, jobs, s)) } };
}

const Wanted = z.object({
  name: z.string().min(1).optional(),
  runnerGroupId: z.number().int().optional(),
  labels: z.array(z.object({ type: z.string().default('System'), name: z.string().min(1).max(255) })).optional(),
  RunnerSetting: z.object({ disableUpdate: z.boolean().optional() }).optional(),
});
type Wanted = z.infer<typeof Wanted>;

function wantedSet(ask: Ask): Wanted {
  const wanted = Wanted.safeParse(ask.body);
  return wanted.success ? wanted.data : raise(400, 'ArgumentException', wanted.error.message);
}

function createSet(world: World, jobs: Jobs, scope: string, ask: Ask): Answer {
  const wanted = wantedSet(ask);
  if (!wanted.name) return exception(400, 'ArgumentException', 'A runner scale set needs a name.');
  const set: ScaleSet = {
    id: world.id(),
    scope,
    name: wanted.name,
    runnerGroupId: 1,
    labels: [{ type: 'System', name: wanted.name }],
    disableUpdate: false,
    createdOn: world.iso(),
    events: [],
    messages: [],
    lastMessageId: 0,
    maxCapacity: null,
  };
  apply(world, set, wanted);
  world.state.scaleSets[set.id] = set;
  jobs.match();
  return { status: 200, body: showSet(world, jobs, set) };
}

function changeSet(world: World, jobs: Jobs, scope: string, ask: Ask): Answer {
  const set = oneSet(world, scope, ask);
  apply(world, set, wantedSet(ask));
  jobs.match();
  return { status: 200, body: showSet(world, jobs, set) };
}

function apply(world: World, set: ScaleSet, wanted: Wanted): void {
  const name = wanted.name ?? set.name;
  const group = wanted.runnerGroupId ?? set.runnerGroupId;
  if (!groupsIn(world, set.scope).some((g) => g.id === group))
    raise(400, 'RunnerGroupNotFoundException', `There is no runner group ${group}.`);
  const taken = setsIn(world, set.scope).some(
    (s) => s.id !== set.id && same(s.name, name) && s.runnerGroupId === group,
  );
  if (taken)
    raise(409, 'RunnerScaleSetExistsException', `A runner scale set named ${name} exists in this runner group.`);
  set.name = name;
  set.runnerGroupId = group;
  set.labels = wanted.labels ?? set.labels;
  set.disableUpdate = wanted.RunnerSetting?.disableUpdate ?? set.disableUpdate;
}

function showSet(world: World, jobs: Jobs, set: ScaleSet): Record<string, unknown> {
  const group = groupsIn(world, set.scope).find((g) => g.id === set.runnerGroupId);
  return {
    id: set.id,
    name: set.name,
    runnerGroupId: set.runnerGroupId,
    runnerGroupName: group?.name ?? 'Default',
    labels: set.labels.map((label, i) => ({ id: i + 1, ...label })),
    RunnerSetting: { ephemeral: true, isElastic: true, disableUpdate: set.disableUpdate },
    createdOn: set.createdOn,
    runnerJitConfigUrl: `${world.url}/_services/actions/${set.scope}/_apis/runtime/runnerscalesets/${set.id}/generatejitconfig`,
    statistics: jobs.statistics(set),
  };
}

function oneSession(world: World, set: ScaleSet, ask: Ask): Session {
  const session = world.state.sessions[ask.params['session'] as string];
  return session?.scaleSetId === set.id
    ? session
    : raise(404, 'RunnerScaleSetSessionNotFoundException', 'No such session.');
}

async function openSession(
  world: World,
  jobs: Jobs,
  times: ServiceTimes,
  polling: Set<string>,
  set: ScaleSet,
  ask: Ask,
): Promise<Answer> {
  const wanted = z.object({ ownerName: z.string().min(1) }).safeParse(ask.body);
  if (!wanted.success) return exception(400, 'ArgumentException', 'A session needs an owner name.');
  const now = world.now().getTime();
  for (const other of Object.values(world.state.sessions)) {
    if (other.scaleSetId !== set.id) continue;
    if (polling.has(other.id) || now - other.seenAt < times.sessionIdleSeconds * 1000) {
      return exception(
        409,
        'RunnerScaleSetSessionConflictException',
        `The runner scale set ${set.name} already has an active session for owner ${other.ownerName}.`,
      );
    }
    delete world.state.sessions[other.id];
  }
  const session: Session = { id: randomUUID(), scaleSetId: set.id, ownerName: wanted.data.ownerName, seenAt: now };
  world.state.sessions[session.id] = session;
  jobs.offerAgain(set);
  return { status: 200, body: await showSession(world, jobs, set, session) };
}

async function showSession(
  world: World,
  jobs: Jobs,
  set: ScaleSet,
  session: Session,
): Promise<Record<string, unknown>> {
  return {
    sessionId: session.id,
    ownerName: session.ownerName,
    runnerScaleSet: showSet(world, jobs, set),
    messageQueueUrl: `${world.url}/_services/actions/${set.scope}/_apis/runtime/runnerscalesets/${set.id}/messages?sessionId=${session.id}`,
    messageQueueAccessToken: await sign(world, { session: session.id }),
    statistics: jobs.statistics(set),
  };
}

/** The oldest unacknowledged message, else a new one of what has happened, else 202 when the wait is over. */
async function poll(
  world: World,
  jobs: Jobs,
  times: ServiceTimes,
  polling: Set<string>,
  set: ScaleSet,
  session: Session,
  ask: Ask,
): Promise<Answer> {
  const capacity = Number(ask.headers['x-scalesetmaxcapacity'] ?? Number.NaN);
  if (Number.isInteger(capacity) && capacity >= 0) jobs.setCapacity(set, capacity);
  const after = Number(ask.query.get('lastMessageId') ?? 0);
  const deadline = Date.now() + times.pollSeconds * 1000;
  polling.add(session.id);
  try {
    for (;;) {
      if (!world.state.sessions[session.id])
        return exception(401, 'UnauthorizedRequestException', 'The session has ended.');
      const message = nextMessage(set, after);
      if (message) {
        world.save();
        return {
          status: 200,
          body: {
            messageId: message.id,
            messageType: 'RunnerScaleSetJobMessages',
            body: JSON.stringify(message.body),
            statistics: jobs.statistics(set),
          },
        };
      }
      const left = deadline - Date.now();
      if (left <= 0 || ask.signal.aborted) return { status: 202 };
      await world.sleepUntilWoken(left, ask.signal);
    }
  } finally {
    polling.delete(session.id);
    session.seenAt = world.now().getTime();
  }
}

function nextMessage(set: ScaleSet, after: number): ScaleSet['messages'][number] | undefined {
  const waiting = set.messages.find((m) => m.id > after);
  if (waiting) return waiting;
  if (set.events.length === 0) return undefined;
  set.lastMessageId = Math.max(set.lastMessageId, after) + 1;
  const message = { id: set.lastMessageId, body: set.events.splice(0, batchMax) };
  set.messages.push(message);
  return message;
}

function makeRunner(world: World, scope: string, ask: Ask): Answer {
  const set = oneSet(world, scope, ask);
  const wanted = z.object({ name: z.string().min(1), workFolder: z.string().optional() }).safeParse(ask.body);
  if (!wanted.success) return exception(400, 'ArgumentException', 'A runner needs a name.');
  const taken = Object.values(world.state.runners).some((r) => r.scope === scope && r.name === wanted.data.name);
  if (taken) return exception(409, 'AgentExistsException', `A runner named ${wanted.data.name} exists.`);
  const runner: Runner = {
    id: world.id(),
    name: wanted.data.name,
    scaleSetId: set.id,
    scope,
    runnerGroupId: set.runnerGroupId,
    token: world.token('jit'),
    online: false,
    jobId: null,
    createdAt: world.iso(),
  };
  world.state.runners[runner.id] = runner;
  world.wake();
  return {
    status: 200,
    body: { runner: showRunner(runner), encodedJITConfig: jitConfig(world, runner, wanted.data.workFolder || '_work') },
  };
}

/** Files of a configured runner, base64 in base64, as the real configuration is. */
function jitConfig(world: World, runner: Runner, workFolder: string): string {
  const pack = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64');
  const serverUrl = `${world.url}/_services/actions/${runner.scope}/`;
  return pack({
    '.runner': pack({
      agentId: runner.id,
      agentName: runner.name,
      poolId: 0,
      poolName: 'Default',
      ephemeral: true,
      serverUrl,
      gitHubUrl: world.url,
      workFolder,
      disableUpdate: true,
    }),
    '.credentials': pack({ scheme: 'OAuth', data: { token: runner.token } }),
  });
}

function showRunner(runner: Runner): Record<string, unknown> {
  return {
    id: runner.id,
    name: runner.name,
    runnerScaleSetId: runner.scaleSetId,
    os: 'Linux',
    status: runner.online ? 'online' : 'offline',
    enabled: true,
  };
}

function oneRunner(world: World, scope: string, ask: Ask): Runner {
  const runner = world.state.runners[ask.params['id'] as string];
  return runner?.scope === scope
    ? runner
    : raise(404, 'AgentNotFoundException', `There is no runner ${ask.params['id']}.`);
}

function needRunner(world: World, ask: Ask): Runner {
  const runner = world.state.runners[ask.params['id'] as string];
  const token = (ask.headers.authorization ?? '').replace(/^bearer /i, '');
  return runner && runner.token === token
    ? runner
    : raise(401, 'UnauthorizedRequestException', 'The runner is not registered.');
}
