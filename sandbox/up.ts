// The whole portal on one machine, with everything around it: what `npm start` and the browser tests run.
//
//   node sandbox/up.ts [--fresh] [--data-dir DIR] [--port N] [--wait-for-cluster] [--gitea]
//
// Real: Postgres, and the Kubernetes API where Go is there to build it. Stand-ins over real HTTP: forges, Attic, bazel-remote, and ARC.
// The portal is given all of it as in production, by its environment, and knows nothing of this folder.
import { KubeConfig } from '@kubernetes/client-node';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { startArc } from '#sandbox/arc/index.ts';
import { Kube } from '#sandbox/arc/kube.ts';
import { prepareAtticDatabase, writeAtticDatabase } from '#sandbox/attic/database.ts';
import { startAttic } from '#sandbox/attic/index.ts';
import { instanceIn } from '#sandbox/bazel-remote/cluster.ts';
import { startBazelRemotes } from '#sandbox/bazel-remote/index.ts';
import {
  buildControlPlane,
  builtControlPlane,
  CannotBuild,
  kubeconfigPathsIn,
  progressLine,
  startControlPlane,
  type Progress,
} from '#sandbox/control-plane.ts';
import { startForgejo } from '#sandbox/forgejo/index.ts';
import { buildGitea } from '#sandbox/gitea.ts';
import { startGiteaWorld } from '#sandbox/gitea-world.ts';
import { startGithub, type Github } from '#sandbox/github/index.ts';
import { startGitlab } from '#sandbox/gitlab/index.ts';
import { Keepsakes } from '#sandbox/keepsakes.ts';
import { placeFor, startPostgres, type Postgres } from '#sandbox/postgres.ts';
import { freePort, startChild, waitUntil, type Child } from '#sandbox/process.ts';
import { startRunners } from '#sandbox/runners/index.ts';
import { generateClient, ROOT } from '#sandbox/setup.mjs';
import { Supervisor, type Running } from '#sandbox/supervisor.ts';
import { buildWeb, isBuilt } from '#sandbox/web-build.ts';
import { processCommand } from '#sandbox/process-command.ts';
import { migrate } from '../prisma/migrate.ts';
import type { ForgeSeed, SeedInput } from '../prisma/seed.ts';

export interface UpOptions {
  /** Without it: PORT, else 3000, else a free one that is then remembered. */
  port?: number;
  dataDir: string;
  /** Forget what an earlier start left. */
  fresh: boolean;
  /** Start the portal only when the Kubernetes API is there, for tests that cannot wait in the page. */
  waitForCluster: boolean;
  /** A real Gitea beside the stand-ins, for tests; it takes minutes to build the first time. */
  gitea: boolean;
}

const OPERATOR = 'github:1005';
const DEMO_ACCOUNTS = [
  ['ada-tinyland', 'owns the organization tinyland-inc'],
  ['sam-tinyland', 'is a member of tinyland-inc'],
  ['JessSullivan', 'has a repository of their own, cmux'],
  ['mallory', 'is a stranger to all of these'],
  ['olive-operator', 'operates the platform'],
] as const;

type AtticSeed = { url: string; secret: string; statisticsUrl: string };

/** Attic tells its database of a push at once; here a look at the pages is soon enough. */
const ATTIC_WRITTEN_MS = 10_000;

function kubeOf(path: string): Kube {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return new Kube(config);
}

class Sandbox {
  readonly #options: UpOptions;
  readonly #dataDir: string;
  readonly #logs: string;
  readonly #keepsakes: Keepsakes;
  readonly #supervisor = new Supervisor(say);
  readonly #stops: (() => Promise<void>)[] = [];
  #possession: { release(): void } | undefined;

  constructor(options: UpOptions) {
    this.#options = options;
    this.#dataDir = resolve(options.dataDir);
    this.#logs = join(this.#dataDir, 'logs');
    this.#keepsakes = new Keepsakes(this.#dataDir);
  }

  async start(): Promise<void> {
    this.#possession = await this.#keepsakes.takePossession();
    if (this.#options.fresh) this.#forget();
    this.#keepLastLogs();
    generateClient(say);
    const ports = await this.#ports();
    const portal = `http://localhost:${ports.web}`;
    const [postgres, github, gitlab, forgejo, gitea] = await Promise.all([
      this.#startPostgres(ports.postgres),
      this.#startGithub(portal, ports.github),
      this.#startGitlab(portal, ports.gitlab),
      this.#startForgejo(portal, ports.forgejo),
      this.#options.gitea ? this.#startGitea(portal, ports.gitea) : undefined,
    ]);
    const attic = await this.#startAttic(ports.attic, postgres);
    const bazelUrl = await this.#startBazel(ports.bazel);
    const env = this.#portalEnv(portal, postgres, ports.web);
    const cluster = this.#startCluster(ports.kubernetes);
    await this.#seed(env, { github, gitlab, forgejo, gitea }, { ...attic, bazelUrl });
    if (!isBuilt()) {
      say('Building the portal (next build) …');
      await buildWeb(join(this.#logs, 'build.log'), env);
    }
    if (this.#options.waitForCluster) await cluster;
    await this.#startWorker(env);
    await this.#startWeb(env, ports.web);
    const kubeconfig = process.env['SANDBOX_KUBECONFIG'] ?? this.#kubeconfigs.admin;
    const forges = { github: github.url, gitlab: gitlab.url, forgejo: forgejo.url };
    const real = gitea ? { gitea: gitea.url } : {};
    const { ownerUrl: database } = postgres;
    this.#keepsakes.writeAddress({
      portal,
      ...forges,
      ...real,
      attic: attic.url,
      database,
      kubeconfig,
      logs: this.#logs,
    });
    announce(portal, forges);
    await cluster;
  }

  async stop(): Promise<void> {
    // The stand-ins first: they would only complain that what they talk to goes away.
    for (const stop of this.#stops.toReversed()) await stop().catch((error: Error) => say(error.message));
    await this.#supervisor.stopAll();
    this.#possession?.release();
  }

  get #kubeconfigs() {
    return kubeconfigPathsIn(join(this.#dataDir, 'control-plane'));
  }

  #forget(): void {
    rmSync(placeFor(join(this.#dataDir, 'postgres')), { recursive: true, force: true });
    const names = [
      'postgres',
      'control-plane',
      'github',
      'gitlab',
      'forgejo',
      'attic',
      'arc',
      'ports.json',
      'secrets.json',
      'address.json',
    ];
    for (const name of names) rmSync(join(this.#dataDir, name), { recursive: true, force: true });
  }

  #keepLastLogs(): void {
    rmSync(`${this.#logs}.previous`, { recursive: true, force: true });
    if (existsSync(this.#logs)) renameSync(this.#logs, `${this.#logs}.previous`);
    mkdirSync(this.#logs, { recursive: true });
  }

  /** Near the portal's own, and the same at the next start, so that URLs stay. */
  async #ports() {
    const asked = this.#options.port;
    const base = asked ?? 3000;
    const web = asked ? await exactly(asked) : await this.#keepsakes.port('web', base);
    // Another PORT than last time may be one that was given to a part.
    const near = (name: string, offset: number) => this.#keepsakes.port(name, base + offset, web);
    return {
      web,
      github: await near('github', 1),
      attic: await near('attic', 2),
      kubernetes: await near('kubernetes', 3),
      postgres: await near('postgres', 4),
      gitlab: await near('gitlab', 5),
      forgejo: await near('forgejo', 6),
      gitea: await near('gitea', 7),
      bazel: await near('bazel', 8),
    };
  }

  async #startPostgres(port: number): Promise<Postgres> {
    const logFile = join(this.#logs, 'postgres.log');
    let first: Postgres | undefined;
    await this.#supervisor.add({
      name: 'Postgres',
      start: async () => {
        const started = await startPostgres({
          dataDir: join(this.#dataDir, 'postgres'),
          port,
          keepData: true,
          logFile,
        });
        first ??= started;
        return { children: { Postgres: { ...started.child, logFile } }, stop: () => started.stop() };
      },
    });
    if (!first) throw new Error('Postgres did not start.');
    const applied = await migrate(first.ownerUrl);
    say(`Postgres is up${applied.length ? `; applied ${applied.length} migrations` : ''}.`);
    return first;
  }

  async #startGithub(portal: string, port: number): Promise<Github> {
    const github = await startGithub({
      port,
      statePath: join(this.#dataDir, 'github', 'state.json'),
      callbackUrls: [`${portal}/api/auth/callback/github`],
      setupUrl: `${portal}/enroll/installed`,
      webhookUrl: `${portal}/api/hooks/github`,
    });
    this.#stops.push(() => github.stop());
    return github;
  }

  async #startGitlab(portal: string, port: number): Promise<ForgeSeed> {
    const gitlab = await startGitlab({
      port,
      statePath: join(this.#dataDir, 'gitlab', 'state.json'),
      redirectUris: [`${portal}/api/auth/callback/gitlab`],
    });
    this.#stops.push(() => gitlab.stop());
    const { clientId, clientSecret } = gitlab.application;
    return { url: gitlab.url, clientId, clientSecret, webhookSecret: this.#keepsakes.secret('gitlab') };
  }

  async #startForgejo(portal: string, port: number): Promise<ForgeSeed> {
    const forgejo = await startForgejo({
      port,
      statePath: join(this.#dataDir, 'forgejo', 'state.json'),
      redirectUris: [`${portal}/api/auth/callback/forgejo`],
    });
    this.#stops.push(() => forgejo.stop());
    const { clientId, clientSecret } = forgejo.app;
    return { url: forgejo.url, clientId, clientSecret, webhookSecret: this.#keepsakes.secret('forgejo') };
  }

  /** Never throws: where it cannot be built, what needs it fails alone. */
  async #startGitea(portal: string, port: number): Promise<ForgeSeed | undefined> {
    try {
      const { gitea, clientId, clientSecret } = await startGiteaWorld({
        dataDir: join(this.#dataDir, 'gitea'),
        port,
        binary: await buildGitea(),
        redirectUri: `${portal}/api/auth/callback/gitea`,
      });
      this.#stops.push(() => gitea.stop());
      say(`Gitea ${gitea.version} is up: ${gitea.url}`);
      return { url: gitea.url, clientId, clientSecret, webhookSecret: this.#keepsakes.secret('gitea') };
    } catch (error) {
      say(`There is no Gitea: ${(error as Error).message}`);
      return undefined;
    }
  }

  /** Attic's own tables stand in a database beside the portal's, as an operator would give it to read. */
  async #startAttic(port: number, postgres: Postgres): Promise<AtticSeed> {
    const secret = this.#keepsakes.secret('attic');
    const statePath = join(this.#dataDir, 'attic', 'state.json');
    const attic = await startAttic({ port, statePath, hs256SecretBase64: secret });
    const { ownerUrl, readerUrl } = await prepareAtticDatabase(postgres.adminUrl, 'attic');
    const write = () => writeAtticDatabase(ownerUrl, attic.state).catch((error: Error) => say(error.message));
    const timer = setInterval(() => void write(), ATTIC_WRITTEN_MS);
    this.#stops.push(() => attic.stop());
    this.#stops.push(async () => clearInterval(timer));
    return { url: attic.url, secret, statisticsUrl: readerUrl };
  }

  /** The caches that the cluster's objects stand for; without a cluster there are none. */
  async #startBazel(port: number): Promise<string> {
    const path = process.env['SANDBOX_KUBECONFIG'] ?? this.#kubeconfigs.admin;
    let kube: Kube | undefined;
    const remotes = await startBazelRemotes({
      port,
      instanceOf: (namespace) => {
        // It comes with the cluster, which may still be built.
        kube ??= existsSync(path) ? kubeOf(path) : undefined;
        return kube && instanceIn(kube, namespace);
      },
    });
    this.#stops.push(() => remotes.stop());
    return remotes.url;
  }

  /** What an operator would set in production, and one thing they would not: FLYWHEEL_SANDBOX lets forges live on loopback. */
  #portalEnv(portal: string, postgres: Postgres, port: number): NodeJS.ProcessEnv {
    return {
      ...process.env,
      NODE_ENV: 'production',
      NEXT_TELEMETRY_DISABLED: '1',
      PORT: String(port),
      PORTAL_URL: portal,
      DATABASE_URL: postgres.appUrl,
      FLYWHEEL_SECRET_KEY: this.#keepsakes.secret('portal'),
      FLYWHEEL_OPERATORS: OPERATOR,
      FLYWHEEL_SANDBOX: '1',
      // Named before it exists: the portal waits for its cluster as it waits for one that is away.
      KUBECONFIG: process.env['SANDBOX_KUBECONFIG'] ?? this.#kubeconfigs.portal,
    };
  }

  async #seed(
    env: NodeJS.ProcessEnv,
    { github, ...forges }: { github: Github; gitlab: ForgeSeed; forgejo: ForgeSeed; gitea: ForgeSeed | undefined },
    attic: AtticSeed & { bazelUrl: string },
  ): Promise<void> {
    const input: SeedInput = {
      github: { url: github.url, app: github.app },
      ...forges,
      attic: { url: attic.url, hs256SecretBase64: attic.secret, statisticsUrl: attic.statisticsUrl },
      bazelUrl: attic.bazelUrl,
    };
    const child = spawn(process.execPath, ['sandbox/seed.ts'], { cwd: ROOT, env, stdio: ['pipe', 'inherit', 'pipe'] });
    child.stdin.end(JSON.stringify(input));
    const [[code], complaint] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
    if (code !== 0) throw new Error(`The demo data could not be entered:\n${complaint}`);
  }

  /** Never throws: without a cluster the portal still signs people in and plans. */
  async #startCluster(port: number): Promise<void> {
    const own = process.env['SANDBOX_KUBECONFIG'];
    if (own) return say(`Using the cluster of ${own}; ARC's stand-in is off.`);
    if (process.env['SANDBOX_CLUSTER'] === 'off')
      return say('No cluster, as SANDBOX_CLUSTER=off asks: enrollments will wait.');
    try {
      const binary = builtControlPlane() ?? (await this.#buildControlPlane());
      await this.#runControlPlane(binary, port);
      const { admin } = this.#kubeconfigs;
      await this.#startArc(admin);
      say(`The Kubernetes API is up: export KUBECONFIG=${admin}   (or: npm run sandbox -- kubectl get namespaces)`);
    } catch (error) {
      const reason = (error as Error).message;
      if (error instanceof CannotBuild)
        say(`There is no cluster, so enrollments wait. ${reason} SANDBOX_KUBECONFIG=FILE names a cluster of your own.`);
      else say(`The Kubernetes API did not start, so enrollments wait: ${reason}`);
    }
  }

  async #buildControlPlane(): Promise<string> {
    let last = 0;
    const onProgress = (progress: Progress) => {
      if (!last) say('Building the Kubernetes control plane in the background, once; about ten minutes on two cores.');
      else if (Date.now() - last < 20_000) return;
      else say(progressLine(progress));
      last = Date.now();
    };
    return buildControlPlane({ onProgress });
  }

  async #runControlPlane(binary: string, port: number): Promise<void> {
    const dataDir = join(this.#dataDir, 'control-plane');
    await this.#supervisor.add({
      name: 'the Kubernetes API',
      start: async () => {
        const started = await startControlPlane({ dataDir, binary, port, keepData: true, logDir: this.#logs });
        return { children: started.children, stop: () => started.stop() };
      },
    });
  }

  async #startArc(kubeconfig: string): Promise<void> {
    if (process.env['SANDBOX_ARC'] === 'off') return;
    const logFile = join(this.#logs, 'arc.log');
    const onError = (kind: string, key: string, error: unknown) =>
      appendFileSync(logFile, `${new Date().toISOString()} ${kind} ${key}: ${String(error)}\n`);
    const arc = await startArc({ kubeconfig, onError });
    const runners = await startRunners({ kubeconfig, onError });
    this.#stops.push(
      () => arc.stop(),
      () => runners.stop(),
    );
  }

  async #startWorker(env: NodeJS.ProcessEnv): Promise<void> {
    const { args, env: small } = processCommand('worker');
    await this.#supervisor.add({
      name: 'The worker',
      start: async () => this.#node('worker', args, { ...env, ...small }),
    });
  }

  async #startWeb(env: NodeJS.ProcessEnv, port: number): Promise<void> {
    await this.#supervisor.add({
      name: 'The portal',
      start: async () => {
        // Of two accounts, as in production: the web process may try what it plans, and make nothing.
        const own = { KUBECONFIG: process.env['SANDBOX_KUBECONFIG'] ?? this.#kubeconfigs.web };
        const args = [...processCommand('web').args, '--port', String(port), '--host', '127.0.0.1'];
        const web = this.#node('web', args, { ...env, ...own });
        await waitUntil('The portal', 60_000, () => answers(`http://127.0.0.1:${port}/`), web.children['web']);
        return web;
      },
    });
  }

  #node(name: string, args: string[], env: NodeJS.ProcessEnv): Running {
    const logFile = join(this.#logs, `${name}.log`);
    const child: Child = startChild({ command: process.execPath, args, cwd: ROOT, env, logFile });
    return { children: { [name]: { ...child, logFile } }, stop: () => child.stop() };
  }
}

async function exactly(port: number): Promise<number> {
  if ((await freePort(port)) === port) return port;
  throw new Error(`Port ${port} is in use. Choose another one: PORT=3100 npm start`);
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(10_000) }).then(
    () => true,
    () => false,
  );
}

const began = Date.now();

function say(line: string): void {
  const seconds = Math.round((Date.now() - began) / 1000);
  console.log(`${`${seconds}s`.padStart(5)}  ${line}`);
}

function announce(portal: string, forges: { github: string; gitlab: string; forgejo: string }): void {
  console.log(`\nPortal: ${portal}\n\nSign in as one of these; no password is asked for:`);
  for (const [login, what] of DEMO_ACCOUNTS) console.log(`  ${login.padEnd(16)}${what}`);
  console.log(`\nThe stand-ins:     GitHub ${forges.github}/_sandbox`);
  console.log(`                   GitLab ${forges.gitlab}/_sandbox, Forgejo ${forges.forgejo}/_sandbox`);
  console.log('Queue a job:       npm run sandbox -- job tinyland-inc/lab nix');
  console.log('Stop:              Ctrl-C   (the data stay; npm start -- --fresh begins anew)\n');
}

function optionsFrom(argv: string[]): UpOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      fresh: { type: 'boolean', default: false },
      'data-dir': { type: 'string', default: join(ROOT, '.sandbox') },
      port: { type: 'string', default: process.env['PORT'] ?? '' },
      'wait-for-cluster': { type: 'boolean', default: false },
      gitea: { type: 'boolean', default: false },
    },
  });
  const port = values.port ? Number(values.port) : undefined;
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw new Error(`No port: ${values.port}`);
  return {
    fresh: values.fresh,
    dataDir: values['data-dir'],
    waitForCluster: values['wait-for-cluster'],
    gitea: values.gitea,
    ...(port === undefined ? {} : { port }),
  };
}

async function main(): Promise<void> {
  const sandbox = new Sandbox(optionsFrom(process.argv.slice(2)));
  let leaving: Promise<void> | undefined;
  const leave = (code: number) => {
    leaving ??= sandbox.stop().finally(() => process.exit(code));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (leaving) return;
      say('Stopping …');
      leave(0);
    });
  }
  // start.mjs is gone, and with it the terminal that we would talk to.
  process.on('disconnect', () => leave(1));
  // A stand-in's forgotten promise is worth a line, not everybody's end.
  process.on('unhandledRejection', (error) =>
    say(`A stand-in failed: ${error instanceof Error ? error.stack : String(error)}`),
  );
  try {
    await sandbox.start();
  } catch (error) {
    if (!leaving) say((error as Error).message);
    leave(1);
  }
  await leaving;
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
