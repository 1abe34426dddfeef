import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AppError } from '#lib/errors.ts';
import { readSnapshot, withSerial } from './snapshot.ts';

const state = {
  version: 4,
  terraform_version: '1.12.6',
  serial: 7,
  lineage: 'a-b',
  outputs: { serial: { value: 'serial', type: 'string' } },
  resources: [
    { mode: 'managed', type: 'x', name: 'a', instances: [{}, {}] },
    { mode: 'data', type: 'x', name: 'b', instances: [{}] },
  ],
};

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof AppError ? error.code : 'another error';
  }
  return 'nothing thrown';
}

describe('what a state says of itself', () => {
  test('serial, lineage, tool, and managed instances alone', () => {
    const said = { serial: 7n, lineage: 'a-b', isEncrypted: false, resources: 2, toolVersion: '1.12.6' };
    expect(readSnapshot(JSON.stringify(state))).toEqual(said);
    expect(readSnapshot(JSON.stringify(state, null, 2))).toEqual(said);
  });

  test('a serial beyond 2^53 is read digit for digit', () => {
    const text = JSON.stringify(state).replace('"serial":7', '"serial":9007199254740993');
    expect(readSnapshot(text).serial).toBe(9007199254740993n);
  });

  test('an encrypted state, with what stands outside and without', () => {
    const sealed = { meta: {}, encrypted_data: 'AAAA', encryption_version: 'v0' };
    const unknown = { lineage: null, serial: null, isEncrypted: true, resources: null, toolVersion: null };
    expect(readSnapshot(JSON.stringify({ serial: 3, lineage: 'l', ...sealed }))).toEqual({
      ...unknown,
      serial: 3n,
      lineage: 'l',
    });
    expect(readSnapshot(JSON.stringify(sealed))).toEqual(unknown);
    expect(readSnapshot(JSON.stringify({ serial: null, ...sealed }))).toEqual(unknown);
  });

  test.each([
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['no serial', JSON.stringify({ ...state, serial: undefined })],
    ['no lineage', JSON.stringify({ ...state, lineage: undefined })],
    ['a serial below zero', JSON.stringify({ ...state, serial: -1 })],
    ['a serial with a fraction', JSON.stringify({ ...state, serial: 1.5 })],
    ['a serial as text', JSON.stringify({ ...state, serial: '7' })],
    ['a serial of a list', JSON.stringify({ ...state, serial: [7] })],
    ['a serial of more than 63 bits', JSON.stringify(state).replace('"serial":7', '"serial":9223372036854775808')],
    ['resources that are none', JSON.stringify({ ...state, resources: 1 })],
  ])('%s is refused', (_, text) => expect(codeOf(() => readSnapshot(text))).toBe('invalid'));

  test('a state that was cut anywhere is refused', () => {
    const text = JSON.stringify(state);
    for (let at = 0; at < text.length; at += 1) expect(codeOf(() => readSnapshot(text.slice(0, at)))).toBe('invalid');
  });
});

describe('another serial', () => {
  test('moves nothing else, whatever the state holds', () => {
    const value = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), value),
        fc.nat(),
        fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
        (more, old, now) => {
          const first = { before: more, serial: old, ...more, outputs: { serial: more } };
          const text = JSON.stringify({ ...first, serial: old }, null, old % 3);
          const changed = withSerial(text, now);
          const shown = Number(now);
          expect(JSON.parse(changed)).toEqual(JSON.parse(JSON.stringify({ ...first, serial: shown })));
          expect(changed.replace(String(now), String(old)).length).toBe(text.length);
        },
      ),
    );
  });

  test('keeps numbers as they were written', () => {
    const text = '{"a":1.0,"b":12345678901234567890,"serial": 1 ,"c":1e400}';
    expect(withSerial(text, 2n)).toBe('{"a":1.0,"b":12345678901234567890,"serial": 2 ,"c":1e400}');
  });

  test('is the outermost one, however its name is written', () => {
    const text = String.raw`{"x":{"serial":1},"\u0073erial":5,"y":["serial",":"]}`;
    expect(withSerial(text, 6n)).toBe(String.raw`{"x":{"serial":1},"\u0073erial":6,"y":["serial",":"]}`);
  });
});
