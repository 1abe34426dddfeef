import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { seal, unsafeDb } from '../db/index.ts';
import { acceptDelivery } from './accept.ts';
import { acceptOwnDelivery } from './own-app.ts';
import { rawBodyBytesMax } from './raw-body.ts';
import { takeJobs } from './take-jobs.ts';

/*
 * Two tenants, each with an App of its own on the same forge, and a third that the connection's App serves. An owner of the
 * first knows the secret of its App, and may sign whatever they like with it.
 */

const secrets = { a: 'the secret of a', b: 'the secret of b', shared: 'the shared secret' };
const account = { a: '7', b: '8', shared: '9' };

let rows: TestRows;
let a: TenantRows;
let b: TenantRows;
let shared: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  a = await addTenant('acme');
  b = await addTenant('bolt');
  shared = await addTenant('core');
  const sealedWebhookSecret = await seal(secrets.shared, 'forge_connection/forge/webhook_secret');
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { sealedWebhookSecret } });
  await serve(a, 'a');
  await serve(b, 'b');
  await serve(shared, 'shared');
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  const db = unsafeDb();
  await db.$transaction([db.delivery.deleteMany(), db.job.deleteMany(), db.task.deleteMany()]);
});

async function serve(tenant: TenantRows, which: keyof typeof account): Promise<void> {
  const { tenantId, githubAppId, enrollmentId } = tenant;
  const installationId = `10${account[which]}`;
  const sealedWebhookSecret = await seal(secrets[which], `tenant/${tenantId}/github_app/${githubAppId}/webhook_secret`);
  await unsafeDb().githubApp.update({
    where: { id: githubAppId },
    data: { accountId: account[which], sealedWebhookSecret },
  });
  await unsafeDb().enrollment.update({
    where: { id: enrollmentId },
    data: { scopeId: account[which], installationId, ...(which === 'shared' ? {} : { githubAppId }) },
  });
  await unsafeDb().installation.create({
    data: {
      connectionId: 'forge',
      externalId: installationId,
      accountId: account[which],
      accountLogin: tenant.slug,
      accountType: 'Organization',
      repositorySelection: 'all',
      permissions: {},
      observedAt: new Date(0),
    },
  });
}

type Sent = { app?: string; connection?: string; event?: string; id?: string; secret?: string; payload: object };

function deliver({ app = a.githubAppId, connection = 'forge', secret = secrets.a, payload, ...more }: Sent) {
  const { event = 'workflow_job', id = randomUUID() } = more;
  const rawBody = Buffer.from(JSON.stringify(payload));
  const signature = `sha256=${createHmac('sha256', secret).update(rawBody).digest('hex')}`;
  const headers = new Headers({ 'x-hub-signature-256': signature, 'x-github-delivery': id, 'x-github-event': event });
  return acceptOwnDelivery({ connectionId: connection, githubAppId: app, headers, rawBody });
}

function job(label: string, owner: string, change: { repository?: string; installation?: string } = {}) {
  const { repository = '5', installation = `10${owner}` } = change;
  return {
    action: 'queued',
    workflow_job: { id: 11, status: 'queued', labels: [label], name: 'build', created_at: '2026-11-01T10:00:00Z' },
    repository: { id: Number(repository), full_name: 'x/app', owner: { id: Number(owner), login: 'x' } },
    organization: { id: Number(owner) },
    installation: { id: Number(installation) },
  };
}

function installation(id: string, owner: string) {
  const of = { id: Number(owner), login: 'x', type: 'Organization' };
  const told = { id: Number(id), account: of, repository_selection: 'all', permissions: {}, suspended_at: null };
  return { action: 'suspend', installation: told };
}

const jobs = () => unsafeDb().job.findMany({ orderBy: { externalId: 'asc' } });
const woken = async () => (await unsafeDb().task.findMany()).map(({ key }) => key);
const kept = () => unsafeDb().delivery.count();
const observed = async (externalId: string) =>
  (await unsafeDb().installation.findFirstOrThrow({ where: { externalId } })).observedAt.getTime();

test('a job of the account is kept for the pool that its label names', async () => {
  expect(await deliver({ payload: job(a.scaleSetName, account.a) })).toEqual({ status: 202, duplicate: false });
  expect(await jobs()).toMatchObject([{ tenantId: a.tenantId, enrollmentId: a.enrollmentId, state: 'queued' }]);
});

test('A9: a repeat is one effect', async () => {
  const sent = { id: 'same', payload: job(a.scaleSetName, account.a) };
  const answers = await Promise.all(Array.from({ length: 20 }, () => deliver(sent)));
  expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
  expect(await kept()).toBe(1);
});

describe('A8: whose signature', () => {
  test('only this App’s secret counts: neither another App’s nor the connection’s', async () => {
    const payload = job(a.scaleSetName, account.a);
    for (const secret of [secrets.b, secrets.shared, ''])
      await expect(deliver({ payload, secret: secret || 'none' })).rejects.toMatchObject({ code: 'unauthenticated' });
    const rawBody = Buffer.from(JSON.stringify(payload));
    const unsigned = acceptOwnDelivery({
      connectionId: 'forge',
      githubAppId: a.githubAppId,
      headers: new Headers(),
      rawBody,
    });
    await expect(unsigned).rejects.toMatchObject({ code: 'unauthenticated' });
    // And an App's own secret does not open the connection's door.
    const signature = `sha256=${createHmac('sha256', secrets.a).update(rawBody).digest('hex')}`;
    const headers = new Headers({
      'x-hub-signature-256': signature,
      'x-github-delivery': 'd',
      'x-github-event': 'ping',
    });
    const through = acceptDelivery({ connectionId: 'forge', headers, rawBody });
    await expect(through).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(await kept()).toBe(0);
  });

  test.each([{ app: randomUUID() }, { app: 'nonsense' }, { app: "x' or true" }, { connection: 'elsewhere' }])(
    '%j has no webhook',
    async (where) => {
      const sent = deliver({ ...where, payload: job(a.scaleSetName, account.a) });
      await expect(sent).rejects.toMatchObject({ code: 'not_found' });
    },
  );

  test('a body over 25 MB is not read', async () => {
    const rawBody = new Uint8Array(rawBodyBytesMax + 1);
    const large = acceptOwnDelivery({
      connectionId: 'forge',
      githubAppId: a.githubAppId,
      headers: new Headers(),
      rawBody,
    });
    await expect(large).rejects.toMatchObject({ code: 'too_large' });
  });
});

describe('A10: what its owners may sign', () => {
  test('is about their own account alone, and nothing of another is kept', async () => {
    for (const payload of [job(b.scaleSetName, account.b), job(a.scaleSetName, account.shared)])
      await expect(deliver({ payload })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(deliver({ event: 'installation', payload: installation('108', account.b) })).rejects.toMatchObject({
      code: 'forbidden',
    });
    const another = deliver({ event: 'installation_target', payload: renamed(account.b) });
    await expect(another).rejects.toMatchObject({ code: 'forbidden' });
    await expect(deliver({ payload: { action: 'queued' } })).rejects.toMatchObject({ code: 'forbidden' });
    expect([await kept(), await jobs(), await woken()]).toEqual([0, [], []]);
  });

  test('reaches no other tenant’s pool, though the account is their own', async () => {
    // A repository scope is known by the repository's id, which the payload can name freely.
    await unsafeDb().enrollment.update({
      where: { id: shared.enrollmentId },
      data: { level: 'repository', scopeId: '55' },
    });
    await deliver({ payload: job(shared.scaleSetName, account.a, { repository: '55' }) });
    expect(await jobs()).toEqual([]);
    await unsafeDb().enrollment.update({
      where: { id: shared.enrollmentId },
      data: { level: 'organization', scopeId: account.shared },
    });
  });

  test('changes no job that GitHub told of through another App, though it names its id', async () => {
    const rawBody = Buffer.from(JSON.stringify(job(shared.scaleSetName, account.shared)));
    const signature = `sha256=${createHmac('sha256', secrets.shared).update(rawBody).digest('hex')}`;
    const headers = new Headers({
      'x-hub-signature-256': signature,
      'x-github-delivery': 'true-one',
      'x-github-event': 'workflow_job',
    });
    const forged = job(a.scaleSetName, account.a);
    const done = { ...forged.workflow_job, status: 'completed', conclusion: 'failure' };
    await deliver({ payload: { ...forged, workflow_job: done } });
    await acceptDelivery({ connectionId: 'forge', headers, rawBody });
    await takeJobs({ key: 'forge' });
    await deliver({ payload: { ...forged, workflow_job: done } });
    const mine = (await jobs()).filter(({ tenantId }) => tenantId === shared.tenantId);
    expect(mine).toMatchObject([{ externalId: '11', state: 'queued', conclusion: null }]);
  });

  test('moves no installation of another, and brings none into being', async () => {
    const before = await unsafeDb().installation.findFirstOrThrow({ where: { externalId: '109' } });
    await deliver({ event: 'installation', payload: installation('109', account.a) });
    await deliver({ event: 'installation', payload: installation('4711', account.a) });
    expect(await unsafeDb().installation.findFirstOrThrow({ where: { externalId: '109' } })).toEqual(before);
    expect(await unsafeDb().installation.count({ where: { externalId: '4711' } })).toBe(0);
    expect(await woken()).toEqual([a.enrollmentId]);
  });

  test('uses up no delivery id of the connection', async () => {
    await deliver({ id: 'guess', event: 'ping', payload: { zen: '' } });
    const rawBody = Buffer.from(JSON.stringify(job(shared.scaleSetName, account.shared)));
    const signature = `sha256=${createHmac('sha256', secrets.shared).update(rawBody).digest('hex')}`;
    const headers = new Headers({
      'x-hub-signature-256': signature,
      'x-github-delivery': 'guess',
      'x-github-event': 'workflow_job',
    });
    expect(await acceptDelivery({ connectionId: 'forge', headers, rawBody })).toEqual({
      status: 202,
      duplicate: false,
    });
    await takeJobs({ key: 'forge' });
    expect(await jobs()).toMatchObject([{ tenantId: shared.tenantId }]);
  });
});

function renamed(owner: string) {
  const to = { id: Number(owner), login: 'y' };
  return { action: 'renamed', account: to, target_type: 'Organization', installation: { id: Number(`10${owner}`) } };
}

const told = { ...job('x', account.a), action: 'x' };

test.each([
  ['installation', installation('107', account.a)],
  ['installation_repositories', told],
  ['installation_target', renamed(account.a)],
  ['organization', told],
])('an event %s is a reason to look, at what this App serves alone', async (event, payload) => {
  await unsafeDb().installation.updateMany({ data: { observedAt: new Date(0) } });
  await deliver({ event, payload });
  expect(await woken()).toEqual([a.enrollmentId]);
  expect(await observed('107')).toBeGreaterThan(0);
  expect(await observed('108')).toBe(0);
});
