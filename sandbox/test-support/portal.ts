// A whole portal but for its pages: database, stand-ins, the operator's entries, and people who can act. For tests.
import { KubeConfig } from '@kubernetes/client-node';
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '#lib/clock.ts';
import { reconcileViews, viewTask } from '#lib/caching/index.ts';
import { ClusterClient, ClusterView } from '#lib/cluster/index.ts';
import { closeDb, seal, unsafeDb } from '#lib/db/index.ts';
import { jobsTask, receiveDelivery, takeJobs } from '#lib/delivery/index.ts';
import { errorCodes, toAppError } from '#lib/errors.ts';
import {
  applySchedules,
  followForges,
  moveTask,
  reconcileEnrollment,
  scheduleTask,
  wakeOfChange,
} from '#lib/enrollment/index.ts';
import { clusterAt, clusterTask, lookAtCluster } from '#lib/fleet/index.ts';
import { runnersNamespacesOf, type ForgeKind } from '#lib/model/index.ts';
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { reconcileMove, reconcileTenant } from '#lib/tenancy/index.ts';
import { measureRunners } from '#lib/usage/index.ts';
import { loop, type Lease, type Task, type Tasks } from '#lib/work/index.ts';
import { Kube } from '#sandbox/arc/kube.ts';
import { startAttic, type Attic } from '#sandbox/attic/index.ts';
import { instanceIn } from '#sandbox/bazel-remote/cluster.ts';
import { startBazelRemotes, type BazelRemotes } from '#sandbox/bazel-remote/index.ts';
import { startForgejo, type Forgejo } from '#sandbox/forgejo/index.ts';
import { startGithub, type Github } from '#sandbox/github/index.ts';
import { startGitlab, type Gitlab } from '#sandbox/gitlab/index.ts';
import { startRunners } from '#sandbox/runners/index.ts';
import { seed } from '../../prisma/seed.ts';
import { testCluster, testDatabase, type TestDatabase } from './index.ts';

export interface TestPortal extends AsyncDisposable {
  database: TestDatabase;
  github: Github;
  gitlab: Gitlab;
  forgejo: Forgejo;
  attic: Attic;
  /** The tenants' Bazel caches, as their objects in the cluster say. */
  bazel: BazelRemotes;
  /** Somebody who is signed in with a forge, GitHub unless another is named, under this login. */
  person(login: string, forge?: ForgeKind): Promise<PersonCtx>;
  /** The same, within a tenant they belong to. */
  member(login: string, tenant: string): Promise<Ctx>;
  /** An organization of its own that ada-tinyland owns, with the App installed on it. */
  organization(login: string): Promise<void>;
  /** A worker in this process, until it is stopped; it takes no key that the test works at itself. */
  startWorker(leaves?: (key: string) => boolean): TestWorker;
  stop(): Promise<void>;
}

export interface TestWorker {
  /** Of the cluster `main`. */
  view: ClusterView;
  stop(): Promise<void>;
}

export interface TestPortalOptions {
  /** Which kubeconfig the portal uses: with no more than the portal's own rights unless a test needs otherwise. */
  kubeconfig?: string;
  operators?: string;
  /** Whether runner sets are served, by the stand-in for ARC. */
  arc?: boolean;
  /** Whether the runners of GitLab and Forgejo run, in the namespaces of these tenants alone. */
  runnersOf?: string[];
}

/** Starts it; one a test file, since the portal's configuration is the process's. */
export async function startTestPortal(options: TestPortalOptions = {}): Promise<TestPortal> {
  const database = await testDatabase();
  const door = await webhookDoor();
  const cluster = await testCluster({ arc: options.arc ?? false });
  const kubeconfig = options.kubeconfig ?? cluster.portalKubeconfigPath;
  Object.assign(process.env, {
    DATABASE_URL: database.appUrl,
    PORTAL_URL: door.url,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    FLYWHEEL_OPERATORS: options.operators ?? '',
    KUBECONFIG: kubeconfig,
    LOG_LEVEL: 'silent',
  });
  const hs256SecretBase64 = randomBytes(32).toString('base64');
  const admin = new Kube(configOf(cluster.kubeconfigPath));
  const [github, gitlab, forgejo, attic, bazel] = await Promise.all([
    startGithub({ port: 0 }),
    startGitlab({ port: 0 }),
    startForgejo({ port: 0 }),
    startAttic({ port: 0, hs256SecretBase64 }),
    startBazelRemotes({ port: 0, instanceOf: (namespace) => instanceIn(admin, namespace) }),
  ]);
  const webhookSecret = randomBytes(32).toString('base64url');
  await seed({
    github,
    gitlab: { url: gitlab.url, ...gitlab.application, webhookSecret },
    forgejo: { url: forgejo.url, ...forgejo.app, webhookSecret },
    attic: { url: attic.url, hs256SecretBase64 },
    bazelUrl: bazel.url,
  });
  const served = new Set((options.runnersOf ?? []).flatMap(runnersNamespacesOf));
  const runners =
    served.size === 0
      ? undefined
      : await startRunners({
          kubeconfig: cluster.kubeconfigPath,
          jobSeconds: 1,
          waitScale: 0.05,
          plays: (namespace) => served.has(namespace),
          onError: () => undefined,
        });
  followForges();
  const workers = new Set<TestWorker>();
  const stop = async () => {
    await Promise.all([...workers].map((worker) => worker.stop()));
    await closeDb();
    await runners?.stop();
    await Promise.all([github.stop(), gitlab.stop(), forgejo.stop(), attic.stop(), bazel.stop()]);
    door.close();
    await database.drop();
  };
  const person = (login: string, kind: ForgeKind = 'github') => signedIn(login, kind, accounts[kind](login));
  const accounts: Record<ForgeKind, (login: string) => Account> = {
    github: (login) => accountOf(github.state.users, login, github.userToken(login)),
    gitlab: (login) => accountOf(gitlab.state.users, login, gitlab.userToken(login)),
    // Its sign-in leaves no token: people give one.
    forgejo: (login) => accountOf(forgejo.state.users, login, null),
  };
  return {
    database,
    github,
    gitlab,
    forgejo,
    attic,
    bazel,
    person,
    member: async (login, tenant) => {
      const ctx = await tenantCtx(await person(login), tenant);
      if (!ctx) throw new Error(`${login} is no member of ${tenant}`);
      return ctx;
    },
    organization: async (login) => {
      github.addOrg({ login, admins: ['ada-tinyland'] });
      const body = JSON.stringify({ account: login });
      const answer = await fetch(`${github.url}/_sandbox/installations`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      if (!answer.ok) throw new Error(`the App was not installed on ${login}: ${await answer.text()}`);
    },
    startWorker: (leaves = () => false) => {
      const worker = startWorker(leaves);
      workers.add(worker);
      return worker;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function configOf(path: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return config;
}

/** The one door that forges come to by themselves; Next, which stands before it in production, reads nothing of it. */
async function webhookDoor(): Promise<{ url: string; close: () => void }> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname } = new URL(request.url ?? '/', 'http://portal');
    const [, connectionId = '', ownerId] = /^\/api\/hooks\/([^/]+)(?:\/([^/]+))?$/.exec(pathname) ?? [];
    const given = { headers: new Headers(request.headers as Record<string, string>), body: request };
    const to = ownerId === undefined ? { connectionId } : { connectionId, ownerId };
    const status = await receiveDelivery(given, to).then(
      (each) => each.status,
      (error: unknown) => errorCodes[toAppError(error).code],
    );
    response.writeHead(status).end();
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}

function startWorker(leaves: (key: string) => boolean): TestWorker {
  const abort = new AbortController();
  const failures: unknown[] = [];
  const views = new Map<string, ClusterView>();
  const viewOf = (id: string): ClusterView => {
    const known = views.get(id);
    if (known) return known;
    const view = new ClusterView(new ClusterClient(clusterAt(id)));
    views.set(id, view);
    view.onChange(wakeOfChange((error) => failures.push(error)));
    measureRunners(view, {
      clock: systemClock,
      signal: abort.signal,
      onError: (error) => failures.push(error),
    });
    view.start(abort.signal);
    return view;
  };
  const deps = { clock: systemClock, view: viewOf, seen: new Map<string, number>() };
  const all: Tasks = {
    enrollment: (lease: Lease) => reconcileEnrollment(deps, lease),
    tenant: (lease: Lease) => reconcileTenant(deps, lease),
    [clusterTask]: (lease: Lease) => lookAtCluster(deps, lease),
    [moveTask]: (lease: Lease) => reconcileMove(deps, lease),
    [jobsTask]: takeJobs,
    [viewTask]: (lease: Lease) => reconcileViews(lease),
    [scheduleTask]: (lease: Lease) => applySchedules(deps, lease),
  };
  const taken = ([kind, task]: [string, Task]): [string, Task] => [
    kind,
    async (lease) => (leaves(lease.key) ? { kind: 'gone' } : task(lease)),
  ];
  const tasks = Object.fromEntries(Object.entries(all).map(taken));
  const log = process.env['TEST_WORKER_LOG'] ? (entry: object) => console.error(entry) : undefined;
  const done = loop({ tasks, concurrency: 4, signal: abort.signal, ...(log ? { log } : {}) });
  return {
    view: viewOf('main'),
    async stop() {
      abort.abort();
      await Promise.all([done, ...[...views.values()].map((view) => view.stopped())]);
    },
  };
}

type Account = { subject: string; name: string; token: string | null };

function accountOf(
  users: Record<string, { id: number; login: string; name: string }>,
  login: string,
  token: string | null,
): Account {
  const account = Object.values(users).find((user) => user.login === login);
  if (!account) throw new Error(`the forge has no ${login}`);
  return { subject: String(account.id), name: account.name, token };
}

async function signedIn(login: string, forge: ForgeKind, { subject, name, token }: Account): Promise<PersonCtx> {
  const connectionId = forge;
  const where = { connectionId_subject: { connectionId, subject } };
  const found = await unsafeDb().identity.findUnique({ where });
  const userId = found?.userId ?? (await unsafeDb().user.create({ data: { name } })).id;
  const identity = found ?? (await unsafeDb().identity.create({ data: { userId, connectionId, subject, login } }));
  if (token !== null) {
    const tokens = { accessToken: token, refreshToken: null, expiresAt: null };
    const sealedToken = await seal(JSON.stringify(tokens), `identity/${identity.id}/token`);
    await unsafeDb().identity.update({ where: { id: identity.id }, data: { sealedToken } });
  }
  return {
    requestId: `test-${login}`,
    person: {
      userId,
      name,
      imageUrl: null,
      identities: [{ id: identity.id, connectionId, forge, subject, login }],
      isOperator: (process.env['FLYWHEEL_OPERATORS'] ?? '').split(',').includes(`${connectionId}:${subject}`),
    },
  };
}

export { eventually } from './eventually.ts';
