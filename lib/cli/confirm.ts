import { AppError } from '../errors.ts';
import { UsageError, type Terminal } from './terminal.ts';

/** An option of every command that asks before it changes something. */
export const yesOption = { type: 'boolean', short: 'y', says: 'asks nothing' } as const;

/** Throws unless somebody says yes. */
export async function confirm(
  terminal: Terminal,
  yes: boolean | undefined,
  question: string,
  so = 'Nothing was changed.',
): Promise<void> {
  if (yes) return;
  if (!terminal.canAsk) throw new UsageError(`Nobody is here to answer “${question}”: --yes says it beforehand. ${so}`);
  const answer = await terminal.ask(`${question} [y/N] `);
  if (/^y(?:es)?$/i.test(answer.trim())) return;
  throw new AppError('conflict', { log: 'answered with no', screen: { happened: 'It was not wanted.', changed: so } });
}
