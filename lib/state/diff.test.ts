import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stateDiff } from './diff.ts';

const secret = 'the-very-secret';

function stateOf(resources: object[], outputs: object = {}): string {
  return JSON.stringify({ version: 4, serial: 1, lineage: 'l', outputs, resources });
}

function resource(name: string, instances: object[], more: object = {}): object {
  return { mode: 'managed', type: 'kubernetes_secret', name, provider: 'p', instances, ...more };
}

const before = stateOf(
  [
    resource('gone', [{ attributes: {} }]),
    resource('kept', [{ index_key: 'a b', attributes: { id: '1', data: { token: 'old' }, tags: ['x', 'y'] } }], {
      module: 'module.m["k"]',
    }),
    resource('same', [{ index_key: 0, attributes: { id: '1' } }]),
  ],
  { url: { value: 'u' }, old: { value: 1 } },
);
const after = stateOf(
  [
    resource(
      'kept',
      [
        {
          index_key: 'a b',
          attributes: { id: '1', data: { token: secret }, tags: ['x', 'z'] },
          sensitive_attributes: [[{ type: 'get_attr', value: 'data' }]],
        },
      ],
      { module: 'module.m["k"]' },
    ),
    resource('same', [{ index_key: 0, attributes: { id: '1' } }]),
    resource('new', [{ attributes: { password: secret } }], { mode: 'data' }),
  ],
  { url: { value: secret }, fresh: { value: 1 } },
);

test('resources by address, attributes by path, outputs by name; no value of any', () => {
  const diff = stateDiff(before, after);
  expect(diff).toEqual({
    added: ['data.kubernetes_secret.new'],
    removed: ['kubernetes_secret.gone'],
    changed: [
      {
        address: 'module.m["k"].kubernetes_secret.kept["a b"]',
        attributes: [
          { path: 'data.token', isSensitive: true },
          { path: 'tags[1]', isSensitive: false },
        ],
        more: 0,
      },
    ],
    outputs: { added: ['fresh'], removed: ['old'], changed: ['url'] },
  });
  expect(JSON.stringify(diff)).not.toContain(secret);
});

test('from and to nothing', () => {
  expect(stateDiff(null, before).added).toHaveLength(3);
  expect(stateDiff(before, null).removed).toHaveLength(3);
  expect(stateDiff(null, null)).toEqual({
    added: [],
    removed: [],
    changed: [],
    outputs: { added: [], removed: [], changed: [] },
  });
});

test('no value of an attribute is ever in it', () => {
  const value = fc.string({ minLength: 12, maxLength: 40 });
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), value),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), value),
      (old, now) => {
        const shown = JSON.stringify(
          stateDiff(stateOf([resource('r', [{ attributes: old }])]), stateOf([resource('r', [{ attributes: now }])])),
        );
        for (const each of [...Object.values(old), ...Object.values(now)])
          expect(shown).not.toContain(JSON.stringify(each).slice(1, -1));
      },
    ),
  );
});

test('where it cannot be read which attributes are sensitive, all are', () => {
  const of = (value: string) =>
    stateOf([resource('r', [{ attributes: { a: value, b: { c: value } }, sensitive_attributes: ['?'] }])]);
  const [changed] = stateDiff(of('1'), of('2')).changed;
  expect(changed?.attributes).toEqual([
    { path: 'a', isSensitive: true },
    { path: 'b.c', isSensitive: true },
  ]);
});
