/**
 * Processor time from /proc: a third measure beside seconds and requests, since a machine that others use as well makes
 * everything slower but makes nothing cost more. Elsewhere than on Linux there is none.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

type Stat = { group: number; ownMs: number; endedChildrenMs: number };

let tickMs: number | undefined;

function msOf(ticks: string | undefined): number {
  tickMs ??= 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return Number(ticks) * tickMs;
}

/** proc(5): the name is in parentheses and may hold anything; the state follows, as field 3. */
function statOf(pid: string): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      group: Number(fields[2]),
      ownMs: msOf(fields[11]) + msOf(fields[12]),
      endedChildrenMs: msOf(fields[13]) + msOf(fields[14]),
    };
  } catch {
    return undefined;
  }
}

/** What these process groups have used so far: servers lead one each, their helpers with them. */
export function groupsMs(leaders: readonly number[]): number {
  const wanted = new Set(leaders);
  let sum = 0;
  for (const pid of process.platform === 'linux' ? readdirSync('/proc') : []) {
    const stat = /^\d+$/.test(pid) ? statOf(pid) : undefined;
    if (stat && wanted.has(stat.group)) sum += stat.ownMs + stat.endedChildrenMs;
  }
  return sum;
}

/** This process, and those of its children that have ended. */
export function ownMs(): number {
  const stat = process.platform === 'linux' ? statOf('self') : undefined;
  return stat ? stat.ownMs + stat.endedChildrenMs : 0;
}
