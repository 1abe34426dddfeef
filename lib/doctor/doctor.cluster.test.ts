import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { approvePlan, makePlan, savePlanes, savePools, startEnrollment } from '#lib/enrollment/index.ts';
import { env } from '#lib/env.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { loop, wake, type Lease } from '#lib/work/index.ts';
import { breakSandbox } from '#sandbox/break.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import type { FindingKind, RepairKind } from './facts.ts';
import {
  applyRepair,
  askForProof,
  doctorView,
  examineEnrollment,
  openBadge,
  openProof,
  proofView,
  proposeRepair,
  proveEnrollment,
  setBadge,
  wakeDoctor,
} from './index.ts';

/*
 * Each case that a browser's walk would take too long for, brought about in the real API server and repaired: the stand-in for
 * ARC plays it as ARC does. The rest is in e2e/what-breaks.spec.ts.
 */

let portal: TestPortal;
let stopDoctor: () => Promise<void>;
let ada: Ctx;
let operator: Ctx;
let enrollmentId: string;
const slug = 'doctored';

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, operators: 'github:1005' });
  portal.github.app.webhookUrl = `${env().PORTAL_URL}/api/hooks/github`;
  const { view } = portal.startWorker();
  stopDoctor = startDoctor(view);
  await portal.organization(slug);
  portal.github.addRepo({ owner: slug, name: 'app', private: true });
  const given = Object.values(portal.github.state.installations).at(-1);
  // Before the first token: what a token may do is settled when it is made.
  await control(`/installations/${given?.id}/permissions`, {
    permissions: { ...given?.permissions, actions: 'write' },
  });
  const by = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const start = { connectionId: 'github', level: 'organization' as const, path: slug, tenant };
  ({ enrollmentId } = await startEnrollment(by, start));
  ada = await portal.member('ada-tinyland', slug);
  operator = await portal.member('olive-operator', slug);
  await savePools(ada, { enrollmentId, pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }] });
  await savePlanes(ada, { enrollmentId, planes: { attic: { public: false }, bazel: { sizeGib: 1 } } });
  await approvePlan(ada, await makePlan(ada, { enrollmentId, kind: 'enroll' }));
  await eventually('ready', async () => (await row()).readyAt !== null, 60_000);
}, 180_000);
afterAll(async () => {
  await stopDoctor?.();
  await portal?.stop();
});

const row = () => unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrollmentId } });

async function control(path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${portal.github.url}/_sandbox${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
}

function startDoctor(view: ReturnType<TestPortal['startWorker']>['view']): () => Promise<void> {
  const abort = new AbortController();
  const failures: unknown[] = [];
  view.onChange(wakeDoctor((error) => failures.push(error)));
  const deps = { clock: systemClock, view: () => view };
  const tasks = {
    doctor: (lease: Lease) => examineEnrollment(deps, lease),
    proof: (lease: Lease) => proveEnrollment(deps, lease),
  };
  const done = loop({ tasks, concurrency: 2, signal: abort.signal });
  return async () => {
    abort.abort();
    await done;
    expect(failures).toEqual([]);
  };
}

async function broken(...args: string[]): Promise<void> {
  const { kubeconfigPath } = await testCluster();
  const { url: attic } = portal.attic;
  const forges = { github: portal.github.url, gitlab: portal.gitlab.url, forgejo: portal.forgejo.url };
  const address = {
    portal: '',
    attic,
    ...forges,
    logs: '',
    kubeconfig: kubeconfigPath,
    database: portal.database.ownerUrl,
  };
  await breakSandbox(address, args);
}

async function queueJob(): Promise<void> {
  await broken('label', `${slug}/app`, `${slug}-nix`);
}

const soonMs = 30_000;

async function found(kind: FindingKind) {
  let finding: Awaited<ReturnType<typeof doctorView>>['findings'][number] | undefined;
  await eventually(
    kind,
    async () => {
      finding = (await doctorView(ada, enrollmentId)).findings.find((each) => each.kind === kind);
      return finding !== undefined && finding.offers.length > 0;
    },
    soonMs,
  );
  if (!finding) throw new Error(kind);
  return finding;
}

/** What is offered, as its plan, applied, carried out and seen to help. */
async function repaired(kind: FindingKind, repair: RepairKind, by: Ctx, image?: string): Promise<string> {
  let repairId = '';
  await eventually(
    `the plan of ${repair}`,
    async () => {
      const finding = await found(kind);
      if (!finding.offers.some((offer) => offer.kind === repair)) return false;
      const made = await proposeRepair(by, { findingId: finding.id, kind: repair, image });
      if (!('repairId' in made)) throw new Error('no repair');
      // Runners come and go: a plan of those that have gone is refused, and looked at anew.
      const isApplied = await applyRepair(by, made).then(
        () => true,
        () => false,
      );
      repairId = made.repairId;
      return isApplied;
    },
    soonMs,
  );
  const state = async () => (await unsafeDb().repair.findUniqueOrThrow({ where: { id: repairId } })).state;
  await eventually(`${repair} to help or not`, async () => !['approved', 'applied'].includes(await state()), 60_000);
  return state();
}

/** Nothing waits, and the catalog is as it was. */
async function quiet(): Promise<void> {
  for (const { id } of Object.values(portal.github.state.jobs))
    await fetch(`${portal.github.url}/_sandbox/jobs/${id}/cancel`, { method: 'POST' });
}

const image = 'ghcr.io/actions/actions-runner:2.333.0';

test('quota-blocked: pods of nobody hold it, and go', async () => {
  await broken('quota', slug);
  await queueJob();
  expect(await repaired('quota-blocked', 'remove-orphans', ada)).toBe('helped');
  await quiet();
}, 120_000);

test('pod-failures: runners that end at once; another image mends it, and is an operator’s to set', async () => {
  await broken('image', 'nix', 'crash');
  await queueJob();
  const finding = await found('pod-failures');
  expect(finding.offers.map(({ kind, mayApply }) => [kind, mayApply])).toEqual([
    ['restart-runners', true],
    ['set-image', false],
  ]);
  expect(await repaired('pod-failures', 'set-image', operator, image)).toBe('helped');
  expect((await unsafeDb().pool.findUniqueOrThrow({ where: { name: 'nix' } })).image).toBe(image);
  await quiet();
}, 150_000);

test('image-too-old: the pool is shut down, and starts again with another', async () => {
  await broken('image', 'nix', 'deprecated');
  await queueJob();
  expect(await repaired('image-too-old', 'set-image', operator, image)).toBe('helped');
  await quiet();
}, 120_000);

test('unschedulable: on nodes that there are not, and then on any', async () => {
  await broken('placement', 'nix');
  await queueJob();
  expect(await repaired('unschedulable', 'clear-placement', operator)).toBe('helped');
  await quiet();
}, 120_000);

test('listener-restarting: it is started anew when the forge answers again', async () => {
  await broken('listener', `${slug}-nix`);
  await found('listener-restarting');
  await fetch(`${portal.github.url}/_sandbox/faults`, { method: 'DELETE' });
  expect(await repaired('listener-restarting', 'register-anew', ada)).toBe('helped');
}, 120_000);

test('the proof: each check asks the other side, and what could not be tried is said', async () => {
  await quiet();
  await askForProof(ada, { enrollmentId });
  await eventually(
    'the run',
    async () => (await proofView(ada, enrollmentId)).runs.every(({ endedAt }) => endedAt),
    60_000,
  );
  const { runs, standing } = await proofView(ada, enrollmentId);
  const asked = runs.find(({ askedBy }) => askedBy !== null);
  const states = Object.fromEntries(
    asked?.checks.map(({ check, state, words }) => [check, `${state}: ${words}`]) ?? [],
  );
  expect(states).toMatchObject({
    credential: expect.stringMatching(/^held: GitHub says/),
    route: expect.stringMatching(/^instead: No job was started, since no repository was named/),
    attic: expect.stringMatching(/^held: .* another view’s token was refused to push. Reading was refused/),
    isolation: expect.stringMatching(/^held: .*arc-systems, kube-system/),
    // There are no nodes here: nothing runs in the cache's namespace.
    bazel: expect.stringMatching(/^broken: The Bazel cache does not run/),
  });
  expect(standing).toBe('broken');
}, 120_000);

test('the proof: a real job is started where the forge permits it, and its way is what is proven', async () => {
  await control(`/repos/${slug}/app/workflows`, { file: 'flywheel-proof.yml' });
  await unsafeDb().proofSetting.create({ data: { tenantId: ada.tenant.id, enrollmentId, repository: `${slug}/app` } });
  await askForProof(ada, { enrollmentId });
  await eventually(
    'the run',
    async () => (await proofView(ada, enrollmentId)).runs.every(({ endedAt }) => endedAt),
    60_000,
  );
  const [latest] = (await proofView(ada, enrollmentId)).runs;
  const route = latest?.checks.find(({ check }) => check === 'route');
  expect(route).toMatchObject({
    state: 'held',
    words: expect.stringMatching(
      /^A job was started in doctored\/app for doctored-nix; it ran on doctored-nix-.* and ended with success/,
    ),
  });
}, 120_000);

test('the badge: whoever has its address reads how it stands and no name; another address ends the former', async () => {
  await setBadge(ada, { enrollmentId, on: 'yes' });
  const address = async () => (await proofView(ada, enrollmentId)).address?.split('/').at(-1) ?? '';
  const first = await address();
  const open = await openProof(first);
  expect(open).toMatchObject({ standing: 'broken', lastRunAt: expect.any(String) });
  expect(JSON.stringify(open) + (await openBadge(first))).not.toContain(slug);
  await setBadge(ada, { enrollmentId, on: 'yes' });
  expect(await address()).not.toBe(first);
  for (const token of [first, '', 'x', 'a'.repeat(32)])
    await expect(openProof(token)).rejects.toMatchObject({ code: 'not_found' });
  await setBadge(ada, { enrollmentId, on: 'no' });
  expect(await address()).toBe('');
}, 30_000);

test('the proof is due by itself, once in a while, and not each time that somebody looks', async () => {
  const count = () => unsafeDb().proofRun.count({ where: { enrollmentId } });
  const before = await count();
  await wake(unsafeDb(), 'proof', enrollmentId);
  await sleep(1_000);
  expect(await count()).toBe(before);
  await unsafeDb().proofRun.updateMany({ data: { createdAt: new Date(Date.now() - 7 * 3600_000) } });
  await wake(unsafeDb(), 'proof', enrollmentId);
  await eventually('another run', async () => (await count()) === before + 1, 20_000);
}, 60_000);
