import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testTerminal } from '#sandbox/test-support/terminal.ts';
import { run } from './index.ts';

const environment = { FLYWHEEL_URL: 'https://portal.example', FLYWHEEL_TOKEN: 'token', KEY: 'in the environment' };
const folder = mkdtempSync(join(tmpdir(), 'flywheel-operator-'));
const forge = (clientSecret: string) =>
  `apiVersion: flywheel/v1\nkind: Forge\nmetadata: { name: gitlab }\nspec: { clientSecret: ${clientSecret} }\n`;

beforeAll(() => {
  mkdirSync(join(folder, 'secrets'));
  writeFileSync(join(folder, 'secrets/key'), 'in a file\n');
  const tenant = 'apiVersion: flywheel/v1\nkind: Tenant\nmetadata: { name: acme }\n';
  writeFileSync(
    join(folder, 'all.yaml'),
    [forge('{ file: secrets/key }'), forge('{ env: KEY }'), tenant].join('---\n'),
  );
  writeFileSync(join(folder, 'other.yaml'), 'apiVersion: v1\nkind: Secret\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

const fields = [{ path: 'title', before: null, after: 'GitLab' }];
const differs = [{ name: 'Forge/gitlab', op: 'added', fields }];

/** What was sent, and a portal that finds these changes. */
function portal(changes: object[] = differs, answers?: string[]) {
  const sent: { path: string; body: { dryRun: boolean; secrets: object; documents: unknown[] } }[] = [];
  const answering = (url: string, init: RequestInit) => {
    const body = JSON.parse(String(init.body)) as (typeof sent)[number]['body'];
    sent.push({ path: new URL(url).pathname, body });
    return Response.json({ changes, kept: !body.dryRun });
  };
  return { sent, terminal: testTerminal({ environment, answering, ...(answers ? { answers } : {}) }) };
}

test('documents go with what they refer to beside them, asked for first, and shown', async () => {
  const { sent, terminal } = portal(differs, ['y']);
  expect(await run(terminal, ['operator', 'import', '-f', folder])).toBe(0);
  expect(sent.map(({ path, body }) => [path, body.dryRun])).toEqual([
    ['/api/v1/operator/import', true],
    ['/api/v1/operator/import', false],
  ]);
  expect(sent[1]?.body.secrets).toEqual({ 'file:secrets/key': 'in a file', 'env:KEY': 'in the environment' });
  expect(sent[1]?.body.documents).toMatchObject([
    { spec: { clientSecret: { file: 'secrets/key' } } },
    { spec: { clientSecret: { env: 'KEY' } } },
  ]);
  expect(terminal.said.out).toBe('--- /dev/null\n+++ documents: Forge/gitlab\n+title: GitLab\n');
  expect(terminal.said.err).toContain('Passed over, since tenants and enrollments are entered by apply: 1.');
});

test.each<[string, object[], string[], string[] | undefined, number, number]>([
  ['a dry run changes nothing', differs, ['--dry-run'], undefined, 3, 1],
  ['what does not differ is not sent again', [{ ...differs[0], op: 'unchanged' }], [], undefined, 0, 1],
  ['a no keeps it back', differs, [], ['n'], 1, 1],
  ['nobody who could be asked keeps it back', differs, [], undefined, 2, 1],
  ['--yes asks nobody', differs, ['--yes'], undefined, 0, 2],
])('%s', async (_, changes, args, answers, code, requests) => {
  const { sent, terminal } = portal(changes, answers);
  expect(await run(terminal, ['operator', 'import', '-f', folder, ...args])).toBe(code);
  expect(sent).toHaveLength(requests);
});

test.each([
  ['{ file: nowhere }', 'file nowhere: cannot be read (ENOENT)'],
  ['{ env: NOWHERE }', 'env NOWHERE: is not there, or is empty'],
])('what %s refers to has to be there before anything is sent', async (reference, words) => {
  const { sent, terminal } = portal();
  const file = join(folder, 'wrong.txt');
  writeFileSync(file, forge(reference));
  expect(await run(terminal, ['operator', 'import', '-f', file])).toBe(1);
  expect(terminal.said.err).toContain(words);
  expect(sent).toEqual([]);
});

test('one name for two files in two folders is refused, and neither is sent', async () => {
  const { sent, terminal } = portal();
  const top = mkdtempSync(join(tmpdir(), 'flywheel-operator-'));
  for (const each of ['github', 'gitlab']) {
    mkdirSync(join(top, each));
    writeFileSync(join(top, each, 'key'), `of ${each}`);
    writeFileSync(join(top, each, 'forge.yaml'), forge('{ file: key }'));
  }
  const files = ['github', 'gitlab'].flatMap((each) => ['-f', join(top, each, 'forge.yaml')]);
  expect(await run(terminal, ['operator', 'import', ...files])).toBe(1);
  expect(terminal.said.err).toContain('Two documents refer to different files by one name.');
  expect(sent).toEqual([]);
  rmSync(top, { recursive: true });
});

test('of a file that is no YAML the line is told, and not what stands there', async () => {
  const { sent, terminal } = portal();
  const file = join(folder, 'torn.txt');
  writeFileSync(file, 'kind: Forge\nspec: { clientSecret: swordfish\n');
  expect(await run(terminal, ['operator', 'import', '-f', file])).toBe(1);
  expect(terminal.said.err).toMatch(/torn\.txt is not YAML: line [23]\n/);
  expect(terminal.said.err).not.toContain('swordfish');
  expect(sent).toEqual([]);
});
