import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

/* Who is signed in at which portal: one file that its owner alone may read. */

const Kept = z.object({
  current: z.string().nullable(),
  portals: z.record(z.string(), z.object({ token: z.string(), name: z.string(), expiresAt: z.string() })),
});
type Kept = z.infer<typeof Kept>;
export type KeptPortal = Kept['portals'][string];

const none: Kept = { current: null, portals: {} };

/** https://specifications.freedesktop.org/basedir-spec/latest/ */
export function storePath({ environment }: Pick<Terminal, 'environment'>): string {
  const { XDG_CONFIG_HOME, HOME } = environment;
  // A path that is not absolute is to be passed over, says the specification.
  const base = XDG_CONFIG_HOME?.startsWith('/') ? XDG_CONFIG_HOME : join(HOME ?? homedir(), '.config');
  return join(base, 'flywheel', 'portals.json');
}

export function readStore(terminal: Terminal): Kept {
  const path = storePath(terminal);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    mend(path, terminal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return none;
    throw unreadable(path, error);
  }
  const parsed = Kept.safeParse(parsedJson(text));
  if (parsed.success) return parsed.data;
  throw unreadable(path, 'it is not as this program writes it');
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unreadable(path: string, why: unknown): AppError {
  return new AppError('internal', {
    log: `${path}: ${String(why)}`,
    screen: { happened: `${path} cannot be read: ${String(why)}.`, todo: 'Remove it, and sign in again.' },
  });
}

/** A token that others could read is told of, and closed to them. */
function mend(path: string, { err }: Terminal): void {
  if ((statSync(path).mode & 0o077) === 0) return;
  err(
    `${path} was open to others: it is closed now. If this machine has others, revoke the token and sign in again.\n`,
  );
  chmodSync(path, 0o600);
}

function write(terminal: Terminal, kept: Kept): void {
  const path = storePath(terminal);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // Whole or not at all, and never open for a moment.
  const beside = `${path}.${randomUUID()}`;
  writeFileSync(beside, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(beside, path);
}

export function keepPortal(terminal: Terminal, url: string, portal: KeptPortal): void {
  const { portals } = readStore(terminal);
  write(terminal, { current: url, portals: { ...portals, [url]: portal } });
}

export function forgetPortal(terminal: Terminal, url: string): void {
  const kept = readStore(terminal);
  const portals = Object.fromEntries(Object.entries(kept.portals).filter(([each]) => each !== url));
  write(terminal, { current: kept.current === url ? (Object.keys(portals)[0] ?? null) : kept.current, portals });
}
