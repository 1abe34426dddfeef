/** A cell's value; a number is written as it is, since no spreadsheet runs one. */
export type Cell = string | number | bigint | null | undefined;

/** What makes a spreadsheet take a text for a formula, also behind blanks and in its wide form (OWASP, CSV injection). */
const formula = /^[\s\0]*[=+\-@＝＋－＠]|^[\t\r\n]/u;

function cellOf(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n']/.test(text) || text.trim() !== text ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line of CSV (RFC 4180, with its CRLF). A text that a spreadsheet would run is preceded by an apostrophe. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(cellOf).join(',')}\r\n`;
}
