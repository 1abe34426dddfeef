import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { closeDb, seal, unsafeDb } from '../db/index.ts';
import { acceptDelivery } from './accept.ts';
import { jobsTask } from './rows.ts';
import { takeJobs } from './take-jobs.ts';
import { rawBodyBytesMax } from './raw-body.ts';

const secrets = { a: 'the secret of a', b: 'the secret of b' };
const acme = { installation: '100', account: '7', repository: '5' };

let database: TestDatabase;
let tenantId: string;
let enrollmentId: string;

beforeAll(async () => {
  database = await testDatabase();
  vi.stubEnv('DATABASE_URL', database.appUrl);
  vi.stubEnv('FLYWHEEL_SECRET_KEY', randomBytes(32).toString('base64'));
  await seed();
});
afterAll(async () => {
  await closeDb();
  await database.drop();
});
beforeEach(async () => {
  const db = unsafeDb();
  await db.$transaction([db.delivery.deleteMany(), db.job.deleteMany(), db.task.deleteMany()]);
});

async function seed(): Promise<void> {
  const db = unsafeDb();
  await db.cluster.create({ data: { id: 'c', name: 'c' } });
  const account = await db.billingAccount.create({ data: { name: 'acme' } });
  const quota = { quotaCpu: '8', quotaMemory: '16Gi', quotaRunners: 8 };
  const tenant = { slug: 'acme', kind: 'organization' as const, displayName: 'Acme', clusterId: 'c', ...quota };
  tenantId = (await db.tenant.create({ data: { ...tenant, billingAccountId: account.id } })).id;
  for (const id of ['a', 'b'] as const) {
    const sealedWebhookSecret = await seal(secrets[id], `forge_connection/${id}/webhook_secret`);
    const data = { id, kind: 'github' as const, name: id, baseUrl: `https://${id}.example`, clientId: 'i' };
    await db.forgeConnection.create({ data: { ...data, sealedClientSecret: 'x', sealedWebhookSecret } });
  }
  await db.forgeConnection.create({
    data: {
      id: 'none',
      kind: 'github',
      name: 'n',
      baseUrl: 'https://n.example',
      clientId: 'i',
      sealedClientSecret: 'x',
    },
  });
  await db.installation.create({
    data: {
      connectionId: 'a',
      externalId: acme.installation,
      accountId: acme.account,
      accountLogin: 'acme',
      accountType: 'Organization',
      repositorySelection: 'all',
      permissions: {},
    },
  });
  const enrollment = { tenantId, name: 'acme', connectionId: 'a', level: 'organization' as const, path: 'acme' };
  enrollmentId = (
    await db.enrollment.create({
      data: { ...enrollment, scopeId: acme.account, installationId: acme.installation, state: 'active' },
    })
  ).id;
  await db.enrollmentPool.create({
    data: { scaleSetName: 'acme-nix', tenantId, enrollmentId, poolName: 'nix', minRunners: 0, maxRunners: 4 },
  });
}

type Delivery = {
  connectionId?: string;
  event?: string;
  id?: string;
  secret?: string;
  payload: object;
};

function deliver({
  connectionId = 'a',
  event = 'workflow_job',
  id = randomUUID(),
  secret = secrets.a,
  payload,
}: Delivery) {
  const rawBody = Buffer.from(JSON.stringify(payload));
  const signature = `sha256=${createHmac('sha256', secret).update(rawBody).digest('hex')}`;
  const headers = new Headers({ 'x-hub-signature-256': signature, 'x-github-delivery': id, 'x-github-event': event });
  return acceptDelivery({ connectionId, headers, rawBody });
}

const steps = {
  queued: { status: 'queued', started_at: '2026-11-01T10:00:00Z' },
  running: { status: 'in_progress', started_at: '2026-11-01T10:00:05Z', runner_name: 'r' },
  completed: {
    status: 'completed',
    started_at: '2026-11-01T10:00:05Z',
    completed_at: '2026-11-01T10:01:00Z',
    conclusion: 'success',
    runner_name: 'r',
  },
};

function job(
  step: keyof typeof steps,
  change: { id?: number; labels?: string[]; owner?: string; repository?: string } = {},
) {
  const { id = 11, labels = ['acme-nix'], owner = acme.account, repository = acme.repository } = change;
  return {
    action: step,
    workflow_job: {
      id,
      labels,
      workflow_name: 'CI',
      name: 'build',
      created_at: '2026-11-01T10:00:00Z',
      ...steps[step],
    },
    repository: { id: Number(repository), full_name: 'acme/app', owner: { id: Number(owner), login: 'acme' } },
    organization: { id: Number(owner) },
    installation: { id: Number(acme.installation) },
  };
}

/** What there is when a worker has taken in what waits for it. */
async function stored() {
  for (const key of ['a', 'b']) await takeJobs({ key });
  const [deliveries, jobs, tasks] = await Promise.all([
    unsafeDb().delivery.count(),
    unsafeDb().job.findMany({ orderBy: { externalId: 'asc' } }),
    unsafeDb().task.findMany({ where: { kind: { not: jobsTask } } }),
  ]);
  return { deliveries, jobs, tasks };
}

describe('a job that a delivery told of', () => {
  const kept = () => unsafeDb().delivery.findMany({ orderBy: { receivedAt: 'asc' } });

  test('is kept with it and wakes the worker, which takes it into the ledger once and keeps the head alone', async () => {
    const sent = { id: 'first', payload: job('queued') };
    await deliver(sent);
    expect(await kept()).toMatchObject([{ handledAt: null, payload: { action: 'queued', job: { externalId: '11' } } }]);
    expect(await unsafeDb().job.count()).toBe(0);
    expect(await unsafeDb().task.findMany()).toMatchObject([{ kind: jobsTask, key: 'a', wakes: 1n }]);
    await takeJobs({ key: 'a' });
    expect(await unsafeDb().job.findMany()).toMatchObject([{ externalId: '11', state: 'queued' }]);
    expect((await kept()).map(({ handledAt, payload }) => [handledAt !== null, payload])).toEqual([
      [true, { action: 'queued' }],
    ]);
    // A repeat is nothing to take in, and wakes nobody.
    await deliver(sent);
    expect(await kept()).toMatchObject([{ handledAt: expect.any(Date) }]);
    expect(await unsafeDb().task.findMany()).toMatchObject([{ wakes: 1n }]);
  });

  test('I5: waits where it cannot be written, and holds up nothing that waits beside it', async () => {
    const bad = job('queued', { id: 500 });
    // A year that Postgres does not have.
    bad.workflow_job.created_at = '0000-01-01T00:00:00Z';
    const good = (id: number) => deliver({ payload: job('queued', { id }) });
    await Promise.all([good(1), good(2), deliver({ id: 'bad', payload: bad }), good(3)]);
    await expect(takeJobs({ key: 'a' })).rejects.toThrow(/date|timestamp|out of range|22008/i);
    const jobs = await unsafeDb().job.findMany({ orderBy: { externalId: 'asc' } });
    expect(jobs.map((each) => each.externalId)).toEqual(['1', '2', '3']);
    const waiting = (await kept()).filter(({ handledAt }) => handledAt === null);
    expect(waiting.map(({ deliveryId }) => deliveryId)).toEqual(['bad']);
  });
});

describe('A8: what is not signed by this connection', () => {
  test('is refused, and nothing is stored', async () => {
    const payload = job('queued');
    await expect(deliver({ payload, secret: 'wrong' })).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(deliver({ payload, secret: secrets.b })).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(deliver({ payload, connectionId: 'none' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(deliver({ payload, connectionId: 'absent' })).rejects.toMatchObject({ code: 'not_found' });
    const rawBody = new Uint8Array(rawBodyBytesMax + 1);
    const large = acceptDelivery({ connectionId: 'a', headers: new Headers(), rawBody });
    await expect(large).rejects.toMatchObject({ code: 'too_large' });
    expect(await stored()).toEqual({ deliveries: 0, jobs: [], tasks: [] });
  });
});

test('a secret that was replaced is believed no longer than a second', async () => {
  const ping = (secret: string) => deliver({ event: 'ping', payload: {}, secret }).catch((error) => error.code);
  expect(await ping(secrets.a)).toMatchObject({ status: 202 });
  const replace = async (secret: string) => {
    const sealedWebhookSecret = await seal(secret, 'forge_connection/a/webhook_secret');
    await unsafeDb().forgeConnection.update({ where: { id: 'a' }, data: { sealedWebhookSecret } });
    await sleep(1100);
  };
  await replace('another');
  try {
    expect(await ping(secrets.a)).toBe('unauthenticated');
    expect(await ping('another')).toMatchObject({ status: 202 });
  } finally {
    await replace(secrets.a);
  }
});

describe('A10: whose delivery it is', () => {
  test('an installation of another connection is refused, though the secret is right', async () => {
    const refused = deliver({ connectionId: 'b', secret: secrets.b, payload: job('queued') });
    await expect(refused).rejects.toMatchObject({ code: 'forbidden' });
    expect(await stored()).toEqual({ deliveries: 0, jobs: [], tasks: [] });
  });

  test('so are one that nobody knows, one of another account, and none', async () => {
    const unknown = { ...job('queued'), installation: { id: 999 } };
    const none = { ...job('queued'), installation: undefined };
    for (const payload of [unknown, none, job('queued', { owner: '8' })]) {
      await expect(deliver({ payload })).rejects.toMatchObject({ code: 'forbidden' });
    }
    expect(await stored()).toEqual({ deliveries: 0, jobs: [], tasks: [] });
  });

  test('an installation that is known by an enrollment alone is taken', async () => {
    const key = { connectionId_externalId: { connectionId: 'a', externalId: acme.installation } };
    const row = await unsafeDb().installation.delete({ where: key });
    try {
      expect(await deliver({ payload: job('queued') })).toEqual({ status: 202, duplicate: false });
    } finally {
      await unsafeDb().installation.create({ data: { ...row, permissions: {} } });
    }
  });

  test('a label of a tenant is no job of that tenant from a repository elsewhere', async () => {
    await unsafeDb().installation.create({
      data: {
        connectionId: 'a',
        externalId: '200',
        accountId: '8',
        accountLogin: 'mallory',
        accountType: 'Organization',
        repositorySelection: 'all',
        permissions: {},
      },
    });
    const payload = { ...job('queued', { owner: '8', repository: '6' }), installation: { id: 200 } };
    expect(await deliver({ payload })).toEqual({ status: 202, duplicate: false });
    expect((await stored()).jobs).toEqual([]);
  });
});

describe('jobs', () => {
  test('are kept for the pool that their label names', async () => {
    await deliver({ payload: job('queued') });
    const { jobs } = await stored();
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      connectionId: 'a',
      externalId: '11',
      tenantId,
      enrollmentId,
      scaleSetName: 'acme-nix',
      repository: 'acme/app',
      state: 'queued',
      queuedAt: new Date('2026-11-01T10:00:00Z'),
      startedAt: null,
    });
  });

  test('of other runners are none of ours', async () => {
    await deliver({ payload: job('queued', { labels: ['ubuntu-latest'] }) });
    expect(await stored()).toMatchObject({ deliveries: 1, jobs: [] });
  });

  test('F17: every order of the deliveries ends in the same row', async () => {
    const names = ['queued', 'running', 'completed'] as const;
    const orders = names
      .flatMap((a) => names.flatMap((b) => names.map((c) => [a, b, c])))
      .filter((o) => new Set(o).size === 3);
    expect(orders).toHaveLength(6);
    for (const [i, order] of orders.entries()) {
      for (const step of order) await deliver({ payload: job(step, { id: 100 + i }) });
    }
    const { jobs } = await stored();
    const ends = new Set(jobs.map(({ externalId: _, ...rest }) => JSON.stringify(rest)));
    expect(jobs).toHaveLength(6);
    expect(ends.size).toBe(1);
    expect(jobs[0]).toMatchObject({
      state: 'completed',
      conclusion: 'success',
      startedAt: new Date('2026-11-01T10:00:05Z'),
      completedAt: new Date('2026-11-01T10:01:00Z'),
    });
  });

  test('F17: so do all three at once', async () => {
    for (let i = 0; i < 10; i += 1) {
      const steps = ['completed', 'queued', 'running'] as const;
      await Promise.all(steps.map((step) => deliver({ payload: job(step, { id: 200 + i }) })));
    }
    const { jobs } = await stored();
    expect(jobs.map((each) => [each.state, each.runnerName, each.conclusion])).toEqual(
      Array.from({ length: 10 }, () => ['completed', 'r', 'success']),
    );
  });
});

describe('many at once', () => {
  const settled = async (all: Promise<unknown>[]) =>
    (await Promise.allSettled(all)).map((each) => (each.status === 'fulfilled' ? 'kept' : each.reason.code));

  test('A10: what is refused takes no other with it', async () => {
    const all = Array.from({ length: 20 }, (_, id) =>
      deliver({ payload: job('queued', { id, ...(id % 2 === 1 ? { owner: '8' } : {}) }) }),
    );
    expect(await settled(all)).toEqual(Array.from({ length: 20 }, (_, id) => (id % 2 === 1 ? 'forbidden' : 'kept')));
    const { deliveries, jobs } = await stored();
    expect([deliveries, jobs.length]).toEqual([10, 10]);
  });

  test('a job is merged with what came before, each with its own', async () => {
    for (const step of ['running', 'queued', 'completed'] as const)
      await Promise.all(Array.from({ length: 30 }, (_, id) => deliver({ payload: job(step, { id }) })));
    const { deliveries, jobs } = await stored();
    expect(deliveries).toBe(90);
    const ends = new Set(jobs.map(({ externalId: _, ...rest }) => JSON.stringify(rest)));
    expect([jobs.length, ends.size]).toEqual([30, 1]);
    expect(jobs[0]).toMatchObject({
      state: 'completed',
      conclusion: 'success',
      runnerName: 'r',
      queuedAt: new Date('2026-11-01T10:00:00Z'),
      startedAt: new Date('2026-11-01T10:00:05Z'),
      completedAt: new Date('2026-11-01T10:01:00Z'),
    });
  });
});

describe('repeats', () => {
  test('F16: a redelivery is answered the same and does nothing again', async () => {
    const once = { id: 'd-1', event: 'organization', payload: { installation: { id: 100 }, organization: { id: 7 } } };
    expect(await deliver(once)).toEqual({ status: 202, duplicate: false });
    const before = await stored();
    expect(await deliver(once)).toEqual({ status: 202, duplicate: true });
    expect(await stored()).toEqual(before);
  });

  test('the same id at another connection is another delivery', async () => {
    expect(await deliver({ id: 'd-1', event: 'ping', payload: {} })).toMatchObject({ duplicate: false });
    const other = deliver({ id: 'd-1', event: 'ping', payload: {}, connectionId: 'b', secret: secrets.b });
    expect(await other).toMatchObject({ duplicate: false });
  });

  test('A9: a thousand at once have one effect, and each is answered', async () => {
    const once = { id: 'd-1', payload: job('completed') };
    const answers = await Promise.all(Array.from({ length: 1000 }, () => deliver(once)));
    expect(answers.filter((each) => !each.duplicate)).toHaveLength(1);
    expect(await stored()).toMatchObject({ deliveries: 1, jobs: [{ state: 'completed' }] });
  });
});

describe('doorbells', () => {
  const installation = {
    id: 100,
    account: { id: 7, login: 'acme', type: 'Organization' },
    repository_selection: 'selected',
    permissions: { metadata: 'read' },
    suspended_at: '2026-11-01T10:00:00Z',
  };

  test('an installation’s change is written down and wakes its enrollments', async () => {
    await deliver({ event: 'installation', payload: { action: 'suspend', installation } });
    const row = await unsafeDb().installation.findFirstOrThrow({ where: { externalId: '100' } });
    expect(row).toMatchObject({ suspendedAt: new Date('2026-11-01T10:00:00Z'), repositorySelection: 'selected' });
    expect((await stored()).tasks).toMatchObject([{ kind: 'enrollment', key: enrollmentId }]);
  });

  test('a removed one stays removed, though an older event comes late', async () => {
    await deliver({ event: 'installation', payload: { action: 'deleted', installation } });
    await deliver({
      event: 'installation',
      payload: { action: 'unsuspend', installation: { ...installation, suspended_at: null } },
    });
    const row = await unsafeDb().installation.findFirstOrThrow({ where: { externalId: '100' } });
    expect(row.removedAt).not.toBeNull();
  });

  test('a new one is taken, and wakes nobody', async () => {
    const fresh = { ...installation, id: 300, account: { id: 30, login: 'new', type: 'Organization' } };
    await deliver({ event: 'installation', payload: { action: 'created', installation: fresh } });
    expect(await unsafeDb().installation.count({ where: { externalId: '300' } })).toBe(1);
    expect((await stored()).tasks).toEqual([]);
  });

  test('one installed anew on an enrolled account wakes that account’s enrollments', async () => {
    await deliver({
      event: 'installation',
      payload: { action: 'created', installation: { ...installation, id: 301 } },
    });
    expect((await stored()).tasks).toMatchObject([{ key: enrollmentId }]);
  });

  test.each([
    ['organization', { organization: { id: 7 } }],
    ['repository', { repository: { owner: { id: 7 } } }],
    ['installation_repositories', { installation: { ...installation } }],
  ])('%s wakes', async (event, part) => {
    await deliver({ event, payload: { action: 'renamed', installation: { id: 100 }, ...part } });
    expect((await stored()).tasks).toMatchObject([{ key: enrollmentId }]);
  });

  describe('a repository that was transferred', () => {
    const [seller, buyer] = ['100', '201'];
    const enrolled: string[] = [];
    const transferred = (tellsOf: string, owner = '8') => ({
      action: 'transferred',
      repository: { id: 5, full_name: 'buyer/app', owner: { id: Number(owner), login: 'buyer' } },
      changes: { owner: { from: { organization: { id: 7, login: 'acme' } } } },
      installation: { id: Number(tellsOf) },
    });
    const woken = async () => (await stored()).tasks.map(({ key }) => key);
    const observed = async (externalId: string) =>
      (await unsafeDb().installation.findFirstOrThrow({ where: { externalId } })).observedAt.getTime();

    beforeAll(async () => {
      const db = unsafeDb();
      const of = { accountId: '8', accountLogin: 'buyer', accountType: 'Organization' };
      const installed = { connectionId: 'a', externalId: buyer, repositorySelection: 'all', permissions: {} };
      await db.installation.create({ data: { ...of, ...installed } });
      const scope = { tenantId, path: 'acme/app', scopeId: '5', state: 'active' as const };
      for (const own of [
        { name: 'app', connectionId: 'a', level: 'repository' as const, installationId: seller },
        { name: 'elsewhere', connectionId: 'b', level: 'repository' as const, installationId: seller },
        { name: 'number-5', connectionId: 'a', level: 'organization' as const, installationId: null },
      ])
        enrolled.push((await db.enrollment.create({ data: { ...scope, ...own } })).id);
    });
    beforeEach(() => unsafeDb().installation.updateMany({ data: { observedAt: new Date(0) } }));
    afterAll(() => unsafeDb().enrollment.deleteMany({ where: { id: { in: enrolled } } }));

    test('is looked at by its own id when the new owner’s installation tells of it', async () => {
      const sent = { event: 'repository', payload: transferred(buyer) };
      expect(await deliver(sent)).toEqual({ status: 202, duplicate: false });
      // Nobody else of the connection, nobody of another, and no organization that bears the same number.
      expect(await woken()).toEqual([enrolled[0]]);
      // And what was seen of the installation that serves it is fresh no longer.
      expect(await observed(seller)).toBeGreaterThan(0);
    });

    test('is looked at when the former owner’s installation tells of it, and nothing told is believed', async () => {
      // That something was told is kept, and nothing of what.
      const all = () => unsafeDb().enrollment.findMany({ orderBy: { id: 'asc' }, omit: { toldAt: true } });
      const before = await all();
      const sent = { event: 'repository', payload: transferred(seller) };
      expect(await deliver(sent)).toEqual({ status: 202, duplicate: false });
      expect(new Set(await woken())).toEqual(new Set([enrollmentId, enrolled[0]]));
      expect(await all()).toEqual(before);
      const told = { toldAt: { not: null }, id: { in: [enrollmentId, enrolled[0] ?? ''] } };
      expect(await unsafeDb().enrollment.count({ where: told })).toBe(2);
    });

    test('A10: is refused of an installation that nobody knows here, and its jobs of another account', async () => {
      const refused = { code: 'forbidden' };
      for (const owner of ['7', '8']) {
        const unknown = deliver({ event: 'repository', payload: transferred('999', owner) });
        await expect(unknown).rejects.toMatchObject(refused);
      }
      await expect(deliver({ payload: job('queued', { owner: '8' }) })).rejects.toMatchObject(refused);
      expect(await stored()).toEqual({ deliveries: 0, jobs: [], tasks: [] });
    });
  });

  test('events that we have no use for are kept and wake nobody', async () => {
    await deliver({ event: 'ping', payload: { zen: 'x' } });
    await deliver({
      event: 'star',
      payload: { action: 'created', installation: { id: 100 }, repository: { owner: { id: 7 } } },
    });
    expect(await stored()).toMatchObject({ deliveries: 2, tasks: [] });
  });

  test('I5: what fails on the way takes the delivery back with it, so that it may come again', async () => {
    const id = 'd-fail';
    const owner = new pg.Client({ connectionString: database.ownerUrl });
    await owner.connect();
    await owner.query('alter table task rename to task_away');
    const event = { id, event: 'organization', payload: { installation: { id: 100 }, organization: { id: 7 } } };
    try {
      await expect(deliver(event)).rejects.toThrow(/task/);
      expect(await unsafeDb().delivery.count()).toBe(0);
    } finally {
      await owner.query('alter table task_away rename to task');
      await owner.end();
    }
    expect(await deliver(event)).toEqual({ status: 202, duplicate: false });
  });
});
