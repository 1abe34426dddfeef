// A terminal that keeps what is said to it, for tests of the command line.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import type { Terminal } from '#lib/cli/index.ts';

export type TestTerminal = Terminal & { said: { out: string; err: string }; waitedMs: number[]; folder: string };

export type Answering = (url: string, init: RequestInit) => Response | Promise<Response>;

/** With a configuration folder of its own. Nobody is there to answer unless `answers` are given. */
export function testTerminal(
  given: { environment?: Record<string, string>; answering?: Answering; input?: string; answers?: string[] } = {},
): TestTerminal {
  const { environment = {}, answering, input = '', answers } = given;
  const folder = join(tmpdir(), `flywheel-cli-${randomUUID()}`);
  const said = { out: '', err: '' };
  const waitedMs: number[] = [];
  const left = [...(answers ?? [])];
  return {
    environment: { XDG_CONFIG_HOME: folder, ...environment },
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    isOutTerminal: false,
    isErrTerminal: false,
    canAsk: answers !== undefined,
    columns: 80,
    readIn: () => Promise.resolve(input),
    ask: (question) => {
      said.err += question;
      return Promise.resolve(left.shift() ?? '');
    },
    fetch: async (url, init) => {
      if (!answering) throw new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } });
      return answering(url instanceof Request ? url.url : String(url), init ?? {});
    },
    sleep: (ms) => {
      waitedMs.push(ms);
      return Promise.resolve();
    },
    said,
    waitedMs,
    folder,
  };
}
