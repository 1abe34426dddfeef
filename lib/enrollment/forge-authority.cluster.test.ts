import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readObject, type ClusterClient } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { Condition } from '#lib/model/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, changeForge, ChangeForgeInput, makePlan, savePools, startEnrollment } from './index.ts';

/* What an operator entered of a forge reaches its enrollments, and leaves with them. */

let portal: TestPortal;
let admin: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  portal.startWorker();
  admin = clusterClient((await testCluster()).kubeconfigPath);
}, 180_000);
afterAll(() => portal?.stop());

const caBundle = readFileSync(join(import.meta.dirname, '../forge/fixtures/tls/authority.pem'), 'utf8').trim();

async function entered(given: { caBundle: string | null; runnerEgress: string | null }): Promise<void> {
  const olive = await portal.person('olive-operator');
  await changeForge(olive, ChangeForgeInput.parse({ connectionId: 'github', ...given }));
  // For so long a process may hold the connection as it was.
  await sleep(1_100);
}

async function found(slug: string, apiVersion: string, kind: string, name: string) {
  return readObject(admin, { apiVersion, kind, metadata: { name, namespace: `runners-${slug}` } });
}
const authority = (slug: string) => found(slug, 'v1', 'ConfigMap', `${slug}-forge-ca`);
const mapOf = (slug: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: `${slug}-forge-ca`, namespace: `runners-${slug}` },
});
const way = (slug: string) => found(slug, 'networking.k8s.io/v1', 'NetworkPolicy', `${slug}-docker-forge`);

async function enrolled(slug: string): Promise<string> {
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const { enrollmentId: id } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
  await eventually('ready', async () => (await statusOf(id)) === 'True', 30_000);
  return id;
}

async function saidOf(id: string): Promise<string> {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return JSON.stringify(row.conditions);
}

async function statusOf(id: string): Promise<string | undefined> {
  const row = await unsafeDb().enrollment.findUnique({ where: { id } });
  const conditions = Condition.array().parse(row?.conditions ?? []);
  return conditions.find(({ type }) => type === 'Ready')?.status;
}

test('a forge’s authority and the way to it come to an enrollment, and go when the operator takes them back', async () => {
  await entered({ caBundle, runnerEgress: '10.9.8.7/32:8443' });
  const slug = 'own-authority';
  const id = await enrolled(slug);
  expect((await authority(slug))?.['data']).toEqual({ 'ca.crt': caBundle });
  expect((await way(slug))?.['spec']).toMatchObject({
    egress: [{ to: [{ ipBlock: { cidr: '10.9.8.7/32' } }], ports: [{ protocol: 'TCP', port: 8443 }] }],
  });
  await entered({ caBundle: null, runnerEgress: null });
  const gone = async () => (await authority(slug)) === undefined && (await way(slug)) === undefined;
  await eventually('both gone', gone, 30_000);
  await eventually('ready again', async () => (await statusOf(id)) === 'True', 30_000);
}, 120_000);

test('and they go with a withdrawal, the Secrets’ phase having seen to it', async () => {
  await entered({ caBundle, runnerEgress: 'namespace/forge:3000' });
  const slug = 'authority-leaves';
  const id = await enrolled(slug);
  expect([await authority(slug), await way(slug)]).not.toContain(undefined);
  // What keeps a namespace is not what keeps the ConfigMap: it is held here, and its phase says so.
  await admin.mergePatch(mapOf(slug), { metadata: { finalizers: ['test.example/held'] } });
  const ctx = await portal.member('ada-tinyland', slug);
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'withdraw' }));
  const held = async () => /ConfigMap authority-leaves-forge-ca is being removed/.test(await saidOf(id));
  await eventually('held', held, 30_000);
  await admin.mergePatch(mapOf(slug), { metadata: { finalizers: [] } });
  await eventually('gone', async () => (await authority(slug)) === undefined, 30_000);
}, 120_000);
