import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, matchesGlob } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { withDatabase } from '#sandbox/postgres.ts';
import { freePort, logTail, startChild, type Child } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { ensureBuilt } from '#sandbox/web-build.ts';
import { processCommand } from '#sandbox/process-command.ts';
import { assemble } from './image.ts';

/*
 * The files that the image's last stage holds, and nothing else: all three commands of deploy/base run from them, read-only, as
 * the user that they have there, with the environment that they have there, against a database that is empty at first.
 */

const folder = mkdtempSync(join(tmpdir(), 'flywheel-image-'));
const app = join(folder, 'app');
const node = join(folder, 'node');
const database = `image_${randomBytes(6).toString('hex')}`;
/** As in the manifests, where the test may become somebody else. */
const identity = process.getuid?.() === 0 ? { uid: 10_001, gid: 10_001 } : {};
const running: Child[] = [];

type Probe = { httpGet: { path: string; port: string } };
type Container = {
  command: string[];
  env: { name: string; value: string }[];
  ports: { name: string; containerPort: number }[];
  livenessProbe: Probe;
  readinessProbe: Probe;
};

/** What the manifest starts, and with which environment. */
function containerOf(component: 'web' | 'worker' | 'migrate'): Container {
  const documents = parseAllDocuments(readFileSync(join(import.meta.dirname, `base/${component}.yaml`), 'utf8'));
  const [object] = documents.map(
    (document) => document.toJS() as { spec: { template: { spec: { containers: Container[] } } } },
  );
  const [container] = object?.spec.template.spec.containers ?? [];
  if (!container) throw new Error(`${component} has no container`);
  return container;
}

const admin = () => process.env['FLYWHEEL_TEST_DATABASE_ADMIN_URL'] ?? '';

async function execute(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: admin() });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Secrets and settings are mounted there; here they are elsewhere, under the same names. */
function environmentOf({ env }: Container, more: Record<string, string> = {}): Record<string, string> {
  const given = env.map(({ name, value }): [string, string] => [
    name,
    value.replace(/^\/(?=run\/|etc\/)/, `${folder}/`),
  ]);
  return { ...Object.fromEntries(given), PATH: '/usr/bin:/bin', TMPDIR: join(folder, 'tmp'), ...more };
}

function mounted(path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text, { mode: 0o444 });
}

function started(component: 'web' | 'worker', args: string[], more: Record<string, string>): Child {
  const container = containerOf(component);
  const child = startChild({
    command: node,
    args: [...container.command.slice(1), ...args],
    cwd: app,
    env: environmentOf(container, more) as NodeJS.ProcessEnv,
    logFile: join(folder, `${component}.log`),
    stopTimeoutMs: 60_000,
    ...identity,
  });
  running.push(child);
  return child;
}

/** A command in a pod of that kind, as `kubectl exec` would run it. */
async function run(component: 'web' | 'worker' | 'migrate', args: string[], input = '') {
  const env = environmentOf(containerOf(component)) as NodeJS.ProcessEnv;
  const child = spawn(node, args, { cwd: app, env, ...identity });
  child.stdin.end(input);
  const [[status], stdout, stderr] = await Promise.all([
    once(child, 'close'),
    textOf(child.stdout),
    textOf(child.stderr),
  ]);
  return { status: status as number, stdout, stderr };
}

beforeAll(async () => {
  await ensureBuilt(join(folder, 'build.log'));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'tmp'), { mode: 0o1777 });
  chmodSync(join(folder, 'tmp'), 0o1777);
  assemble(app);
  copyFileSync(process.execPath, node);
  spawnSync('chmod', ['-R', 'a-w,a+rX', app]);
  await execute(`CREATE DATABASE ${database} OWNER flywheel_owner`);
  const url = (name: string) => withDatabase(process.env[name] ?? '', database);
  mounted('run/secrets/flywheel/DATABASE_URL', url('FLYWHEEL_TEST_DATABASE_APP_URL'));
  mounted('run/secrets/flywheel/FLYWHEEL_SECRET_KEY', randomBytes(32).toString('base64'));
  mounted('run/secrets/flywheel-owner/DATABASE_OWNER_URL', url('FLYWHEEL_TEST_DATABASE_OWNER_URL'));
  mounted(
    'etc/flywheel/settings/settings.yaml',
    readFileSync(join(import.meta.dirname, 'example/settings.yaml'), 'utf8'),
  );
}, 600_000);
afterAll(async () => {
  await Promise.all(running.map((child) => child.stop()));
  await execute(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  spawnSync('chmod', ['-R', 'u+w', folder]);
  rmSync(folder, { recursive: true, force: true });
});

test('holds no tests, no sandbox and no tool of development', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const dev = Object.keys(lock.packages).filter((path) => lock.packages[path]?.dev === true);
  expect(dev.filter((path) => existsSync(join(app, path)))).toEqual([]);
  expect(dev).toContain('node_modules/vitest');
  expect(existsSync(join(app, 'sandbox'))).toBe(false);
  const ours = globSync('{app,components,docs,lib,prisma,public,sandbox,e2e,bench,deploy}/**', { cwd: app });
  expect(ours.filter((path) => /\.test\.|fixtures|contract-/.test(path))).toEqual([]);
  expect(ours.length).toBeGreaterThan(200);
});

/** As a builder reads it: the last line that is about a file or a folder above it counts. */
function isInContext(path: string): boolean {
  const lines = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
  const above = path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));
  // A glob leaves out what begins with a dot; a builder does not.
  const about = (pattern: string) => pattern === '*' || above.some((each) => matchesGlob(each, pattern));
  const last = lines.filter((line) => line !== '' && !line.startsWith('#') && about(line.replace(/^!/, ''))).at(-1);
  return last?.startsWith('!') ?? true;
}

test('a builder is given what the pages are built from, and no more', () => {
  const built = globSync('{app,components,lib,public,docs,prisma/migrations}/**/*.*', {
    cwd: ROOT,
    exclude: ['**/*.test.ts', '**/*.test.tsx', 'lib/db/generated/**'],
  });
  const configs = globSync('{next,postcss,prisma}.config.*', { cwd: ROOT });
  const packages = ['package.json', 'package-lock.json', '.npmrc', 'tsconfig.json', 'sandbox/setup.mjs'];
  const more = ['instrumentation.ts', 'proxy.ts', 'prisma/schema.prisma', 'prisma/migrate.ts', 'deploy/image.ts'];
  const needed = [...built, ...configs, ...packages, ...more];
  expect(needed.filter((path) => !existsSync(join(ROOT, path)) || !isInContext(path))).toEqual([]);
  expect(configs).toHaveLength(3);
  const kept = ['.git/config', '.env', 'node_modules/next/package.json', '.next/BUILD_ID', '.sandbox/secrets.json'];
  const ours = ['sandbox/up.ts', 'e2e/look.spec.ts', 'deploy/image.db.test.ts', 'lib/safety.test.ts'];
  expect([...kept, ...ours, 'lib/db/generated/client.ts'].filter(isInContext)).toEqual([]);
});

test('the base image has the Node that everything else runs on', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: { node: string };
  };
  const text = readFileSync(join(import.meta.dirname, 'Containerfile'), 'utf8');
  expect(text.match(/node:[\d.]+(?=-)/g)).toEqual([`node:${dependencies.node}`]);
});

test.each(['web', 'worker'] as const)('the %s is started as `npm run` starts it', (of) => {
  const { args, env } = processCommand(of);
  const { command, env: given } = containerOf(of);
  expect(command).toEqual(['node', ...args]);
  expect(Object.fromEntries(given.map(({ name, value }) => [name, value]))).toMatchObject(env);
});

test('the image starts the web where it is told nothing', () => {
  const text = readFileSync(join(import.meta.dirname, 'Containerfile'), 'utf8');
  expect(JSON.parse(/^CMD (.*)$/m.exec(text)?.[1] ?? '')).toEqual(['node', ...processCommand('web').args]);
});

test('web and worker wait for the migrations, run when those are there, and leave when told to', async () => {
  const kinds = ['web', 'worker'] as const;
  const containers = { web: containerOf('web'), worker: containerOf('worker') };
  const port = async (kind: 'web' | 'worker') => {
    const free = containers[kind].ports.map(async ({ name }) => [name, await freePort()] as const);
    return Object.fromEntries(await Promise.all(free));
  };
  const ports = { web: await port('web'), worker: await port('worker') };
  const web = started('web', ['--port', String(ports.web['http'])], {
    FLYWHEEL_METRICS_PORT: String(ports.web['metrics']),
    FLYWHEEL_DRAIN_SECONDS: '1',
  });
  const worker = started('worker', [], {
    FLYWHEEL_METRICS_PORT: String(ports.worker['metrics']),
    FLYWHEEL_HEALTH_PORT: String(ports.worker['health']),
  });
  const say = () => kinds.map((name) => logTail(join(folder, `${name}.log`))).join('\n');
  const asked = async (at: number | undefined, path: string) => {
    if (running.some((child) => !child.isRunning())) throw new Error(say());
    const answer = await fetch(`http://127.0.0.1:${at}${path}`, { redirect: 'manual' }).catch(() => null);
    return answer && { status: answer.status, text: await answer.text() };
  };
  /** As the kubelet does. */
  const probed = (kind: 'web' | 'worker', probe: 'livenessProbe' | 'readinessProbe') => {
    const { path, port: named } = containers[kind][probe].httpGet;
    return asked(ports[kind][named], path);
  };
  const http = ports.web['http'];
  const missing = 'migrations are missing\n';
  for (const kind of kinds) {
    await eventually('one that waits', async () => (await probed(kind, 'readinessProbe'))?.text === missing, 90_000);
    expect(await probed(kind, 'livenessProbe')).toEqual({ status: 200, text: 'ok\n' });
  }

  expect(await run('migrate', containerOf('migrate').command.slice(1))).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^Applied: 20261123000000_init, /),
    stderr: '',
  });

  for (const kind of kinds)
    await eventually('ready', async () => (await probed(kind, 'readinessProbe'))?.status === 200, 30_000);
  const page = await asked(http, '/sign-in');
  expect(page?.status).toBe(200);
  const script = /src="(\/_next\/static\/[^"]+\.js)/.exec(page?.text ?? '')?.[1] ?? '';
  expect(await asked(http, script)).toMatchObject({ status: 200 });
  for (const path of ['/', '/help', '/help/install', '/icon.svg'])
    expect([path, (await asked(http, path))?.status]).toEqual([path, 200]);
  for (const kind of kinds) expect(await asked(ports[kind]['metrics'], '/metrics')).toMatchObject({ status: 200 });
  expect(await run('web', ['lib/cli.ts', 'config', 'check'])).toMatchObject({ status: 0, stderr: '' });
  const documents = readFileSync(join(import.meta.dirname, 'example/operators/cluster.yaml'), 'utf8');
  const imported = await run('web', ['lib/import.ts', '-f', '-'], documents);
  expect(imported).toMatchObject({ status: 0 });
  for (const name of ['main', 'docker', 'nix', 'nix-heavy']) expect(imported.stdout).toContain(name);

  await Promise.all([web.stop(), worker.stop()]);
  expect(await Promise.all([web.exited, worker.exited])).toEqual(['exit code 0', 'exit code 0']);
  expect(say()).not.toMatch(/EROFS|EACCES|EPERM|Cannot find (module|package)/);
}, 240_000);

test('what listens is what the manifests name', () => {
  const listening = (component: 'web' | 'worker') => {
    const { ports, env } = containerOf(component);
    const given = Object.fromEntries(env.map(({ name, value }) => [name, Number(value)]));
    const wanted = { http: 3000, health: given['FLYWHEEL_HEALTH_PORT'], metrics: given['FLYWHEEL_METRICS_PORT'] };
    return ports.map(({ name, containerPort }) => [containerPort, wanted[name as keyof typeof wanted]]);
  };
  for (const [port, wanted] of [...listening('web'), ...listening('worker')]) expect(port).toBe(wanted);
});
