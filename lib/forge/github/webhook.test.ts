import { createHmac } from 'node:crypto';
import { Webhooks } from '@octokit/webhooks';
import { describe, expect, test } from 'vitest';
import { githubWebhooks } from './webhook.ts';

const secret = 'the connection’s own secret';
const body = JSON.stringify({ action: 'queued', installation: { id: 67890 }, n: 1.0, text: 'ä' }, null, 1);

function sign(text: string | Uint8Array, key = secret, algorithm = 'sha256'): string {
  return `${algorithm}=${createHmac(algorithm, key).update(text).digest('hex')}`;
}

function verify(headers: Record<string, string>, rawBody: string | Uint8Array = body, key = secret) {
  return githubWebhooks.verifyWebhook(key, { headers: new Headers(headers), rawBody: Buffer.from(rawBody) });
}

/** Null where nothing was thrown. */
function codeOf(work: () => unknown): unknown {
  try {
    work();
    return null;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

const good = { 'x-hub-signature-256': sign(body), 'x-github-delivery': 'd-1', 'x-github-event': 'workflow_job' };

describe('A8: signatures', () => {
  test('the right one is taken, and the head is read', () => {
    expect(verify(good)).toMatchObject({
      event: 'workflow_job',
      deliveryId: 'd-1',
      action: 'queued',
      installationId: '67890',
    });
  });

  test.each([
    ['no signature', { ...good, 'x-hub-signature-256': '' }],
    [
      'sha1 alone',
      { 'x-hub-signature': sign(body, secret, 'sha1'), 'x-github-delivery': 'd', 'x-github-event': 'ping' },
    ],
    ['sha1 in the place of sha256', { ...good, 'x-hub-signature-256': sign(body, secret, 'sha1') }],
    ['another secret', { ...good, 'x-hub-signature-256': sign(body, 'another') }],
    ['another body', { ...good, 'x-hub-signature-256': sign(`${body} `) }],
    ['a signature that is too short', { ...good, 'x-hub-signature-256': sign(body).slice(0, -1) }],
    ['a signature that is too long', { ...good, 'x-hub-signature-256': `${sign(body)}0` }],
    ['no prefix', { ...good, 'x-hub-signature-256': sign(body).slice(7) }],
    ['upper case', { ...good, 'x-hub-signature-256': sign(body).toUpperCase() }],
  ])('%s is refused', (_, headers) => {
    expect(() => verify(headers)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test.each(['{}', body, '{"emoji":"🏳️‍🌈","nul":"\\u0000"}', `{"long":"${'ä'.repeat(100_000)}"}`, '\uFEFF{}'])(
    'GitHub’s own library signs and judges text %# as we do',
    async (text) => {
      const theirs = new Webhooks({ secret });
      const signature = await theirs.sign(text);
      expect(signature).toBe(sign(text));
      for (const given of [
        signature,
        `${signature}0`,
        signature.slice(0, -1),
        sign(text, 'another'),
        signature.toUpperCase(),
      ]) {
        const headers = { ...good, 'x-hub-signature-256': given };
        expect(codeOf(() => verify(headers, text)) !== 'unauthenticated').toBe(await theirs.verify(text, given));
      }
    },
  );

  test('a body changed by one byte, or parsed and written again, is refused', () => {
    const changed = Buffer.from(body);
    changed[5] = (changed[5] ?? 0) ^ 1;
    expect(() => verify(good, changed)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
    expect(() => verify(good, JSON.stringify(JSON.parse(body)))).toThrow(
      expect.objectContaining({ code: 'unauthenticated' }),
    );
  });

  test('an empty secret verifies nothing', () => {
    const headers = { ...good, 'x-hub-signature-256': sign(body, '') };
    expect(() => verify(headers, body, '')).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test('bytes that are no UTF-8 are verified as bytes', () => {
    const bytes = Buffer.concat([Buffer.from('{"action":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(verify({ ...good, 'x-hub-signature-256': sign(bytes) }, bytes).event).toBe('workflow_job');
  });
});

describe('what is signed and cannot be read', () => {
  test.each([
    ['no delivery id', body, { 'x-github-delivery': '' }],
    ['a delivery id that is no id', body, { 'x-github-delivery': 'a b' }],
    ['no event', body, { 'x-github-event': '' }],
    ['no JSON', '{', {}],
    ['a form', 'payload=%7B%7D', {}],
    ['not an object', '[1]', {}],
  ])('%s', (_, text, change) => {
    const headers = { ...good, 'x-hub-signature-256': sign(text), ...change };
    expect(() => verify(headers, text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  test('A7: a million levels deep are read and not descended into', () => {
    const deep = `{"action":"x","deep":${'['.repeat(1e6)}${']'.repeat(1e6)}}`;
    expect(verify({ ...good, 'x-hub-signature-256': sign(deep) }, deep).action).toBe('x');
  });
});

describe('a workflow job', () => {
  const payload = {
    action: 'completed',
    workflow_job: {
      run_id: 70,
      id: 11,
      status: 'completed',
      conclusion: 'success',
      labels: ['acme-nix'],
      runner_name: 'acme-nix-abc\0',
      workflow_name: 'CI',
      name: 'build',
      created_at: '2026-11-01T10:00:00Z',
      started_at: '2026-11-01T10:00:05Z',
      completed_at: '2026-11-01T10:01:00Z',
    },
    repository: { id: 5, full_name: 'acme/app', owner: { id: 7, login: 'acme' } },
  };
  const read = (change: object) =>
    githubWebhooks.readWorkflowJob({ ...payload, workflow_job: { ...payload.workflow_job, ...change } });

  test('is read into the port’s words', () => {
    expect(githubWebhooks.readWorkflowJob(payload)).toEqual({
      externalId: '11',
      repository: 'acme/app',
      runId: '70',
      repositoryId: '5',
      owner: 'acme',
      ownerId: '7',
      enterpriseId: null,
      labels: ['acme-nix'],
      state: 'completed',
      conclusion: 'success',
      runnerName: 'acme-nix-abc',
      workflow: 'CI',
      name: 'build',
      queuedAt: new Date('2026-11-01T10:00:00Z'),
      startedAt: new Date('2026-11-01T10:00:05Z'),
      completedAt: new Date('2026-11-01T10:01:00Z'),
    });
  });

  test.each(['queued', 'waiting', 'pending', 'requested', 'something new'])(
    '%s is queued, and has not begun',
    (status) => {
      expect(read({ status, runner_name: '', conclusion: null, completed_at: null })).toMatchObject({
        state: 'queued',
        startedAt: null,
        completedAt: null,
        conclusion: null,
        runnerName: null,
      });
    },
  );

  test('in_progress is running', () => {
    expect(read({ status: 'in_progress', conclusion: null, completed_at: null })).toMatchObject({ state: 'running' });
  });

  test.each([{}, null, 'text', { workflow_job: { id: 1 } }])('%j is none', (other) => {
    expect(githubWebhooks.readWorkflowJob(other)).toBeNull();
    expect(githubWebhooks.readInstallation(other)).toBeNull();
    expect(githubWebhooks.readAccountId(other)).toBeNull();
  });
});

test('an account that stands by itself is the last that is read', () => {
  expect(githubWebhooks.readAccountId({ account: { id: 7 }, installation: { id: 100 } })).toBe('7');
  expect(githubWebhooks.readAccountId({ account: { id: 7 }, organization: { id: 8 } })).toBe('8');
});

test('an installation is read, and its removal', () => {
  const installation = {
    id: 1,
    account: { id: 2, login: 'acme', type: 'Organization' },
    repository_selection: 'selected',
    permissions: { metadata: 'read' },
    suspended_at: '2026-11-01T10:00:00Z',
  };
  const told = githubWebhooks.readInstallation({ action: 'deleted', installation });
  expect(told).toEqual({
    externalId: '1',
    accountId: '2',
    accountLogin: 'acme',
    accountType: 'Organization',
    repositorySelection: 'selected',
    permissions: { metadata: 'read' },
    suspendedAt: new Date('2026-11-01T10:00:00Z'),
    removed: true,
  });
  expect(githubWebhooks.readInstallation({ action: 'suspend', installation })?.removed).toBe(false);
});
