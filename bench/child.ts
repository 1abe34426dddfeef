/** A worker as in production: a process that runs lib/main.ts with this process's configuration. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '#sandbox/setup.mjs';
import { logTail, startChild, type Child } from '#sandbox/process.ts';
import { until } from './report.ts';
import type { World } from './world.ts';

export type WorkerProcess = Child & { logFile: string };

let started = 0;

/** Answers when the worker says that it has started. */
export async function startWorkerProcess(world: World): Promise<WorkerProcess> {
  started += 1;
  const logFile = join(world.folder, `worker-${started}.log`);
  const { args, env } = workerCommand();
  const child = startChild({
    command: process.execPath,
    args,
    cwd: ROOT,
    env: { ...process.env, ...env, LOG_LEVEL: 'info' },
    logFile,
  });
  await until('the worker', 120_000, () => {
    if (!child.isRunning()) throw new Error(`the worker ended:\n${logTail(logFile)}`);
    return logTail(logFile, Infinity).includes('worker started');
  });
  return { ...child, logFile };
}

/** What `npm run worker` gives to node: variables before it, flags and the file after it. */
function workerCommand(): { args: string[]; env: Record<string, string> } {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { worker: string } };
  const words = scripts.worker.split(' ');
  const place = words.indexOf('node');
  return {
    args: words.slice(place + 1),
    env: Object.fromEntries(words.slice(0, place).map((word) => word.split('=') as [string, string])),
  };
}

/** Resident memory in MB (10^6 bytes), now and at its highest. */
export function memoryOf(pid: number): { now: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / 1e6;
  return { now: megabytes('VmRSS'), most: megabytes('VmHWM') };
}
