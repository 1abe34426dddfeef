import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clock } from '#lib/clock.ts';
import { ClusterClient, clusterConnection, ClusterView, listObjects, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { tenantCtx, type Ctx } from '#lib/tenant/index.ts';
import type { Lease, Outcome } from '#lib/work/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  enterPersonToken,
  makePlan,
  planView,
  reconcileEnrollment,
  rotateCredential,
  savePlanes,
  savePools,
  startEnrollment,
} from './index.ts';

/*
 * A registration is renewed in stages, before it ends, and there is no moment in which its pool has none that works: with a clock
 * that is moved, over a forge whose tokens end, and with the worker stopped before each of its writes.
 */

class Crash extends Error {
  override name = 'Crash';
}

const dayMs = 24 * 3600_000;
const lifeSeconds = 40 * 24 * 3600;
const slugs = ['rot-gitlab', 'rot-bazel', 'rot-busy', 'rot-crash', 'rot-forgejo'];

let portal: TestPortal;
let view: ClusterView;
const stop = new AbortController();

beforeAll(async () => {
  portal = await startTestPortal({ runnersOf: slugs });
  portal.gitlab.state.settings.runnerTokenSeconds = lifeSeconds;
  view = new ClusterView(new ClusterClient(clusterConnection('main')));
  view.start(stop.signal);
}, 180_000);
afterAll(async () => {
  stop.abort();
  await view?.stopped();
  await portal?.stop();
});

type Enrolled = { ctx: Ctx; id: string; label: string; slug: string };

async function approved(
  forge: 'gitlab' | 'forgejo',
  slug: string,
  maxRunners = 1,
  planes: { bazel?: { sizeGib: number } } = {},
): Promise<Enrolled> {
  const by = await portal.person('ada-tinyland', forge);
  const path = forge === 'gitlab' ? `tinyland/${slug}` : 'tinyland/lab';
  const level = forge === 'gitlab' ? 'project' : 'repository';
  if (forge === 'gitlab') portal.gitlab.addProject({ path });
  const scopes = ['read:user', 'read:organization', 'write:repository'];
  const token =
    forge === 'gitlab'
      ? portal.gitlab.accessToken({ path, scopes: ['create_runner', 'manage_runner', 'read_api'] })
      : portal.forgejo.token('ada-tinyland', scopes);
  if (forge === 'forgejo') await enterPersonToken(by, { connectionId: forge, token });
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const own = forge === 'gitlab' ? { token } : {};
  const { enrollmentId: id } = await startEnrollment(by, { connectionId: forge, level, path, tenant, ...own });
  const ctx = await tenantCtx(by, slug);
  if (!ctx) throw new Error(`no member of ${slug}`);
  await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners }] });
  await savePlanes(ctx, { enrollmentId: id, planes });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
  return { ctx, id, slug, label: `${slug}-docker` };
}

/** How far the portal's clock is ahead. */
let aheadMs = 0;
const clock: Clock = { now: () => new Date(Date.now() + aheadMs), monotonicMs: () => performance.now() };

/** One pass of a worker that remembers nothing. It is stopped at the `crashAt`th of its writes, which is then not sent. */
async function pass(id: string, crashAt = Number.POSITIVE_INFINITY): Promise<Outcome | 'crashed'> {
  let writes = 0;
  const check = async () => {
    writes += 1;
    if (writes >= crashAt) throw new Crash();
  };
  const lease: Lease = { key: id, attempts: 1, signal: stop.signal, check, fence: async () => {} };
  try {
    return await reconcileEnrollment({ clock, view: () => view, seen: new Map() }, lease);
  } catch (error) {
    if (error instanceof Crash) return 'crashed';
    if (error instanceof AppError) return { kind: 'wait', againMs: 0, waitingFor: error.code };
    throw error;
  }
}

async function untilReady(id: string): Promise<Outcome> {
  let outcome: Outcome | 'crashed' = 'crashed';
  await eventually(
    'ready',
    async () => {
      outcome = await pass(id);
      return outcome !== 'crashed' && outcome.kind === 'done';
    },
    30_000,
  );
  return outcome as unknown as Outcome;
}

const atGitlab = (label: string) =>
  Object.values(portal.gitlab.state.runners).filter(({ description }) => description.startsWith(`flywheel-${label}`));
const kinds = async (enrollmentId: string) =>
  (
    await unsafeDb().credential.findMany({
      where: { enrollmentId, kind: { startsWith: 'runner:' } },
      orderBy: { kind: 'asc' },
      select: { kind: true },
    })
  ).map(({ kind }) => kind);

/** The tokens that lie in the cluster for the pool's manager. */
async function given({ slug }: Enrolled): Promise<string[]> {
  const [secret] = await listObjects(view.client, 'Secret', 'v1', `runners-${slug}`, 'flywheel.dev/pool=docker');
  const data = (secret?.['data'] ?? {}) as Record<string, string>;
  const text = Buffer.from(data['config.toml'] ?? '', 'base64').toString();
  return [...text.matchAll(/^token = "([^"]+)"/gm)].map(([, token]) => token ?? '');
}

/** Whether what serves the pool now is let in: at least one of what the manager was given. */
async function serves(enrolled: Enrolled): Promise<boolean> {
  const known = atGitlab(enrolled.label);
  return (await given(enrolled)).some((token) => known.some((runner) => runner.token === token && !runner.paused));
}

async function managerPods({ slug }: Enrolled): Promise<string[]> {
  const pods = await listObjects(view.client, 'Deployment', 'apps/v1', `runners-${slug}`, 'flywheel.dev/pool=docker');
  return pods.map((each: Observed) => `${each.metadata.uid} ${JSON.stringify(each['spec'])}`);
}

describe('at GitLab, whose tokens end', () => {
  test('at three quarters of its life a token is followed by another; the old one works until the new one is there', async () => {
    const enrolled = await approved('gitlab', 'rot-gitlab');
    const { id, label } = enrolled;
    await untilReady(id);
    const [first] = atGitlab(label);
    const manager = await managerPods(enrolled);
    aheadMs = (lifeSeconds * 1000 * 7) / 10;
    const early = await pass(id);
    expect(early).toMatchObject({ kind: 'done' });
    expect(atGitlab(label)).toHaveLength(1);
    aheadMs = (lifeSeconds * 1000 * 76) / 100;
    const outcome = await pass(id);
    // It comes back soon by itself: nothing tells when the other one has come.
    expect(outcome).toMatchObject({ kind: 'done', againMs: 10_000 });
    expect(await kinds(id)).toEqual([`runner:flywheel-${label}`, `runner:flywheel-${label}.next`]);
    expect(
      atGitlab(label)
        .map(({ token }) => token)
        .toSorted(),
    ).toEqual((await given(enrolled)).toSorted());
    expect((await given(enrolled))[0]).toBe(first?.token);
    // A plan that is made meanwhile would change nothing.
    const plan = await planView(enrolled.ctx, await makePlan(enrolled.ctx, { enrollmentId: id, kind: 'change' }));
    expect(plan.counts).toMatchObject({ added: 0, changed: 0, removed: 0 });
    await eventually('the other to come', () =>
      Promise.resolve(atGitlab(label).every(({ contactedAt }) => contactedAt)),
    );
    await eventually('the former to go', async () => {
      await pass(id);
      return atGitlab(label).length === 1;
    });
    // The forge's clock has not moved: by ours its new token would be as old again.
    aheadMs = 0;
    await untilReady(id);
    expect(atGitlab(label)[0]?.id).not.toBe(first?.id);
    expect(await given(enrolled)).toEqual([atGitlab(label)[0]?.token]);
    expect(await kinds(id)).toEqual([`runner:flywheel-${label}`]);
    // By another configuration in the same folder, and no other manager.
    expect(await managerPods(enrolled)).toEqual(manager);
    const kept = await unsafeDb().credential.findFirstOrThrow({
      where: { enrollmentId: id, kind: `runner:flywheel-${label}` },
    });
    expect(kept.externalId).toBe(String(atGitlab(label)[0]?.id));
    expect((kept.expiresAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(39 * dayMs);
  }, 90_000);

  test('a job that runs meanwhile ends as it should, and its runner goes after it', async () => {
    const enrolled = await approved('gitlab', 'rot-busy', 2);
    const { id, label, ctx } = enrolled;
    await untilReady(id);
    const [first] = atGitlab(label);
    const manager = await managerPods(enrolled);
    const job = portal.gitlab.queueJob({ project: `tinyland/${enrolled.slug}`, tags: [label], durationSeconds: 6 });
    await eventually('the job to run', () => Promise.resolve(job.status === 'running'));
    await rotateCredential(ctx, { enrollmentId: id, kind: `runner:flywheel-${label}` });
    await eventually('the former to take no more', async () => {
      await pass(id);
      return portal.gitlab.state.runners[first?.id ?? 0]?.paused === true;
    });
    expect(job).toMatchObject({ status: 'running', runnerId: first?.id });
    expect(await serves(enrolled)).toBe(true);
    // The next job is the other's, while the first one still runs.
    const second = portal.gitlab.queueJob({ project: `tinyland/${enrolled.slug}`, tags: [label], durationSeconds: 1 });
    await eventually(
      'both jobs to end',
      async () => {
        await pass(id);
        return job.status !== 'running' && !['pending', 'running'].includes(second.status);
      },
      30_000,
    );
    expect([job.status, second.status]).toEqual(['success', 'success']);
    await eventually('the former to go', async () => {
      await pass(id);
      return atGitlab(label).length === 1;
    });
    expect(second.runnerId).toBe(atGitlab(label)[0]?.id);
    expect(await managerPods(enrolled)).toEqual(manager);
  }, 90_000);

  test('F1: a crash before each write, and an answer that is lost at each, ends in one that serves', async () => {
    const enrolled = await approved('gitlab', 'rot-crash');
    const { id, label, ctx } = enrolled;
    await untilReady(id);
    const lost = [
      { method: 'POST', path: '/user/runners' },
      { method: 'PUT', path: '/runners/\\d+' },
      { method: 'DELETE', path: '/runners/\\d+' },
    ];
    let crashes = 0;
    for (const trouble of [1, 2, 3, 4, ...lost]) {
      const before = atGitlab(label)[0]?.token;
      await rotateCredential(ctx, { enrollmentId: id, kind: `runner:flywheel-${label}` });
      if (typeof trouble === 'object') portal.gitlab.fault({ kind: 'reset-after', match: trouble });
      await eventually(
        'another',
        async () => {
          // The first pass that gets so far is the one that ends there.
          const outcome = await pass(id, typeof trouble === 'number' && crashes % 2 === 0 ? trouble : undefined);
          if (outcome === 'crashed') crashes += 1;
          expect(await serves(enrolled)).toBe(true);
          const now = atGitlab(label);
          return now.length === 1 && now[0]?.token !== before && (await kinds(id)).length === 1;
        },
        30_000,
      );
      crashes += crashes % 2;
      await untilReady(id);
      expect(await given(enrolled)).toEqual([atGitlab(label)[0]?.token]);
    }
    expect(crashes).toBeGreaterThan(4);
  }, 180_000);
});

describe('at the Bazel cache, whose server reads its passwords when its kubelet brings them', () => {
  const secretOf = async (namespace: string, name: string, key: string) => {
    const secret = (await listObjects(view.client, 'Secret', 'v1', namespace, '')).find(
      ({ metadata }) => metadata.name === name,
    );
    return Buffer.from(((secret?.['data'] ?? {}) as Record<string, string>)[key] ?? '', 'base64').toString();
  };
  /** As runners would go: with the login that they were given. */
  const loginOf = async () => {
    const { username, password } = new URL(
      await secretOf('runners-rot-bazel', 'rot-bazel-cache', 'BAZEL_REMOTE_CACHE'),
    );
    return `${username}:{SHA}${createHash('sha1').update(password).digest('base64')}`;
  };
  const taken = async () => (await secretOf('bazel-rot-bazel', 'bazel-remote-htpasswd', 'htpasswd')).trim().split('\n');

  test('another login is taken before runners are given it, and the former one for an hour after', async () => {
    const { id, ctx } = await approved('gitlab', 'rot-bazel', 1, { bazel: { sizeGib: 10 } });
    await pass(id);
    const first = await loginOf();
    expect(await taken()).toEqual([first]);
    await rotateCredential(ctx, { enrollmentId: id, kind: 'bazel-password' });
    await pass(id);
    expect(await loginOf()).toBe(first);
    const [, second] = await taken();
    expect(await taken()).toEqual([first, second]);
    const plan = await planView(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'change' }));
    expect(plan.counts).toMatchObject({ added: 0, changed: 0, removed: 0 });
    aheadMs = 115_000;
    await pass(id);
    expect(await loginOf()).toBe(first);
    aheadMs = 125_000;
    await pass(id);
    expect(await loginOf()).toBe(second);
    expect(await taken()).toEqual([second, first]);
    aheadMs += 3500_000;
    await pass(id);
    expect(await taken()).toEqual([second, first]);
    aheadMs += 200_000;
    await pass(id);
    expect([await taken(), await loginOf()]).toEqual([[second], second]);
    aheadMs = 0;
  }, 60_000);
});

describe('at Forgejo 15, whose runners are forgotten with their job', () => {
  const atForgejo = (label: string) =>
    Object.values(portal.forgejo.state.runners).filter(({ name }) => name.startsWith(`flywheel-${label}`));
  const deployments = async (slug: string) =>
    (await listObjects(view.client, 'Deployment', 'apps/v1', `runners-${slug}`, 'flywheel.dev/pool=docker')).map(
      ({ metadata, spec }) => ({
        name: metadata.name,
        generation: (metadata as { generation?: number }).generation,
        command: (spec as { template: { spec: { containers: { command: string[] }[] } } }).template.spec.containers[0]
          ?.command,
      }),
    );

  test('another takes its place, is forgotten with its job too, and no other runner of the pool is made anew', async () => {
    const { id, label, slug, ctx } = await approved('forgejo', 'rot-forgejo', 2);
    await untilReady(id);
    const first = atForgejo(label).find(({ name }) => name.endsWith('-1'));
    const before = await deployments(slug);
    await rotateCredential(ctx, { enrollmentId: id, kind: `runner:flywheel-${label}-1` });
    await eventually('the former to go', async () => {
      await pass(id);
      return atForgejo(label).every((runner) => runner.id !== first?.id);
    });
    await untilReady(id);
    expect(atForgejo(label)).toHaveLength(2);
    expect(atForgejo(label).every(({ ephemeral }) => ephemeral)).toBe(true);
    expect(await kinds(id)).toEqual([`runner:flywheel-${label}-1`, `runner:flywheel-${label}-2`]);
    const after = await deployments(slug);
    for (const { command } of after) expect(command).toContain('one-job');
    expect(after[1]).toEqual(before[1]);
  }, 90_000);

  test('F22: not while it has a job, which would end with it; the job’s end renews it by itself', async () => {
    const { id, label, ctx } = { ...(await enrolledAt('rot-forgejo')), label: 'rot-forgejo-docker' };
    await untilReady(id);
    const job = portal.forgejo.queueJob({ repository: 'tinyland/lab', runsOn: [label], durationSeconds: 5 });
    await eventually('the job to run', () => Promise.resolve(job.status === 'running'));
    const busy = atForgejo(label).find(({ jobId }) => jobId !== null);
    const name = `flywheel-${label}-${busy?.name.includes('-1') ? 1 : 2}`;
    await rotateCredential(ctx, { enrollmentId: id, kind: `runner:${name}` });
    for (let again = 0; again < 5; again += 1) await pass(id);
    expect(atForgejo(label)).toHaveLength(2);
    expect(atForgejo(label).some((runner) => runner.id === busy?.id)).toBe(true);
    await eventually('the job to end', () => Promise.resolve(job.status !== 'running'), 20_000);
    expect(job.status).toBe('success');
    await eventually('a new one', async () => {
      await pass(id);
      return atForgejo(label).length === 2 && atForgejo(label).every((runner) => runner.id !== busy?.id);
    });
    const row = await unsafeDb().credential.findFirstOrThrow({ where: { enrollmentId: id, kind: `runner:${name}` } });
    expect(row.expiresAt).toBeNull();
  }, 90_000);
});

async function enrolledAt(slug: string): Promise<{ id: string; ctx: Ctx }> {
  const { id } = await unsafeDb().enrollment.findFirstOrThrow({ where: { tenant: { slug } } });
  const ctx = await tenantCtx(await portal.person('ada-tinyland', 'forgejo'), slug);
  if (!ctx) throw new Error(`no member of ${slug}`);
  return { id, ctx };
}
