import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import type { WorkflowJob } from '#lib/forge/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { recordJob, recordJobs } from './jobs.ts';

let rows: TestRows;
let own: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  own = await addTenant('acme');
  await addTenant('bolt');
});
afterAll(() => rows?.stop());
beforeEach(async () => {
  const db = unsafeDb();
  await db.$transaction([db.strayJob.deleteMany(), db.job.deleteMany(), db.task.deleteMany()]);
});

const job = (about: Partial<WorkflowJob>): WorkflowJob => ({
  externalId: '1',
  repository: 'acme/app',
  runId: null,
  repositoryId: '5',
  owner: 'acme',
  ownerId: 'acme',
  enterpriseId: null,
  labels: ['nix'],
  state: 'queued',
  conclusion: null,
  runnerName: null,
  workflow: 'ci',
  name: 'build',
  queuedAt: new Date('2026-11-25T12:00:00Z'),
  startedAt: null,
  completedAt: null,
  ...about,
});

async function told(...jobs: WorkflowJob[]): Promise<void> {
  await unsafeTransaction((tx) => recordJobs(tx, 'forge', jobs));
}

const strays = () => unsafeDb().strayJob.findMany({ select: { externalId: true, enrollmentId: true, labels: true } });
const woken = async () => (await unsafeDb().task.findMany({ where: { kind: 'doctor' } })).map(({ key }) => key);

test('a job of an enrolled repository for a label that no pool has is kept for its enrollment alone, and looked at', async () => {
  await told(job({}), job({ externalId: '2', labels: ['acme-nix'] }));
  expect(await strays()).toEqual([{ externalId: '1', enrollmentId: own.enrollmentId, labels: ['nix'] }]);
  expect(await woken()).toEqual([own.enrollmentId]);
  // The one that a pool answers to is in the ledger, and only there.
  expect((await unsafeDb().job.findMany()).map(({ externalId }) => externalId)).toEqual(['2']);
});

test('a label of ours beside another is met by no runner', async () => {
  await told(job({ labels: ['self-hosted', 'acme-nix'] }));
  expect(await strays()).toMatchObject([{ labels: ['self-hosted', 'acme-nix'] }]);
});

test.each([
  ['of the forge’s own runners', { labels: ['ubuntu-24.04'] }],
  ['with no label', { labels: [] }],
  ['of a repository that nobody enrolled', { ownerId: 'nobody', repositoryId: '6' }],
])('a job %s is nobody’s matter', async (_, about) => {
  await told(job(about));
  expect(await strays()).toEqual([]);
  expect(await woken()).toEqual([]);
});

test.each(['running', 'completed'] as const)(
  'F16, F17: once it is %s it waits no more, whatever is told again',
  async (state) => {
    await told(job({}), job({ state }));
    expect(await strays()).toEqual([]);
    await told(job({}));
    await told(job({}));
    expect(await strays()).toHaveLength(1);
    await told(job({ state }));
    expect(await strays()).toEqual([]);
  },
);

test('what an enrollment’s own hook tells counts for that enrollment, under its own word for the job', async () => {
  await unsafeTransaction((tx) => recordJob(tx, 'forge', job({}), { id: own.enrollmentId }));
  expect(await strays()).toMatchObject([{ externalId: `${own.enrollmentId}:1`, enrollmentId: own.enrollmentId }]);
});
