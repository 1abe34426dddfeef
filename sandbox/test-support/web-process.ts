// The web as in production: a process that runs lib/web.ts with this process's configuration, from a build that is there.
import { join } from 'node:path';
import { processCommand } from '#sandbox/process-command.ts';
import { startChild, waitUntil, type Child } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';

export type WebProcess = Child & { url: string };

/** Answers when it serves; its log is kept in the folder. */
export async function startWebProcess(
  port: number,
  folder: string,
  more: Record<string, string> = {},
): Promise<WebProcess> {
  const url = `http://127.0.0.1:${port}`;
  const child = startChild({
    command: process.execPath,
    args: [...processCommand('web').args, '--port', String(port), '--host', '127.0.0.1'],
    cwd: ROOT,
    // What it is given would not do for production, and is not meant to.
    env: { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', FLYWHEEL_SANDBOX: '1', ...more },
    logFile: join(folder, `web-${port}.log`),
  });
  const answers = () =>
    fetch(url, { redirect: 'manual' }).then(
      () => true,
      () => false,
    );
  await waitUntil('The portal', 120_000, answers, child);
  return { ...child, url };
}
