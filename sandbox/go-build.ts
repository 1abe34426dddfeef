// Go programs that the sandbox builds for itself, once for each version, into the user's cache: a machine with only package
// registries in reach can build them from their modules but cannot download what their makers released.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir, setPriority } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { logTail, startChild } from '#sandbox/process.ts';

export interface GoProgram {
  /** What its file in the cache begins with. */
  name: string;
  /** As in "The Kubernetes control plane could not be built". */
  title: string;
  /** The folder of its go.mod. */
  source: string;
  /** What else in that folder decides what is built, beside go.mod and go.sum, and what does so from elsewhere. */
  inputs?: string[];
  stamp?: string;
  /** A package of the folder, or of a module that it requires. */
  target: string;
  tags?: string;
  /** Values that are set in it, as `-X` takes them. */
  linkerFlags?: string;
  /** Whether it has parts in C, which want a compiler. */
  hasC?: boolean;
}

/** Go is missing, too old, or could not build; the message is for the person at the terminal. */
export class CannotBuild extends Error {}

export interface Progress {
  done: number;
  total: number;
}

export interface BuildOptions {
  onProgress?: (progress: Progress) => void;
}

/** The binary, when an earlier build left it in the cache. */
export function builtGoProgram(program: GoProgram): string | undefined {
  const go = goVersion(program);
  if (!go) return undefined;
  const file = cachedBinary(program, go);
  return existsSync(file) ? file : undefined;
}

/** Builds the binary into the user's cache at low priority, or waits for whoever is already building it. */
export async function buildGoProgram(program: GoProgram, options: BuildOptions = {}): Promise<string> {
  const go = goVersion(program);
  if (!go)
    throw new CannotBuild(`Go is not installed (1.26 or newer is needed to build ${lowerFirst(program.title)}).`);
  const file = cachedBinary(program, go);
  mkdirSync(cacheDir(), { recursive: true });
  while (!existsSync(file)) {
    const lock = takeLock(`${file}.lock`);
    if (!lock) {
      await pause(1000);
      continue;
    }
    try {
      if (!existsSync(file)) await compile(program, file, options);
    } finally {
      lock.release();
    }
  }
  return file;
}

export function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, GOWORK: 'off' };
}

/** Without symbols, and the same wherever it is built. */
function howToBuild({ tags, linkerFlags = '', hasC = false }: GoProgram) {
  const flags = ['-trimpath', '-buildvcs=false', ...(tags === undefined ? [] : ['-tags', tags])];
  const env = { ...goEnvironment(), CGO_ENABLED: hasC ? '1' : '0' };
  return { flags, ldflags: `-s -w ${linkerFlags}`.trim(), env };
}

function lowerFirst(text: string): string {
  return text.replace(/^The /, 'the ');
}

function cacheDir(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'flywheel');
}

function goVersion({ source }: GoProgram): string | undefined {
  const { status, stdout } = spawnSync('go', ['version'], { cwd: source, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function cachedBinary({ name, source, inputs = [], stamp }: GoProgram, go: string): string {
  const hash = createHash('sha256').update(go);
  for (const input of ['go.mod', 'go.sum', ...inputs]) hash.update(readFileSync(join(source, input)));
  if (stamp !== undefined) hash.update(stamp);
  return join(cacheDir(), `${name}-${hash.digest('hex').slice(0, 16)}`);
}

/** A lock is a file that its holder keeps touching; one that nobody touches was left by somebody who was killed. */
function takeLock(file: string): { release(): void } | undefined {
  const STALE_MS = 20_000;
  try {
    if (Date.now() - statSync(file).mtimeMs < STALE_MS) return undefined;
    rmSync(file, { force: true });
  } catch {
    // No such file: free.
  }
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch {
    return undefined;
  }
  const touch = setInterval(() => utimesSync(file, new Date(), new Date()), 2000);
  return {
    release: () => {
      clearInterval(touch);
      rmSync(file, { force: true });
    },
  };
}

async function compile(program: GoProgram, file: string, { onProgress }: BuildOptions): Promise<void> {
  const { source, target, title } = program;
  const { flags, ldflags, env } = howToBuild(program);
  const half = `${file}.${process.pid}.half`;
  const logFile = `${file}.log`;
  rmSync(logFile, { force: true });
  onProgress?.({ done: 0, total: 0 });
  const total = await countPackagesToBuild(program);
  const child = startChild({
    command: 'go',
    args: ['build', '-v', ...flags, '-ldflags', ldflags, '-o', half, target],
    cwd: source,
    env,
    logFile,
  });
  if (child.pid) setPriority(child.pid, 10);
  const done = () => Math.min(total, logTail(logFile, Infinity).split('\n').filter(isPackageName).length);
  const report = setInterval(() => onProgress?.({ done: done(), total }), 2000);
  const ending = await child.exited.finally(() => clearInterval(report));
  if (ending !== 'exit code 0' || !existsSync(half)) {
    rmSync(half, { force: true });
    throw new CannotBuild(`${title} could not be built (${ending}):\n${whatWentWrong(logFile)}`);
  }
  onProgress?.({ done: total, total });
  renameSync(half, file);
  rmSync(logFile, { force: true });
}

/**
 * What `go build -v` will name; packages that Go's own cache already holds are not among them. Fetches the modules on the
 * way, which may take minutes.
 */
async function countPackagesToBuild(program: GoProgram): Promise<number> {
  const { source, target, title } = program;
  const { flags, env } = howToBuild(program);
  const args = ['list', '-deps', ...flags, '-f', '{{if .Stale}}{{.ImportPath}}{{end}}', target];
  const options = { cwd: source, env, maxBuffer: 1e8 };
  try {
    const { stdout } = await promisify(execFile)('go', args, options);
    return stdout.split('\n').filter(Boolean).length;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new CannotBuild(`${title} cannot be built: ${lastLines(stderr || message)}`);
  }
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-5).join('\n');
}

/** Other packages go on being built after one has failed, and their names would push the reason out of sight. */
function whatWentWrong(logFile: string): string {
  const lines = logTail(logFile, Infinity).split('\n');
  return lines
    .filter((line) => !isPackageName(line))
    .slice(-20)
    .join('\n');
}

function isPackageName(line: string): boolean {
  return line.length > 0 && !line.includes(' ');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
