import { stringify } from 'yaml';
import { tableText, type Table } from './table-text.ts';
import type { Terminal } from './terminal.ts';

export const outputs = ['table', 'json', 'yaml'] as const;
export type Output = (typeof outputs)[number];

/** An option of every read. */
export const outputOption = {
  type: 'string',
  short: 'o',
  value: outputs,
  says: 'how it is written; a table otherwise',
} as const;

export function yamlText(value: unknown): string {
  return stringify(value, { aliasDuplicateObjects: false });
}

/** The value whole, or what of it people look at. */
export function write(
  terminal: Terminal,
  value: unknown,
  output: string | undefined,
  tables: () => readonly Table[],
): void {
  if (output === 'json') terminal.out(`${JSON.stringify(value, null, 2)}\n`);
  else if (output === 'yaml') terminal.out(yamlText(value));
  else
    terminal.out(
      tables()
        .map((table) => tableText(table, terminal.isOutTerminal ? terminal.columns : null))
        .join('\n'),
    );
}
