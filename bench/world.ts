/**
 * Everything that a portal has around it, thrown away at the end: Postgres, a Kubernetes API with ARC's definitions, and in
 * a process of its own, so that it takes none of the portal's time, a GitHub with as many organizations as are asked for.
 * ARC's controller is not run: what it does after us is not ours to measure.
 */
import { KubeConfig } from '@kubernetes/client-node';
import { execFile, fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { closeDb } from '#lib/db/index.ts';
import { install } from '#sandbox/arc/install.ts';
import { Kube } from '#sandbox/arc/kube.ts';
import { buildControlPlane, progressLine, startControlPlane, type ControlPlane } from '#sandbox/control-plane.ts';
import { startPostgres, type Postgres } from '#sandbox/postgres.ts';
import { migrate } from '../prisma/migrate.ts';
import { seed, type SeedInput } from '../prisma/seed.ts';
import { groupsMs, ownMs } from './cpu.ts';
import type { ForgeMessage } from './forge.ts';
import { say } from './report.ts';

export type World = {
  folder: string;
  postgres: Postgres;
  cluster: ControlPlane;
  /** The control plane's binary, which is kubectl as well. */
  binary: string;
  admin: Kube;
  forgeRequests: () => Promise<number>;
  /** What workers have asked the API server for so far, by its own count: see `apiRequestsOf`. */
  apiRequests: () => Promise<number>;
  /** Processor time so far: of this process and what it ran, and of the servers. */
  cpuMs: () => { own: number; servers: number };
};

export type WorldWish = { organizations: number; attic?: SeedInput['attic'] };

const run = promisify(execFile);
const controllerVersion = '0.14.2';
const worlds = new Set<() => Promise<void>>();

export async function stopWorlds(): Promise<void> {
  for (const stop of worlds) await stop();
}

/** Sets this process's configuration, which child processes inherit: one a process, until `stopWorlds`. */
export async function startWorld({ organizations, attic }: WorldWish): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-bench-'));
  const stops: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const each of stops.splice(0).toReversed()) await each().catch((error: unknown) => say(String(error)));
  };
  worlds.add(stop);
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().then(() => process.exit(130)));
  const binary = await buildControlPlane({ onProgress: (progress) => say(progressLine(progress)) });
  say('starting Postgres, the Kubernetes API and a GitHub …');
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), keepData: false });
  stops.push(() => postgres.stop());
  const cluster = await startControlPlane({ dataDir: join(folder, 'control-plane'), binary, keepData: false });
  stops.push(() => cluster.stop());
  await migrate(postgres.ownerUrl);
  configure(postgres, cluster);
  stops.push(closeDb);
  const forge = await startForge(organizations);
  stops.push(forge.stop);
  await seed({
    github: forge.github,
    // Where nobody listens, unless somebody wants a cache.
    attic: attic ?? { url: 'http://127.0.0.1:9', hs256SecretBase64: randomBytes(32).toString('base64') },
  });
  const admin = new Kube(configFrom(cluster.kubeconfigPath));
  await install(admin, 'arc-systems', controllerVersion);
  const leaders = [postgres.child, ...Object.values(cluster.children)].map((child) => child.pid);
  const cpuMs = () => ({ own: ownMs(), servers: groupsMs(leaders) });
  const apiRequests = () => apiRequestsOf(binary, cluster.kubeconfigPath);
  return { folder, postgres, cluster, binary, admin, forgeRequests: forge.requests, apiRequests, cpuMs };
}

const workerVerbs =
  /^apiserver_request_total\{(?=.*verb="(?:LIST|APPLY)"|.*resource="namespaces".*verb="POST").*\} (\d+)$/gm;

/** Lists, applies and new namespaces, whoever asked: nobody else in this world does so at rest, and watches count when they end. */
async function apiRequestsOf(binary: string, kubeconfig: string): Promise<number> {
  const args = ['kubectl', '--kubeconfig', kubeconfig, 'get', '--raw', '/metrics'];
  const { stdout } = await run(binary, args, { maxBuffer: 2 ** 28 });
  return [...stdout.matchAll(workerVerbs)].reduce((sum, [, count]) => sum + Number(count), 0);
}

function configure(postgres: Postgres, cluster: ControlPlane): void {
  Object.assign(process.env, {
    DATABASE_URL: postgres.appUrl,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    KUBECONFIG: cluster.portalKubeconfigPath,
    LOG_LEVEL: 'warn',
  });
}

function configFrom(path: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return config;
}

type Forge = { github: SeedInput['github']; requests: () => Promise<number>; stop: () => Promise<void> };

async function startForge(organizations: number): Promise<Forge> {
  const child = fork(fileURLToPath(new URL('./forge.ts', import.meta.url)), [String(organizations)]);
  const started = await answer(child, 'started');
  return {
    github: started.github,
    requests: async () => {
      child.send('count');
      return (await answer(child, 'count')).requests;
    },
    stop: async () => {
      if (child.exitCode !== null) return;
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

async function answer<T extends ForgeMessage['type']>(
  child: ChildProcess,
  type: T,
): Promise<Extract<ForgeMessage, { type: T }>> {
  const asked = new AbortController();
  const ended = once(child, 'exit', asked).then(() => Promise.reject(new Error('the GitHub ended')));
  ended.catch(() => undefined);
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [ForgeMessage];
  asked.abort();
  if (message.type !== type) throw new Error(`the GitHub said ${message.type} instead of ${type}`);
  return message as Extract<ForgeMessage, { type: T }>;
}
