import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { enrollmentView, makePlan, savePlanes, savePools, startEnrollment } from '#lib/enrollment/index.ts';
import { startTracing } from '#lib/telemetry/index.ts';
import { tokenHash } from '#lib/tenant/session.ts';
import { startCollector, type Collector } from '#sandbox/test-support/otlp.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { startWorkerProcess, type WorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { approve } from '../../app/t/[tenant]/enroll/actions.ts';

/* One click, from the server action to the last object that the worker's process writes, as a collector sees it. */

const browser = vi.hoisted(() => ({ session: '', requestId: 'e3c8a1de-0000-4000-8000-00000000c11c' }));
vi.mock('next/headers', () => ({
  cookies: () => Promise.resolve({ get: () => ({ value: browser.session }) }),
  headers: () =>
    Promise.resolve(
      new Headers({
        origin: process.env['PORTAL_URL'] ?? '',
        'x-request-id': browser.requestId,
        cookie: `flywheel.session=${browser.session}`,
      }),
    ),
}));

const folder = mkdtempSync(join(tmpdir(), 'flywheel-trace-'));
const collectorToken = randomBytes(12).toString('hex');
let collector: Collector;
let portal: TestPortal;
let worker: WorkerProcess;
let endTracing: () => Promise<void>;

beforeAll(async () => {
  collector = await startCollector();
  portal = await startTestPortal({ arc: true });
  const settings = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: [`authorization=Bearer%20${collectorToken}`],
    OTEL_TRACES_SAMPLER_ARG: 1,
  };
  endTracing = await startTracing(settings, 'flywheel-web', (error) => {
    throw error;
  });
  worker = await startWorkerProcess(folder, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: settings.OTEL_EXPORTER_OTLP_HEADERS.join(','),
  });
}, 300_000);
afterAll(async () => {
  await worker?.stop();
  await endTracing?.();
  await portal?.stop();
  await collector?.stop();
  rmSync(folder, { recursive: true });
});

async function signedIn(userId: string): Promise<void> {
  browser.session = randomBytes(32).toString('base64url');
  const expiresAt = new Date(Date.now() + 3600_000);
  await unsafeDb().session.create({ data: { userId, tokenHash: tokenHash(browser.session), expiresAt } });
}

/** What no trace may hold: all that the portal was given or made here. */
async function secrets(): Promise<string[]> {
  const { privateKeyPem, clientSecret, webhookSecret } = portal.github.app;
  const lines = privateKeyPem.split('\n').filter((line) => line.length > 20 && !line.startsWith('---'));
  const { password } = new URL(process.env['DATABASE_URL'] ?? '');
  const known = [
    clientSecret,
    webhookSecret,
    password,
    process.env['FLYWHEEL_SECRET_KEY'],
    browser.session,
    collectorToken,
  ];
  return [...lines, ...known].filter((secret): secret is string => (secret ?? '').length > 7);
}

test('one click is one trace, to the last object that is written, in web, worker, forge, cache and cluster', async () => {
  const slug = 'traced';
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  await signedIn(ada.person.userId);
  const scope = { connectionId: 'github', level: 'organization' as const, path: slug };
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const { enrollmentId } = await startEnrollment(ada, { ...scope, tenant });
  const ctx = await portal.member('ada-tinyland', slug);
  await savePools(ctx, { enrollmentId, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false } } });
  const planId = await makePlan(ctx, { enrollmentId, kind: 'enroll' });

  const form = new FormData();
  form.set('planId', planId);
  // Its answer is the next page, which Next has thrown.
  await expect(approve(slug, null, form)).rejects.toThrow('NEXT_REDIRECT');
  await eventually('ready', async () => (await enrollmentView(ctx, enrollmentId)).ready, 60_000);
  await worker.stop();
  await endTracing();

  const { spans } = collector;
  const clicks = spans.filter(({ name }) => name === 'action enrollment:approve');
  expect(clicks).toMatchObject([
    {
      service: 'flywheel-web',
      kind: 2,
      failed: undefined,
      attributes: {
        'flywheel.request.id': browser.requestId,
        'flywheel.tenant.id': ctx.tenant.id,
        'flywheel.outcome': 'ok',
      },
    },
  ]);
  const traced = spans.filter(({ traceId }) => traceId === clicks[0]?.traceId);
  const named = (name: string) => traced.filter((each) => each.name === name && each.service === 'flywheel-worker');
  expect(named('pass enrollment')[0]).toMatchObject({
    kind: 5,
    attributes: { 'flywheel.enrollment.id': enrollmentId },
  });
  for (const phase of ['ForgeReady', 'NamespaceReady', 'CacheReady', 'PoolsReady', 'RunnersReady'])
    expect([phase, named(`phase ${phase}`).length]).not.toEqual([phase, 0]);
  expect(named('forge GET').length).toBeGreaterThan(0);
  expect(named('cache POST').length).toBeGreaterThan(0);
  // Each write to what the tenant has there, from the first to the last, and no one of another trace.
  const isWrite = (each: (typeof spans)[number]) =>
    each.service === 'flywheel-worker' &&
    each.name !== 'cluster GET' &&
    String(each.attributes['url.path']).includes(`runners-${slug}`);
  const writes = spans.filter(isWrite);
  expect(writes.length).toBeGreaterThan(10);
  expect(writes.filter(({ traceId }) => traceId !== clicks[0]?.traceId)).toEqual([]);
  expect(writes.every(({ attributes }) => Number(attributes['http.response.status_code']) < 300)).toBe(true);
  // Within each other: every span's parent is in the trace, up to the click.
  const ids = new Set(traced.map(({ spanId }) => spanId));
  expect(traced.filter(({ parentSpanId }) => parentSpanId === undefined || !ids.has(parentSpanId))).toEqual(clicks);
  // The worker's log says of which trace its lines are.
  const log = readFileSync(worker.logFile, 'utf8');
  expect(log).not.toContain('traces cannot be sent');

  const all = collector.received.join('\n');
  const known = await secrets();
  expect(known.length).toBeGreaterThan(20);
  expect(known.filter((secret) => all.includes(secret))).toEqual([]);
  expect(all).not.toMatch(/PRIVATE KEY|eyJhbGci|ghs_|Bearer|flywheel\.session/);
}, 120_000);
