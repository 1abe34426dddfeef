// What must be done before anything of ours can run, on a machine with any Node from 20 on: install the dependencies
// (among them the newer Node that the portal itself runs under) and generate the database client.
// Plain JavaScript, no dependencies.
//
//   node sandbox/setup.mjs            both
//   node sandbox/setup.mjs generate   the database client alone
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MODULES = join(ROOT, 'node_modules');
export const NODE = join(MODULES, '.bin', 'node');

/** Everything, in order; throws an Error whose message is for the person at the terminal. */
export function setUp(say = console.log) {
  installDependencies(say);
  generateClient(say);
}

function installDependencies(say) {
  const wanted = hashOf('package.json', 'package-lock.json');
  const stamp = join(MODULES, '.flywheel-installed');
  if (existsSync(NODE) && (readIfThere(stamp) === wanted || isInstalled())) return writeFileSync(stamp, wanted);
  say('Installing dependencies (npm install) …');
  // Not `npm ci`: it refuses a lock file that lacks other machines' native packages, and npm leaves those out of the file
  // wherever its registry does not have them. This keeps to the locked versions all the same, and writes nothing back.
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', args, 'npm install failed; its last words are above.');
  if (!existsSync(NODE))
    throw new Error('npm ran, but node_modules/.bin/node is missing: were install scripts switched off?');
  writeFileSync(stamp, wanted);
}

/** Somebody who has just run `npm install` need not wait for it twice: npm keeps its own copy of the lock in node_modules. */
function isInstalled() {
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const found = JSON.parse(readIfThere(join(MODULES, '.package-lock.json')) || '{}').packages ?? {};
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional || found[path]?.version === version,
  );
}

/** Prisma's generated client is not in git; it is made again when what it is made from has changed. */
export function generateClient(say = console.log) {
  const wanted = hashOf('prisma/schema.prisma', 'prisma.config.ts', 'node_modules/prisma/package.json');
  const output = join(ROOT, 'lib/db/generated');
  const stamp = join(output, '.generated-from');
  if (!existsSync(join(ROOT, 'prisma/schema.prisma')) || readIfThere(stamp) === wanted) return;
  say('Generating the database client …');
  // `generate` never runs the schema engine, but fetches it unless a file is named that exists.
  const env = {
    ...process.env,
    PRISMA_SCHEMA_ENGINE_BINARY: NODE,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  const args = [join(MODULES, 'prisma/build/index.js'), 'generate', '--no-hints'];
  const { status, stdout, stderr } = spawnSync(NODE, args, { cwd: ROOT, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`prisma generate failed:\n${stdout}${stderr}`);
  mkdirSync(output, { recursive: true });
  writeFileSync(stamp, wanted);
}

/**
 * Hands over to a script under the portal's own Node and answers with its exit code. A signal to us goes on to it, and it
 * can tell by its IPC channel closing that we are gone.
 */
export function handOver(script, args) {
  const child = spawn(NODE, [join(ROOT, script), ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  // Ctrl-C in a terminal reaches the child by itself, being in our group; a kill of this process alone does not.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  leaveWithNpm(() => child.kill('SIGTERM'));
  return new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? (signal ? 1 : 0))));
}

/** npm puts a shell between itself and us, which passes no signal on: a killed `npm start` shows only as another parent. */
function leaveWithNpm(leave) {
  if (!process.env.npm_lifecycle_event) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    leave();
  }, 500);
  watch.unref();
}

function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error || status !== 0) throw new Error(error ? `${failure} (${error.message})` : failure);
}

function hashOf(...files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0${readIfThere(join(ROOT, file))}\0`);
  return hash.digest('hex');
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv[2] === 'generate') generateClient();
    else setUp();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
