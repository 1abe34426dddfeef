// Once for all integration tests: a Postgres whose database `flywheel` is migrated and serves as the template of every
// testDatabase(), and a Kubernetes API that starts when the first test asks for it.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildControlPlane, startControlPlane, type ControlPlane } from '#sandbox/control-plane.ts';
import { startPostgres } from '#sandbox/postgres.ts';
import { migrate } from '../../prisma/migrate.ts';

export default async function setup(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-test-'));
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
  #desk: Server | undefined;
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  async openDesk(): Promise<string> {
    const desk = createServer((_request, answer) => {
      this.#start().then(
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

  async stop(): Promise<void> {
    this.#desk?.close();
    this.#desk?.closeAllConnections();
    const controlPlane = await this.#started?.catch(() => undefined);
    await controlPlane?.stop();
  }
}
