/** A cell's value; a number is written as it is, since no spreadsheet runs one. */
export type Cell = string | number | bigint | Exactly | null | undefined;
/** A decimal of any length: a number, so that a minus sign is one. */
export type Exactly = { decimal: string };

/** What makes a spreadsheet take a text for a formula, also behind blanks and in its wide form (OWASP, CSV injection). */
const formula = /^[\s\0]*[=+\-@＝＋－＠]|^[\t\r\n]/u;

function cellOf(value: Cell): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') {
    if (!/^-?\d+(\.\d+)?$/.test(value.decimal)) throw new TypeError('not a decimal');
    return value.decimal;
  }
  if (typeof value !== 'string') return String(value);
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n']/.test(text) || text.trim() !== text ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line of CSV (RFC 4180, with its CRLF). A text that a spreadsheet would run is preceded by an apostrophe. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(cellOf).join(',')}\r\n`;
}

const chunkSize = 32 * 1024;
const types = { csv: 'text/csv; charset=utf-8; header=present', jsonl: 'application/jsonl; charset=utf-8' };

/** A file that is written while it is read, as fast as it is taken and no faster: one of any size holds one page in memory. */
export function download(text: AsyncGenerator<string>, format: keyof typeof types, name: string): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let chunk = '';
      while (chunk.length < chunkSize) {
        const { value, done } = await text.next();
        if (done) break;
        chunk += value;
      }
      if (chunk === '') controller.close();
      else controller.enqueue(encoder.encode(chunk));
    },
    async cancel() {
      await text.return(undefined);
    },
  });
  return new Response(body, {
    headers: {
      'content-type': types[format],
      'content-disposition': `attachment; filename="${name}.${format}"`,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  });
}
