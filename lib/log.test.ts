import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

/*
 * A process plants secrets of every kind in whatever it can write, and ends by an error that nobody catches; everything that it
 * wrote is read here.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const random = (bytes: number) => randomBytes(bytes).toString('base64url');
const pemBody = randomBytes(190).toString('base64').replace(/.{64}/g, '$&\n');

const secrets: Record<string, string> = {
  forgeToken: `ghs_${randomBytes(18).toString('hex')}`,
  userToken: `glpat-${random(15)}`,
  forgejoToken: randomBytes(20).toString('hex'),
  // Put together here, so that nobody who looks for keys in this file finds one.
  appKey: ['-----BEGIN RSA ', `PRIVATE KEY-----\n${pemBody}\n-----END RSA `, 'PRIVATE KEY-----\n'].join(''),
  atticToken: `eyJhbGciOiJIUzI1NiJ9.${random(40)}.${random(32)}`,
  urlPassword: `pw-${random(9)}`,
  authorization: random(12),
  cookie: random(32),
  webhookSecret: random(32),
  // Of no form at all: known because it was opened.
  opened: `hook-${randomBytes(6).toString('hex')}`,
  databasePassword: `db-${random(9)}`,
  secretKey: randomBytes(32).toString('base64'),
};

const program = `
  import { conceal, within } from '#lib/telemetry/index.ts';
  import { AppError } from '#lib/errors.ts';
  import { log, writeOnlyLog } from '#lib/log.ts';
  import { openDoor } from '#lib/tenant/index.ts';
  const s = JSON.parse(process.env.PLANTED);
  const { appKey, authorization, cookie, opened, urlPassword, webhookSecret } = s;
  writeOnlyLog();
  conceal(opened);

  const sentences = [...Object.values(s), 'https://bot:' + urlPassword + '@git.example/a', 'authorization: Bearer ' + authorization,
    'cookie: flywheel.session=' + cookie, JSON.stringify(appKey), JSON.stringify({ headers: { authorization } })];
  await within({ requestId: 'the-request', tenantId: 'the-tenant' }, async () => {
    for (const [index, secret] of sentences.entries()) {
      // A word of no form is none anywhere but where something says what it is.
      const text = [authorization, urlPassword, s.databasePassword].includes(secret) ? 'password=' + secret : secret;
      const error = new Error('failed with ' + text, { cause: new Error('because of ' + text) });
      log().info('a message with ' + text);
      log().warn({ reason: text, nested: { list: [text] }, token: text, headers: { authorization: text } }, 'context');
      log().error({ error }, 'an error');
      console.error('Next would say', error);
      console.log({ text });
      process.emitWarning('a warning of ' + text, { code: 'w' + index });
      const thrown = index % 2 ? error : new AppError('unavailable', { log: 'away: ' + text, cause: error, screen: { happened: 'x' } });
      await openDoor('test', { headers: new Headers() }, () => Promise.reject(thrown));
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  setTimeout(() => { throw new Error('nobody catches ' + Object.values(s).map((each) => 'password=' + each).join(' ')); });
`;

let written: string;
let lines: Record<string, unknown>[];

beforeAll(() => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    encoding: 'utf8',
    env: {
      ...process.env,
      PLANTED: JSON.stringify(secrets),
      LOG_LEVEL: 'debug',
      NODE_ENV: 'development',
      DATABASE_URL: `postgres://flywheel_app:${secrets['databasePassword']}@127.0.0.1:1/none`,
      FLYWHEEL_SECRET_KEY: secrets['secretKey'],
    },
  });
  expect([status, stderr]).toEqual([1, '']);
  written = stdout;
  lines = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}, 60_000);

test('all that a process writes is lines of the log, of each kind that it was asked to write', () => {
  expect(lines.length).toBeGreaterThan(100);
  const told = (part: string) => lines.filter((line) => JSON.stringify(line).includes(part)).length;
  for (const part of ['a message with', 'because of', 'Next would say', 'a warning of', 'away: ', 'nobody catches'])
    expect([part, told(part)]).not.toEqual([part, 0]);
  expect(lines.at(-1)).toMatchObject({ level: 60, msg: 'the process ends by what nobody caught' });
});

test.each(Object.entries(secrets))('%s is in none of it', (_, secret) => {
  // Of a key, each of its lines.
  const parts = secret.split('\n').filter((part) => part.length > 8 && !part.startsWith('-----'));
  expect(parts.filter((part) => written.includes(part)).map((part) => part.slice(0, 4))).toEqual([]);
});

test('each line of a request says of which it is', () => {
  const own = lines.filter(({ msg }) => msg === 'context' || msg === 'failed' || msg === 'refused');
  expect(own.length).toBeGreaterThan(20);
  for (const line of own) expect(line).toMatchObject({ requestId: 'the-request', tenantId: 'the-tenant' });
});
