import { expect, test } from 'vitest';
import { fieldChanges } from './audit-diff.ts';

test('only what differs is named, by its path', () => {
  const before = { quota: { cpu: '16', runners: 8 }, labels: ['a', 'b'], pools: [{ max: 2 }], name: 'x', gone: true };
  const after = {
    quota: { cpu: '32', runners: 8 },
    labels: ['a', 'c', 'd'],
    pools: [{ max: 3 }, { max: 1 }],
    name: 'x',
    empty: {},
  };
  expect(fieldChanges(before, after)).toEqual([
    { path: 'quota.cpu', before: '16', after: '32' },
    { path: 'labels', before: 'a, b', after: 'a, c, d' },
    { path: 'pools[0].max', before: '2', after: '3' },
    { path: 'pools[1].max', before: null, after: '1' },
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
