import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { monthToDate } from '#lib/billing/index.ts';
import { ClusterClient, readObject } from '#lib/cluster/index.ts';
import { tenantDb, unsafeDb } from '#lib/db/index.ts';
import { AppError, type ErrorCode } from '#lib/errors.ts';
import type { Ctx, PersonCtx } from '#lib/tenant/index.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal, type TestWorker } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  enrollmentView,
  makePlan,
  planView,
  savePlanes,
  savePools,
  startEnrollment,
  tenantOverview,
} from './index.ts';

let portal: TestPortal;
let worker: TestWorker;
let admin: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  worker = portal.startWorker();
  const { kubeconfigPath } = await testCluster();
  admin = new ClusterClient({
    id: 'admin',
    kubeConfig: () => {
      const config = new KubeConfig();
      config.loadFromFile(kubeconfigPath);
      return config;
    },
  });
}, 180_000);
afterAll(() => portal?.stop());

type Started = { ctx: Ctx; enrollmentId: string; slug: string };

/** A draft of an organization of its own, with one small pool. */
async function draft(slug: string, pools = [{ pool: 'docker', minRunners: 0, maxRunners: 2 }]): Promise<Started> {
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const { enrollmentId } = await startEnrollment(
    ada,
    organization(slug, { new: { slug, displayName: slug, kind: 'organization' } }),
  );
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools });
  return { ctx, enrollmentId, slug };
}

function organization(path: string, tenant: Parameters<typeof startEnrollment>[1]['tenant']) {
  return { connectionId: 'github', level: 'organization' as const, path, tenant };
}

async function applied(started: Started): Promise<Started> {
  const { ctx, enrollmentId } = started;
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 30_000);
  return started;
}

/** What was refused, as a person reads it; that nothing was changed is the test's to see. */
async function refusal(
  doing: Promise<unknown>,
): Promise<{ code: ErrorCode; text: string; fields: Record<string, string> }> {
  const error = await doing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error(`not refused: ${String(error)}`);
  return { code: error.code, text: error.screen.happened, fields: error.screen.fields ?? {} };
}

describe('plan and approval', () => {
  test('a plan writes nothing of the tenant’s, hides secrets, and is what then is there', async () => {
    const { ctx, enrollmentId, slug } = await draft('plan-org', [{ pool: 'nix', minRunners: 0, maxRunners: 1 }]);
    const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    const plan = await planView(ctx, planId);
    expect(plan).toMatchObject({ clusterChecked: true, counts: { changed: 0, removed: 0 } });
    expect(JSON.stringify(plan)).not.toMatch(/PRIVATE KEY|LS0tLS1CRUdJTi/);
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `runners-${slug}` } };
    expect(await readObject(admin, namespace)).toBeUndefined();
    await approvePlan(ctx, planId);
    await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 30_000);
    const again = await planView(ctx, await makePlan(ctx, { enrollmentId, kind: 'change' }));
    expect(again.counts).toMatchObject({ added: 0, changed: 0, removed: 0 });
  }, 60_000);

  test('a stale plan is refused, and says so when it is looked at', async () => {
    const { ctx, enrollmentId } = await draft('stale-org');
    const first = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    const second = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    await approvePlan(ctx, second);
    expect(await refusal(approvePlan(ctx, first))).toMatchObject({ code: 'stale' });
    await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 30_000);
    await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 3 }] });
    const third = await makePlan(ctx, { enrollmentId, kind: 'change' });
    // Somebody removes the runner group at the forge: what the person read is not what would happen.
    const groups = portal.github.state.runnerGroups;
    for (const [id, group] of Object.entries(groups)) if (group.name === 'flywheel-stale-org') delete groups[id];
    expect(await refusal(approvePlan(ctx, third))).toMatchObject({ code: 'stale' });
    expect((await planView(ctx, third)).state).toBe('stale');
    expect((await enrollmentView(ctx, enrollmentId)).generation).toBe(1);
  }, 60_000);

  test('changing pools adds, changes and removes exactly those', async () => {
    const { ctx, enrollmentId, slug } = await applied(
      await draft('change-org', [
        { pool: 'docker', minRunners: 0, maxRunners: 2 },
        { pool: 'nix', minRunners: 0, maxRunners: 1 },
      ]),
    );
    await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 1, maxRunners: 3 }] });
    const planId = await makePlan(ctx, { enrollmentId, kind: 'change' });
    const { counts, groups } = await planView(ctx, planId);
    const cluster = groups.find((group) => group.where === 'cluster')?.changes ?? [];
    expect(cluster.map((change) => `${change.op} ${change.kind} ${change.name}`).toSorted()).toEqual([
      `- AutoscalingRunnerSet ${slug}-nix`,
      `- Role ${slug}-nix-gha-rs-manager`,
      `- RoleBinding ${slug}-nix-gha-rs-manager`,
      `- ServiceAccount ${slug}-nix-gha-rs-no-permission`,
      `~ AutoscalingRunnerSet ${slug}-docker`,
    ]);
    expect(cluster.find((change) => change.op === '~')?.fields).toEqual([
      { path: 'spec.maxRunners', before: '2', after: '3' },
      { path: 'spec.minRunners', before: '0', after: '1' },
    ]);
    expect(counts.added).toBe(0);
    await approvePlan(ctx, planId);
    await eventually(
      'the pool to be gone',
      async () => {
        const view = await enrollmentView(ctx, enrollmentId);
        return view.ready && view.pools.length === 1;
      },
      30_000,
    );
    expect(await unsafeDb().enrollmentPool.findUnique({ where: { scaleSetName: `${slug}-nix` } })).toBeNull();
  }, 90_000);

  test('drift is repaired by the watch', async () => {
    const { slug } = await applied(await draft('drift-org'));
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'default-deny', namespace: `runners-${slug}` },
    };
    const before = await readObject(admin, policy);
    await admin.call(
      { method: 'DELETE', path: `/apis/networking.k8s.io/v1/namespaces/runners-${slug}/networkpolicies/default-deny` },
      'the policy',
    );
    const after = await eventually('the policy to be back', async () => {
      const now = await readObject(admin, policy);
      return now && now.metadata.uid !== before?.metadata.uid ? now : null;
    });
    expect(after['spec']).toEqual(before?.['spec']);
  }, 60_000);

  test('a job’s runner is counted while it runs, metered and priced, and not kept', async () => {
    const { ctx, slug } = await applied(await draft('job-org'));
    portal.github.addRepo({ owner: slug, name: 'app', private: true });
    portal.github.app.webhookUrl = new URL('/api/hooks/github', process.env['PORTAL_URL']).href;
    const job = portal.github.queueJob({ repository: `${slug}/app`, labels: [`${slug}-docker`], durationSeconds: 3 });
    const live = async () => (await tenantOverview(ctx)).pools[0];
    await eventually('the job to be heard of', async () => ((await live())?.queued ?? 0) > 0, 30_000);
    const [seen, used] = await eventually(
      'a runner in the pool',
      async () => {
        const { pools, quota } = await tenantOverview(ctx);
        const [pool] = pools;
        return pool && pool.running + pool.idle > 0 ? ([pool, quota.runners.used] as const) : null;
      },
      30_000,
    );
    expect(seen).toMatchObject({ pool: 'docker', label: `${slug}-docker`, failed: 0 });
    expect(Number(used)).toBeGreaterThan(0);
    await eventually('the job to run', async () => ((await live())?.running ?? 0) > 0, 30_000);
    await eventually('the job to complete', () => portal.github.state.jobs[job.id]?.phase === 'completed', 30_000);
    await eventually(
      'the runner to be gone',
      () => ![...worker.view.all('Pod')].some((pod) => pod.metadata.namespace === `runners-${slug}`),
      30_000,
    );
    const cost = await eventually('a reading', async () => {
      const found = await monthToDate(ctx);
      return Number(found.byPool[0]?.runnerSeconds ?? 0) > 0 ? found : null;
    });
    expect(cost.byPool.map(({ pool }) => pool)).toEqual(['docker']);
    expect(cost.byPool[0]?.runners).toBeGreaterThan(0);
    expect(Number(cost.byPool[0]?.runnerSeconds)).toBeGreaterThanOrEqual(2);
    expect(Number(cost.byPool[0]?.cost)).toBeGreaterThan(0);
    await eventually('nothing to run any more', async () => {
      const now = await live();
      return now && now.queued + now.pending + now.running + now.idle === 0;
    });
    expect((await tenantOverview(ctx)).quota.runners).toMatchObject({ used: '0', promised: '2', quota: '8' });
  }, 120_000);
});

describe('a GitHub enterprise', () => {
  const scopes = ['manage_runners:enterprise', 'read:enterprise'];
  const asked = (token: string | undefined) => ({
    connectionId: 'github',
    level: 'enterprise' as const,
    path: 'big-enterprise',
    token,
    tenant: { new: { slug: 'big', displayName: 'Big', kind: 'organization' as const } },
  });

  test('is enrolled by an operator alone, with a token that may', async () => {
    const olive = await portal.person('olive-operator');
    const good = portal.github.personalToken('olive-operator', { scopes });
    const ada = await portal.person('ada-tinyland');
    expect(await refusal(startEnrollment(ada, asked(good)))).toMatchObject({ fields: { path: /operator/ } });
    for (const token of [
      undefined,
      'ghp_nobody',
      portal.github.personalToken('olive-operator', { scopes: ['repo'] }),
      portal.github.personalToken('olive-operator', { fineGrained: true }),
      portal.github.personalToken('ada-tinyland', { scopes }),
    ])
      await expect(startEnrollment(olive, asked(token))).rejects.toBeInstanceOf(AppError);
    expect(await unsafeDb().tenant.count({ where: { slug: 'big' } })).toBe(0);
  });

  test('registers by the token, runs a job of one of its organizations, and leaves nothing', async () => {
    const olive = await portal.person('olive-operator');
    const token = portal.github.personalToken('olive-operator', { scopes });
    const { enrollmentId } = await startEnrollment(olive, asked(token));
    const ctx = await portal.member('olive-operator', 'big');
    await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
    await applied({ ctx, enrollmentId, slug: 'big' });
    const [repo] = Object.values(portal.github.state.repos).filter(({ ownerId }) => bigOrgs().includes(ownerId));
    const org = portal.github.state.orgs[repo?.ownerId ?? 0];
    const job = portal.github.queueJob({
      repository: `${org?.login}/${repo?.name}`,
      labels: ['big-docker'],
      durationSeconds: 1,
    });
    const phase = () => Promise.resolve(portal.github.state.jobs[job.id]?.phase === 'completed');
    await eventually('the job to end', phase, 30_000);
    await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'withdraw' }));
    const gone = async () => (await enrollmentView(ctx, enrollmentId)).state === 'withdrawn';
    await eventually('withdrawn', gone, 40_000);
    expect(Object.values(portal.github.state.scaleSets).filter(({ name }) => name === 'big-docker')).toEqual([]);
    expect(await unsafeDb().credential.count({ where: { enrollmentId } })).toBe(0);
  }, 120_000);

  function bigOrgs(): number[] {
    return Object.values(portal.github.state.enterprises).flatMap(({ orgIds }) => orgIds);
  }
});

describe('what is refused', () => {
  let ada: PersonCtx;
  beforeAll(async () => {
    ada = await portal.person('ada-tinyland');
  });

  test('a scope that the person does not administer, a stranger’s and an absent one alike (A13)', async () => {
    const mallory = await portal.person('mallory');
    const tenants = await unsafeDb().tenant.count();
    const mine = { new: { slug: 'mallory-mine', displayName: 'Mine', kind: 'organization' as const } };
    expect(await refusal(startEnrollment(mallory, organization('tinyland-inc', mine)))).toMatchObject({
      code: 'invalid',
      fields: { path: expect.stringMatching(/do not administer|does not exist/) as string },
    });
    expect(await refusal(startEnrollment(mallory, organization('no-such-org-at-all', mine)))).toMatchObject({
      code: 'invalid',
      fields: { path: expect.stringMatching(/do not administer|does not exist/) as string },
    });
    const sam = await portal.person('sam-tinyland');
    expect(await refusal(startEnrollment(sam, organization('tinyland-inc', mine)))).toMatchObject({
      fields: { path: 'You do not administer tinyland-inc.' },
    });
    expect(await unsafeDb().tenant.count()).toBe(tenants);
  });

  test('somebody else’s tenant, and a slug that is taken', async () => {
    await portal.organization('own-org');
    expect(await refusal(startEnrollment(ada, organization('own-org', { slug: 'cmux' })))).toMatchObject({
      fields: { 'tenant.slug': expect.any(String) as string },
    });
    expect(
      await refusal(
        startEnrollment(
          ada,
          organization('own-org', { new: { slug: 'cmux', displayName: 'x', kind: 'organization' } }),
        ),
      ),
    ).toMatchObject({ fields: { 'tenant.new.slug': 'is taken; choose another' } });
  });

  test('a scope that is enrolled, or inside one that is', async () => {
    await applied(await draft('taken-org'));
    portal.github.addRepo({ owner: 'taken-org', name: 'app', private: true });
    const tenant = { slug: 'taken-org' };
    expect((await refusal(startEnrollment(ada, organization('taken-org', tenant)))).text).toBe(
      'taken-org is enrolled already.',
    );
    const inside = { connectionId: 'github', level: 'repository' as const, path: 'taken-org/app', tenant };
    expect((await refusal(startEnrollment(ada, inside))).text).toBe(
      'taken-org/app is inside taken-org, which is enrolled already.',
    );
  }, 60_000);

  test('an App that is suspended, or was never installed', async () => {
    await portal.organization('sleepy-org');
    const installation = Object.values(portal.github.state.installations).find(
      (each) =>
        each.accountId === portal.github.state.orgs[String(each.accountId)]?.id &&
        portal.github.state.orgs[String(each.accountId)]?.login === 'sleepy-org',
    );
    await fetch(`${portal.github.url}/_sandbox/installations/${installation?.id}/suspend`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    const tenant = { new: { slug: 'sleepy', displayName: 'x', kind: 'organization' as const } };
    expect((await refusal(startEnrollment(ada, organization('sleepy-org', tenant)))).fields['path']).toMatch(
      /suspended|not installed|do not administer/,
    );
    portal.github.addOrg({ login: 'bare-org', admins: ['ada-tinyland'] });
    expect((await refusal(startEnrollment(ada, organization('bare-org', tenant)))).fields['path']).toMatch(
      /not installed|do not administer/,
    );
    expect(await unsafeDb().tenant.findUnique({ where: { slug: 'sleepy' } })).toBeNull();
  });

  test('pools without resources, above the quota, or with a label in use', async () => {
    const { ctx, enrollmentId } = await draft('limits-org');
    const save = (pools: { pool: string; minRunners: number; maxRunners: number }[]) =>
      refusal(savePools(ctx, { enrollmentId, pools }));
    expect((await save([{ pool: 'gpu', minRunners: 0, maxRunners: 1 }])).fields).toEqual({
      'pools.gpu': 'has no resources yet; an operator must give them first',
    });
    expect((await save([{ pool: 'absent', minRunners: 0, maxRunners: 1 }])).fields).toEqual({
      'pools.absent': 'is not in the catalog',
    });
    expect((await save([{ pool: 'nix', minRunners: 0, maxRunners: 5 }])).fields).toMatchObject({
      'pools.nix.maxRunners': 'the quota holds 4 at most',
    });
    expect(
      (
        await save([
          { pool: 'nix', minRunners: 0, maxRunners: 4 },
          { pool: 'docker', minRunners: 0, maxRunners: 1 },
        ])
      ).fields,
    ).toHaveProperty('pools');
    // The default tenant's label `limits-org-docker` would be the same as limits-org's `docker`: the name is one over all.
    const other = await draft('other-org');
    await unsafeDb().enrollmentPool.create({
      data: {
        scaleSetName: 'limits-org-docker',
        tenantId: other.ctx.tenant.id,
        enrollmentId: other.enrollmentId,
        poolName: 'x',
        minRunners: 0,
        maxRunners: 0,
      },
    });
    expect((await save([{ pool: 'docker', minRunners: 0, maxRunners: 1 }])).fields).toEqual({
      'pools.docker': 'its label limits-org-docker is in use by another enrollment',
    });
    await unsafeDb().enrollmentPool.delete({ where: { scaleSetName: 'limits-org-docker' } });
  });

  test('approval by who has lost the scope since (A14)', async () => {
    const { ctx, enrollmentId, slug } = await draft('lost-org');
    const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    await fetch(`${portal.github.url}/_sandbox/orgs/${slug}/members/sam-tinyland`, {
      method: 'PUT',
      body: '{"role":"admin"}',
      headers: { 'content-type': 'application/json' },
    });
    await fetch(`${portal.github.url}/_sandbox/orgs/${slug}/members/ada-tinyland`, { method: 'DELETE' });
    expect(await refusal(approvePlan(ctx, planId))).toMatchObject({ code: 'invalid' });
    expect((await enrollmentView(ctx, enrollmentId)).state).toBe('draft');
  });

  test('two approvals of one scope at once: one wins (ASVS 2.3.4)', async () => {
    const first = await draft('race-org');
    const { enrollmentId: secondId } = await startEnrollment(ada, organization('race-org', { slug: 'race-org' }));
    await savePools(first.ctx, { enrollmentId: secondId, pools: [{ pool: 'nix', minRunners: 0, maxRunners: 1 }] });
    const plans = [
      await makePlan(first.ctx, { enrollmentId: first.enrollmentId, kind: 'enroll' }),
      await makePlan(first.ctx, { enrollmentId: secondId, kind: 'enroll' }),
    ];
    const outcomes = await Promise.allSettled(plans.map((planId) => approvePlan(first.ctx, planId)));
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    expect(await tenantDb(first.ctx.tenant.id).enrollment.count({ where: { state: 'active' } })).toBe(1);
  }, 60_000);

  test('a namespace of that name that is not ours (F5): a condition, and it stays as it was', async () => {
    await admin.call(
      {
        method: 'POST',
        path: '/api/v1/namespaces',
        body: {
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name: 'runners-foreign-org', labels: { of: 'somebody' } },
        },
      },
      'a namespace',
    );
    const { ctx, enrollmentId } = await draft('foreign-org');
    expect(await refusal(makePlan(ctx, { enrollmentId, kind: 'enroll' }))).toMatchObject({
      code: 'conflict',
      text: expect.stringContaining('did not make') as string,
    });
    // A race: the namespace came after the plan.
    await tenantDb(ctx.tenant.id).enrollment.update({
      where: { id: enrollmentId },
      data: {
        state: 'active',
        generation: 1,
        spec: { pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }], planes: {} },
      },
    });
    await unsafeDb().$executeRaw`insert into task (kind, key) values ('enrollment', ${enrollmentId})`;
    const phase = await eventually('the condition', async () =>
      (await enrollmentView(ctx, enrollmentId)).phases.find((each) => each.reason === 'Conflict'),
    );
    expect(phase).toMatchObject({ type: 'NamespaceReady', status: 'False', waitingFor: 'operator' });
    // Its people are told.
    const told = await eventually('the notice', () =>
      unsafeDb().notice.findFirst({ where: { tenantId: ctx.tenant.id, kind: 'enrollment-failed' } }),
    );
    expect(told).toMatchObject({ href: expect.stringContaining(enrollmentId) as string });
    const namespace = await readObject(admin, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'runners-foreign-org' },
    });
    expect(namespace?.metadata.labels).toEqual({
      of: 'somebody',
      'kubernetes.io/metadata.name': 'runners-foreign-org',
    });
  }, 60_000);

  test('another tenant’s enrollment and plan are as absent ones (A1)', async () => {
    const { enrollmentId, ctx } = await draft('mine-org');
    const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    const jess = await portal.member('JessSullivan', 'cmux');
    for (const id of [enrollmentId, '00000000-0000-7000-8000-000000000000', 'x', "'; drop table plan"]) {
      expect(await refusal(enrollmentView(jess, id))).toMatchObject({ code: 'not_found' });
      expect(await refusal(planView(jess, id === enrollmentId ? planId : id))).toMatchObject({ code: 'not_found' });
      expect(await refusal(approvePlan(jess, id === enrollmentId ? planId : id))).toMatchObject({ code: 'not_found' });
    }
    expect(await refusal(savePlanes(jess, { enrollmentId, planes: {} }))).toMatchObject({ code: 'not_found' });
  });
});
