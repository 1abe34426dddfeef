/** The world of a command: what it is given, and where it speaks. A test hands in its own. */
export type Terminal = {
  environment: Record<string, string | undefined>;
  /** Data. */
  out(text: string): void;
  /** Progress, questions and errors. */
  err(text: string): void;
  isOutTerminal: boolean;
  isErrTerminal: boolean;
  /** Whether somebody is there to answer. */
  canAsk: boolean;
  columns: number;
  readIn(): Promise<string>;
  ask(question: string): Promise<string>;
  fetch: typeof fetch;
  sleep(ms: number): Promise<void>;
};

/** What a command ends with. */
export const exitCodes = { done: 0, refused: 1, usage: 2, differs: 3, waits: 4, signedOut: 5 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeWords: Record<keyof typeof exitCodes, string> = {
  done: 'done; nothing differs',
  refused: 'refused, or failed',
  usage: 'asked wrongly',
  differs: 'there are differences (diff)',
  waits: 'it waits for an operator',
  signedOut: 'not signed in',
};

/** Asked wrongly: the person reads this and how it is asked rightly. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/**
 * What came from elsewhere, as it may stand on a terminal: a name that holds an escape sequence would act on it, and one that
 * holds marks of direction would read as another.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}

const codes = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;
export type Paint = (look: keyof typeof codes, text: string) => string;

/** Colours are for people: never in a file, nor where NO_COLOR or a dumb terminal asks for none. */
export function paintFor(terminal: Terminal, isTerminal: boolean): Paint {
  const { NO_COLOR, TERM } = terminal.environment;
  const hasColour = isTerminal && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
  return (look, text) => (hasColour ? `\u001B[${codes[look]}m${text}\u001B[0m` : text);
}
