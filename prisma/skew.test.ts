import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keepRelease, newestRelease, skewProblems, type Column, type Shape } from './skew.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flywheel-skew-'));
  mkdirSync(join(folder, 'migrations', '1_first'), { recursive: true });
  mkdirSync(join(folder, 'migrations', '2_second'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

const column = (more: Partial<Column> = {}): Column => ({
  type: 'text',
  isNullable: false,
  hasDefault: false,
  ...more,
});
const released: Shape = {
  migration: '1_first',
  tables: {
    thing: { id: column(), note: column({ isNullable: true }), kind: column({ type: '"Kind"', hasDefault: true }) },
  },
  enums: { Kind: ['a', 'b'] },
};

/** The shape after a migration, as something is changed of the released one. */
function after(change: (shape: Shape) => void): string[] {
  keepRelease(folder, '0.1.0', released);
  const now = structuredClone(released);
  now.migration = '2_second';
  change(now);
  return skewProblems(folder, join(folder, 'migrations'), now);
}

const contract = (text: string, migration = '2_second') =>
  writeFileSync(join(folder, 'migrations', migration, 'contract.txt'), text);

describe('F27: what a release uses stays while the next is rolled out', () => {
  test('what only adds is well', () => {
    const found = after(({ tables }) => {
      tables['other'] = { id: column() };
      Object.assign(tables['thing'] ?? {}, {
        more: column({ isNullable: true }),
        counted: column({ type: 'integer', hasDefault: true }),
      });
      tables['thing']!['id']!.isNullable = true;
    });
    expect(found).toEqual([]);
  });

  test.each<[string, (shape: Shape) => void]>([
    ['thing is gone or has another name', ({ tables }) => delete tables['thing']],
    ['thing.note is gone or has another name', ({ tables }) => delete tables['thing']!['note']],
    ['thing.id was text and is uuid', ({ tables }) => (tables['thing']!['id']!.type = 'uuid')],
    ['thing.note takes no null any more', ({ tables }) => (tables['thing']!['note']!.isNullable = false)],
    ['thing.kind has no default any more', ({ tables }) => (tables['thing']!['kind']!.hasDefault = false)],
    [
      'thing.size is needed in every row, and that release does not write it',
      ({ tables }) => (tables['thing']!['size'] = column()),
    ],
    ['Kind.b is no value any more', ({ enums }) => (enums['Kind'] = ['a'])],
    ['Kind.c is a value that it fails to read', ({ enums }) => enums['Kind']!.push('c')],
  ])('%s', (says, change) => {
    expect(after(change)).toEqual([`${says}: processes of 0.1.0 use it.`]);
    const [what = ''] = says.split(' ');
    contract(`${what} 0.1.0\n`);
    expect(after(change)).toEqual([]);
  });

  test('who takes something away says since which release nothing uses it, and that release is one', () => {
    const drop = ({ tables }: Shape) => delete tables['thing']!['note'];
    contract('thing.note 0.2.0\n');
    expect(after(drop)).toEqual(['contract.txt: there is no release 0.2.0 that has done without thing.note.']);
    contract('thing.note\n');
    expect(() => after(drop)).toThrow('2_second/contract.txt: "thing.note" is not');
    contract('thing.note 0.1.0\nthing.id 0.1.0\n');
    expect(after(drop)).toEqual(['contract.txt: thing.id was not taken away.']);
    // What a migration of the release itself let go of is gone from its shape.
    contract('');
    contract('thing.note 0.1.0\n', '1_first');
    expect(after(drop)).toEqual(['thing.note is gone or has another name: processes of 0.1.0 use it.']);
  });

  test('the newest release counts, by its number', () => {
    expect(newestRelease(folder)).toBeNull();
    expect(skewProblems(folder, join(folder, 'migrations'), released)).toEqual([]);
    for (const version of ['0.9.0', '0.10.0', '0.2.1']) keepRelease(folder, version, released);
    expect(newestRelease(folder)?.version).toBe('0.10.0');
  });
});
