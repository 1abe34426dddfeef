import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from './csv.ts';

test.each([
  ['=cmd|', `"'=cmd|"`],
  ['+1', `"'+1"`],
  ['-2+3', `"'-2+3"`],
  ['@SUM(A1)', `"'@SUM(A1)"`],
  ['  =1', `"'  =1"`],
  ['\t=1', `"'\t=1"`],
  ['\rx', `"'\rx"`],
  ['＝1', `"'＝1"`],
])('A25: %j is text to a spreadsheet', (text, cell) => expect(csvLine([text])).toBe(`${cell}\r\n`));

test('a number is a number, the absent is empty, the rest is quoted where it must be', () => {
  expect(csvLine(['a', -1.5, 3n, null, undefined, 'b,c', 'd"e', 'f\ng'])).toBe('a,-1.5,3,,,"b,c","d""e","f\ng"\r\n');
});

/** Reads RFC 4180 as plainly as it is written. */
function cellsOf(line: string): string[] {
  return [...line.slice(0, -2).matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(
    ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '',
  );
}

test('whatever is written is read again, and no cell begins as a formula', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (texts) => {
      const cells = cellsOf(csvLine(texts.map((text) => `x${text}`)));
      expect(cells).toEqual(texts.map((text) => `x${text}`));
      for (const cell of cellsOf(csvLine(texts))) expect(cell).not.toMatch(/^\s*[=+\-@]/);
    }),
  );
});
