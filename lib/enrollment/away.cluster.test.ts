import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, clusterLook, enrollmentView, makePlan, planView, savePools, startEnrollment } from './index.ts';

/*
 * F2: the cluster is not there yet, as while it is being built. The kubeconfig that the portal was told of appears later.
 */

let portal: TestPortal;
const folder = mkdtempSync(join(tmpdir(), 'flywheel-away-'));
const kubeconfig = join(folder, 'kubeconfig');

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, kubeconfig });
}, 180_000);
afterAll(async () => {
  await portal?.stop();
  rmSync(folder, { recursive: true });
});

test('plans are made unchecked and say so; what is applied waits for the cluster and converges by itself', async () => {
  await portal.organization('early-org');
  const ada = await portal.person('ada-tinyland');
  const { enrollmentId } = await startEnrollment(ada, {
    connectionId: 'github',
    level: 'organization',
    path: 'early-org',
    tenant: { new: { slug: 'early-org', displayName: 'Early', kind: 'organization' } },
  });
  const ctx = await portal.member('ada-tinyland', 'early-org');
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });
  expect(await planView(ctx, planId)).toMatchObject({ clusterChecked: false });
  portal.startWorker();
  await approvePlan(ctx, planId);
  const waiting = await eventually('the condition', async () =>
    (await enrollmentView(ctx, enrollmentId)).phases.find((phase) => phase.reason === 'ClusterAway'),
  );
  expect(waiting).toMatchObject({ status: 'False', waitingFor: 'cluster' });
  expect(await clusterLook(ctx)).toEqual({ isAway: true });
  copyFileSync((await testCluster()).portalKubeconfigPath, kubeconfig);
  await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 60_000);
  const namespaces = [{ name: 'runners-early-org', leaving: false }];
  expect(await clusterLook(ctx)).toMatchObject({ isAway: false, namespaces });
}, 120_000);
