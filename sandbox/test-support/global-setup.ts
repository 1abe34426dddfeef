// Once for all integration tests: a Postgres whose database `flywheel` is migrated and serves as the template of every
// testDatabase(), and a Kubernetes API that starts when the first test asks for it.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildControlPlane, startControlPlane, type ControlPlane } from '#sandbox/control-plane.ts';
import { startArc, type Arc } from '#sandbox/arc/index.ts';
import { startPostgres } from '#sandbox/postgres.ts';
import { migrate } from '../../prisma/migrate.ts';

export default async function setup(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-test-'));
  // Postgres may have to run as another user, who must get in.
  chmodSync(folder, 0o755);
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), keepData: false });
  const cluster = new LazyCluster(join(folder, 'control-plane'));
  const tearDown = async () => {
    await cluster.stop();
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await migrate(postgres.ownerUrl);
    Object.assign(process.env, {
      FLYWHEEL_TEST_DATABASE_OWNER_URL: postgres.ownerUrl,
      FLYWHEEL_TEST_DATABASE_APP_URL: postgres.appUrl,
      FLYWHEEL_TEST_DATABASE_ADMIN_URL: postgres.adminUrl,
      FLYWHEEL_TEST_CLUSTER_DESK: await cluster.openDesk(),
    });
  } catch (error) {
    await tearDown();
    throw error;
  }
  return tearDown;
}

/** Tests run in other processes; they ask here, over HTTP, for a cluster that only then starts. */
class LazyCluster {
  #started: Promise<ControlPlane> | undefined;
  #arc: Promise<Arc> | undefined;
  #desk: Server | undefined;
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  async openDesk(): Promise<string> {
    const desk = createServer((request, answer) => {
      const ready = request.url === '/with-arc' ? this.#startWithArc() : this.#start();
      ready.then(
        ({ kubeconfigPath, portalKubeconfigPath }) =>
          answer.end(JSON.stringify({ kubeconfigPath, portalKubeconfigPath })),
        (error: Error) => answer.writeHead(500).end(error.message),
      );
    });
    this.#desk = desk;
    await new Promise<void>((listening) => desk.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${(desk.address() as AddressInfo).port}`;
  }

  #start(): Promise<ControlPlane> {
    this.#started ??= buildControlPlane().then((binary) =>
      startControlPlane({ dataDir: this.#dataDir, binary, keepData: false }),
    );
    return this.#started;
  }

  /** One stand-in for ARC, as there is one ARC in a cluster: two would work against each other. */
  async #startWithArc(): Promise<ControlPlane> {
    const controlPlane = await this.#start();
    this.#arc ??= startArc({
      kubeconfig: controlPlane.kubeconfigPath,
      jobSeconds: 1,
      waitScale: 0.1,
      onError: (kind, key, error) => process.env['ARC_LOG'] && console.error(kind, key, error),
    });
    await this.#arc;
    return controlPlane;
  }

  async stop(): Promise<void> {
    await (await this.#arc?.catch(() => undefined))?.stop();
    this.#desk?.close();
    this.#desk?.closeAllConnections();
    const controlPlane = await this.#started?.catch(() => undefined);
    await controlPlane?.stop();
  }
}
