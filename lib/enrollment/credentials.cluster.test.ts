import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { approvedScope, tokenFor, type EnrolledScope } from '#sandbox/test-support/enrolled.ts';
import { startPasses, type Passes } from '#sandbox/test-support/passes.ts';
import { startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { enrollmentView, listCredentials, replaceForgeToken, rotateCredential, tenantOverview } from './index.ts';

/* What the page of the credentials tells, while forges and people do what they do. The passes are the test's own. */

let portal: TestPortal;
let passes: Passes;

beforeAll(async () => {
  portal = await startTestPortal({ runnersOf: ['told-ended', 'told-used', 'told-forgejo'] });
  passes = startPasses();
}, 180_000);
afterAll(async () => {
  await passes?.stop();
  await portal?.stop();
});

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

async function isReady({ ctx, id }: EnrolledScope): Promise<boolean> {
  return (await enrollmentView(ctx, id)).ready;
}

async function tokenRow({ ctx }: EnrolledScope, now?: Date) {
  return (await listCredentials(ctx, now)).find(({ kind }) => kind === 'forge-token');
}

const site = { forge: 'gitlab', level: 'project', path: 'tinyland/site', by: 'ada-tinyland' } as const;

test('an access token that has ended says so, with the date that was known, until a new one works', async () => {
  const scope = await approvedScope(portal, { ...site, slug: 'told-ended' });
  await passes.until('ready', scope.id, () => isReady(scope));
  const longAgo = new Date(Date.now() - 60 * minuteMs);
  expect(await tokenRow(scope)).toMatchObject({ usedAt: expect.any(String) });
  await unsafeDb().credential.updateMany({
    where: { enrollmentId: scope.id, kind: 'forge-token' },
    data: { usedAt: longAgo },
  });
  const before = await tokenRow(scope);
  expect(before).toMatchObject({ standing: 'works', expiresAt: expect.any(String), usedAt: expect.any(String) });
  expect((await tenantOverview(scope.ctx)).needsYou).toEqual([]);

  portal.gitlab.revoke(scope.token);
  passes.forget();
  await passes.pass(scope.id);
  const { keptAt, usedAt, expiresAt } = before ?? {};
  expect(await tokenRow(scope)).toMatchObject({ standing: 'ended', keptAt, usedAt, expiresAt });
  // Once, and not again for its token: the enrollment itself waits for an admin.
  expect((await tenantOverview(scope.ctx)).needsYou).toMatchObject([{ at: 'enrollment', headline: /ended/ }]);

  await replaceForgeToken(scope.ctx, { enrollmentId: scope.id, token: tokenFor(portal, site) });
  expect(await tokenRow(scope)).toMatchObject({ standing: 'works' });
  await passes.until('ready', scope.id, () => isReady(scope));
  expect(await tokenRow(scope)).toMatchObject({ standing: 'works', usedAt: expect.any(String) });

  // By its date alone, before anybody has looked: the first page asks for a new one in time.
  const expires = new Date((await tokenRow(scope))?.expiresAt ?? 0);
  expect(await tokenRow(scope, new Date(expires.getTime() - 13 * dayMs))).toMatchObject({ standing: 'ends-soon' });
  expect(await tokenRow(scope, expires)).toMatchObject({ standing: 'ended' });
  const soon = new Date(Date.now() + 5 * dayMs);
  await unsafeDb().credential.updateMany({
    where: { enrollmentId: scope.id, kind: 'forge-token' },
    data: { expiresAt: soon },
  });
  const day = soon.toISOString().slice(0, 10);
  expect((await tenantOverview(scope.ctx)).needsYou).toEqual([
    {
      id: `${scope.id}/forge-token`,
      name: 'site',
      headline: `Its access token ends on ${day}. Enter a new one.`,
      at: 'credentials',
    },
  ]);
}, 60_000);

test('runners and keys are told to be used when they were, and what nobody tells of says so', async () => {
  const gitlab = await approvedScope(portal, {
    ...site,
    level: 'group',
    path: 'mallory-labs',
    by: 'mallory',
    slug: 'told-used',
    planes: { attic: { public: false }, bazel: { sizeGib: 10 } },
  });
  await passes.until('ready', gitlab.id, () => isReady(gitlab), 60_000);
  const rows = await listCredentials(gitlab.ctx);
  const of = (kind: string) => rows.find((row) => row.kind === kind);
  const runner = Object.values(portal.gitlab.state.runners).find(({ description }) =>
    description.startsWith('flywheel-told-used'),
  );
  const told = Date.parse(of('runner:flywheel-told-used-docker')?.usedAt ?? '');
  expect(Math.abs(told - Date.parse(runner?.contactedAt ?? ''))).toBeLessThan(10_000);
  expect(of('attic-token')).toMatchObject({ usedAt: null, untoldBy: 'Attic' });
  expect(of('bazel-password')).toMatchObject({ usedAt: null, untoldBy: 'the Bazel cache' });
  expect(of('forge-token')).toMatchObject({ untoldBy: null, usedAt: expect.any(String) });

  // Forgejo tells only that a runner is there.
  const forgejo = await approvedScope(portal, {
    forge: 'forgejo',
    level: 'organization',
    path: 'tinyland',
    by: 'ada-tinyland',
    slug: 'told-forgejo',
  });
  await passes.until('ready', forgejo.id, () => isReady(forgejo), 60_000);
  const [waiting] = (await listCredentials(forgejo.ctx)).filter(({ kind }) => kind.startsWith('runner:'));
  expect(waiting).toMatchObject({ usedAt: expect.any(String), untoldBy: null });
}, 180_000);

test('who asks for a new secret while one is about to be made is answered by that one, and no third is made', async () => {
  const scope = await approvedScope(portal, {
    forge: 'gitlab',
    level: 'project',
    path: 'tinyland/lab/kernels',
    by: 'ada-tinyland',
    slug: 'asked-twice',
  });
  const kind = 'runner:flywheel-asked-twice-docker' as const;
  const kept = async () => unsafeDb().credential.findFirst({ where: { enrollmentId: scope.id, kind } });
  await passes.until('a registration', scope.id, async () => (await kept()) !== null);
  // Another stands beside the one that serves, under a name of its own.
  const token = () =>
    Object.values(portal.gitlab.state.runners).findLast(({ description }) =>
      description.startsWith('flywheel-asked-twice-docker'),
    )?.token;
  const first = token();
  const ask = () => rotateCredential(scope.ctx, { enrollmentId: scope.id, kind });
  await ask();
  await passes.pass(scope.id, once(ask));
  const second = token();
  expect(second).not.toBe(first);
  // It was made after both had asked. What was asked for stays so until the second serves.
  expect((await kept())?.expiresAt).not.toBeNull();
  for (let more = 0; more < 3; more += 1) await passes.pass(scope.id);
  expect(token()).toBe(second);
}, 120_000);

/** At the first of its lease's checks that comes when a secret is about to be made. */
function once(run: () => Promise<void>): () => Promise<void> {
  let isRun = false;
  return async () => {
    if (isRun) return;
    isRun = true;
    await run();
  };
}
