import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { forgejoWebhooks } from './webhook.ts';

const secret = 'the connection’s own secret';
const body = JSON.stringify({ action: 'queued', n: 1.0, text: 'ä' }, null, 2);

function sign(text: string | Uint8Array, key = secret, algorithm = 'sha256'): string {
  return createHmac(algorithm, key).update(text).digest('hex');
}

function verify(headers: Record<string, string>, rawBody: string | Uint8Array = body, key = secret) {
  return forgejoWebhooks.verifyWebhook(key, { headers: new Headers(headers), rawBody: Buffer.from(rawBody) });
}

const good = { 'x-forgejo-signature': sign(body), 'x-forgejo-delivery': 'd-1', 'x-forgejo-event': 'push' };

describe('A8: signatures', () => {
  test('the right one is taken, and the head is read', () => {
    const read = { event: 'push', about: 'other', deliveryId: 'd-1', action: 'queued', installationId: null };
    expect(verify(good)).toMatchObject(read);
  });

  test('Gitea’s names and GitHub’s are read as well', () => {
    const gitea = { 'x-gitea-signature': sign(body), 'x-gitea-delivery': 'd-2', 'x-gitea-event': 'workflow_job' };
    expect(verify(gitea)).toMatchObject({ event: 'workflow_job', about: 'job', deliveryId: 'd-2' });
    const hub = { 'x-hub-signature-256': `sha256=${sign(body)}`, 'x-gitea-delivery': 'd', 'x-gitea-event': 'push' };
    expect(verify(hub).event).toBe('push');
  });

  test.each([
    ['no signature', { ...good, 'x-forgejo-signature': '' }],
    ['sha1', { ...good, 'x-forgejo-signature': sign(body, secret, 'sha1') }],
    ['another secret', { ...good, 'x-forgejo-signature': sign(body, 'another') }],
    ['another body', { ...good, 'x-forgejo-signature': sign(`${body} `) }],
    ['a signature that is too short', { ...good, 'x-forgejo-signature': sign(body).slice(0, -1) }],
    ['a signature that is too long', { ...good, 'x-forgejo-signature': `${sign(body)}0` }],
    ['a prefix where none belongs', { ...good, 'x-forgejo-signature': `sha256=${sign(body)}` }],
    ['upper case', { ...good, 'x-forgejo-signature': sign(body).toUpperCase() }],
    [
      'a wrong one beside a right one',
      { ...good, 'x-forgejo-signature': 'f'.repeat(64), 'x-gitea-signature': sign(body) },
    ],
    ['no header at all', { 'x-forgejo-delivery': 'd', 'x-forgejo-event': 'push' }],
  ])('%s is refused', (_, headers) => {
    expect(() => verify(headers)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test('a body changed by one byte, or parsed and written again, is refused', () => {
    const changed = Buffer.from(body);
    changed[5] = (changed[5] ?? 0) ^ 1;
    for (const other of [changed, JSON.stringify(JSON.parse(body))]) {
      expect(() => verify(good, other)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    }
  });

  test('an empty secret verifies nothing', () => {
    const headers = { ...good, 'x-forgejo-signature': sign(body, '') };
    expect(() => verify(headers, body, '')).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test('bytes that are no UTF-8 are verified as bytes', () => {
    const bytes = Buffer.concat([Buffer.from('{"action":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(verify({ ...good, 'x-forgejo-signature': sign(bytes) }, bytes).event).toBe('push');
  });
});

describe('what is signed and cannot be read', () => {
  test.each([
    ['no delivery id', body, { 'x-forgejo-delivery': '' }],
    ['a delivery id that is no id', body, { 'x-forgejo-delivery': 'a b' }],
    ['no event', body, { 'x-forgejo-event': '' }],
    ['no JSON', '{', {}],
    ['a form', 'payload=%7B%7D', {}],
    ['not an object', '[1]', {}],
  ])('%s', (_, text, change) => {
    const headers = { ...good, 'x-forgejo-signature': sign(text), ...change };
    expect(() => verify(headers, text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  test('A7: a million levels deep are read and not descended into', () => {
    const deep = `{"action":"x","deep":${'['.repeat(1e6)}${']'.repeat(1e6)}}`;
    expect(verify({ ...good, 'x-forgejo-signature': sign(deep) }, deep).action).toBe('x');
  });
});

describe('a workflow job, as Gitea tells of it', () => {
  const payload = {
    action: 'completed',
    workflow_job: {
      id: 11,
      status: 'completed',
      conclusion: 'success',
      labels: ['acme-nix'],
      runner_name: 'flywheel-acme-nix\0',
      name: 'build',
      created_at: '2026-11-01T10:00:00Z',
      started_at: '2026-11-01T10:00:05Z',
      completed_at: '2026-11-01T10:01:00Z',
    },
    repository: { id: 5, full_name: 'acme/app', owner: { id: 7, login: 'acme' } },
  };
  const read = (change: object) =>
    forgejoWebhooks.readWorkflowJob({ ...payload, workflow_job: { ...payload.workflow_job, ...change } });

  test('is read into the port’s words', () => {
    expect(read({})).toEqual({
      externalId: '11',
      repository: 'acme/app',
      runId: null,
      repositoryId: '5',
      owner: 'acme',
      ownerId: '7',
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

  test.each(['0001-01-01T00:00:00Z', '1970-01-01T00:00:00Z'])('a time that never was (%s) is none', (never) => {
    const job = read({ status: 'in_progress', conclusion: '', started_at: never, completed_at: never });
    expect(job).toMatchObject({ state: 'running', conclusion: null, startedAt: null, completedAt: null });
  });

  test('a job that waits has no runner and no start', () => {
    const job = read({ status: 'waiting', conclusion: '', runner_name: '', labels: null });
    expect(job).toMatchObject({ state: 'queued', runnerName: null, startedAt: null, labels: [] });
  });

  test('what is no job is none', () => {
    expect(forgejoWebhooks.readWorkflowJob({ action: 'success', run: {} })).toBeNull();
    expect(forgejoWebhooks.readWorkflowJob('text')).toBeNull();
    expect(forgejoWebhooks.readInstallation(payload)).toBeNull();
  });
});

test('whose a payload is: of the repository, of the run’s, of the organization', () => {
  const repository = { id: 5, full_name: 'acme/app', owner: { id: 7 } };
  expect(forgejoWebhooks.readAccountId({ repository })).toBe('7');
  expect(forgejoWebhooks.readAccountId({ run: { repository } })).toBe('7');
  expect(forgejoWebhooks.readAccountId({ organization: { id: 8 } })).toBe('8');
  expect(forgejoWebhooks.readAccountId({})).toBeNull();
  expect(forgejoWebhooks.readRepository({ run: { repository } })).toEqual({ id: '5', path: 'acme/app' });
  expect(forgejoWebhooks.readRepository({ organization: { id: 8 } })).toBeNull();
});
