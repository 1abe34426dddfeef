import { expect, test } from 'vitest';
import { fieldChanges } from './audit-diff.ts';

test('only what differs is named, by its path', () => {
  const before = { quota: { cpu: '16', runners: 8 }, labels: ['a', 'b'], name: 'x', gone: true };
  const after = { quota: { cpu: '32', runners: 8 }, labels: ['a', 'c', 'd'], name: 'x', empty: {} };
  expect(fieldChanges(before, after)).toEqual([
    { path: 'quota.cpu', before: '16', after: '32' },
    { path: 'labels[1]', before: 'b', after: 'c' },
    { path: 'labels[2]', before: null, after: 'd' },
    { path: 'empty', before: null, after: '{}' },
    { path: 'gone', before: 'true', after: null },
  ]);
});

test.each([
  [null, null, []],
  [undefined, { a: null }, [{ path: 'a', before: null, after: 'null' }]],
  [{ a: 1 }, null, [{ path: 'a', before: '1', after: null }]],
  ['old', 'new', [{ path: '', before: 'old', after: 'new' }]],
  [{ a: [] }, { a: [] }, []],
])('%j to %j', (before, after, changes) => expect(fieldChanges(before, after)).toEqual(changes));
