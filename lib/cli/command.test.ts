import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testTerminal } from '#sandbox/test-support/terminal.ts';
import { completionScript } from './completion.ts';
import { commands, run } from './index.ts';
import { tableText } from './table-text.ts';
import { paintFor, printable } from './terminal.ts';

describe('what is typed', () => {
  test.each([
    [['nothing'], 'There is no command nothing.'],
    [['get'], 'get: KIND is missing.'],
    [['get', 'cakes'], 'get: cakes is none of'],
    [['get', 'tenants', 'a', 'b'], 'get: b is one too many.'],
    [['get', 'tenants', '-o', 'xml'], '--output is one of table, json, yaml.'],
    [['get', 'tenants', '--limit', 'many'], '--limit is a whole number'],
    [['get', 'tenants', '--wrong'], "Unknown option '--wrong'"],
    [['login', '--url', 'https://x.example', '--scope', 'all'], 'login: all is none of'],
    [['login', '--url', 'https://x.example', '--days', '366'], '--days is a whole number, 365 at most.'],
    [['login'], 'login: --url is missing.'],
    [['completion', 'ksh'], 'completion: ksh is none of bash, zsh, fish.'],
    [['render'], 'render: -f is missing.'],
  ])('%j is asked wrongly', async (args, words) => {
    const environment = { FLYWHEEL_TOKEN: 'x', ...(args[0] === 'login' ? {} : { FLYWHEEL_URL: 'https://x.example' }) };
    const terminal = testTerminal({ environment });
    expect(await run(terminal, args)).toBe(2);
    expect(terminal.said.err).toContain(words);
    expect(terminal.said.err).toContain('--help');
    expect(terminal.said.out).toBe('');
  });

  test('each command says how it is used, and the whole names each', async () => {
    const whole = testTerminal();
    expect(await run(whole, ['--help'])).toBe(0);
    for (const { name } of commands) {
      expect(whole.said.out).toContain(`  ${name} `);
      const each = testTerminal();
      expect([name, await run(each, [name, '--help'])]).toEqual([name, 0]);
      expect(each.said.out).toContain(`flywheel ${name}`);
      expect(each.said.err).toBe('');
    }
    const none = testTerminal();
    expect(await run(none, [])).toBe(0);
    expect(none.said.out).toBe(whole.said.out);
    expect(none.said.out).toContain('5  not signed in');
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('of %s knows every command and option', (shell) => {
    const script = completionScript(shell, commands);
    for (const { name, options } of commands) {
      expect(script).toContain(name);
      for (const option of Object.keys(options)) expect(script).toContain(option);
    }
  });

  test('of bash completes', () => {
    const file = join(tmpdir(), `flywheel-completion-${process.pid}.bash`);
    writeFileSync(file, completionScript('bash', commands));
    const completed = (...words: string[]) => {
      const given = words.map((word) => `'${word}'`).join(' ');
      const asked = `source ${file}; COMP_WORDS=(flywheel ${given}); COMP_CWORD=${words.length}; _flywheel; echo "\${COMPREPLY[*]}"`;
      return execFileSync('bash', ['-c', asked], { encoding: 'utf8' }).trim().split(' ');
    };
    expect(completed('lo')).toEqual(['login', 'logout']);
    expect(completed('get', 'ten')).toEqual(['tenants']);
    expect(completed('get', 'tenants', '-o', '')).toEqual(['table', 'json', 'yaml']);
    expect(completed('get', 'tenants', '--out')).toEqual(['--output']);
  });
});

describe('a table', () => {
  const table = {
    head: ['NAME', 'SAYS', 'COUNT'],
    rows: [
      ['one', 'a long sentence that goes on and on and on', 1],
      ['another', null, 100],
    ],
  };

  test('is as wide as it needs in a file, and as the terminal on one', () => {
    expect(tableText(table, null)).toBe(
      [
        'NAME     SAYS                                        COUNT',
        'one      a long sentence that goes on and on and on      1',
        'another  -                                             100',
        '',
      ].join('\n'),
    );
    const lines = tableText(table, 40).split('\n');
    expect(lines[1]).toBe('one      a long sentence that go…      1');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
  });

  test('lets nothing act on the terminal that came from elsewhere', () => {
    const text = tableText({ head: ['JOB'], rows: [['\u001B[2Jgone\u202Edne\nline\u009B']] }, null);
    expect(text).toBe('JOB\n\uFFFD[2Jgone\uFFFDdne\uFFFDline\uFFFD\n');
    expect(printable('Größe ✓ 日本')).toBe('Größe ✓ 日本');
  });

  test('colours are for a terminal that wants them', () => {
    const paint = (environment: Record<string, string>, isTerminal: boolean) =>
      paintFor(testTerminal({ environment }), isTerminal)('red', 'x');
    expect(paint({}, true)).toBe('\u001B[31mx\u001B[0m');
    expect(paint({}, false)).toBe('x');
    expect(paint({ NO_COLOR: '1' }, true)).toBe('x');
    expect(paint({ TERM: 'dumb' }, true)).toBe('x');
  });
});
