import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { operations } from '#lib/api/index.ts';
import { arbitraryOf, type JsonSchema } from '#sandbox/test-support/arbitrary.ts';
import { testTerminal } from '#sandbox/test-support/terminal.ts';
import { run } from './index.ts';
import { kinds, type Item } from './kinds.ts';

const environment = { FLYWHEEL_URL: 'https://portal.example', FLYWHEEL_TOKEN: 'token' };
const slugs = /\/(acme|other)(?=\/|$)/;

/** The GET that the API has at this address, as the description says it; undefined where there is none. */
function operationAt(path: string) {
  const form = (text: string) => text.replace(slugs, '/{tenant}');
  const isOf = (template: string) =>
    new RegExp(`^${template.replaceAll(/\{(?!tenant)\w+\}/g, '[^/]+').replaceAll(/[{}]/g, String.raw`\$&`)}$`);
  return operations.find((each) => each.method === 'GET' && isOf(each.path).test(form(path)));
}

/** Answers that the API could give at this address, many of them. */
function answersAt(path: string, count: number): unknown[] {
  const operation = operationAt(path);
  if (!operation?.answer) throw new Error(`the API has no ${path}`);
  const schema = z.toJSONSchema(operation.answer, { io: 'output', unrepresentable: 'any' }) as JsonSchema;
  return fc.sample(arbitraryOf(schema), { numRuns: count, seed: 7 });
}

describe.each(Object.entries(kinds))('get %s', (name, kind) => {
  const tenants = kind.tenant === 'optional' ? ['', 'acme'] : [kind.tenant === 'none' ? '' : 'acme'];

  test.each(tenants)('asks for what the API has, and shows what it tells (of %j)', (tenant) => {
    const path = kind.path(tenant);
    const answers = answersAt(path, 60) as { items?: Item[]; pools?: Item[] }[];
    const items = answers.flatMap((answer) =>
      kind.isList ? (answer.items ?? answer.pools ?? []) : [answer as unknown as Item],
    );
    expect(items.length).toBeGreaterThan(5);
    // A column that is empty for everything that the API could ever tell asks for what is not there.
    const tables = kind.isList ? [kind.tables(items)] : items.map((item) => kind.tables([item]));
    const columns = tables[0]?.[0]?.head ?? [];
    const filled = columns.filter((_, at) => tables.some(([first]) => first?.rows.some((row) => row[at] != null)));
    expect([name, filled]).toEqual([name, columns]);
  });

  test('asks for one by an address that the API has', () => {
    if (!kind.one || !('path' in kind.one)) return;
    const path = kind.one.path('acme', name === 'tenants' ? 'acme' : 'x');
    const answers = answersAt(path, 60) as Item[];
    const { oneTables } = kind;
    if (!oneTables) return;
    const tables = answers.map((answer) => oneTables(answer));
    for (const [number, { head }] of (tables[0] ?? []).entries()) {
      const rows = tables.flatMap((each) => each[number]?.rows ?? []);
      expect(head.filter((_, at) => rows.some((row) => row[at] != null))).toEqual(head);
    }
  });
});

describe('what is got', () => {
  const page = (items: unknown[], nextCursor: string | null = null) => Response.json({ items, nextCursor });
  const tenant = (slug: string) => ({ slug, displayName: slug.toUpperCase(), role: 'admin' });

  test('as a table, as JSON and as YAML', async () => {
    const shown = async (...args: string[]) => {
      const terminal = testTerminal({ environment, answering: () => page([tenant('acme'), tenant('other')]) });
      expect(await run(terminal, ['get', 'tenants', ...args])).toBe(0);
      expect(terminal.said.err).toBe('');
      return terminal.said.out;
    };
    expect(await shown()).toBe('TENANT  NAME   ROLE\nacme    ACME   admin\nother   OTHER  admin\n');
    expect(JSON.parse(await shown('-o', 'json'))).toEqual([tenant('acme'), tenant('other')]);
    const [yaml] = parseAllDocuments(await shown('-o', 'yaml'));
    expect(yaml && 'toJS' in yaml ? yaml.toJS() : null).toEqual([tenant('acme'), tenant('other')]);
  });

  test('comes page by page to its limit, which is told', async () => {
    const asked: string[] = [];
    const answering = (at: string) => {
      const { searchParams } = new URL(at);
      asked.push(searchParams.toString());
      const from = Number(searchParams.get('cursor') ?? 0);
      return page([tenant(`t${from}`), tenant(`t${from + 1}`)], from < 8 ? String(from + 2) : null);
    };
    const terminal = testTerminal({ environment, answering });
    expect(
      await run(terminal, ['get', 'jobs', '-t', 'acme', '--limit', '3', '-q', 'standing=failure', '-o', 'json']),
    ).toBe(0);
    expect(asked).toEqual(['standing=failure', 'standing=failure&cursor=2']);
    expect(JSON.parse(terminal.said.out)).toHaveLength(3);
    expect(terminal.said.err).toContain('there are more: --limit');
    const all = testTerminal({ environment, answering });
    await run(all, ['get', 'jobs', '-t', 'acme', '--limit', '0', '-o', 'json']);
    expect(JSON.parse(all.said.out)).toHaveLength(10);
    expect(all.said.err).toBe('');
  });

  test('of the only tenant that there is; of several one has to be named', async () => {
    const asked: string[] = [];
    const answering = (slugs: string[]) => (at: string) => {
      asked.push(new URL(at).pathname);
      return at.includes('/caches') ? page([{ name: 'acme+main', label: 'main' }]) : page(slugs.map(tenant));
    };
    const one = testTerminal({ environment, answering: answering(['acme']) });
    expect(await run(one, ['get', 'caches', 'main'])).toBe(0);
    expect(asked.at(-1)).toBe('/api/v1/tenants/acme/caches');
    const absent = testTerminal({ environment, answering: answering(['acme']) });
    expect(await run(absent, ['get', 'caches', 'other'])).toBe(1);
    const several = testTerminal({ environment, answering: answering(['acme', 'other']) });
    expect(await run(several, ['get', 'caches'])).toBe(2);
    expect(several.said.err).toContain('You belong to acme, other.');
  });

  test('is given to export as documents', async () => {
    const documents = [{ kind: 'Tenant' }, { kind: 'Enrollment' }];
    const terminal = testTerminal({ environment, answering: () => page(documents) });
    expect(await run(terminal, ['export', '-t', 'acme'])).toBe(0);
    expect(terminal.said.out).toBe('kind: Tenant\n---\nkind: Enrollment\n');
  });

  test('that is not as this version understands it is told so', async () => {
    const terminal = testTerminal({ environment, answering: () => Response.json({ something: 'else' }) });
    expect(await run(terminal, ['get', 'tenants'])).toBe(1);
    expect(terminal.said.err).toContain('is not what this version of flywheel understands');
    expect(terminal.said.err).toContain('Nothing was changed.');
  });
});
