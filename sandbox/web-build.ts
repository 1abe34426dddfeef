// `next build`, but only when something it is made from has changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, logTail, startChild } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';

const SOURCES = [
  'app',
  'components',
  'lib',
  'instrumentation.ts',
  'proxy.ts',
  'public',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
];
const STAMP = join(ROOT, '.next', 'flywheel-built-from');
const LOCK = join(ROOT, '.sandbox', 'building-web');

export const NEXT = join(ROOT, 'node_modules', 'next', 'dist', 'bin', 'next');

export function isBuilt(): boolean {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === sourcesHash();
}

/** For tests that need it built and run beside each other: one builds, the others wait. */
export async function ensureBuilt(logFile: string): Promise<void> {
  while (!isBuilt()) {
    if (!takeLock()) await sleep(500);
    else await buildWeb(logFile, process.env).finally(() => rmSync(LOCK, { force: true }));
  }
}

/** Names whoever holds it, so that one which was left behind holds nobody up. */
function takeLock(): boolean {
  try {
    if (!isAlive(Number(readFileSync(LOCK, 'utf8')))) rmSync(LOCK, { force: true });
  } catch {
    // Nobody builds.
  }
  try {
    mkdirSync(dirname(LOCK), { recursive: true });
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}

export async function buildWeb(logFile: string, env: NodeJS.ProcessEnv): Promise<void> {
  const builtFrom = sourcesHash();
  rmSync(STAMP, { force: true });
  const child = startChild({
    command: process.execPath,
    args: [NEXT, 'build'],
    cwd: ROOT,
    // The build must not depend on where it will run; what it needs then, it reads then.
    env: { ...env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' },
    logFile,
  });
  const ending = await child.exited;
  if (ending !== 'exit code 0') throw new Error(`next build failed (${ending}):\n${logTail(logFile, 40)}`);
  writeFileSync(STAMP, builtFrom);
}

/** By name, size and time: quick, and a needless build now and then does no harm. */
function sourcesHash(): string {
  const hash = createHash('sha256').update(process.version);
  const configs = readdirSync(ROOT).filter((name) => /^(next|postcss)\.config\./.test(name));
  for (const name of [...SOURCES, ...configs]) addToHash(hash, join(ROOT, name));
  return hash.digest('hex');
}

function addToHash(hash: ReturnType<typeof createHash>, path: string): void {
  if (!existsSync(path) || /\.test\.tsx?$/.test(path)) return;
  const found = statSync(path);
  if (found.isDirectory()) {
    for (const name of readdirSync(path).toSorted()) addToHash(hash, join(path, name));
  } else {
    hash.update(`${path}\0${found.size}\0${found.mtimeMs}\0`);
  }
}
