// A Chromium for the browser tests: the machine's own, else Playwright's, else whichever of the two can be installed.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { chromium, type LaunchOptions } from 'playwright';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** The path of a browser that is there already. FLYWHEEL_CHROMIUM names one. */
export function findChromium(): string | undefined {
  const named = process.env['FLYWHEEL_CHROMIUM'];
  if (named) return named;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin'].filter(Boolean);
  const installed = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
  if (installed) return installed;
  return existsSync(chromium.executablePath()) ? chromium.executablePath() : undefined;
}

/** Finds one or installs one; throws with what a person can do. */
export async function ensureChromium(say: (line: string) => void): Promise<string> {
  const there = findChromium();
  if (there) return there;
  say('Installing Chromium for the browser tests …');
  const attempts = [installPlaywrights, installDebians];
  for (const attempt of attempts) {
    await attempt();
    const found = findChromium();
    if (found) return found;
  }
  throw new Error(
    'There is no Chromium. Install one, e.g. sudo apt-get install chromium, or name one in FLYWHEEL_CHROMIUM.',
  );
}

export function launchOptions(): LaunchOptions {
  const executablePath = findChromium();
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'];
  // Chromium's own sandbox refuses to run as root.
  const args = process.getuid?.() === 0 ? [...quiet, '--no-sandbox'] : quiet;
  return { args, ...(executablePath ? { executablePath } : {}) };
}

async function installPlaywrights(): Promise<void> {
  const cli = join(dirname(createRequire(import.meta.url).resolve('playwright/package.json')), 'cli.js');
  // Where its download site cannot be reached it would try for a long time.
  await run(process.execPath, [cli, 'install', 'chromium'], 120_000);
}

async function installDebians(): Promise<void> {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) return;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], 300_000, env);
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], 600_000, env);
}

function run(command: string, args: string[], timeout: number, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  return new Promise((done) => {
    const child = spawn(command, args, { env, stdio: 'ignore', timeout });
    child.on('error', () => done());
    child.on('exit', () => done());
  });
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
