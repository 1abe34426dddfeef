// Child processes that do not outlive us. Each child leads its own process group, so that Ctrl-C in a terminal reaches
// only the parent, which then stops its children in order; and a watchdog of a few lines of shell, which nobody but us
// holds a pipe to, ends them all when we ourselves are killed with no chance to tidy up.
import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';

export type Signal = 'SIGTERM' | 'SIGINT';

export interface Child {
  readonly pid: number;
  readonly exited: Promise<string>;
  isRunning(): boolean;
  stop(): Promise<void>;
}

export interface ChildOptions {
  command: string;
  args: string[];
  /** Where its output goes. The tail of this file is what a person reads when the child dies. */
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** How this program wants to be asked to leave; Postgres shuts down at once on SIGINT but waits for clients on SIGTERM. */
  stopSignal?: Signal;
  stopTimeoutMs?: number;
}

const WATCHDOG = `
pids=
while read -r op pid; do
  if [ "$op" = + ]; then pids="$pids $pid"; continue; fi
  rest=
  for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done
  pids=$rest
done
for p in $pids; do kill -s TERM -- "-$p" 2>/dev/null; done
for i in 1 2 3 4 5 6 7 8 9 10; do
  alive=
  for p in $pids; do kill -s 0 -- "-$p" 2>/dev/null && alive=1; done
  [ -z "$alive" ] && exit 0
  sleep 0.5
done
for p in $pids; do kill -s KILL -- "-$p" 2>/dev/null; done
`;

let watchdog: ChildProcess | undefined;

/** Its process is there as long as any child of ours may be, even when we are not. */
export function watchdogPid(): number {
  if (!watchdog || watchdog.exitCode !== null) {
    watchdog = spawn('sh', ['-c', WATCHDOG], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    watchdog.unref();
    watchdog.stdin?.on('error', () => {});
    // An open pipe must not keep our own event loop alive: the pipe closing *is* the message.
    (watchdog.stdin as unknown as { unref(): void }).unref();
  }
  return watchdog.pid ?? 0;
}

function tellWatchdog(line: string): void {
  watchdogPid();
  watchdog?.stdin?.write(line);
}

export function startChild(options: ChildOptions): Child {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a', 0o600);
  const child = spawn(options.command, options.args, spawnOptions(options, log));
  closeSync(log);
  let running = true;
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`));
  }).finally(() => {
    running = false;
    if (child.pid) tellWatchdog(`- ${child.pid}\n`);
  });
  if (child.pid) tellWatchdog(`+ ${child.pid}\n`);
  return {
    pid: child.pid ?? 0,
    exited,
    isRunning: () => running,
    stop: () => stopGroup(child.pid, exited, options),
  };
}

function spawnOptions(options: ChildOptions, log: number): SpawnOptions {
  return {
    cwd: options.cwd,
    env: options.env ?? process.env,
    detached: true,
    stdio: ['ignore', log, log],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.gid }),
  };
}

async function stopGroup(pid: number | undefined, exited: Promise<string>, options: ChildOptions): Promise<void> {
  if (!pid) return;
  // A program that is leading its own group may have helpers of its own; they are asked together.
  signalGroup(pid, options.stopSignal ?? 'SIGTERM');
  const late = setTimeout(() => signalGroup(pid, 'SIGKILL'), options.stopTimeoutMs ?? 10_000);
  await exited;
  clearTimeout(late);
  signalGroup(pid, 'SIGKILL');
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone, which is what was wanted.
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !isZombie(pid);
}

/** Ended, but not yet noticed by its parent; in a container without an init, an orphan stays so for good. */
function isZombie(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout ?? '';
  }
}

export function logTail(logFile: string, lines = 20): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}

/** A port nobody listens on: the preferred one when it is free. */
export async function freePort(preferred = 0): Promise<number> {
  return (await listenBriefly(preferred)) ?? (await listenBriefly(0)) ?? Promise.reject(new Error('no free port'));
}

function listenBriefly(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : undefined));
    });
  });
}

export async function waitUntil(
  what: string,
  timeoutMs: number,
  probe: () => Promise<boolean>,
  child?: Child,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await probe()) return;
    if (child && !child.isRunning()) throw new Error(`${what} ended before it was ready (${await child.exited})`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} was not ready after ${Math.round(timeoutMs / 1000)} seconds`);
}
