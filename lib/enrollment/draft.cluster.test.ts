import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, discardDraft, enrollmentDraft, makePlan, savePools, startEnrollment } from './index.ts';

let portal: TestPortal;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
}, 180_000);
afterAll(() => portal?.stop());

type Started = { ctx: Ctx; enrollmentId: string };

async function draft(slug: string, level: 'organization' | 'repository', path: string): Promise<Started> {
  const ada = await portal.person('ada-tinyland');
  const isThere = await unsafeDb().tenant.findUnique({ where: { slug } });
  const tenant = isThere ? { slug } : { new: { slug, displayName: slug, kind: 'organization' as const } };
  const { enrollmentId } = await startEnrollment(ada, { connectionId: 'github', level, path, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  return { ctx, enrollmentId };
}

const planned = ({ ctx, enrollmentId }: Started) => makePlan(ctx, { enrollmentId, kind: 'enroll' });

async function refusal(doing: Promise<unknown>): Promise<string> {
  const error = await doing.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error.screen.happened;
  throw new Error(`not refused: ${String(error)}`);
}

describe('a scope inside one that was enrolled since it was drafted', () => {
  async function both(org: string) {
    await portal.organization(org);
    portal.github.addRepo({ owner: org, name: 'app', private: true });
    const inside = await draft(`${org}-r`, 'repository', `${org}/app`);
    return { inside, whole: await draft(org, 'organization', org) };
  }

  test('is refused when it is to be applied; the other way about the repository keeps what it has', async () => {
    const { inside, whole } = await both('since-org');
    const planId = await planned(inside);
    await approvePlan(whole.ctx, await planned(whole));
    expect(await refusal(approvePlan(inside.ctx, planId))).toBe(
      'since-org/app is inside since-org, which is enrolled already.',
    );
    const other = await both('before-org');
    await approvePlan(other.inside.ctx, await planned(other.inside));
    await approvePlan(other.whole.ctx, await planned(other.whole));
    expect(await states('before-org', 'before-org-r')).toEqual(['active', 'active']);
  }, 90_000);

  test('is refused too where both are approved at once', async () => {
    const { inside, whole } = await both('race-inside');
    const planId = await planned(inside);
    const other = new pg.Client({ connectionString: portal.database.adminUrl });
    await other.connect();
    try {
      // Another approval, as far as its commit: what comes meanwhile sees nothing of it, and has to wait.
      await other.query(`begin; select 1 from forge_connection where id = 'github' for no key update`);
      const { enrollmentId } = whole;
      await other.query(`update enrollment set state = 'active' where id = $1`, [enrollmentId]);
      const waits = `select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`;
      const approval = refusal(approvePlan(inside.ctx, planId));
      await eventually('the other to wait', async () => (await other.query(waits)).rowCount === 1, 20_000);
      await other.query('commit');
      expect(await approval).toBe('race-inside/app is inside race-inside, which is enrolled already.');
    } finally {
      await other.end();
    }
    expect(await states('race-inside-r')).toEqual(['draft']);
  }, 90_000);

  async function states(...slugs: string[]): Promise<string[]> {
    const rows = await unsafeDb().enrollment.findMany({ where: { tenant: { slug: { in: slugs } } } });
    return rows.map(({ state }) => state);
  }
});

test('a new draft wants an Attic view where the cluster has a server for it, and none where it has not', async () => {
  const begun = async (org: string) => {
    await portal.organization(org);
    const { ctx, enrollmentId } = await draft(org, 'organization', org);
    return enrollmentDraft(ctx, enrollmentId);
  };
  expect(await begun('with-attic')).toMatchObject({ hasAttic: true, draft: { planes: { attic: { public: false } } } });
  const [server] = await unsafeDb().cacheServer.findMany();
  if (!server) throw new Error('the portal of the tests has a cache server');
  await unsafeDb().cacheServer.update({ where: { id: server.id }, data: { plane: 'bazel' } });
  try {
    expect(await begun('sans-attic')).toMatchObject({ hasAttic: false, draft: { planes: {} } });
  } finally {
    await unsafeDb().cacheServer.update({ where: { id: server.id }, data: { plane: 'attic' } });
  }
}, 60_000);

describe('a draft that is discarded', () => {
  async function withToken({ ctx, enrollmentId }: Started): Promise<void> {
    const data = { tenantId: ctx.tenant.id, enrollmentId, kind: 'forge-token', sealedValue: 'sealed' };
    await unsafeDb().credential.create({ data });
  }
  const left = async (slug: string) => ({
    tenants: await unsafeDb().tenant.count({ where: { slug } }),
    accounts: await unsafeDb().billingAccount.count({ where: { name: slug } }),
    enrollments: await unsafeDb().enrollment.count({ where: { tenant: { slug } } }),
  });

  test('takes its access token with it, and the tenant that was only made for it, whose name is free again', async () => {
    await portal.organization('gone-org');
    const started = await draft('gone-org', 'organization', 'gone-org');
    await withToken(started);
    await discardDraft(started.ctx, started.enrollmentId);
    expect(await unsafeDb().credential.count({ where: { enrollmentId: started.enrollmentId } })).toBe(0);
    expect(await left('gone-org')).toEqual({ tenants: 0, accounts: 0, enrollments: 0 });
    const records = await unsafeDb().audit.findMany({
      where: { tenantId: started.ctx.tenant.id },
      orderBy: { id: 'asc' },
    });
    expect(records.map(({ action }) => action).slice(-2)).toEqual(['enrollment:discard', 'tenant:discard']);
    await draft('gone-org', 'organization', 'gone-org');
    expect(await left('gone-org')).toEqual({ tenants: 1, accounts: 1, enrollments: 1 });
  }, 60_000);

  test.each<[string, (started: Started) => Promise<unknown>]>([
    ['another draft', () => draft('held-org', 'organization', 'held-two')],
    [
      'a request to an operator',
      ({ ctx }) =>
        unsafeDb().approvalRequest.create({
          data: { tenantId: ctx.tenant.id, kind: 'tenant', wanted: {}, createdBy: 'ada' },
        }),
    ],
    [
      'an App of its own',
      ({ ctx }) =>
        unsafeDb().githubApp.create({
          data: {
            tenantId: ctx.tenant.id,
            connectionId: 'github',
            accountId: '1',
            accountLogin: 'held',
            appId: '77',
            slug: 'held',
            sealedPrivateKey: 'sealed',
            sealedWebhookSecret: 'sealed',
          },
        }),
    ],
    [
      'that it ran before',
      ({ ctx }) => unsafeDb().tenant.update({ where: { id: ctx.tenant.id }, data: { state: 'active' } }),
    ],
  ])(
    'leaves the tenant where it is held by %s',
    async (_, hold) => {
      for (const org of ['held-org', 'held-two']) await portal.organization(org).catch(() => undefined);
      const started = await draft('held-org', 'organization', 'held-org');
      await hold(started);
      await discardDraft(started.ctx, started.enrollmentId);
      expect((await left('held-org')).tenants).toBe(1);
      await unsafeDb().approvalRequest.deleteMany();
      await unsafeDb().githubApp.deleteMany();
      await unsafeDb().enrollment.deleteMany({ where: { tenant: { slug: 'held-org' } } });
      await unsafeDb().tenant.delete({ where: { slug: 'held-org' } });
    },
    60_000,
  );
});
