import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deleteObject, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { approvePlan, enrollmentView, makePlan, savePools, startEnrollment } from '#lib/enrollment/index.ts';
import { serveMetrics } from '#lib/telemetry/index.ts';
import { eventually, startTestPortal, type TestPortal, type TestWorker } from '#sandbox/test-support/portal.ts';
import { keepLook } from '#lib/usage/index.ts';
import { wake } from '#lib/work/index.ts';
import { readShared } from './index.ts';

/* What is told of a whole portal at work: real database, real API server, forges over HTTP. */

let portal: TestPortal;
let worker: TestWorker;
let served: Awaited<ReturnType<typeof serveMetrics>>;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  portal.github.app.webhookUrl = new URL('/api/hooks/github', process.env['PORTAL_URL']).href;
  readShared(['enrollment', 'jobs', 'doctor', 'proof']);
  served = await serveMetrics(0, (error) => {
    throw error;
  });
  worker = portal.startWorker();
}, 180_000);
afterAll(async () => {
  await served?.stop();
  await portal?.stop();
});

async function scrape(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${served?.port}/metrics`)).text();
}

/** Of a series by the beginning of its line, however many there are. */
function sumOf(text: string, series: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith(series));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

type Enrolled = { slug: string; enrollmentId: string; tenantId: string };

async function enrolled(slug: string): Promise<Enrolled> {
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 30_000);
  return { slug, enrollmentId, tenantId: ctx.tenant.id };
}

/** A job that runs and ends, all of which the forge tells by webhooks. */
async function ranJob({ slug, enrollmentId }: Enrolled): Promise<void> {
  portal.github.addRepo({ owner: slug, name: 'app', private: true });
  portal.github.queueJob({ repository: `${slug}/app`, labels: [`${slug}-docker`], durationSeconds: 1 });
  const completed = { enrollmentId, state: 'completed' as const };
  await eventually('the job', async () => (await unsafeDb().job.count({ where: completed })) > 0, 30_000);
}

/** Somebody takes a network policy away, and a pass puts it back. */
async function drifted({ slug }: Enrolled): Promise<void> {
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'default-deny', namespace: `runners-${slug}` },
  };
  const before = worker.view.get(policy) as Observed;
  await deleteObject(worker.view.client, before, slug);
  await eventually('the policy', () => {
    const now = worker.view.get(policy);
    return now !== undefined && now.metadata.uid !== before.metadata.uid;
  });
}

const seriesOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
/** A status or an outcome that a run met by chance is no growth. */
const withoutChance = (line: string) =>
  line.replace(/ [^ ]+$/, '').replaceAll(/(code|outcome|verb|method)="[^"]*"/g, '$1');

test('many tenants are told of in as many series as few, none of which names one; drift is found and repaired', async () => {
  const few = [await enrolled('told-1'), await enrolled('told-2')];
  await Promise.all([...few.map(ranJob), keepLook('main', new Date()), wake(unsafeDb(), 'doctor', randomUUID())]);
  for (const each of few) await drifted(each);
  const before = await scrape();
  expect(sumOf(before, 'flywheel_drift_found_total{kind="NetworkPolicy"}')).toBe(2);
  expect(sumOf(before, 'flywheel_drift_repaired_total{kind="NetworkPolicy"}')).toBe(2);
  expect(sumOf(before, 'flywheel_drift_found_total')).toBe(2);
  expect(sumOf(before, 'flywheel_cluster_requests_total{verb="PATCH",code="201"}')).toBeGreaterThan(10);
  expect(sumOf(before, 'flywheel_forge_requests_total{forge="github"')).toBeGreaterThan(2);
  expect(sumOf(before, 'flywheel_deliveries_total{forge="github",outcome="accepted"}')).toBeGreaterThan(2);
  expect(sumOf(before, 'flywheel_delivery_lag_seconds_count{forge="github"}')).toBeGreaterThanOrEqual(6);
  expect(sumOf(before, 'flywheel_pass_duration_seconds_count{task="enrollment",outcome="done"}')).toBeGreaterThan(1);
  expect(sumOf(before, 'flywheel_phase_duration_seconds_count{phase="PoolsReady",outcome="ready"}')).toBeGreaterThan(1);
  expect(sumOf(before, 'flywheel_queue_due_keys{task="enrollment"}')).toBe(0);

  const many: Enrolled[] = [];
  for (const index of [3, 4, 5, 6]) many.push(await enrolled(`told-${index}`));
  await Promise.all([
    ...many.map(ranJob),
    wake(
      unsafeDb(),
      'doctor',
      Array.from({ length: 500 }, () => randomUUID()),
    ),
  ]);
  const after = await scrape();
  expect(sumOf(after, 'flywheel_queue_due_keys{task="doctor"}')).toBeGreaterThan(500);
  expect([...new Set(seriesOf(after).map(withoutChance))].toSorted()).toEqual(
    [...new Set(seriesOf(before).map(withoutChance))].toSorted(),
  );
  for (const { slug, enrollmentId, tenantId } of [...few, ...many])
    for (const own of [slug, enrollmentId, tenantId]) expect(after).not.toContain(own);
}, 180_000);
