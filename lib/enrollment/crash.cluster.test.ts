import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { appliedHash, ClusterClient, clusterConnection, ClusterView, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { namespacesOf } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { startResetProxy, type Moment, type ResetProxy } from '#sandbox/test-support/reset-proxy.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, makePlan, reconcileEnrollment, savePlanes, savePools, startEnrollment } from './index.ts';

/*
 * F1, I1, I2, I4: the worker is stopped at each external effect of enrolling and of withdrawing, before it is sent and after
 * it took effect, and started anew with nothing in memory. Each time the world must end as in an undisturbed run.
 */

class Crash extends Error {
  override name = 'Crash';
}

/** Crashes at its k-th write; after that nothing is sent any more, as from a dead process. */
class MortalClient extends ClusterClient {
  writes = 0;
  readonly #at: { write: number; moment: Moment } | null;
  #dead = false;

  constructor(at: { write: number; moment: Moment } | null) {
    super(clusterConnection('main'));
    this.#at = at;
  }

  override async call<T>(asked: Parameters<ClusterClient['call']>[0], what: string): Promise<T> {
    if (asked.method === 'GET') return super.call<T>(asked, what);
    if (this.#dead) throw new Crash();
    this.writes += 1;
    const isLast = this.#at?.write === this.writes;
    if (isLast && this.#at?.moment === 'before') this.#die();
    const answer = await super.call<T>(asked, what);
    if (isLast) this.#die();
    return answer;
  }

  #die(): never {
    this.#dead = true;
    throw new Crash();
  }
}

let portal: TestPortal;
let forgeProxy: ResetProxy;
let atticProxy: ResetProxy;
let tenants = 0;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  forgeProxy = await startResetProxy(portal.github.url, (_, path) => path.includes('/runner-groups'));
  atticProxy = await startResetProxy(portal.attic.url);
  await unsafeDb().forgeConnection.update({ where: { id: 'github' }, data: { baseUrl: forgeProxy.url } });
  await unsafeDb().cacheServer.update({ where: { id: 'attic' }, data: { url: atticProxy.url } });
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  await Promise.all([forgeProxy?.stop(), atticProxy?.stop()]);
});

/** An organization of its own with the App on it, a tenant, and an approved enrollment that nobody has looked at yet. */
async function approved(): Promise<{ id: string; slug: string; org: string }> {
  tenants += 1;
  const slug = `crash-${tenants}`;
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const started = await startEnrollment(ada, {
    connectionId: 'github',
    level: 'organization',
    path: slug,
    tenant: { new: { slug, displayName: slug, kind: 'organization' } },
  });
  const ctx = await portal.member('ada-tinyland', slug);
  const enrollmentId = started.enrollmentId;
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 2 }] });
  await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false } } });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  return { id: enrollmentId, slug, org: slug };
}

async function withdrawApproved(slug: string, id: string): Promise<void> {
  const ctx = await portal.member('ada-tinyland', slug);
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'withdraw' }));
}

type Life = { client: MortalClient; crashed: boolean };

/** One worker's life for one key: passes until it is settled, or until it crashes. */
async function live(id: string, at: { write: number; moment: Moment } | null): Promise<Life> {
  const stop = new AbortController();
  const client = new MortalClient(at);
  const view = new ClusterView(client);
  view.start(stop.signal);
  const lease: Lease = { key: id, attempts: 1, signal: stop.signal, check: async () => {}, fence: async () => {} };
  const deps = { clock: systemClock, view: () => view, seen: new Map<string, number>() };
  try {
    const until = performance.now() + 20_000;
    while (performance.now() < until) {
      const outcome = await reconcileEnrollment(deps, lease).catch((error: unknown) => {
        if (error instanceof AppError) return null;
        throw error;
      });
      if (outcome && outcome.kind !== 'wait') return { client, crashed: false };
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
    throw new Error(`never settled: ${JSON.stringify(row.conditions)}`);
  } catch (error) {
    if (error instanceof Crash) return { client, crashed: true };
    throw error;
  } finally {
    stop.abort();
    await view.stopped();
  }
}

/** What is there of a tenant on all three sides, with what differs from run to run taken out. */
async function world(slug: string, id: string): Promise<unknown> {
  const client = new ClusterClient(clusterConnection('main'));
  const { runners } = namespacesOf(slug);
  const objects: unknown[] = [];
  const paths = [
    'api/v1',
    'apis/networking.k8s.io/v1',
    'apis/rbac.authorization.k8s.io/v1',
    'apis/actions.github.com/v1alpha1',
  ];
  const kinds = [
    ['resourcequotas', 'limitranges', 'secrets', 'serviceaccounts'],
    ['networkpolicies'],
    ['roles', 'rolebindings'],
    ['autoscalingrunnersets'],
  ];
  for (const [index, path] of paths.entries()) {
    for (const plural of kinds[index] ?? []) {
      const list = await client.call<{ items: Observed[] }>(
        {
          method: 'GET',
          path: `/${path}/namespaces/${runners}/${plural}`,
          query: { labelSelector: 'app.kubernetes.io/managed-by=flywheel' },
        },
        plural,
      );
      objects.push(
        ...list.items
          .filter((item) => appliedHash(item) !== undefined)
          .map((item) => [
            plural,
            item.metadata.name,
            item['spec'] ?? item['rules'] ?? Object.keys((item['data'] as object) ?? {}),
          ]),
      );
    }
  }
  const namespaces = await client.call<{ items: Observed[] }>(
    { method: 'GET', path: '/api/v1/namespaces', query: { labelSelector: `flywheel.dev/tenant=${slug}` } },
    'namespaces',
  );
  const org = Object.values(portal.github.state.orgs).find((each) => each.login === slug);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id }, include: { pools: true } });
  const value = {
    namespaces: namespaces.items.map((item) => item.metadata.name),
    objects,
    groups: Object.values(portal.github.state.runnerGroups)
      .filter((group) => group.orgId === org?.id)
      .map((group) => group.name),
    scaleSets: Object.values(portal.github.state.scaleSets).filter((set) => JSON.stringify(set).includes(slug)).length,
    views: Object.keys(portal.attic.state.caches).filter((name) => name.startsWith(`${slug}+`)),
    row: {
      state: row.state,
      generation: row.generation,
      observedGeneration: row.observedGeneration,
      group: row.runnerGroup,
      pools: row.pools.map((pool) => [pool.scaleSetName, pool.maxRunners]),
    },
    kept: {
      credentials: await unsafeDb().credential.count({ where: { enrollmentId: id } }),
      views: await unsafeDb().cacheView.count({ where: { tenantId: row.tenantId } }),
    },
  };
  return JSON.parse(JSON.stringify(value).replaceAll(slug, 'TENANT').replaceAll(forgeProxy.url, 'FORGE'));
}

const moments: Moment[] = ['before', 'after'];

describe.each(['enrol', 'withdraw'] as const)('%s', (flow) => {
  async function prepared() {
    const tenant = await approved();
    if (flow === 'withdraw') {
      await live(tenant.id, null);
      await withdrawApproved(tenant.slug, tenant.id);
    }
    return tenant;
  }

  let undisturbed: unknown;
  let effects = { cluster: 0, forge: 0, cache: 0 };

  beforeAll(async () => {
    const tenant = await prepared();
    forgeProxy.arm(null);
    atticProxy.arm(null);
    const { client } = await live(tenant.id, null);
    effects = { cluster: client.writes, forge: forgeProxy.writes, cache: atticProxy.writes };
    undisturbed = await world(tenant.slug, tenant.id);
  }, 60_000);

  test('an undisturbed run is what was asked for, and a further pass writes nothing', () => {
    expect(effects.cluster).toBeGreaterThan(flow === 'enrol' ? 10 : 5);
    expect(effects.forge).toBe(1);
    expect(effects.cache).toBe(1);
    expect(undisturbed).toMatchSnapshot();
  });

  test.each(moments)(
    'crashing %s each write to the cluster',
    async (moment) => {
      for (let write = 1; write <= effects.cluster; write += 1) {
        const tenant = await prepared();
        const first = await live(tenant.id, { write, moment });
        expect.soft(first.crashed, `write ${write} was reached`).toBe(true);
        const second = await live(tenant.id, null);
        expect(await world(tenant.slug, tenant.id), `crash ${moment} write ${write}`).toEqual(undisturbed);
        expect(second.client.writes, 'no write is repeated without need').toBeLessThanOrEqual(effects.cluster);
      }
    },
    300_000,
  );

  test.each(moments)(
    'losing the connection %s the write to forge and cache took effect',
    async (moment) => {
      for (const proxy of [forgeProxy, atticProxy]) {
        const tenant = await prepared();
        proxy.arm({ write: 1, moment });
        await live(tenant.id, null);
        proxy.arm(null);
        expect(await world(tenant.slug, tenant.id)).toEqual(undisturbed);
      }
    },
    60_000,
  );
});
