import { printable } from './terminal.ts';

/* Rows as text in columns, as wide as they need and no wider than the terminal. */

export type Cell = string | number | boolean | null | undefined;
export type Table = { head: readonly string[]; rows: readonly (readonly Cell[])[] };

const gap = '  ';
/** A column is not cut below this. */
const narrowest = 8;

function textOf(cell: Cell): string {
  if (cell === null || cell === undefined || cell === '') return '-';
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  return printable(String(cell));
}

const length = (text: string): number => Array.from(text).length;

function cut(text: string, width: number): string {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
}

/** Widths that fit: the widest column gives way first. */
function fitted(natural: readonly number[], columns: number): number[] {
  const widths = [...natural];
  const room = columns - gap.length * (widths.length - 1);
  for (let over = sum(widths) - room; over > 0; over -= 1) {
    const widest = widths.indexOf(Math.max(...widths));
    const width = widths[widest] ?? 0;
    if (width <= narrowest) break;
    widths[widest] = width - 1;
  }
  return widths;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, each) => all + each, 0);

/** `columns` is null where nobody's terminal has to hold it. */
export function tableText({ head, rows }: Table, columns: number | null): string {
  const cells = rows.map((row) => row.map(textOf));
  const natural = head.map((title, at) => Math.max(length(title), ...cells.map((row) => length(row[at] ?? ''))));
  const widths = columns === null ? natural : fitted(natural, columns);
  const isNumber = head.map((_, at) => rows.length > 0 && rows.every((row) => typeof row[at] === 'number'));
  const line = (row: readonly string[]) =>
    row
      .map((text, at) => {
        const [shown, width] = [cut(text, widths[at] ?? 0), widths[at] ?? 0];
        const space = ' '.repeat(Math.max(0, width - length(shown)));
        return isNumber[at] ? space + shown : shown + space;
      })
      .join(gap)
      .trimEnd();
  return [head, ...cells].map((row) => `${line(row)}\n`).join('');
}
