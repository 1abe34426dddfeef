/**
 * A Forgejo 15 for the sandbox and for tests: the web at `/`, REST at `/api/v1`, the runners' protocol at `/api/actions`.
 *
 * It promises what the portal and a runner rely on: signing in by OAuth (with PKCE), access tokens held to their scopes, who
 * may see and do what by teams and ownership, renamings that redirect, runners registered by the API or by themselves, the
 * queue and the protocol from Declare to a job's end, hooks that are signed and kept. Refusals are worded as Forgejo's and
 * Gitea's are, since their words are read. State is a file, so that a restart forgets nothing. It fails when asked to
 * (`/_sandbox/faults`); `version` makes it an older server.
 *
 * It does not do: git, issues, packages, passwords, workflows (a job is queued by hand), the binary form of the runners'
 * protocol, private accounts. `/_sandbox` is where it is moved.
 */
import { type Answer, type Ask, keepState, Routes, startService } from '#sandbox/stand-in/index.ts';
import { failure } from './access.ts';
import {
  addOrg,
  addRepo,
  addUser,
  controlRoutes,
  needUser,
  renameOrg,
  renameRepo,
  repoNamed,
  seedApp,
} from './control.ts';
import { type Fault, Faults } from './faults.ts';
import { type JobRequest, Jobs } from './jobs.ts';
import type { Job, OAuthApp, Org, Repo, State, User } from './model.ts';
import { oauthRoutes, oauthToken, personalToken } from './oauth.ts';
import { accountRoutes } from './rest-accounts.ts';
import { scopedRoutes } from './rest-scoped.ts';
import { runnerServiceRoutes } from './runner-service.ts';
import { demoSeed, freshState, type Seed } from './seed.ts';
import { settingsRoutes } from './settings-page.ts';
import { Webhooks } from './webhooks.ts';
import { World } from './world.ts';

export { demoSeed, ids, type Seed } from './seed.ts';
export type { Conclusion, Delivery, Hook, Job, OAuthApp, Org, Repo, Runner, State, User } from './model.ts';
export type { Fault } from './faults.ts';

export interface ForgejoOptions {
  port: number;
  /** Without it the state ends with the process. */
  statePath?: string;
  seed?: Seed;
  /** The address that people and programs use, when it is not the one that is listened on. */
  publicUrl?: string;
  now?: () => Date;
  redirectUris?: string[];
  /** As `/api/v1/version` says it. */
  version?: string;
}

export interface Forgejo {
  url: string;
  /** The OAuth application that came with the seed, its secret included. */
  app: OAuthApp;
  state: State;
  addUser(given: { login: string; name?: string }): User;
  addOrg(given: { name: string; owners: string[] }): Org;
  addRepo(given: { owner: string; name: string; private: boolean }): Repo;
  renameOrg(name: string, to: string): void;
  renameRepo(path: string, to: string): void;
  /** An access token of these scopes; without any, one as OAuth gives it. */
  token(login: string, scopes?: string[]): string;
  queueJob(given: Omit<JobRequest, 'repo'> & { repository: string }): Job;
  fault(given: Partial<Fault> & Pick<Fault, 'kind'>): void;
  /** Resolves when no webhook is on its way. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

const current = '15.0.1+gitea-1.22.0';

export async function startForgejo(options: ForgejoOptions): Promise<Forgejo> {
  const clock = options.now ?? (() => new Date());
  const kept = keepState<State>(options.statePath, () => freshState(options.seed ?? demoSeed, clock()));
  const world = new World(kept, clock);
  const hooks = new Webhooks(world);
  const jobs = new Jobs(world, hooks);
  const faults = new Faults();
  const version = options.version ?? current;
  // What the caller names wins over what a former run kept.
  seedApp(world).redirectUris = options.redirectUris ?? seedApp(world).redirectUris;

  const api = new Routes();
  api.on('GET', '/version', () => ({ status: 200, body: { version } }));
  accountRoutes(api, world);
  scopedRoutes(api, world, jobs, Number.parseInt(version, 10) >= 15);
  const web = new Routes();
  oauthRoutes(web, world);
  settingsRoutes(web, world);
  runnerServiceRoutes(web, world, jobs);
  controlRoutes(web, world, hooks, jobs, faults);

  const service = await startService('Forgejo', options.port, async (ask, socket) => {
    if (ask.path.startsWith('/_sandbox')) return dispatch(web, ask, ask.path);
    return faults.meet(ask, socket, async () =>
      ask.path.startsWith('/api/v1/')
        ? dispatch(api, ask, ask.path.slice('/api/v1'.length))
        : dispatch(web, ask, ask.path),
    );
  });
  world.url = (options.publicUrl ?? service.url).replace(/\/$/, '');
  return {
    url: world.url,
    app: seedApp(world),
    state: world.state,
    addUser: (given) => addUser(world, given),
    addOrg: (given) => addOrg(world, given),
    addRepo: (given) => addRepo(world, hooks, given),
    renameOrg: (name, to) => renameOrg(world, world.org(name) ?? missing(name), to),
    renameRepo: (path, to) => renameRepo(world, repoNamed(world, path), to),
    token(login, scopes) {
      const user = needUser(world, login);
      return (scopes ? personalToken(world, user, 'token', scopes) : oauthToken(world, seedApp(world), user)).token;
    },
    queueJob: ({ repository, ...rest }) => jobs.queue({ ...rest, repo: repoNamed(world, repository) }),
    fault: (given) => faults.add({ match: {}, times: 1, status: 502, delayMs: 1000, ...given }),
    settled: () => hooks.settled(),
    async stop() {
      await service.stop();
      await hooks.settled();
      kept.flush();
    },
  };
}

function missing(name: string): never {
  throw new Error(`no organization ${name}`);
}

async function dispatch(routes: Routes, ask: Ask, path: string): Promise<Answer> {
  const found = routes.find(ask.method, path) ?? (ask.method === 'HEAD' ? routes.find('GET', path) : undefined);
  return found ? found.handler({ ...ask, params: found.params }) : failure(404, 'Not found.');
}
