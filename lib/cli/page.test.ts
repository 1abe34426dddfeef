import { readFileSync, writeFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { expect, test } from 'vitest';
import { FlywheelDocument } from '#lib/model/index.ts';
import { exitCodeLines, helpPage } from './help.ts';
import { commands } from './index.ts';

const path = new URL('../../docs/cli.md', import.meta.url);
const text = () => readFileSync(path, 'utf8');

/** The page with the parts that are made of the table of commands made anew. */
function current(): string {
  return text()
    .replace(/(?<=^## How it ends\n\n)[^]*?(?=\n## All commands)/m, `\`\`\`text\n${exitCodeLines()}\`\`\`\n`)
    .replace(/(?<=^Written by the test of this page.*\n\n)[^]*$/m, helpPage(commands));
}

test('docs/cli.md says of each command what --help says', () => {
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, current());
  expect(text()).toBe(current());
  for (const { name } of commands) expect(text()).toContain(`### ${name}\n`);
});

/** Blocks of the page that are YAML. */
function yamlBlocks(): string[] {
  return [...text().matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, block = '']) => block);
}

test('its documents fit their schema, and its workflows are YAML', () => {
  const blocks = yamlBlocks();
  expect(blocks).toHaveLength(4);
  const documents: unknown[] = [];
  for (const block of blocks)
    for (const document of parseAllDocuments(block)) {
      expect('errors' in document ? document.errors : []).toEqual([]);
      const value = 'toJS' in document ? (document.toJS() as { apiVersion?: string }) : {};
      documents.push(...(value.apiVersion ? [value] : []));
    }
  expect(documents.map((each) => FlywheelDocument.safeParse(each).success)).toEqual([true, true]);
});

test('each command that it shows is one that there is, with options that it has', () => {
  const lines =
    text()
      .split('\n## All commands')[0]
      ?.matchAll(/flywheel(?:\.mjs)? ([a-z]+)((?: [^`\n#|)]+)?)/g) ?? [];
  const shown = [...lines].filter(([, name = '']) => commands.some((each) => each.name === name));
  expect(shown.length).toBeGreaterThan(12);
  for (const [, name, rest = ''] of shown) {
    const known = commands.find((each) => each.name === name)?.options ?? {};
    const flags = [...rest.matchAll(/(?<= )--?([a-z-]+)/g)].map(([, flag = '']) => flag);
    const unknown = flags.filter(
      (flag) => !(flag in known) && !Object.values(known).some(({ short }) => short === flag),
    );
    expect([name, unknown]).toEqual([name, []]);
  }
});
