/** The portal's pages and doors as they are served in production, for what is measured through them. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Postgres } from '#sandbox/postgres.ts';
import { startChild, waitUntil } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';
import { buildWeb, isBuilt } from '#sandbox/web-build.ts';
import { say } from './report.ts';

export async function builtPortal(folder: string): Promise<void> {
  if (isBuilt()) return;
  say('building the portal (next build) …');
  await buildWeb(join(folder, 'build.log'), process.env);
}

/** For this process and for those that it starts. */
export function configurePortal(postgres: Postgres, port: number): void {
  Object.assign(process.env, {
    NODE_ENV: 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    DATABASE_URL: postgres.appUrl,
    PORTAL_URL: `http://127.0.0.1:${port}`,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    LOG_LEVEL: 'warn',
  });
}

export async function startPortal(port: number, folder: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const url = `http://127.0.0.1:${port}`;
  const child = startChild({
    command: process.execPath,
    args: ['lib/web.ts', '--port', String(port), '--host', '127.0.0.1'],
    cwd: ROOT,
    env: process.env,
    logFile: join(folder, 'web.log'),
  });
  const answers = () =>
    fetch(url, { redirect: 'manual' }).then(
      () => true,
      () => false,
    );
  await waitUntil('The portal', 60_000, answers, child);
  return { url, stop: () => child.stop() };
}
