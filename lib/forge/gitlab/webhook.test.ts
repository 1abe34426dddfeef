import { createHmac, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gitlab, ids, startGitlab } from '#sandbox/gitlab/index.ts';
import { gitlabForge } from './index.ts';
import { gitlabWebhooks, secretTokenOf, signingTokenOf } from './webhook.ts';

const secret = 'the connection’s own secret';
const body = JSON.stringify({ object_kind: 'build', build_status: 'pending', n: 1.0, text: 'ä' }, null, 1);
const now = () => Math.floor(Date.now() / 1000);

function sign(content: string | Uint8Array, key = signingTokenOf(secret)): string {
  const digest = createHmac('sha256', Buffer.from(key.slice(6), 'base64'))
    .update(content)
    .digest('base64');
  return `v1,${digest}`;
}

function verify(headers: Record<string, string>, rawBody: string | Uint8Array = body, key = secret) {
  return gitlabWebhooks.verifyWebhook(key, { headers: new Headers(headers), rawBody: Buffer.from(rawBody) });
}

const refused = expect.objectContaining({ code: 'unauthenticated' });
const head = { 'x-gitlab-event': 'Job Hook', 'idempotency-key': 'k-1', 'x-gitlab-event-uuid': 'u-1' };

const plain = 'a plain secret';
/** What GitLab is given, and sends with each delivery where it cannot sign. */
const sentToken = secretTokenOf(plain);
const byToken = { ...head, 'x-gitlab-token': sentToken };

function bySignature(seconds = now(), content: string | Uint8Array = body, key?: string) {
  const signed = Buffer.concat([Buffer.from(`k-2.${seconds}.`), Buffer.from(content)]);
  return { ...head, 'webhook-id': 'k-2', 'webhook-timestamp': String(seconds), 'webhook-signature': sign(signed, key) };
}

describe('A8: the secret token', () => {
  test('the right one is taken, and the head is read', () => {
    expect(verify(byToken, body, plain)).toMatchObject({
      event: 'Job Hook',
      about: 'job',
      deliveryId: 'k-1',
      action: 'pending',
      installationId: null,
    });
  });

  test.each([
    ['none', head],
    ['another', { ...head, 'x-gitlab-token': 'another' }],
    ['one that is too short', { ...head, 'x-gitlab-token': sentToken.slice(0, -1) }],
    ['one that is too long', { ...head, 'x-gitlab-token': `${sentToken}0` }],
    ['upper case', { ...head, 'x-gitlab-token': sentToken.toUpperCase() }],
    ['the secret itself, which is never sent', { ...head, 'x-gitlab-token': plain }],
  ])('%s is refused', (_, headers) => {
    expect(() => verify(headers, body, plain)).toThrow(refused);
  });

  test('an empty secret proves nothing, by token or by signature', () => {
    expect(() => verify({ ...head, 'x-gitlab-token': '' }, body, '')).toThrow(refused);
    expect(() => verify(bySignature(now(), body, signingTokenOf('')), body, '')).toThrow(refused);
  });
});

describe('A8: the signature', () => {
  test('the right one is taken, and its id is the delivery’s', () => {
    expect(verify(bySignature())).toMatchObject({ deliveryId: 'k-2', about: 'job' });
  });

  test('one of several is enough while a key is replaced', () => {
    const headers = bySignature();
    const several = `v1,${'A'.repeat(43)}= ${headers['webhook-signature']}`;
    expect(verify({ ...headers, 'webhook-signature': several }).deliveryId).toBe('k-2');
  });

  test('a signing token that a person entered on both sides is taken as it is', () => {
    const token = `whsec_${randomBytes(32).toString('base64')}`;
    expect(signingTokenOf(token)).toBe(token);
    expect(verify(bySignature(now(), body, token), body, token).deliveryId).toBe('k-2');
  });

  test('from the token that GitLab sends in the clear no signature can be made', () => {
    const seen = secretTokenOf(secret);
    const keys = [
      ...[seen, secret].map((text) => `whsec_${Buffer.from(text).toString('base64')}`),
      `whsec_${Buffer.from(seen, 'base64url').toString('base64')}`,
      // All that the portal derives from a secret, derived from what was seen.
      signingTokenOf(seen),
      signingTokenOf(secretTokenOf(seen)),
    ];
    for (const key of keys) expect(() => verify(bySignature(now(), body, key))).toThrow(refused);
    expect(Buffer.from(signingTokenOf(secret).slice(6), 'base64')).toHaveLength(32);
  });

  test.each([
    [
      'another version',
      { ...bySignature(), 'webhook-signature': bySignature()['webhook-signature'].replace('v1', 'v2') },
    ],
    ['another id', { ...bySignature(), 'webhook-id': 'k-3' }],
    ['another time', { ...bySignature(), 'webhook-timestamp': String(now() + 1) }],
    ['no time', { ...bySignature(), 'webhook-timestamp': '' }],
    ['six minutes old', bySignature(now() - 360)],
    ['six minutes ahead', bySignature(now() + 360)],
    ['another secret', bySignature(now(), body, signingTokenOf('another'))],
    ['hex', { ...bySignature(), 'webhook-signature': `v1,${createHmac('sha256', secret).update(body).digest('hex')}` }],
  ])('%s is refused', (_, headers) => {
    expect(() => verify(headers)).toThrow(refused);
  });

  test.each([
    ['a wrong', bySignature(now(), body, signingTokenOf('another'))],
    ['an old', bySignature(now() - 360, body, signingTokenOf(plain))],
    ['an empty', { 'webhook-signature': '' }],
  ])('the right token does not save %s signature', (_, headers) => {
    expect(() => verify({ ...headers, ...byToken }, body, plain)).toThrow(refused);
  });

  test('four minutes either way are still now', () => {
    expect(verify(bySignature(now() - 240)).deliveryId).toBe('k-2');
    expect(verify(bySignature(now() + 240)).deliveryId).toBe('k-2');
  });

  test('a body changed by one byte, or parsed and written again, is refused', () => {
    const changed = Buffer.from(body);
    changed[5] = (changed[5] ?? 0) ^ 1;
    expect(() => verify(bySignature(), changed)).toThrow(refused);
    expect(() => verify(bySignature(), JSON.stringify(JSON.parse(body)))).toThrow(refused);
  });

  test('bytes that are no UTF-8 are verified as bytes', () => {
    const bytes = Buffer.concat([Buffer.from('{"object_kind":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(verify(bySignature(now(), bytes), bytes).about).toBe('other');
  });
});

describe('what is proven and cannot be read', () => {
  test.each([
    ['no delivery id', body, { 'idempotency-key': '' }],
    ['a delivery id that is no id', body, { 'idempotency-key': 'a b' }],
    ['no event', body, { 'x-gitlab-event': '' }],
    ['no JSON', '{', {}],
    ['a form', 'payload=%7B%7D', {}],
    ['not an object', '[1]', {}],
  ])('%s', (_, text, change) => {
    expect(() => verify({ ...byToken, ...change }, text, plain)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  test('A7: a million levels deep are read and not descended into', () => {
    const deep = `{"object_kind":"x","deep":${'['.repeat(1e6)}${']'.repeat(1e6)}}`;
    expect(verify(byToken, deep, plain).about).toBe('other');
  });
});

test.each([
  [{ object_kind: 'build' }, 'job'],
  [{ object_kind: 'access_token' }, 'scope'],
  [{ event_name: 'user_update_for_group', group_id: 7 }, 'scope'],
  [{ event_name: 'subgroup_create' }, 'scope'],
  [{ object_kind: 'push', event_name: 'push' }, 'other'],
  [{}, 'other'],
])('%j is about %s, whatever its header says', (payload, about) => {
  expect(verify(byToken, JSON.stringify(payload), plain).about).toBe(about);
});

describe('a job', () => {
  const payload = {
    object_kind: 'build',
    build_id: 11,
    build_name: 'build\0',
    build_status: 'success',
    build_created_at: '2026-11-01 10:00:00 UTC',
    build_started_at: '2026-11-01T10:00:05Z',
    build_finished_at: '2026-11-01 10:01:00 UTC',
    project_id: 5,
    runner: { id: 1, description: 'flywheel-acme-nix', tags: ['acme-nix'] },
    project: { id: 5, path_with_namespace: 'acme/lab/app' },
    repository: { homepage: 'https://gitlab.com/acme/lab/app' },
  };
  const read = (change: object) => gitlabWebhooks.readWorkflowJob({ ...payload, ...change });

  test('is read into the port’s words', () => {
    expect(read({})).toEqual({
      externalId: '11',
      repository: 'acme/lab/app',
      runId: null,
      repositoryId: '5',
      owner: 'acme/lab',
      ownerId: null,
      enterpriseId: null,
      labels: ['acme-nix'],
      state: 'completed',
      conclusion: 'success',
      runnerName: 'flywheel-acme-nix',
      workflow: null,
      name: 'build',
      queuedAt: new Date('2026-11-01T10:00:00Z'),
      startedAt: new Date('2026-11-01T10:00:05Z'),
      completedAt: new Date('2026-11-01T10:01:00Z'),
    });
  });

  test.each([
    ['failed', 'completed', 'failure'],
    ['canceled', 'completed', 'cancelled'],
    ['skipped', 'completed', 'skipped'],
    ['canceling', 'running', null],
    ['running', 'running', null],
    ['created', 'queued', null],
    ['waiting_for_resource', 'queued', null],
    ['manual', 'queued', null],
    ['something new', 'queued', null],
  ])('%s is %s', (status, state, conclusion) => {
    expect(read({ build_status: status })).toMatchObject({ state, conclusion });
  });

  test('before a runner has it, it has no labels: the event does not tell the job’s own', () => {
    expect(read({ build_status: 'pending', runner: null, build_started_at: null })).toMatchObject({
      labels: [],
      runnerName: null,
      startedAt: null,
      completedAt: null,
    });
  });

  test('an older server tells the path by the project’s page alone', () => {
    expect(read({ project: undefined })?.repository).toBe('acme/lab/app');
    expect(gitlabWebhooks.readRepository({ ...payload, project: undefined })).toEqual({
      id: '5',
      path: 'acme/lab/app',
    });
  });

  test.each([{}, null, 'text', { object_kind: 'build' }, { ...payload, object_kind: 'pipeline' }])(
    '%# is none',
    (other) => {
      expect(gitlabWebhooks.readWorkflowJob(other)).toBeNull();
      expect(gitlabWebhooks.readInstallation(other)).toBeNull();
      expect(gitlabWebhooks.readAccountId(other)).toBeNull();
    },
  );

  test('a member’s event names its group', () => {
    expect(gitlabWebhooks.readAccountId({ event_name: 'user_add_to_group', group_id: 7 })).toBe('7');
  });
});

describe('the hook at a scope', () => {
  let gitlab: Gitlab;
  beforeAll(async () => {
    gitlab = await startGitlab({ port: 0 });
  });
  afterAll(() => gitlab.stop());

  function forgeWith(webhookSecret: string | undefined = plain) {
    const { clientId, clientSecret } = gitlab.application;
    const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, clientId, clientSecret };
    return gitlabForge({ ...connection, webhookSecret, allowLoopback: true });
  }
  const tokenOf = (...scopes: ('api' | 'read_api' | 'create_runner')[]) =>
    ({ kind: 'token', token: gitlab.accessToken({ path: 'tinyland', scopes }) }) as const;
  const url = 'https://portal.example/hooks/c';
  const project = {
    level: 'project',
    scopeId: String(ids.projects.kernels),
    path: 'tinyland/lab/kernels',
    url,
  } as const;
  const group = { level: 'group', scopeId: String(ids.groups.tinyland), path: 'tinyland', url } as const;
  const hooks = () => Object.values(gitlab.state.hooks);

  test.each([project, group])('of a $level is made once, mended, and removed', async (at) => {
    const input = { ...at, credential: tokenOf('api') };
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: 'created' });
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: null });
    const [hook] = hooks();
    expect(hook).toMatchObject({ url, token: '', signingToken: signingTokenOf(plain) });
    expect(hook?.events).toMatchObject({ job_events: true, push_events: false });
    if (hook) hook.events.job_events = false;
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: 'updated' });
    expect(hook?.events.job_events).toBe(true);
    expect(hooks()).toHaveLength(1);
    expect(await forgeWith().removeWebhook(input)).toEqual({ change: 'removed' });
    expect(await forgeWith().removeWebhook(input)).toEqual({ change: null });
  });

  test('is given the new secret where the connection has another', async () => {
    const input = { ...project, credential: tokenOf('api') };
    await forgeWith().ensureWebhook(input);
    expect(await forgeWith('another').ensureWebhook(input)).toEqual({ change: 'updated' });
    expect(hooks()[0]).toMatchObject({ token: '', signingToken: signingTokenOf('another') });
    expect(JSON.stringify(hooks()[0]?.description)).not.toContain('another');
    await forgeWith().removeWebhook(input);
  });

  test('F15: one whose answer was lost is found again', async () => {
    const input = { ...project, credential: tokenOf('api') };
    gitlab.fault({ kind: 'status-after', match: { method: 'POST', path: 'hooks' } });
    await expect(forgeWith().ensureWebhook(input)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: null });
    expect(hooks()).toHaveLength(1);
    await forgeWith().removeWebhook(input);
  });

  test('is unsupported without scope, plan, level or secret, and leaves nothing', async () => {
    const none = { unsupported: true };
    expect(await forgeWith().ensureWebhook({ ...project, credential: tokenOf('read_api') })).toEqual(none);
    expect(await forgeWith().ensureWebhook({ ...project, credential: tokenOf('create_runner') })).toEqual(none);
    expect(await forgeWith('').ensureWebhook({ ...project, credential: tokenOf('api') })).toEqual(none);
    const instance = { level: 'instance', scopeId: 'instance', path: '', url } as const;
    expect(await forgeWith().ensureWebhook({ ...instance, credential: tokenOf('api') })).toEqual(none);
    gitlab.state.settings.plan = 'free';
    expect(await forgeWith().ensureWebhook({ ...group, credential: tokenOf('api') })).toEqual(none);
    gitlab.state.settings.plan = 'premium';
    const http = { ...project, url: 'http://portal.example/hooks' };
    expect(await forgeWith().ensureWebhook({ ...http, credential: tokenOf('api') })).toEqual(none);
    expect(hooks()).toEqual([]);
  });

  test('a limit is not taken for "unsupported"', async () => {
    gitlab.fault({ kind: 'secondary-limit', match: { path: 'hooks' }, retryAfterSeconds: 7 });
    const work = forgeWith().ensureWebhook({ ...project, credential: tokenOf('api') });
    await expect(work).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 7000 });
  });

  test('an older server keeps the token alone and is not written to at each look', async () => {
    gitlab.state.settings.version = '18.9.0';
    const input = { ...project, credential: tokenOf('api') };
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: 'created' });
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: null });
    expect(hooks()[0]).toMatchObject({ token: sentToken, signingToken: '' });
    gitlab.state.settings.version = '19.3.1';
    // Upgraded, it says that it could sign now; the password is taken away with the same write.
    expect(await forgeWith().ensureWebhook(input)).toEqual({ change: 'updated' });
    expect(hooks()[0]).toMatchObject({ token: '', signingToken: signingTokenOf(plain) });
    await forgeWith().removeWebhook(input);
  });

  test('what GitLab sends is proven and read, first without labels, then with the runner’s', async () => {
    const input = { ...project, credential: tokenOf('api') };
    await forgeWith().ensureWebhook({ ...input, url: 'http://127.0.0.1:9/hook' });
    const made = await forgeWith().runners?.ensure({ ...input, name: 'flywheel-nix', labels: ['nix'], known: null });
    gitlab.queueJob({ project: 'tinyland/lab/kernels', tags: ['nix'] });
    await fetch(`${gitlab.apiUrl}/jobs/request`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: made?.secret?.token }),
    });
    await gitlab.settled();
    const told = gitlab.state.deliveries.map(({ requestHeaders, payload }) => {
      expect(requestHeaders).toHaveProperty('webhook-signature');
      expect(requestHeaders).not.toHaveProperty('X-Gitlab-Token');
      const rawBody = Buffer.from(JSON.stringify(payload));
      const webhook = forgeWith().verifyWebhook({ headers: new Headers(requestHeaders), rawBody });
      expect(webhook.about).toBe('job');
      return gitlabWebhooks.readWorkflowJob(webhook.payload);
    });
    expect(told).toHaveLength(2);
    expect(told.find((job) => job?.state === 'queued')).toMatchObject({
      labels: [],
      repository: 'tinyland/lab/kernels',
    });
    expect(told.find((job) => job?.state === 'running')).toMatchObject({
      labels: ['nix'],
      runnerName: 'flywheel-nix',
      repositoryId: String(ids.projects.kernels),
    });
  });
});
