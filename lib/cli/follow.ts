import { command, wholeNumber } from './command.ts';
import { urlOption } from './login.ts';
import { accessOf, Portal } from './portal.ts';
import { Enrollment, type Phase } from './shapes.ts';
import { enrollmentOf, enrollmentPath } from './tenant.ts';
import { exitCodes, printable, type ExitCode, type Terminal } from './terminal.ts';

const everyMs = 2_000;

/** An option of every command that waits. */
export const timeoutOption = { type: 'string', value: 'SECONDS', says: 'how long it waits; 600 otherwise' } as const;

export function timeoutMs(text: string | undefined): number {
  return wholeNumber('timeout', text, 600, 86_400) * 1000;
}

export const follow = command(
  {
    name: 'follow',
    args: ['TENANT/ENROLLMENT'],
    says: 'tells each change of an enrollment until it is ready, or withdrawn, or a person must act',
    details:
      'It ends with 0 where it is ready or withdrawn, with 4 where it waits for an operator, and with 1 otherwise.',
    options: { url: urlOption, timeout: timeoutOption },
  },
  async ({ terminal, values, args: [named = ''] }) => {
    const { tenant, enrollment } = enrollmentOf(named);
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const wanted = { portal, path: enrollmentPath(tenant, enrollment), name: named, ms: timeoutMs(values.timeout) };
    return followUntil(terminal, wanted, (line) => terminal.out(line));
  },
);

type Wanted = { portal: Portal; path: string; name: string; ms: number };

/** Each change of a phase as a line, until there is nothing more to wait for. */
export async function followUntil(
  terminal: Terminal,
  { portal, path, name, ms }: Wanted,
  say: (line: string) => void,
): Promise<ExitCode> {
  let seen: Enrollment = await portal.get(path, Enrollment);
  // By its id from here on: a name is free again once it is withdrawn.
  const own = path.replace(/[^/]+$/, seen.id);
  const said = new Map<string, string>();
  for (let waitedMs = 0; ; waitedMs += everyMs) {
    for (const line of newLines(seen, said)) say(`${time()}  ${name}  ${line}\n`);
    const end = endOf(seen);
    if (end) {
      say(`${time()}  ${name}  ${printable(end.words)}\n`);
      return end.code;
    }
    if (waitedMs >= ms) {
      terminal.err(
        `${name} is not ready after ${Math.round(ms / 1000)} s. It goes on by itself: flywheel follow ${name}\n`,
      );
      return exitCodes.refused;
    }
    await terminal.sleep(everyMs);
    seen = await portal.get(own, Enrollment);
  }
}

const time = (): string => new Date().toISOString().slice(11, 19);

function newLines({ phases }: Enrollment, said: Map<string, string>): string[] {
  return phases.flatMap((phase) => {
    const line = phaseLine(phase);
    if (said.get(phase.type) === line) return [];
    // Of what has not been looked at yet there is nothing to say, unless there was.
    const isSilent = phase.status === 'Unknown' && !said.has(phase.type);
    said.set(phase.type, line);
    return isSilent ? [] : [line];
  });
}

function phaseLine({ label, status, message, waitingFor }: Phase): string {
  const standing = status === 'True' ? 'done' : waitingFor === 'nobody' ? 'waits' : `waits for ${waitingFor}`;
  return printable(`${label}: ${standing}. ${message}`);
}

/** What there is to end with; null while something may still come. */
export function endOf(seen: Enrollment): { code: ExitCode; words: string } | null {
  const { state, ready, headline, waitingFor, generation, observedGeneration } = seen;
  if (state === 'withdrawn') return { code: exitCodes.done, words: 'Withdrawn.' };
  if (state === 'draft') return { code: exitCodes.refused, words: 'It is a draft: nobody has applied it.' };
  // What is told is of what was approved before.
  if (observedGeneration < generation) return null;
  if (ready && state === 'active') return { code: exitCodes.done, words: 'Ready.' };
  if (waitingFor === 'operator') return { code: exitCodes.waits, words: `An operator must act. ${headline}` };
  if (waitingFor === 'admin') return { code: exitCodes.refused, words: `An admin must act. ${headline}` };
  return null;
}
