import { describe, expect, test } from 'vitest';
import { isSecretName, scrubbed, scrubbedValue, wordsOf } from './scrub.ts';
import { conceal, concealOwn, withoutSecrets } from './secrets.ts';

// Put together here, so that nobody who looks for secrets in this file finds one.
const letters = 'aB3dE5gH7jK9mN1pQ4sT6vX8zC0fG2hJ5lM7nP9rS1u';
const pem = [
  '-----BEGIN RSA ',
  `PRIVATE KEY-----\n${`${letters}/${letters}+\n`.repeat(3)}-----END RSA `,
  'PRIVATE KEY-----',
].join('');
const planted: Record<string, string> = {
  'a GitHub token': `ghs_${letters.slice(0, 36)}`,
  'a fine-grained GitHub token': `github_pat_11ABC_${letters}`,
  'a GitLab token': `glpat-${letters.slice(0, 20)}`,
  'a GitLab runner token': `glrt-t1_${letters.slice(0, 20)}`,
  'a Forgejo token': '0123456789abcdef0123456789abcdef01234567',
  'an Attic token': `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ${letters}.${letters}`,
  'a sealed secret': `eyJraWQiOiJhYmNkZWYifQ..${letters.slice(0, 16)}.${letters}.${letters.slice(0, 22)}`,
  'an API token': `fwp_${letters}`,
  'a session': letters,
  'a webhook secret of a tenant': `whsec_${letters}=`,
  'a key of 32 bytes': `${letters.replaceAll('_', '/')}=`,
  'an App key': pem,
  'an App key in JSON': JSON.stringify(pem).slice(1, -1),
  'an App key in JSON in JSON': JSON.stringify(JSON.stringify(pem)).slice(1, -1),
  'an App key as Kubernetes keeps it': Buffer.from(pem).toString('base64'),
};

/** The part of it that would be enough to go on with. */
function cores(secret: string): string[] {
  const word =
    secret.startsWith('-----') || secret.startsWith('"') ? letters : secret.replace(/^[a-z]+_|^gl[a-z]+-/, '');
  return [word.slice(0, 24), word.slice(-16).replace(/\W+$/, '').slice(-12)];
}

describe('what has a secret’s form', () => {
  test.each(Object.entries(planted))('%s is cut out of whatever it stands in', (_, secret) => {
    const texts = [
      secret,
      `the server said: ${secret}`,
      `refused "${secret}", which is bad.`,
      `(${secret})`,
      `x=${secret}&y=1`,
      JSON.stringify({ reason: `no ${secret}` }),
      `line one\n${secret}\nline three`,
    ];
    for (const text of texts) {
      const left = scrubbed(text);
      expect(left).toContain('[cut]');
      for (const core of cores(secret)) expect(left).not.toContain(core);
    }
  });

  test.each([
    ['postgres://flywheel_app:hunter2-x@db:5432/flywheel', 'hunter2-x'],
    ['cannot reach https://bot:p%40ss@git.internal/a', 'p%40ss'],
    ['redis://:only-a-password@host', 'only-a-password'],
    ['https://token-alone@host/x', 'token-alone'],
    ['authorization: Basic Ym90OnB3', 'Ym90OnB3'],
    ['{"authorization":"Bearer short1A"}', 'short1A'],
    ["headers { 'private-token': 'abc', accept: '*/*' }", "'abc'"],
    ['cookie: flywheel.session=abc; theme=dark', 'abc'],
    ['Set-Cookie: __Host-flywheel.session=abc; Path=/', 'abc'],
    ['x-gitlab-token: the secret of the hook', 'the secret of the hook'],
    ['x-hub-signature-256: sha256=00ff', '00ff'],
    ['sent Bearer abc.DEF-123_x to it', 'abc.DEF-123_x'],
    ['GET /callback?code=4f2a&state=9b1c', '4f2a'],
    ['GET /callback?code=4f2a&state=9b1c', '9b1c'],
    ['password=hunter2', 'hunter2'],
    ['"password":"hunter2"', 'hunter2'],
    ['client_secret: hunter2', 'hunter2'],
    ['clientSecret=hunter2;', 'hunter2'],
    ['FLYWHEEL_SECRET_TOKEN=hunter2', 'hunter2'],
    ['private_key=hunter2', 'hunter2'],
  ])('%s', (text, secret) => {
    expect(scrubbed(text)).not.toContain(secret);
    expect(scrubbed(text)).toContain('[cut]');
  });

  test.each([
    'enrollment/0193f2a1-7c1e-7d3a-9b2e-1f2a3b4c5d6e failed: ClusterRefused: Secret runners-cmux/cmux-github: 409 Conflict',
    'https://github.com/tinyland-inc/lab answered 502',
    "Cannot read properties of undefined (reading 'token')",
    'no usable forge token',
    'the token of cmux ends within two weeks',
    `sha256:${'0123456789abcdef'.repeat(4)}`,
    `anchor ${'fedcba9876543210'.repeat(4)}`,
    '4bf92f3577b34da6a3ce929d0e0e4736',
    'at file:///srv/flywheel/lib/tenant/door.ts:120:13',
    '2026-11-26T07:29:10.123Z',
    'a webhook: none of x-hub-signature-256 was sent',
    'runners-acme-with-a-rather-long-name-of-43-chars-x',
  ])('%s stays as it is', (text) => expect(scrubbed(text)).toBe(text));
});

describe('what is known to be secret', () => {
  test('is cut whatever its form, as a whole word and in the parts of one that has several', () => {
    conceal('correct horse battery-staple');
    conceal('plainwordpass');
    expect(withoutSecrets('it was plainwordpass.')).toBe('it was [cut]');
    expect(withoutSecrets('plainwordpassage and battery-staple')).toBe('plainwordpassage and [cut]');
    expect(withoutSecrets('[plainwordpass]')).toBe('[[cut]]');
    expect(withoutSecrets('https://host.example/hooks/plainwordpass?x=plainwordpass')).toBe(
      'https://host.example/hooks/[cut]?x=[cut]',
    );
  });

  test('of an address the password alone, of an object its values, and of neither what everybody says', () => {
    conceal('postgres://flywheel_reader:only-the-password@attic-db:5432/attic');
    conceal(
      JSON.stringify({ accessToken: 'tokenlikeaword', refreshToken: null, expiresAt: '2026-11-26T07:00:00.000Z' }),
    );
    const text = 'postgres flywheel_reader attic-db accessToken refreshToken 2026-11-26T07:00:00.000Z';
    expect(withoutSecrets(text)).toBe(text);
    expect(withoutSecrets('only-the-password tokenlikeaword')).toBe('[cut] [cut]');
  });

  test('is taken as it is where what looks encoded is not', () => {
    conceal('api-key=fifty-%-off-forever');
    conceal('postgres://reader:half-%zz-a-code@db:5432/attic');
    expect(withoutSecrets('fifty- off-forever, half-')).toBe('fifty- [cut], half-');
    expect(withoutSecrets('zz-a-code')).toBe('[cut]');
  });

  test('is kept as hashes alone, and not without end', () => {
    concealOwn('the-password-of-this-process');
    for (let index = 0; index < 11_000; index += 1) conceal(`generated-password-${index}`);
    expect(withoutSecrets('said the-password-of-this-process')).toBe('said [cut]');
    const { words } = (globalThis as unknown as { flywheelTelemetry: { secrets: { words: Set<number> } } })
      .flywheelTelemetry.secrets;
    expect(words.size).toBeLessThanOrEqual(10_000);
    expect([...words].every((each) => typeof each === 'number')).toBe(true);
    expect(withoutSecrets('generated-password-10999')).toBe('[cut]');
  });

  test('short words are no secret of anybody’s', () => expect(wordsOf('a to the secret 1234567')).toEqual([]));
});

describe('values', () => {
  const never = () => false;

  test('what has a secret’s name is cut as a whole, however deep, and whatever writes itself', () => {
    const given = {
      connection: { id: 'github', clientSecret: 'x', headers: { Authorization: 'x', accept: 'json' } },
      tokens: ['x'],
      list: [{ privateKey: 'x', privateKeyBase64: 'x' }],
      own: { toJSON: () => ({ password: 'x', shown: 1 }) },
      tokenId: 'id',
      leaseToken: 7n,
      none: null,
    };
    expect(scrubbedValue(given, never)).toEqual({
      connection: { id: 'github', clientSecret: '[cut]', headers: { Authorization: '[cut]', accept: 'json' } },
      tokens: '[cut]',
      list: [{ privateKey: '[cut]', privateKeyBase64: '[cut]' }],
      own: { password: '[cut]', shown: 1 },
      tokenId: 'id',
      leaseToken: 7n,
      none: null,
    });
  });

  test('an error is told with what it says, where, and why, without a secret in any of it', () => {
    const secret = planted['a GitHub token'] ?? '';
    const cause = Object.assign(new Error(`inner ${secret}`), { request: { headers: { authorization: secret } } });
    const told = scrubbedValue(new Error(`outer ${secret}`, { cause }), never);
    expect(JSON.stringify(told)).not.toContain(secret);
    expect(told).toMatchObject({
      message: 'outer [cut]',
      cause: { message: 'inner [cut]', request: { headers: { authorization: '[cut]' } } },
    });
    expect((told as { stack: string }).stack).toContain('scrub.test.ts');
  });

  test('a ring of values ends', () => {
    const ring: Record<string, unknown> = { name: 'ring' };
    ring['self'] = ring;
    expect(JSON.stringify(scrubbedValue(ring, never))).toContain('[cut]');
  });

  test.each(['token', 'access_token', 'userToken', 'Cookie', 'set-cookie', 'PRIVATE_KEY', 'webhookSecret', 'apiKey'])(
    '%s is a secret’s name',
    (name) => expect(isSecretName(name)).toBe(true),
  );
  test.each(['tokenId', 'tokens_used', 'secretary', 'code', 'key', 'keyId', 'signatureAlgorithm'])(
    '%s is none',
    (name) => expect(isSecretName(name)).toBe(false),
  );
});
