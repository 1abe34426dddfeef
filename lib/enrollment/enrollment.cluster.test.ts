import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, enrollmentView, makePlan, planView, savePlanes, savePools, startEnrollment } from './index.ts';

import { KubeConfig } from '@kubernetes/client-node';
import { install } from '#sandbox/arc/install.ts';
import { Kube } from '#sandbox/arc/kube.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
let portal: TestPortal;

beforeAll(async () => {
  portal = await startTestPortal();
  const kc = new KubeConfig();
  kc.loadFromFile((await testCluster()).kubeconfigPath);
  await install(new Kube(kc), 'arc-systems', '0.14.2');
}, 180_000);
afterAll(() => portal?.stop());

describe('enrolling on a real Kubernetes API', () => {
  test('plan, approve, reconcile', async () => {
    const ada = await portal.person('ada-tinyland');
    const { enrollmentId } = await startEnrollment(ada, {
      connectionId: 'github',
      level: 'organization',
      path: 'tinyland-inc',
      tenant: { slug: 'tinyland-inc' },
    });
    const ctx = await portal.member('ada-tinyland', 'tinyland-inc');
    await savePools(ctx, {
      enrollmentId,
      pools: [
        { pool: 'docker', minRunners: 0, maxRunners: 4 },
        { pool: 'nix', minRunners: 1, maxRunners: 2 },
      ],
    });
    await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false } } });
    const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
    const plan = await planView(ctx, planId);
    console.log(
      JSON.stringify(plan.counts),
      plan.clusterChecked,
      plan.groups.map((g) => g.changes.map((c) => `${c.op} ${c.kind} ${c.name}`)),
    );
    expect(plan.clusterChecked).toBe(true);
    const worker = portal.startWorker();
    const started = performance.now();
    await approvePlan(ctx, planId);
    await eventually(
      'pools',
      async () =>
        (await enrollmentView(ctx, enrollmentId)).phases.find((phase) => phase.type === 'PoolsReady')?.status ===
        'True',
    ).catch(async (error) => {
      console.log(
        JSON.stringify((await enrollmentView(ctx, enrollmentId)).phases, null, 1),
        await unsafeDb().task.findMany(),
      );
      throw error;
    });
    console.log('ms', performance.now() - started, worker.view.client.sent);
  }, 60_000);
});
