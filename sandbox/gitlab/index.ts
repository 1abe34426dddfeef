/**
 * A GitLab 19 for the sandbox and for tests: the web at `/`, REST at `/api/v4`.
 *
 * It promises what the portal and gitlab-runner rely on: signing in by OAuth (with PKCE, tokens of two hours, refresh tokens
 * that are good once), groups that nest, roles from above, access tokens with scopes and an end, runners from both sides
 * (whoever manages one, and the runner that asks for jobs), hooks with both of GitLab's secrets, and limits. It refuses what
 * GitLab refuses, in GitLab's shapes. State is a file, so that a restart forgets nothing. It fails when asked to
 * (`/_sandbox/faults`).
 *
 * It does not do: git, merge requests, pipelines (a job is queued by hand, at `/_sandbox`), artifacts, GraphQL, custom roles,
 * groups shared with groups, passwords, registration tokens, or a job request that waits for a job.
 */
import { type Answer, type Ask, keepState, Reply, Routes, startService } from '#sandbox/stand-in/index.ts';
import { accessTokenPages, accessTokenRoutes } from './access-tokens.ts';
import {
  accessToken,
  addGroup,
  addProject,
  addUser,
  controlRoutes,
  type NewAccessToken,
  remove,
  rename,
  setMember,
  userToken,
} from './control.ts';
import { type Fault, Faults } from './faults.ts';
import { hookRoutes, Hooks } from './hooks.ts';
import { type JobRequest, Jobs, runnerSideRoutes } from './jobs.ts';
import type { AccessLevel, Application, Group, Job, Project, State, User, Visibility } from './model.ts';
import { oauthRoutes } from './oauth.ts';
import { RateLimits } from './rate-limits.ts';
import { accountRoutes } from './rest-accounts.ts';
import { runnerRoutes } from './rest-runners.ts';
import { demoSeed, freshState, type Seed } from './seed.ts';
import { World } from './world.ts';

export { demoSeed, ids, type Seed } from './seed.ts';
export type { Fault } from './faults.ts';
export type { AccessLevel, Application, Delivery, Group, Hook, Job, Project, Runner, State, User } from './model.ts';
export type { NewAccessToken } from './control.ts';

export interface GitlabOptions {
  port: number;
  /** Without it the state ends with the process. */
  statePath?: string;
  seed?: Seed;
  /** The address that people and programs use, when it is not the one that is listened on. */
  publicUrl?: string;
  now?: () => Date;
  redirectUris?: string[];
  /** Requests a minute for each bearer. */
  ratePerMinute?: number;
}

export interface Gitlab {
  url: string;
  apiUrl: string;
  /** Every REST route as `GET /groups/:id`. */
  restRoutes: string[];
  /** The portal's OAuth application, its secret included. */
  application: Application;
  state: State;
  addUser(given: { login: string; name?: string; admin?: boolean }): User;
  addGroup(given: { path: string; visibility?: Visibility; owner?: string }): Group;
  addProject(given: { path: string; visibility?: Visibility }): Project;
  rename(path: string, to: string): void;
  remove(path: string): void;
  /** Null takes the direct membership away; what is inherited stays. */
  setMember(path: string, login: string, level: AccessLevel | null): void;
  /** What signing in gives: an OAuth token of the portal's scopes. */
  userToken(login: string): string;
  /** A person's access token, or a group's or project's. */
  accessToken(given: NewAccessToken): string;
  revoke(token: string): void;
  queueJob(given: Omit<JobRequest, 'project'> & { project: string }): Job;
  fault(given: Partial<Fault> & Pick<Fault, 'kind'>): void;
  /** Resolves when no webhook is on its way. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export async function startGitlab(options: GitlabOptions): Promise<Gitlab> {
  const clock = options.now ?? (() => new Date());
  const kept = keepState<State>(options.statePath, () => freshState(options.seed ?? demoSeed, clock()));
  const world = new World(kept, clock);
  const hooks = new Hooks(world);
  const jobs = new Jobs(world, hooks);
  const faults = new Faults();
  const limits = new RateLimits(options.ratePerMinute ?? 2000);
  // What the caller names wins over what a former run kept.
  world.state.application.redirectUris = options.redirectUris ?? world.state.application.redirectUris;
  kept.save();

  const api = new Routes();
  const web = new Routes();
  runnerSideRoutes(api, world, jobs);
  runnerRoutes(api, world);
  accountRoutes(api, world);
  accessTokenRoutes(api, world);
  hookRoutes(api, world, hooks);
  oauthRoutes(web, world);
  controlRoutes(web, world, hooks, jobs, faults);
  accessTokenPages(web, world);

  const service = await startService('GitLab', options.port, async (ask, socket) => {
    if (ask.path.startsWith('/_sandbox')) return dispatch(web, ask, ask.path);
    return faults.meet(ask, socket, world.now(), async (met) => {
      if (!met.path.startsWith('/api/v4/')) return dispatch(web, met, met.path);
      return restAnswer(api, world, limits, met);
    });
  });
  world.url = (options.publicUrl ?? service.url).replace(/\/$/, '');
  return {
    url: world.url,
    apiUrl: `${world.url}/api/v4`,
    restRoutes: api.names(),
    application: world.state.application,
    state: world.state,
    ...controls(world, jobs),
    fault: (given) => faults.add({ match: {}, times: 1, status: 502, delayMs: 1000, ...given }),
    settled: () => hooks.settled(),
    stop: async () => {
      await service.stop();
      await hooks.settled();
      kept.flush();
    },
  };
}

/** The control API for whoever runs in the same process. */
function controls(world: World, jobs: Jobs) {
  return {
    addUser: (given: { login: string; name?: string; admin?: boolean }) => addUser(world, given),
    addGroup: (given: { path: string; visibility?: Visibility; owner?: string }) => addGroup(world, given),
    addProject: (given: { path: string; visibility?: Visibility }) => addProject(world, given),
    rename: (path: string, to: string) => rename(world, path, to),
    remove: (path: string) => remove(world, path),
    setMember: (path: string, login: string, level: AccessLevel | null) => setMember(world, path, login, level),
    userToken: (login: string) => userToken(world, login),
    accessToken: (given: NewAccessToken) => accessToken(world, given).token,
    revoke: (token: string) => {
      const known = world.state.tokens[token];
      if (known) known.revoked = true;
    },
    queueJob: ({ project: path, ...rest }: Omit<JobRequest, 'project'> & { project: string }) => {
      const project = world.project(path);
      if (!project) throw new Error(`no project ${path}`);
      return jobs.queue({ ...rest, project });
    },
  };
}

async function restAnswer(api: Routes, world: World, limits: RateLimits, ask: Ask): Promise<Answer> {
  const bearer = ask.headers.authorization ?? String(ask.headers['private-token'] ?? 'anonymous');
  const limit = limits.spend(world.now(), bearer);
  const answer = limit.over ?? (await caught(() => dispatch(api, ask, ask.path.slice('/api/v4'.length))));
  return { ...answer, headers: { 'x-gitlab-meta': '{"version":"1"}', ...limit.headers, ...answer.headers } };
}

/** A thrown reply gets the same headers as a returned one. */
async function caught(handle: () => Promise<Answer>): Promise<Answer> {
  try {
    return await handle();
  } catch (error) {
    if (error instanceof Reply) return error.answer;
    throw error;
  }
}

async function dispatch(routes: Routes, ask: Ask, path: string): Promise<Answer> {
  const found = routes.find(ask.method, path) ?? (ask.method === 'HEAD' ? routes.find('GET', path) : undefined);
  return found ? found.handler({ ...ask, params: found.params }) : { status: 404, body: { error: '404 Not Found' } };
}
