import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { seal, unsafeDb } from '../db/index.ts';
import { secretTokenOf } from '../forge/gitlab/webhook.ts';
import { hookSecret } from '../forge/index.ts';
import { acceptDirectedDelivery } from './directed.ts';
import { rawBodyBytesMax } from './raw-body.ts';

/*
 * Two tenants at one Forgejo, each with the webhook that the portal made at its organization. Who administers the first's can
 * make its hook sign whatever they like.
 */

const connectionSecret = 'the connection’s';
let rows: TestRows;
let a: TenantRows;
let b: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  a = await addTenant('acme');
  b = await addTenant('bolt');
  const sealedWebhookSecret = await seal(connectionSecret, 'forge_connection/forge/webhook_secret');
  await unsafeDb().forgeConnection.update({ where: { id: 'forge' }, data: { kind: 'forgejo', sealedWebhookSecret } });
  await unsafeDb().enrollment.update({ where: { id: a.enrollmentId }, data: { scopeId: '7' } });
  await unsafeDb().enrollment.update({ where: { id: b.enrollmentId }, data: { scopeId: '8' } });
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  const db = unsafeDb();
  await db.$transaction([db.delivery.deleteMany(), db.job.deleteMany(), db.task.deleteMany()]);
  await db.enrollment.updateMany({ data: { toldAt: null } });
});

type Sent = { to?: string; secret?: string; event?: string; id?: string; payload: object };

function deliver({ to = a.enrollmentId, payload, ...more }: Sent) {
  const { secret = hookSecret(connectionSecret, a.enrollmentId), event = 'workflow_job', id = randomUUID() } = more;
  const rawBody = Buffer.from(JSON.stringify(payload));
  const headers = new Headers({
    'x-gitea-signature': createHmac('sha256', secret).update(rawBody).digest('hex'),
    'x-gitea-delivery': id,
    'x-gitea-event': event,
  });
  return acceptDirectedDelivery({ connectionId: 'forge', ownerId: to, headers, rawBody });
}

function job(label: string, owner: string) {
  return {
    action: 'queued',
    workflow_job: { id: 11, status: 'queued', labels: [label], name: 'build', created_at: '2026-11-01T10:00:00Z' },
    repository: { id: 5, full_name: 'x/app', owner: { id: Number(owner), login: 'x' } },
  };
}

const jobs = () => unsafeDb().job.findMany();
const kept = () => unsafeDb().delivery.count();

test('a job of the scope is kept for the pool that its label names; a repeat is one effect (A9)', async () => {
  const sent = { id: 'same', payload: job(a.scaleSetName, '7') };
  const answers = await Promise.all(Array.from({ length: 20 }, () => deliver(sent)));
  expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
  expect(await jobs()).toMatchObject([{ enrollmentId: a.enrollmentId, state: 'queued', repository: 'x/app' }]);
  expect(await kept()).toBe(1);
});

test('a run that ended wakes the scope, and only what may have moved it has the forge asked anew', async () => {
  const toldAt = async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: a.enrollmentId } })).toldAt;
  const payload = { repository: job('', '7').repository };
  await deliver({ event: 'action_run_success', payload });
  expect([await unsafeDb().task.count({ where: { key: a.enrollmentId } }), await toldAt()]).toEqual([1, null]);
  await deliver({ event: 'repository', payload });
  expect(await toldAt()).not.toBeNull();
});

test('A8: the connection’s secret, another enrollment’s and no secret sign nothing here', async () => {
  const payload = job(a.scaleSetName, '7');
  for (const secret of [connectionSecret, hookSecret(connectionSecret, b.enrollmentId), 'x'])
    await expect(deliver({ secret, payload })).rejects.toMatchObject({ code: 'unauthenticated' });
  expect(await kept()).toBe(0);
});

test('A8: more than 25 MB is refused before it is looked at', async () => {
  const rawBody = Buffer.alloc(rawBodyBytesMax + 1);
  const sent = { connectionId: 'forge', ownerId: a.enrollmentId, headers: new Headers(), rawBody };
  await expect(acceptDirectedDelivery(sent)).rejects.toMatchObject({ code: 'too_large' });
});

test('A10: another’s repository is refused, and another’s label is nobody’s job', async () => {
  await expect(deliver({ payload: job(b.scaleSetName, '8') })).rejects.toMatchObject({ code: 'forbidden' });
  expect(await kept()).toBe(0);
  await deliver({ payload: job(b.scaleSetName, '7') });
  expect(await jobs()).toEqual([]);
});

test('A10: one teller cannot use up another’s delivery ids, nor change its jobs', async () => {
  const bolt = { to: b.enrollmentId, secret: hookSecret(connectionSecret, b.enrollmentId) };
  await deliver({ id: 'one', payload: job(a.scaleSetName, '7') });
  expect(await deliver({ id: 'one', payload: job(b.scaleSetName, '8'), ...bolt })).toMatchObject({ duplicate: false });
  expect((await jobs()).map(({ enrollmentId }) => enrollmentId).toSorted()).toEqual(
    [a.enrollmentId, b.enrollmentId].toSorted(),
  );
});

test('what a run’s end tells is a reason to look at that enrollment, and no other', async () => {
  const { repository } = job('', '7');
  await deliver({ event: 'action_run_success', payload: { action: 'success', repository, run: { repository } } });
  expect((await unsafeDb().task.findMany()).map(({ key }) => key)).toEqual([a.enrollmentId]);
});

test('an enrollment that is absent, withdrawn or of another connection has no webhook', async () => {
  const payload = job(a.scaleSetName, '7');
  for (const to of [randomUUID(), 'x', `${a.enrollmentId}'--`])
    await expect(deliver({ to, payload })).rejects.toMatchObject({ code: 'not_found' });
  await unsafeDb().enrollment.update({ where: { id: a.enrollmentId }, data: { state: 'withdrawn' } });
  await expect(deliver({ payload })).rejects.toMatchObject({ code: 'not_found' });
  await unsafeDb().enrollment.update({ where: { id: a.enrollmentId }, data: { state: 'active' } });
});

describe('at a GitLab', () => {
  const at = 'lab';
  let group: string;
  let project: string;

  beforeAll(async () => {
    const db = unsafeDb();
    const sealedWebhookSecret = await seal(connectionSecret, `forge_connection/${at}/webhook_secret`);
    const connection = { id: at, kind: 'gitlab' as const, name: 'Lab', baseUrl: 'https://lab.example', clientId: 'x' };
    await db.forgeConnection.create({ data: { ...connection, sealedClientSecret: 'x', sealedWebhookSecret } });
    const [ofGroup, ofProject] = [
      { name: 'lab', level: 'group' as const, path: 'acme', scopeId: '70' },
      { name: 'app', level: 'project' as const, path: 'elsewhere/app', scopeId: '55' },
    ];
    const own = { tenantId: a.tenantId, connectionId: at, state: 'active' as const };
    group = (await db.enrollment.create({ data: { ...own, ...ofGroup } })).id;
    project = (await db.enrollment.create({ data: { ...own, ...ofProject } })).id;
  });

  function tell(to: string, id: number, path: string, secret = hookSecret(connectionSecret, to)) {
    const build = {
      object_kind: 'build',
      build_id: 11,
      build_status: 'pending',
      build_created_at: '2026-11-01T10:00:00Z',
    };
    const payload = { ...build, project_id: id, project: { id, path_with_namespace: path } };
    const headers = new Headers({
      'x-gitlab-token': secretTokenOf(secret),
      'x-gitlab-event': 'Job Hook',
      'idempotency-key': randomUUID(),
    });
    const rawBody = Buffer.from(JSON.stringify(payload));
    return acceptDirectedDelivery({ connectionId: at, ownerId: to, headers, rawBody });
  }
  const woken = async () => (await unsafeDb().task.findMany()).map(({ kind, key }) => [kind, key]);

  test('what is of a project within the scope is kept', async () => {
    for (const [to, id, path] of [
      [group, 5, 'acme/deep/app'],
      [project, 55, 'elsewhere/app'],
      // Renamed: a project is known by its id.
      [project, 55, 'acme/renamed'],
    ] as const)
      expect(await tell(to, id, path)).toEqual({ status: 202, duplicate: false });
    expect([await kept(), await woken()]).toEqual([3, []]);
  });

  test.each([
    ['a project outside the group', () => group, 5, 'bolt/app'],
    ['a group whose name only begins alike', () => group, 5, 'acme-too/app'],
    ['a project of the group that was renamed', () => group, 5, 'acme-new/app'],
    ['another project than the enrolled one', () => project, 56, 'elsewhere/other'],
    ['another that took the enrolled one’s path', () => project, 56, 'elsewhere/app'],
  ])(
    'A10: %s is refused and nothing of it kept, and the scope whose hook it is is looked at',
    async (_, to, id, path) => {
      await expect(tell(to(), id, path)).rejects.toMatchObject({ code: 'forbidden' });
      expect([await kept(), await jobs()]).toEqual([0, []]);
      expect(await woken()).toEqual([['enrollment', to()]]);
    },
  );

  test('what is refused is a reason to look once a minute, however often it is sent', async () => {
    const refuse = () => expect(tell(group, 5, 'bolt/app')).rejects.toMatchObject({ code: 'forbidden' });
    const told = async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: group } })).toldAt;
    await refuse();
    const first = await told();
    expect(Date.now() - (first?.getTime() ?? 0)).toBeLessThan(10_000);
    await unsafeDb().task.deleteMany();
    await refuse();
    expect([await told(), await woken()]).toEqual([first, []]);
    await unsafeDb().enrollment.update({ where: { id: group }, data: { toldAt: new Date(Date.now() - 60_000) } });
    await refuse();
    expect(await woken()).toEqual([['enrollment', group]]);
  });

  test('A8: what is not signed by this hook’s own secret wakes nobody', async () => {
    for (const secret of [connectionSecret, hookSecret(connectionSecret, project), 'x'])
      await expect(tell(group, 5, 'bolt/app', secret)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect([await kept(), await woken()]).toEqual([0, []]);
  });
});
