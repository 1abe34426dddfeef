import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Schema } from './pod-schema.ts';

interface Definition {
  spec: {
    group: string;
    scope: string;
    names: Record<string, unknown>;
    versions: { name: string; schema: { openAPIV3Schema: Schema }; subresources?: unknown }[];
  };
}

const depthMax = 3;
const ours = fileURLToPath(new URL('./crds/', import.meta.url));
const theirs = process.env['ARC_CRDS_DIR'];

function definitions(folder: string): Map<string, Definition> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  const all = files.map((file) => parse(readFileSync(join(folder, file), 'utf8')) as Definition);
  return new Map(all.map((definition) => [String(definition.spec.names['kind']), definition]));
}

function schemaOf(definition: Definition | undefined): Schema {
  return definition?.spec.versions[0]?.schema.openAPIV3Schema ?? {};
}

/** What `real` has and `own` has not, by path. An open object holds anything: install.ts puts the real schema there. */
function missing(real: Schema, own: Schema, path: string, depth: number): string[] {
  if (depth > depthMax || own['x-kubernetes-preserve-unknown-fields']) return [];
  const found: string[] = [];
  for (const [name, child] of Object.entries(real.properties ?? {})) {
    const held = own.properties?.[name];
    if (!held) found.push(`${path}.${name}`);
    else found.push(...missing(child, held, `${path}.${name}`, depth + 1));
  }
  if (real.items && own.items) found.push(...missing(real.items, own.items, `${path}[]`, depth));
  return found;
}

/** Fields that both have and that are not of one type: these may not differ at all. */
function different(real: Schema, own: Schema, path: string): string[] {
  if (own['x-kubernetes-preserve-unknown-fields']) return [];
  const found = real.type === own.type ? [] : [`${path}: ${real.type} there, ${own.type} here`];
  for (const key of own.required ?? [])
    if (!real.required?.includes(key)) found.push(`${path}.${key} is required here only`);
  for (const [name, child] of Object.entries(own.properties ?? {})) {
    const there = real.properties?.[name];
    if (there) found.push(...different(there, child, `${path}.${name}`));
    else found.push(`${path}.${name} is here only`);
  }
  if (real.items && own.items) found.push(...different(real.items, own.items, `${path}[]`));
  return found;
}

// Megabytes of YAML take a while on a busy machine.
const readingMs = 60_000;

// Needs ARC's own definitions, which this repository does not carry: ARC_CRDS_DIR names a folder of them.
test.skipIf(!theirs)(
  'our definitions have ARC’s fields, but for those on the list',
  async () => {
    const real = definitions(theirs as string);
    const own = definitions(ours);
    expect([...own.keys()].toSorted()).toEqual([...real.keys()].toSorted());
    const lacking: string[] = [];
    for (const [kind, definition] of own) {
      const [a, b] = [schemaOf(real.get(kind)), schemaOf(definition)];
      for (const part of ['spec', 'status']) {
        const [there, here] = [a.properties?.[part] ?? {}, b.properties?.[part] ?? {}];
        expect(different(there, here, `${kind}.${part}`)).toEqual([]);
        lacking.push(...missing(there, here, `${kind}.${part}`, 1));
      }
    }
    await expect(`${lacking.toSorted().join('\n')}\n`).toMatchFileSnapshot(join(ours, 'fields-not-carried.txt'));
  },
  readingMs,
);

test.skipIf(!theirs)(
  'names, scope and version are ARC’s',
  () => {
    const real = definitions(theirs as string);
    for (const [kind, { spec }] of definitions(ours)) {
      const there = real.get(kind)?.spec;
      const shape = (s: Definition['spec'] | undefined) => [
        s?.group,
        s?.scope,
        s?.names,
        s?.versions.map((v) => [v.name, v.subresources]),
      ];
      expect(shape(spec)).toEqual(shape(there));
    }
  },
  readingMs,
);

test('each definition is whole', () => {
  for (const definition of definitions(ours).values()) {
    const parts = Object.keys(schemaOf(definition).properties ?? {});
    expect(parts).toEqual(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  }
});
