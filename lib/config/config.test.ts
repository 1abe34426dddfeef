import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configCommand } from './command.ts';
import { aboutKey, keys } from './keys.ts';
import { nearest } from './nearest.ts';
import { configurationPage } from './page.ts';
import { settingsOf } from './settings.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flywheel-config-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = () => randomBytes(32).toString('base64');
const canary = 'kanarienvogel';

const good = {
  DATABASE_URL: `postgres://flywheel_app:${canary}@db.internal/flywheel`,
  PORTAL_URL: 'https://flywheel.example.org',
  FLYWHEEL_SECRET_KEY: key(),
  FLYWHEEL_OPERATORS: 'github:1005, gitlab:42',
};

function written(text: string, name = 'flywheel.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function checked(environment: Record<string, string>, yaml?: string) {
  const more = yaml === undefined ? [] : ['--config', written(yaml)];
  return configCommand(['check', ...more], environment);
}

describe('what is given', () => {
  test('the environment wins over the file, and what neither has is by default', () => {
    const path = written('PORTAL_URL: https://file.example.org\nFLYWHEEL_WORKER_CONCURRENCY: 3\n');
    const { env, from } = settingsOf({ PORTAL_URL: 'https://environment.example.org' }, path);
    expect(env).toMatchObject({
      PORTAL_URL: 'https://environment.example.org',
      FLYWHEEL_WORKER_CONCURRENCY: 3,
      LOG_LEVEL: 'info',
    });
    expect(from).toEqual({ PORTAL_URL: 'environment', FLYWHEEL_WORKER_CONCURRENCY: 'line 2' });
  });

  test('FLYWHEEL_CONFIG names the file as --config does', () => {
    const path = written('FLYWHEEL_INVOICE_ISSUER: Somebody\n');
    expect(settingsOf({ FLYWHEEL_CONFIG: path }).env?.FLYWHEEL_INVOICE_ISSUER).toBe('Somebody');
  });

  test('lists and flags are those of YAML in the file', () => {
    const path = written(
      "FLYWHEEL_OPERATORS: ['github:1005', 'gitlab:42']\nFLYWHEEL_PRIVATE_HOSTS: [Git.internal]\nFLYWHEEL_OPERATORS_APPROVE_OWN: true\n",
    );
    expect(settingsOf({}, path).env).toMatchObject({
      FLYWHEEL_OPERATORS: 'github:1005,gitlab:42',
      FLYWHEEL_PRIVATE_HOSTS: ['git.internal'],
      FLYWHEEL_OPERATORS_APPROVE_OWN: '1',
    });
  });

  test('of several keys, the wrong one is named by its place and not shown', () => {
    const [one, two] = [key(), key()];
    expect(settingsOf({ FLYWHEEL_SECRET_KEYS_OLD: `${one}, ${two}` }).env?.FLYWHEEL_SECRET_KEYS_OLD).toEqual([
      one,
      two,
    ]);
    const { env, problems } = settingsOf({ FLYWHEEL_SECRET_KEYS_OLD: `${one},${canary}` });
    expect(env).toBeNull();
    expect(problems.map(({ says }) => says).join()).toMatch(/^has a key, number 2, that is base64 of \d+ bytes/);
    expect(JSON.stringify(problems)).not.toContain(canary);
  });

  test('a header whose value is not encoded is told of before anything begins by it', () => {
    const says = (value: string) => settingsOf({ OTEL_EXPORTER_OTLP_HEADERS: value }).problems.map((each) => each.says);
    expect(says('authorization=Bearer%20x,x-tenant=a')).toEqual([]);
    expect(says('x-api-key=100%')).toEqual(['has a part that is not <name>=<value>, encoded as in an address']);
    expect(says('x-api-key=%zz')).toHaveLength(1);
  });

  test('a secret may be a file, from the folder of the file that names it, without the line end that editors add', () => {
    const secret = key();
    written(`${secret}\n`, 'secret-key');
    const path = written('FLYWHEEL_SECRET_KEY_FILE: secret-key\n');
    expect(settingsOf({}, path).env?.FLYWHEEL_SECRET_KEY).toBe(secret);
    expect(settingsOf({ FLYWHEEL_SECRET_KEY_FILE: join(folder, 'secret-key') }).env?.FLYWHEEL_SECRET_KEY).toBe(secret);
  });

  test('nothing is nothing: an empty variable leaves the file’s', () => {
    const path = written('LOG_LEVEL: warn\n');
    expect(settingsOf({ LOG_LEVEL: '' }, path).env?.LOG_LEVEL).toBe('warn');
  });
});

describe('config check', () => {
  test('says that it would do, and where it is from', () => {
    const { FLYWHEEL_OPERATORS, ...environment } = good;
    expect(checked(environment, `FLYWHEEL_OPERATORS: [${FLYWHEEL_OPERATORS}]\n`)).toEqual({
      out: expect.stringContaining('The configuration would do: 3 set by the environment, 1 by '),
      error: '',
      exitCode: 0,
    });
  });

  test('names every mistake at once', () => {
    const { out, exitCode } = checked(
      { ...good, DATABSE_OWNER_URL: 'x', FLYWHEEL_WORKER_CONCURRENCY: 'many', FLYWHEEL_OPERATORS: 'github:1, olive' },
      'FLYWHEEL_OPERATOR: x\nPORTAL_URL: https://flywheel.example.org/\nFLYWHEEL_DELIVERY_DAYS: [1]\nLOG_LEVEL:\nwhatever: 1\nFLYWHEEL_READING_DAYS: 61\n',
    );
    expect(exitCode).toBe(1);
    expect(out.trimEnd().split('\n').toSorted()).toEqual([
      'DATABSE_OWNER_URL (environment): is no setting; DATABASE_OWNER_URL is.',
      'FLYWHEEL_DELIVERY_DAYS (line 3): is to be a single value.',
      'FLYWHEEL_OPERATOR (line 1): is no setting; FLYWHEEL_OPERATORS is.',
      'FLYWHEEL_OPERATORS (environment): has olive, which is not <connection>:<subject>.',
      'FLYWHEEL_READING_DAYS (line 6): is to be a whole number from 62 to 3650.',
      'FLYWHEEL_WORKER_CONCURRENCY (environment): is to be a whole number from 1 to 64.',
      'LOG_LEVEL (line 4): has no value.',
      'whatever (line 5): is no setting.',
    ]);
  });

  test.each<[string, Record<string, string | undefined>, string]>([
    ['what production needs', { PORTAL_URL: undefined }, 'PORTAL_URL: is not set.'],
    ['no operator', { FLYWHEEL_OPERATORS: undefined }, 'FLYWHEEL_OPERATORS: is not set.'],
    ['a path', { PORTAL_URL: 'https://flywheel.example.org/ci' }, 'PORTAL_URL (environment): is to be an origin'],
    ['http', { PORTAL_URL: 'http://flywheel.example.org' }, 'PORTAL_URL (environment): begins with http:'],
    ['a short key', { FLYWHEEL_SECRET_KEY: randomBytes(24).toString('base64') }, 'is base64 of 24 bytes'],
    ['a long key', { FLYWHEEL_SECRET_KEY: randomBytes(33).toString('base64') }, 'is base64 of 33 bytes'],
    ['words for a key', { FLYWHEEL_SECRET_KEY: 'change me' }, 'FLYWHEEL_SECRET_KEY (environment): is no base64.'],
    ['zeros for a key', { FLYWHEEL_SECRET_KEY: Buffer.alloc(32).toString('base64') }, 'is a placeholder'],
    [
      'words in base64 for a key',
      { FLYWHEEL_SECRET_KEY: Buffer.from('replace-these-32-bytes-by-others').toString('base64') },
      'is a placeholder',
    ],
    [
      'a placeholder password',
      { DATABASE_URL: 'postgres://a:change-me@db/f' },
      'DATABASE_URL (environment): has a place',
    ],
    ['the example', { DATABASE_URL: 'postgres://a:…@db/f' }, 'DATABASE_URL (environment): has a placeholder'],
    ['another database', { DATABASE_URL: 'mysql://a:b@db/f' }, 'is to be an address that begins with postgres://'],
    [
      'the sandbox’s switch',
      { FLYWHEEL_SANDBOX: '1' },
      'FLYWHEEL_SANDBOX (environment): is 1, which is for a portal on',
    ],
    ['a secret’s file that is not there', { DATABASE_OWNER_URL_FILE: '/nowhere/x' }, 'names a file that is not there'],
  ])('refuses %s', (_, given, says) => {
    const environment = Object.entries({ ...good, ...given }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
    const { out, exitCode } = checked(Object.fromEntries(environment));
    expect({ exitCode, lines: out.trimEnd().split('\n') }).toEqual({
      exitCode: 1,
      lines: [expect.stringContaining(says)],
    });
  });

  test('a secret and its file at once are one mistake', () => {
    written(key(), 'secret-key');
    const { out } = checked({ ...good, FLYWHEEL_SECRET_KEY_FILE: join(folder, 'secret-key') });
    expect(out).toBe(
      'FLYWHEEL_SECRET_KEY_FILE (environment): is given beside FLYWHEEL_SECRET_KEY: give one of them.\n',
    );
  });

  test('random keys are no placeholders', () => {
    for (let tries = 0; tries < 500; tries += 1)
      expect(checked({ ...good, FLYWHEEL_SECRET_KEY: key() }).exitCode).toBe(0);
  });

  test.each([
    ['a file that is not there', ['check', '--config', '/nowhere/flywheel.yaml'], /flywheel\.yaml is not there/],
    ['another question', ['chekc'], /flywheel config check/],
    ['an unknown option', ['check', '--fiel', 'x'], /--fiel/],
  ])('%s is no answer: exit 2', (_, args, says) => {
    expect(configCommand(args, good)).toEqual({ out: '', error: expect.stringMatching(says), exitCode: 2 });
  });

  test('what is no YAML is told of by its line', () => {
    expect(checked(good, 'LOG_LEVEL: info\n  oh: no\n').out).toMatch(/flywheel\.yaml \(line \d\): is no YAML\.\n/);
    expect(checked(good, '- a\n').out).toContain('is to be settings by name');
    expect(checked(good, 'LOG_LEVEL: info\nLOG_LEVEL: warn\n').out).toContain(
      '(line 2): names a setting that was named',
    );
  });

  test('no command says a secret, however wrong it is', () => {
    const wrong = { DATABASE_URL: canary, FLYWHEEL_SECRET_KEY: canary, DATABASE_OWNER_URL_FILE: canary };
    const yaml = `FLYWHEEL_SECRET_KEY: ${canary}\nDATABASE_URL: [${canary}]\nbroken: "${canary}\n`;
    const fine = { ...good, DATABASE_OWNER_URL: `postgres://o:${canary}@db/flywheel` };
    for (const environment of [wrong, fine, {}])
      for (const command of ['check', 'print'])
        for (const more of [[], ['--config', written(yaml)], ['--config', written(yaml.split('\n')[0] ?? '')]]) {
          const { out, error } = configCommand([command, ...more], environment);
          expect(out + error).not.toContain(canary);
          expect(out + error).not.toContain(good.FLYWHEEL_SECRET_KEY);
        }
  });
});

test('config print says what counts, where it is from, and that a secret is there', () => {
  const path = written('FLYWHEEL_WORKER_CONCURRENCY: 3\n');
  const { out, exitCode } = configCommand(['print', '--config', path], good);
  expect(exitCode).toBe(0);
  expect(out).toContain('PORTAL_URL: https://flywheel.example.org # environment\n');
  expect(out).toContain('FLYWHEEL_WORKER_CONCURRENCY: "3" # line 1\n');
  expect(out).toContain('LOG_LEVEL: info # by default\n');
  expect(out).toContain('# FLYWHEEL_SECRET_KEY: hidden, environment\n');
  expect(out).toContain('# DATABASE_OWNER_URL: not set\n');
  // It may be handed in again as the file.
  expect(settingsOf({}, written(out)).problems).toEqual([]);
});

test('the name that was meant is found, and none where none is near', () => {
  expect(nearest('portal-url', keys)).toBe('PORTAL_URL');
  expect(nearest('LOGLEVEL', keys)).toBe('LOG_LEVEL');
  expect(nearest('HOME', keys)).toBeNull();
});

test('docs/configuration.md is what the schema says', () => {
  const path = new URL('../../docs/configuration.md', import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, configurationPage());
  expect(readFileSync(path, 'utf8')).toBe(configurationPage());
});

test('every setting is described, and its example would do', () => {
  for (const each of keys) expect(aboutKey(each).does).toMatch(/\.$/);
  // That of a secret is none.
  for (const each of keys.filter((name) => !aboutKey(name).secret))
    expect(settingsOf({ [each]: aboutKey(each).example }).problems).toEqual([]);
});
