import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admit, type Kept, type Present, type Sent } from './admit.ts';

const kept: Kept = { kind: 'write', serial: 5n, lineage: 'l', md5: 'm5' };
const present: Present = { lockId: null, latest: kept, lineage: 'l', topSerial: 5n };
const next: Sent = { serial: 6n, lineage: 'l', md5: 'm6', lockId: null };
const empty: Present = { lockId: null, latest: null, lineage: null, topSerial: null };

describe('what may follow', () => {
  test.each<[string, Sent, Present, string]>([
    ['the first', { ...next, serial: 0n }, empty, 'keep'],
    ['the next', next, present, 'keep'],
    ['a later one', { ...next, serial: 90n }, present, 'keep'],
    ['the next under the lock', { ...next, lockId: 'k' }, { ...present, lockId: 'k' }, 'keep'],
    ['the same again', { ...next, serial: 5n, md5: 'm5' }, present, 'same'],
    ['another of the same serial', { ...next, serial: 5n }, present, 'refuse'],
    ['an older one', { ...next, serial: 4n }, present, 'refuse'],
    ['another lineage', { ...next, lineage: 'x' }, { ...present, topSerial: null }, 'refuse'],
    [
      'another lineage once it was emptied',
      { ...next, lineage: 'x' },
      { ...empty, latest: { ...kept, kind: 'purge' } },
      'keep',
    ],
    [
      'an older one once it was emptied',
      { ...next, serial: 3n },
      { ...present, lineage: null, latest: { ...kept, kind: 'purge' } },
      'refuse',
    ],
    ['without the lock that is held', next, { ...present, lockId: 'k' }, 'refuse'],
    ['under another lock', { ...next, lockId: 'j' }, { ...present, lockId: 'k' }, 'refuse'],
    ['under a lock that was taken away', { ...next, lockId: 'k' }, present, 'refuse'],
    [
      'the same again, under a lock that was taken away',
      { ...next, serial: 5n, md5: 'm5', lockId: 'k' },
      present,
      'refuse',
    ],
    ['no serial, no lock', { ...next, serial: null }, present, 'refuse'],
    [
      'no serial, no lineage, under the lock',
      { serial: null, lineage: null, md5: 'x', lockId: 'k' },
      { ...present, lockId: 'k' },
      'keep',
    ],
  ])('%s', (_, sent, at, kind) => expect(admit(sent, at).kind).toBe(kind));
});

test('in any order of sending, replaying and going back, no state is followed by an older one', () => {
  const step = fc.record({
    serial: fc.bigInt({ min: 0n, max: 8n }),
    lineage: fc.constantFrom('a', 'b'),
    md5: fc.constantFrom('1', '2', '3'),
    lockId: fc.constantFrom(null, 'k', 'j'),
    held: fc.constantFrom(null, 'k'),
    empties: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const history: Kept[] = [];
      for (const { held, empties, ...sent } of steps) {
        const since = history.slice(history.findLastIndex(({ kind }) => kind === 'purge') + 1);
        const serials = history.flatMap(({ lineage, serial }) =>
          lineage === sent.lineage && serial !== null ? [serial] : [],
        );
        const top = serials.reduce<bigint | null>((most, each) => (most === null || each > most ? each : most), null);
        const lineage = since.findLast((each) => each.lineage !== null)?.lineage ?? null;
        const found = admit(sent, { lockId: held, latest: history.at(-1) ?? null, lineage, topSerial: top });
        if (found.kind === 'keep') history.push({ kind: 'write', ...sent });
        const follows =
          (top === null || sent.serial > top) && sent.lockId === held && (lineage ?? sent.lineage) === sent.lineage;
        expect({ sent, kept: found.kind === 'keep', follows }).toEqual({
          sent,
          kept: follows && found.kind !== 'same',
          follows,
        });
        if (empties && history.length > 0) history.push({ kind: 'purge', serial: null, lineage: null, md5: '' });
      }
    }),
  );
});
