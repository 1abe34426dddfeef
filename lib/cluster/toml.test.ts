import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { toml, type TomlTable, type TomlValue } from './toml.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  // What would end a string, a line or a table.
  fc.string({
    unit: fc.constantFrom('"', "'", '\\', '\n', '\r', '\t', '#', '[', ']', '=', '\u0000', '\u007f', 'u', '0'),
  }),
);
const scalar = fc.oneof(anyText, fc.maxSafeInteger(), fc.boolean());

/** A parser may keep this name from being a key at all: it would be an object's prototype. */
const key = anyText.filter((name) => name !== '__proto__');

const { table } = fc.letrec<{ table: TomlTable; value: TomlValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.array(anyText, { maxLength: 3 }),
    tie('table'),
    fc.array(tie('table'), { minLength: 1, maxLength: 2 }),
  ),
  table: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
}));

describe('what is written as TOML', () => {
  test('A16: is read as it was meant, whatever the strings hold', () => {
    fc.assert(
      fc.property(table, (meant) => {
        expect(parse(toml(meant))).toEqual(meant);
      }),
      { numRuns: 1000 },
    );
  });

  test('A16: a value never makes a line of its own', () => {
    const evil = 'x"\n[[runners]]\nexecutor = "shell"\n"""\n\'\'\'\n\u007f\u0000';
    const text = toml({ runners: [{ name: evil, environment: [evil], [evil]: evil }] });
    expect(text.split('\n').length).toBe(6);
    expect(parse(text)).toEqual({ runners: [{ name: evil, environment: [evil], [evil]: evil }] });
  });

  test('half a surrogate pair, which TOML has no word for, becomes the replacement character', () => {
    expect(parse(toml({ name: 'a\ud800b' }))).toEqual({ name: 'a\ufffdb' });
  });

  test('what is left out is left out, and what is no whole number is refused', () => {
    expect(toml({ a: 1, b: undefined, c: [], d: {} })).toBe('a = 1\nc = []\n\n[d]\n');
    expect(() => toml({ a: 0.5 })).toThrow(RangeError);
    expect(() => toml({ a: Number.NaN })).toThrow(RangeError);
  });

  test('a field that stands behind a table is not taken for the table’s', () => {
    const meant = { first: { a: 1 }, list: [{ b: 2 }], last: 'c' };
    expect(parse(toml(meant))).toEqual(meant);
  });
});
