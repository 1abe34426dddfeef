// A worker as in production: a process that runs lib/main.ts with this process's configuration.
import { join } from 'node:path';
import { logTail, startChild, type Child } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';
import { processCommand } from '#sandbox/process-command.ts';
import { eventually } from './eventually.ts';

export type WorkerProcess = Child & { logFile: string };

let started = 0;

/** Answers when the worker says that it has started; its log is kept in the folder. */
export async function startWorkerProcess(folder: string, more: Record<string, string> = {}): Promise<WorkerProcess> {
  started += 1;
  const logFile = join(folder, `worker-${started}.log`);
  const { args, env } = processCommand('worker');
  const child = startChild({
    command: process.execPath,
    args,
    cwd: ROOT,
    env: { ...process.env, ...env, LOG_LEVEL: 'info', ...more },
    logFile,
  });
  const isUp = () => {
    if (!child.isRunning()) throw new Error(`the worker ended:\n${logTail(logFile)}`);
    return logTail(logFile, Infinity).includes('worker started');
  };
  await eventually('the worker', isUp, 120_000);
  return { ...child, logFile };
}
