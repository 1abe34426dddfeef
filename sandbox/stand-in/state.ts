import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A value that lives in memory and is written to a file a moment after each `save()`. */
export interface Kept<T> {
  value: T;
  save(): void;
  flush(): void;
}

const delayMs = 250;

/**
 * Reads `path`, or starts from `fresh()`. Without a path the state lives as long as the process.
 * A write goes to a second file that is then moved into place, so that a kill never leaves half a state; it is
 * synchronous because a few megabytes take milliseconds and two writes can then never overtake each other.
 */
export function keepState<T>(path: string | undefined, fresh: () => T): Kept<T> {
  if (path === undefined) return { value: fresh(), save: () => undefined, flush: () => undefined };
  mkdirSync(dirname(path), { recursive: true });
  const value = read<T>(path) ?? fresh();
  let timer: NodeJS.Timeout | undefined;

  function write(): void {
    clearTimeout(timer);
    timer = undefined;
    writeFileSync(`${path}.next`, JSON.stringify(value));
    renameSync(`${path}.next`, path as string);
  }
  return {
    value,
    save: () => {
      timer ??= setTimeout(write, delayMs);
    },
    flush: () => {
      if (timer) write();
    },
  };
}

function read<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
