/**
 * A GitHub for the sandbox and for tests, shaped as an Enterprise Server: the web at `/`, REST at `/api/v3`.
 *
 * It promises what the portal and Actions Runner Controller rely on: signing in to a GitHub App (with PKCE), installations and
 * their tokens, who may see and do what, runners and runner groups, webhooks signed and kept, and the runner-scale-set
 * protocol from registration to a completed job. Shapes are GitHub's own: tests hold every REST answer against GitHub's
 * OpenAPI description, every webhook against its schema, and the scale-set protocol against GitHub's Go client. State is a
 * file, so that a restart forgets nothing. It fails when asked to (`/_sandbox/faults`, and organizations named for it).
 *
 * It does not do: git, issues, teams, GraphQL but for one question about enterprises, branch rules, passwords, organization approval of Apps, or
 * workflows: a job is queued by hand and run by whoever holds a runner's JIT configuration. `/_sandbox` is where it is moved.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, type Ask, keepState, Reply, Routes, startService } from '#sandbox/stand-in/index.ts';
import { failure, identify } from './access.ts';
import { actionsServiceRoutes } from './actions-service.ts';
import { appPageRoutes } from './app-pages.ts';
import { addKey, addOrg, addRepo, addUser, controlRoutes, type NewOrg, seedApp } from './control.ts';
import { enterpriseRoutes, type NewToken, personalToken, tokenHeaders } from './enterprises.ts';
import { Faults, type Fault } from './faults.ts';
import { Jobs, type JobRequest } from './jobs.ts';
import type { App, Job, Org, Repo, State, User } from './model.ts';
import { oauthRoutes, userToken } from './oauth.ts';
import { RateLimits } from './rate-limits.ts';
import { accountRoutes } from './rest-accounts.ts';
import { appRoutes } from './rest-app.ts';
import { runnerRoutes } from './rest-runners.ts';
import { demoSeed, freshState, type Seed } from './seed.ts';
import { teamRoutes } from './teams.ts';
import { Webhooks } from './webhooks.ts';
import { World } from './world.ts';

export { appSlug, demoSeed, ids, type Seed } from './seed.ts';
export type { App, Conclusion, Installation, Job, Org, Repo, RunnerGroup, State, User } from './model.ts';
export type { Fault } from './faults.ts';

export interface GithubOptions {
  port: number;
  /** Without it the state ends with the process. */
  statePath?: string;
  seed?: Seed;
  /** The address that people and programs use, when it is not the one that is listened on. */
  publicUrl?: string;
  now?: () => Date;
  callbackUrls?: string[];
  setupUrl?: string;
  webhookUrl?: string;
  webhookSecret?: string;
  /** Requests an hour for each App, installation or person. */
  ratePerHour?: number;
  pollSeconds?: number;
  sessionIdleSeconds?: number;
  slowMs?: number;
  /** Hears of each REST answer: which route gave it and what it said. */
  onAnswer?: (answer: RestAnswer) => void;
}

export interface RestAnswer {
  /** As `GET /orgs/:org`; null where no route was found. */
  route: string | null;
  method: string;
  path: string;
  status: number;
  body: unknown;
}

export interface Github {
  url: string;
  apiUrl: string;
  /** Every REST route as `GET /orgs/:org`. */
  restRoutes: string[];
  /** The App that came with the seed, its secrets included. */
  app: App;
  state: State;
  addUser(given: { login: string; name?: string }): User;
  addOrg(given: NewOrg): Org;
  addRepo(given: { owner: string; name: string; private: boolean }): Repo;
  userToken(login: string): string;
  /** A personal access token: classic, with these scopes, unless it is to be fine-grained. */
  personalToken(login: string, given?: Partial<NewToken>): string;
  /** Generates another private key of this App, as a person does in its settings. */
  addKey(slug: string): string;
  queueJob(given: Omit<JobRequest, 'repo'> & { repository: string }): Job;
  fault(given: Partial<Fault> & Pick<Fault, 'kind'>): void;
  /** Resolves when no webhook is on its way. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export async function startGithub(options: GithubOptions): Promise<Github> {
  const clock = options.now ?? (() => new Date());
  const kept = keepState<State>(options.statePath, () => freshState(options.seed ?? demoSeed, clock()));
  const world = new World(kept, '', clock);
  // What an older run kept knows no enterprises and no teams.
  world.state.enterprises ??= {};
  world.state.teams ??= {};
  const hooks = new Webhooks(world);
  const jobs = new Jobs(world, hooks);
  const faults = new Faults();
  const limits = new RateLimits(options.ratePerHour ?? 15_000);
  configure(seedApp(world), options);

  const api = new Routes();
  const web = new Routes();
  runnerRoutes(api, world, jobs);
  appRoutes(api, world, hooks);
  teamRoutes(api, world);
  accountRoutes(api, world);
  api.on('GET', '/meta', () => ({
    status: 200,
    body: { verifiable_password_authentication: false, installed_version: world.state.serverVersion ?? '3.19.0' },
  }));
  api.on('GET', '/rate_limit', async (ask) => ({
    status: 200,
    body: limits.overview(world.now(), await identify(world, ask)),
  }));
  actionsServiceRoutes(api, web, world, jobs, {
    pollSeconds: options.pollSeconds ?? 50,
    sessionIdleSeconds: options.sessionIdleSeconds ?? 30,
  });
  oauthRoutes(web, world);
  enterpriseRoutes(web, world);
  appPageRoutes(web, world, hooks);
  controlRoutes(web, world, hooks, jobs, faults);

  const slowMs = options.slowMs ?? 3000;
  const service = await startService('GitHub', options.port, async (ask, socket) => {
    if (ask.path.startsWith('/_sandbox')) return dispatch(web, ask, ask.path);
    return faults.meet(ask, socket, world.now(), async () => {
      if (!ask.path.startsWith('/api/v3/')) return dispatch(web, ask, ask.path);
      const answer = await restAnswer(api, world, limits, ask, slowMs);
      const { method, path } = ask;
      const route = api.find(method, path.slice('/api/v3'.length))?.name ?? null;
      options.onAnswer?.({ route, method, path, status: answer.status, body: answer.body });
      return answer;
    });
  });
  world.url = (options.publicUrl ?? service.url).replace(/\/$/, '');
  return {
    url: world.url,
    apiUrl: world.api,
    restRoutes: api.names(),
    app: seedApp(world),
    state: world.state,
    addUser: (given) => addUser(world, given),
    addOrg: (given) => addOrg(world, given),
    addRepo: (given) => addRepo(world, given),
    userToken: (login) => {
      const user = world.user(login);
      if (!user) throw new Error(`no user ${login}`);
      return userToken(world, seedApp(world), user).token;
    },
    personalToken: (login, given) => {
      const user = world.user(login);
      if (!user) throw new Error(`no user ${login}`);
      return personalToken(world, user, given).token;
    },
    addKey: (slug) => {
      const app = Object.values(world.state.apps).find((each) => each.slug === slug);
      if (!app) throw new Error(`no App ${slug}`);
      return addKey(world, app);
    },
    queueJob: ({ repository, ...rest }) => {
      const [owner = '', name = ''] = repository.split('/');
      const repo = world.repo(owner, name);
      if (!repo) throw new Error(`no repository ${repository}`);
      return jobs.queue({ ...rest, repo });
    },
    fault: (given) => faults.add({ match: {}, times: 1, status: 502, delayMs: 1000, ...given }),
    settled: () => hooks.settled(),
    stop: async () => {
      await service.stop();
      await hooks.settled();
      kept.flush();
    },
  };
}

/** What the caller names wins over what a former run kept. */
function configure(app: App, options: GithubOptions): void {
  app.callbackUrls = options.callbackUrls ?? app.callbackUrls;
  app.setupUrl = options.setupUrl ?? app.setupUrl;
  app.webhookUrl = options.webhookUrl ?? app.webhookUrl;
  app.webhookSecret = options.webhookSecret ?? app.webhookSecret;
}

async function restAnswer(api: Routes, world: World, limits: RateLimits, ask: Ask, slowMs: number): Promise<Answer> {
  if (/^\/api\/v3\/(orgs|repos)\/org-slow(\/|$)/i.test(ask.path)) await sleep(slowMs);
  const limit = limits.spend(world.now(), ask.headers.authorization ?? 'anonymous');
  const answer = limit.over
    ? failure(403, 'API rate limit exceeded')
    : await caught(() => dispatch(api, ask, ask.path.slice('/api/v3'.length)));
  const requestId = `${Date.now().toString(16)}:${Math.floor(Math.random() * 1e9).toString(16)}`.toUpperCase();
  return {
    ...answer,
    headers: {
      'x-github-request-id': requestId,
      'x-github-media-type': 'github.v3; format=json',
      'x-github-enterprise-version': '3.19.0',
      ...limit.headers,
      ...tokenHeaders(world, ask.headers.authorization),
      ...answer.headers,
    },
  };
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
  return found ? found.handler({ ...ask, params: found.params }) : failure(404, 'Not Found');
}
