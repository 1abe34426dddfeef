import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ClusterClient, clusterConnection, listObjects, viewKinds } from '#lib/cluster/index.ts';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import { anchorChains, verifyAudit, type Anchor } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { approve, drafted, type Enrolled } from '#sandbox/test-support/crash-world.ts';
import { approvedScope, type EnrolledScope } from '#sandbox/test-support/enrolled.ts';
import { startPasses } from '#sandbox/test-support/passes.ts';
import { eventually, startTestPortal, type TestPortal, type TestWorker } from '#sandbox/test-support/portal.ts';
import { approvePlan, makePlan, planView, rotateCredential, savePools, tellOfUnknown } from './index.ts';

/*
 * I2, I11, F29: the database is restored from a backup that is older than the world: enrollments were changed, withdrawn and
 * begun since, a registration was renewed. The worker is started on it, and the world converges without harm.
 */

const gitlabSlug = 'restored-gitlab';
let portal: TestPortal;
let worker: TestWorker;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, runnersOf: [gitlabSlug] });
}, 180_000);
afterAll(() => portal?.stop());

/**
 * The copy that a restore puts back, byte for byte; nobody may be connected while it is made, and nobody may come: the stand-ins
 * go on delivering webhooks.
 */
async function asAdmin(use: (client: pg.Client, name: string) => Promise<void>): Promise<void> {
  await closeDb();
  const url = new URL(portal.database.adminUrl);
  const name = url.pathname.slice(1);
  url.pathname = '/postgres';
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  try {
    await client.query(`alter database ${name} allow_connections false`);
    // Who was just coming is seen a moment later.
    for (const waitMs of [0, 500]) {
      await sleep(waitMs);
      await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    }
    await use(client, name);
    await client.query(`alter database ${name} allow_connections true`);
  } finally {
    await client.end();
  }
}

const dump = () =>
  asAdmin(async (client, name) => void (await client.query(`create database ${name}_dump template ${name}`)));
const restore = () =>
  asAdmin(async (client, name) => {
    await client.query(`drop database ${name} with (force)`);
    await client.query(`create database ${name} template ${name}_dump owner flywheel_owner`);
    await client.query(`drop database ${name}_dump`);
  });

async function isDone({ id }: { id: string }): Promise<boolean> {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return row.state === 'withdrawn' || (row.state === 'active' && row.observedGeneration === row.generation);
}

const settled = (each: { id: string }) => eventually('it to settle', () => isDone(each), 60_000);

/** As a worker that starts: every enrollment is looked at, and looked at again by what the first look finds. */
async function lookAtAll(): Promise<void> {
  const rows = await unsafeDb().enrollment.findMany({ where: { state: { in: ['active', 'withdrawing'] } } });
  const ids = rows.map(({ id }) => id);
  await wake(unsafeDb(), 'enrollment', ids);
  await eventually(
    'a look at each',
    async () => {
      const due = {
        kind: 'enrollment',
        key: { in: ids },
        OR: [{ leaseUntil: { not: null } }, { dueAt: { lte: new Date() } }],
      };
      return (await unsafeDb().task.count({ where: due })) === 0;
    },
    60_000,
  );
}

/** What the portal made of a tenant in the cluster, by kind, namespace and name, each with its uid. */
async function uidsOf(slug: string): Promise<Record<string, string>> {
  const client = new ClusterClient(clusterConnection('main'));
  const { runners, bazel } = namespacesOf(slug);
  const found: [string, string][] = [];
  for (const { kind, apiVersion } of viewKinds)
    for (const namespace of kind === 'Namespace' ? [] : [runners, bazel])
      for (const { metadata } of await listObjects(
        client,
        kind,
        apiVersion,
        namespace,
        'app.kubernetes.io/managed-by=flywheel',
      ))
        if (metadata.annotations?.['flywheel.dev/applied'])
          found.push([`${kind} ${namespace}/${metadata.name}`, metadata.uid]);
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const setsAtForge = (slug: string) =>
  Object.values(portal.github.state.scaleSets).filter((set) => JSON.stringify(set).includes(slug)).length;
const atGitlab = () =>
  Object.values(portal.gitlab.state.runners).filter(({ description }) => description.includes(gitlabSlug));

async function change({ id, slug }: Enrolled, pools: string[]): Promise<string> {
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, {
    enrollmentId: id,
    pools: pools.map((pool) => ({ pool, minRunners: 0, maxRunners: 1 })),
  });
  return makePlan(ctx, { enrollmentId: id, kind: 'change' });
}

/** The registration of the GitLab runner is renewed to its end. */
async function renew({ id, ctx }: EnrolledScope): Promise<void> {
  const passes = startPasses();
  const [before] = atGitlab();
  await passes.until('it to serve', id, () => isDone({ id }));
  await rotateCredential(ctx, { enrollmentId: id, kind: `runner:flywheel-${gitlabSlug}-docker` });
  await passes.until('the renewal', id, async () => {
    passes.later(15_000);
    const there = atGitlab();
    return there.length === 1 && there[0]?.id !== before?.id;
  });
  await passes.stop();
}

/** Where the chains ended, as the worker's log told somebody who keeps it elsewhere. */
async function anchors(): Promise<Anchor[]> {
  await anchorChains(new Date());
  const rows = await unsafeDb().auditAnchor.findMany();
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return rows.map(({ chain, seq, hash, at, mac }) => ({
    chain,
    seq,
    hash: hex(hash),
    at: at.toISOString(),
    mac: hex(mac),
  }));
}

test('an older database is put back: what is newer is left alone and told of, and nothing is doubled or lost', async () => {
  worker = portal.startWorker();
  const [changed, gone, still] = [await drafted(portal), await drafted(portal), await drafted(portal)];
  for (const each of [changed, gone, still]) await approve(portal, each, 'enroll');
  const gitlab = await approvedScope(portal, {
    forge: 'gitlab',
    level: 'group',
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: gitlabSlug,
  });
  await Promise.all([changed, gone, still, gitlab].map(settled));
  const tenantIdOf = async ({ id }: { id: string }) =>
    (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } })).tenantId;
  const [changedTenant, stillTenant] = [await tenantIdOf(changed), await tenantIdOf(still)];
  await worker.stop();
  await dump();

  // What happens after the backup.
  await renew(gitlab);
  worker = portal.startWorker();
  await approvePlan(
    await portal.member('ada-tinyland', changed.slug),
    await change(changed, ['docker', 'nix', 'nix-heavy']),
  );
  await approve(portal, gone, 'withdraw');
  const begun = await drafted(portal);
  await approve(portal, begun, 'enroll');
  await Promise.all([changed, gone, begun].map(settled));
  const log = await anchors();
  const before = { ...(await uidsOf(changed.slug)), ...(await uidsOf(begun.slug)), ...(await uidsOf(still.slug)) };
  await worker.stop();
  await restore();

  // The worker of the older database.
  worker = portal.startWorker();
  await lookAtAll();
  await eventually('what was withdrawn since', () => setsAtForge(gone.slug) === 2, 60_000);
  await Promise.all([changed, gone, still, gitlab].map(settled));
  expect(await tellOfUnknown([worker.view])).toBeGreaterThanOrEqual(1);

  // Nothing of a living tenant is gone or another, whether the database knows it or not.
  const after = { ...(await uidsOf(changed.slug)), ...(await uidsOf(begun.slug)), ...(await uidsOf(still.slug)) };
  expect(after).toEqual(before);
  const set = `AutoscalingRunnerSet runners-${changed.slug}/${changed.slug}-nix-heavy`;
  expect(Object.keys(after)).toContain(set);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: changed.id } });
  expect(row.conditions).toContainEqual(
    expect.objectContaining({
      type: 'PoolsReady',
      status: 'True',
      reason: 'FoundNewer',
      message: expect.stringContaining(`${changed.slug}-nix-heavy is from a later approval`),
    }),
  );
  const told = await unsafeDb().notice.findMany({ where: { kind: 'found-unknown', audience: 'operator' } });
  const titles = told
    .map(({ title }) => title)
    .filter((title) => /crash-/.test(title) && [changed, begun].some(({ slug }) => title.includes(slug)));
  expect(titles.toSorted()).toEqual(
    [
      `${changed.slug} has more in the cluster than is known here`,
      `main has bazel-${begun.slug} and runners-${begun.slug} of a tenant that is not known here`,
    ].toSorted(),
  );

  // Registrations are there once each; what was withdrawn since is as the backup knows it, and the log says where to look.
  expect(atGitlab()).toHaveLength(1);
  expect([setsAtForge(gone.slug), setsAtForge(still.slug)]).toEqual([2, 2]);
  const chains = await verifyAudit({ anchors: log });
  const problemOf = (tenantId: string) => chains.find(({ chain }) => chain === tenantId)?.problem?.says ?? null;
  expect(problemOf(changedTenant)).toMatch(/missing at the end|written anew/);
  expect(problemOf(stillTenant)).toBeNull();

  // A person decides about what was found: the plan says that it goes, and it goes.
  const planId = await change(changed, ['docker', 'nix']);
  const ctx = await portal.member('ada-tinyland', changed.slug);
  const plan = await planView(ctx, planId);
  expect(JSON.stringify(plan)).toContain(`${changed.slug}-nix-heavy`);
  await approvePlan(ctx, planId);
  await settled(changed);
  expect(Object.keys(await uidsOf(changed.slug))).not.toContain(set);
}, 300_000);
