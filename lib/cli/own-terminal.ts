import { setTimeout as sleep } from 'node:timers/promises';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';

import { environment } from '../env.ts';
import type { Terminal } from './terminal.ts';

/** This process's own terminal, for the programs that a person starts. */
export function ownTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  // Who reads no further, such as `head`, has had enough: that is no failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  return {
    environment: environment(),
    out: (data) => void stdout.write(data),
    err: (words) => void stderr.write(words),
    isOutTerminal: stdout.isTTY,
    isErrTerminal: stderr.isTTY,
    canAsk: stdin.isTTY && stderr.isTTY,
    columns: stdout.columns || 80,
    readIn: () => text(stdin),
    ask,
    fetch,
    sleep: (ms) => sleep(ms),
  };
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await lines.question(question);
  lines.close();
  return answer;
}
