import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { appliedAnnotation, appliedHash, fieldChanges, holds, stamped } from './compare.ts';
import type { KubernetesObject } from './manifests.ts';

type Json = string | number | boolean | Json[] | { [key: string]: Json };
const key = fc.stringMatching(/^[a-z][a-zA-Z]{0,6}$/).filter((text) => text !== 'finalizers');
const { value: anyJson } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ maxLength: 6 }),
    fc.integer(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));
const spec = fc.dictionary(key, anyJson, { minKeys: 1, maxKeys: 5 });

type Path = (string | number)[];

function leafPaths(value: Json, path: Path = []): Path[] {
  if (typeof value !== 'object') return [path];
  return Object.entries(value).flatMap(([name, each]) =>
    leafPaths(each, [...path, Array.isArray(value) ? Number(name) : name]),
  );
}

function withLeaf(value: Json, path: Path, change: (leaf: Json) => Json): Json {
  const [first, ...rest] = path;
  if (first === undefined) return change(value);
  const copy = structuredClone(value) as Record<string | number, Json>;
  copy[first] = withLeaf(copy[first] as Json, rest, change);
  return copy;
}

/** A value and a path to one of its leaves. */
const withPath = spec
  .filter((value) => leafPaths(value).length > 0)
  .chain((value) => fc.tuple(fc.constant<Json>(value), fc.constantFrom(...leafPaths(value))));

function object(fields: object, kind = 'ConfigMap'): KubernetesObject {
  return { apiVersion: 'v1', kind, metadata: { name: 'x', namespace: 'y' }, ...fields };
}

describe('holds', () => {
  test('a thing holds itself', () => {
    fc.assert(
      fc.property(spec, (value) => {
        expect(holds(structuredClone(value), value)).toBe(true);
      }),
    );
  });

  test('a leaf that was changed, or taken away, is found', () => {
    fc.assert(
      fc.property(withPath, ([wanted, path]) => {
        const changed = withLeaf(wanted, path, (leaf) => `${String(leaf)}!`);
        expect(holds(changed, wanted)).toBe(false);
        const gone = withLeaf(wanted, path.slice(0, -1), (parent) => {
          const last = path.at(-1) ?? '';
          if (Array.isArray(parent)) return parent.toSpliced(Number(last), 1);
          return Object.fromEntries(Object.entries(parent as object).filter(([name]) => name !== last)) as Json;
        });
        expect(holds(gone, wanted)).toBe(false);
      }),
    );
  });

  test('what the server added to a map is no difference, and an item added to a list is', () => {
    fc.assert(
      fc.property(spec, anyJson, (wanted, more) => {
        expect(holds({ ...wanted, addedByServer: more }, wanted)).toBe(true);
        expect(holds({ within: { ...wanted, addedByServer: more } }, { within: wanted })).toBe(true);
      }),
    );
    expect(holds([1, 2], [1])).toBe(false);
    expect(holds([1], [1, 2])).toBe(false);
    expect(holds([2, 1], [1, 2])).toBe(false);
  });

  test.each<[unknown, unknown, boolean]>([
    [undefined, {}, true],
    [undefined, [], true],
    [undefined, { a: 1 }, false],
    [undefined, [1], false],
    [undefined, '', false],
    ['', {}, false],
    [null, {}, false],
    ['1', 1, false],
    [{ finalizers: ['theirs', 'ours'] }, { finalizers: ['ours'] }, true],
    [{ finalizers: ['theirs'] }, { finalizers: ['ours'] }, false],
    [{ verbs: ['get', 'list'] }, { verbs: ['get'] }, false],
  ])('%j holds %j: %s', (observed, wanted, answer) => expect(holds(observed, wanted)).toBe(answer));
});

describe('the hash of what was applied', () => {
  test('differs where the object does, and is kept beside the other annotations', () => {
    const plain = object({ data: { a: '1' } });
    const marked = stamped({ ...plain, metadata: { ...plain.metadata, annotations: { mine: 'kept' } } });
    expect(marked.metadata.annotations).toMatchObject({ mine: 'kept', [appliedAnnotation]: appliedHash(marked) });
    expect(plain.metadata).not.toHaveProperty('annotations');
    expect(appliedHash(plain)).toBeUndefined();
    fc.assert(
      fc.property(withPath, ([value, path]) => {
        const changed = withLeaf(value, path, (leaf) => `${String(leaf)}!`);
        expect(appliedHash(stamped(object({ spec: value })))).toBe(
          appliedHash(stamped(object({ spec: structuredClone(value) }))),
        );
        expect(appliedHash(stamped(object({ spec: value })))).not.toBe(appliedHash(stamped(object({ spec: changed }))));
      }),
    );
  });

  test('a field that is no longer wanted shows as a difference', () => {
    const before = stamped(object({ spec: { a: 1, b: 2 } }));
    const after = stamped(object({ spec: { a: 1 } }));
    expect(holds(before, after)).toBe(false);
  });
});

describe('what a person is shown', () => {
  test('nothing, of a thing and itself', () => {
    fc.assert(
      fc.property(spec, (value) => {
        expect(fieldChanges(object({ spec: value }), object({ spec: structuredClone(value) }))).toEqual([]);
      }),
    );
  });

  test('the one leaf that was changed, before and after', () => {
    fc.assert(
      fc.property(withPath, ([value, path]) => {
        const before = object({ spec: value });
        const after = object({ spec: withLeaf(value, path, (leaf) => `${String(leaf)}!`) });
        const [change, ...more] = fieldChanges(before, after);
        expect(more).toEqual([]);
        expect(change?.after).toBe(`${change?.before}!`);
        const shown = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
        expect(change?.path).toBe(`spec${shown}`);
      }),
    );
  });

  test('all of a thing that is new, and all of one that goes', () => {
    fc.assert(
      fc.property(spec, (value) => {
        const added = fieldChanges(undefined, object({ spec: value })).filter(({ path }) => path.startsWith('spec'));
        expect(added.length).toBe(leafPaths(value).length);
        expect(added.every((change) => change.before === undefined)).toBe(true);
        const removed = fieldChanges(object({ spec: value }), undefined).filter(({ path }) => path.startsWith('spec'));
        expect(removed.map(({ path }) => path)).toEqual(added.map(({ path }) => path));
      }),
    );
  });

  test('no bookkeeping', () => {
    const kept = { ...object({}), status: { phase: 'Active' } };
    const metadata = {
      ...kept.metadata,
      uid: '1',
      resourceVersion: '2',
      generation: 3,
      creationTimestamp: 'now',
      managedFields: [{ manager: 'flywheel' }],
      annotations: {
        [appliedAnnotation]: 'x',
        'kubectl.kubernetes.io/last-applied-configuration': '{"data":{"key":"canary"}}',
      },
    };
    expect(fieldChanges({ ...kept, metadata }, object({}))).toEqual([]);
  });

  test('A23: of a Secret no value, whatever was before and after', () => {
    // Values that cannot be part of a name or of a mark.
    const secretValue = fc.stringMatching(/^[0-9+/]{8,20}$/);
    const data = fc.dictionary(key, secretValue, { maxKeys: 4 });
    const sides = fc.option(data, { nil: undefined });
    fc.assert(
      fc.property(sides, sides, (before, after) => {
        const changes = fieldChanges(
          before && object({ data: before }, 'Secret'),
          after && object({ data: after }, 'Secret'),
        );
        const text = JSON.stringify(changes);
        const values = [...Object.values(before ?? {}), ...Object.values(after ?? {})];
        expect(values.filter((value) => text.includes(value))).toEqual([]);
      }),
    );
  });

  test('of a Secret only that a value is another', () => {
    const before = object({ data: { same: 'AAAA', other: 'BBBB', gone: 'CCCC' } }, 'Secret');
    const after = object({ data: { same: 'AAAA', other: 'DDDD', fresh: 'EEEE' } }, 'Secret');
    expect(fieldChanges(before, after)).toEqual([
      { path: 'data.fresh', after: '<sealed>' },
      { path: 'data.gone', before: '<sealed>' },
      { path: 'data.other', before: '<sealed>', after: '<sealed, changed>' },
    ]);
  });
});
