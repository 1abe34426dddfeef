import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { closeDb, open, seal, unsafeDb } from '#lib/db/index.ts';
import { githubApps } from '#lib/forge/index.ts';
import { tenantCtx, type Ctx, type PersonCtx } from '#lib/tenant/index.ts';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import type { App } from '#sandbox/github/model.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { seed } from '../../prisma/seed.ts';
import { atScope } from './at-scope.ts';
import { openConnection, openConnectionFor, openForgeFor } from './connections.ts';
import { githubCredentials } from './desired.ts';
import { provenScope, startEnrollment, type StartInput } from './draft.ts';
import {
  beginConnection,
  beginInstall,
  beginOwnApp,
  beginPlatformApp,
  finishApp,
  finishInstall,
  forgeRows,
  manifestForm,
  NewConnectionInput,
  OwnKeyInput,
  ownAppsOf,
  ownAppStandings,
  PlatformKeyInput,
  replaceOwnKey,
  replacePlatformKey,
  webhookSummary,
} from './github-app.ts';
import { connectionPlace, githubAppPlace } from './places.ts';
import { enrollmentRow } from './rows.ts';
import { OwnSecretInput, replaceOwnSecret, withNewSecret } from './webhook-secret.ts';

/*
 * An App's life against the stand-in for GitHub: the portal's functions, and between them what a browser does on GitHub's own
 * pages. Each test has an organization of its own.
 */

const portal = 'http://portal.test';
/** A record's number in its chain is a bigint, which JSON has no word for. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each));
}

let database: TestDatabase;
let github: Github;
/** The REST calls that GitHub has answered. */
let answers = 0;
let mallory: PersonCtx;
let olive: PersonCtx;

beforeAll(async () => {
  database = await testDatabase();
  Object.assign(process.env, {
    DATABASE_URL: database.appUrl,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    FLYWHEEL_OPERATORS: `github:${ids.users.olive}`,
    PORTAL_URL: portal,
    LOG_LEVEL: 'silent',
  });
  github = await startGithub({ port: 0, setupUrl: `${portal}/enroll/installed`, onAnswer: () => (answers += 1) });
  await seed({ github, attic: { url: 'https://attic.example', hs256SecretBase64: 'eA==' } });
  mallory = await signedIn('mallory', ids.users.mallory);
  olive = await signedIn('olive-operator', ids.users.olive, true);
});
afterAll(async () => {
  await github.stop();
  await closeDb();
  await database.drop();
});
afterEach(() => vi.useRealTimers());

async function signedIn(login: string, id: number, isOperator = false): Promise<PersonCtx> {
  const where = { connectionId_subject: { connectionId: 'github', subject: String(id) } };
  const known = await unsafeDb().identity.findUnique({ where });
  const userId = known?.userId ?? (await unsafeDb().user.create({ data: { name: login } })).id;
  const own = { userId, connectionId: 'github', subject: String(id), login };
  const identity = known ?? (await unsafeDb().identity.create({ data: own }));
  const tokens = JSON.stringify({ accessToken: github.userToken(login), refreshToken: null, expiresAt: null });
  const sealedToken = await seal(tokens, `identity/${identity.id}/token`);
  await unsafeDb().identity.update({ where: { id: identity.id }, data: { sealedToken } });
  const identities = [
    { id: identity.id, connectionId: 'github', forge: 'github' as const, subject: String(id), login },
  ];
  return { requestId: `test-${login}`, person: { userId, name: login, imageUrl: null, identities, isOperator } };
}

let serial = 0;
/** An organization that mallory owns, on which no App is installed. */
function organization(): { login: string; id: string } {
  serial += 1;
  const org = github.addOrg({ login: `own-${serial}`, admins: ['mallory'], members: ['sam-tinyland'] });
  return { login: org.login, id: String(org.id) };
}

function startOf(path: string): StartInput {
  const slug = `t-${path}`;
  const tenant = { new: { slug, displayName: path, kind: 'organization' as const } };
  return { connectionId: 'github', level: 'organization', path, tenant };
}

const stateOf = (address: string): string => new URL(address, portal).searchParams.get('state') ?? '';

/** GitHub's page for a new App: the form that the portal made, confirmed by `as`. Returns where GitHub sends them. */
async function createAtGithub(by: PersonCtx, address: string, as: string, owner?: string): Promise<URL> {
  expect(address).toMatch(/^\/api\/github\/leave\?state=/);
  const form = await manifestForm(by, stateOf(address));
  const { pathname } = new URL(form.action);
  const org = owner ?? /^\/organizations\/([^/]+)\//.exec(pathname)?.[1] ?? '';
  const body = new URLSearchParams({ manifest: JSON.stringify(form.manifest), org, state: stateOf(address), as });
  const answer = await fetch(`${github.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
  const location = answer.headers.get('location');
  if (location === null) throw new Error(`GitHub refused: ${answer.status} ${await answer.text()}`);
  return new URL(location);
}

const codeAndState = (back: URL) => ({
  code: back.searchParams.get('code') ?? '',
  state: back.searchParams.get('state') ?? '',
});

/** GitHub's installation page, with the account chosen by `as`. */
async function installAtGithub(address: string, accountId: string, as: string): Promise<URL> {
  const answer = await fetch(address, {
    method: 'POST',
    body: new URLSearchParams({ account: accountId, selection: 'all' }),
    headers: { cookie: `sandbox_login=${as}` },
    redirect: 'manual',
  });
  return new URL(answer.headers.get('location') ?? 'http://refused.test');
}

const installed = (back: URL) => ({
  installation_id: back.searchParams.get('installation_id') ?? undefined,
  state: back.searchParams.get('state') ?? undefined,
});

/** All of it: made, installed and come back, as mallory. */
async function enrolOwn(): Promise<{
  org: { login: string; id: string };
  ctx: Ctx;
  enrollmentId: string;
  appId: string;
}> {
  const org = organization();
  const created = await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory');
  const page = await finishApp(mallory, codeAndState(created));
  const address = await finishInstall(mallory, installed(await installAtGithub(page, org.id, 'mallory')));
  const [, slug = '', enrollmentId = ''] = /^\/t\/([^/]+)\/enroll\/([^/]+)\/pools$/.exec(address) ?? [];
  const ctx = await tenantCtx(mallory, slug);
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrollmentId } });
  if (!ctx || !row.githubAppId) throw new Error('not enrolled');
  return { org, ctx, enrollmentId, appId: row.githubAppId };
}

const activate = (id: string) => unsafeDb().enrollment.update({ where: { id }, data: { state: 'active' } });
const errands = () => unsafeDb().errand.count();

async function control(path: string, body: object = {}): Promise<unknown> {
  const answer = await fetch(`${github.url}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

describe('an App of the organization’s own', () => {
  test('is made, installed and enrolled by its owner, without the shared App being there', async () => {
    const { org, ctx, enrollmentId, appId } = await enrolOwn();
    const row = await enrollmentRow(enrollmentId);
    expect(row).toMatchObject({ path: org.login, scopeId: org.id, state: 'draft', githubAppId: appId });
    expect(ctx).toMatchObject({ role: 'admin', tenant: { slug: `t-${org.login}` } });
    const own = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    expect(own).toMatchObject({ tenantId: ctx.tenant.id, accountId: org.id, createdById: mallory.person.userId });
    const made = Object.values(github.state.apps).find((app) => String(app.id) === own.appId);
    expect(made).toMatchObject({ ownerId: Number(org.id), webhookUrl: `${portal}/api/hooks/github/${appId}` });
    expect(Object.keys(made?.permissions ?? {}).toSorted()).toEqual([
      'actions',
      'members',
      'metadata',
      'organization_self_hosted_runners',
    ]);
    // What ARC gets is this App's, and not the shared one's.
    if (!row) throw new Error('no row');
    expect(await githubCredentials(row)).toEqual({
      appId: own.appId,
      installationId: row.installationId,
      privateKey: made?.privateKeyPem,
    });
    expect(await githubCredentials({ ...row, githubAppId: null })).toMatchObject({ appId: String(github.app.id) });
    expect(await ownAppsOf(ctx)).toMatchObject([
      { id: appId, account: org.login, enrollments: 1, keyReplacedAt: null },
    ]);
  });

  test('A23: its secrets are nowhere in the clear, and open for that row alone', async () => {
    const { appId, ctx } = await enrolOwn();
    const own = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const made = Object.values(github.state.apps).find((app) => String(app.id) === own.appId);
    const kept = textOf([
      own,
      await unsafeDb().audit.findMany(),
      await unsafeDb().errand.findMany(),
      await unsafeDb().task.findMany(),
      await ownAppsOf(ctx),
    ]);
    for (const canary of [made?.webhookSecret, made?.clientSecret, made?.privateKeyPem.split('\n')[1]])
      expect(kept).not.toContain(canary);
    const elsewhere = open(own.sealedPrivateKey, connectionPlace('github', 'private_key'));
    await expect(elsewhere).rejects.toMatchObject({ code: 'internal' });
    const acts = { connectionId: 'github', tenantId: own.tenantId, githubAppId: own.id };
    expect((await openConnectionFor(acts)).app?.privateKey).toBe(made?.privateKeyPem);
    const stranger = await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'cmux' } });
    await expect(openConnectionFor({ ...acts, tenantId: stranger.id })).rejects.toMatchObject({ code: 'not_found' });
  });

  test('goes on with the one that is there, when its enrollment was discarded', async () => {
    const { org, ctx, enrollmentId } = await enrolOwn();
    await unsafeDb().enrollment.delete({ where: { id: enrollmentId } });
    const again = await beginOwnApp(mallory, { ...startOf(org.login), tenant: { slug: ctx.tenant.slug } });
    expect(again).toContain(`${github.url}/apps/flywheel-${org.login}/installations/new`);
    const back = await finishInstall(mallory, installed(await installAtGithub(again, org.id, 'mallory')));
    expect(back).toMatch(/\/pools$/);
    expect(await unsafeDb().githubApp.count({ where: { accountId: org.id } })).toBe(1);
  });

  test('is not kept where it was made for another account', async () => {
    const wanted = organization();
    const other = organization();
    const address = await beginOwnApp(mallory, startOf(wanted.login));
    const created = await createAtGithub(mallory, address, 'mallory', other.login);
    await expect(finishApp(mallory, codeAndState(created))).rejects.toMatchObject({ code: 'forbidden' });
    expect(
      await unsafeDb().githubApp.count({ where: { connectionId: 'github', accountId: { in: [wanted.id, other.id] } } }),
    ).toBe(0);
    expect(await unsafeDb().tenant.findUnique({ where: { slug: `t-${wanted.login}` } })).toBeNull();
  });

  test('A13: is refused to whom GitHub calls a member, and a member who is sent the address enrols nothing', async () => {
    const sam = await signedIn('sam-tinyland', ids.users.sam);
    await expect(beginOwnApp(sam, startOf('tinyland-inc'))).rejects.toMatchObject({ code: 'invalid' });
    // Where the shared App is not, GitHub tells nobody's role: sam begins, but cannot end.
    const org = organization();
    const address = await beginOwnApp(sam, startOf(org.login));
    const form = await manifestForm(sam, stateOf(address));
    const body = new URLSearchParams({
      manifest: JSON.stringify(form.manifest),
      org: org.login,
      state: 'x',
      as: 'sam-tinyland',
    });
    expect((await fetch(`${github.url}/settings/apps/create`, { method: 'POST', body })).status).toBe(403);
    // Even with an App that an owner made for them and installed.
    const created = await createAtGithub(sam, address, 'mallory');
    const page = await finishApp(sam, codeAndState(created));
    const back = await installAtGithub(page, org.id, 'mallory');
    await expect(finishInstall(sam, installed(back))).rejects.toMatchObject({ code: 'invalid' });
    expect(await unsafeDb().enrollment.count({ where: { scopeId: org.id } })).toBe(0);
  });

  test('A14: approving asks the App again, and an owner who is one no longer is refused', async () => {
    const { org, enrollmentId } = await enrolOwn();
    const row = await enrollmentRow(enrollmentId);
    if (!row) throw new Error('no row');
    expect(await provenScope(mallory, row)).toMatchObject({ scopeId: org.id });
    await fetch(`${github.url}/_sandbox/orgs/${org.login}/members/mallory`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ role: 'member' }),
    });
    await expect(provenScope(mallory, row)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('A14: a sign-in keeps, lowers and ends the role that only the own App can tell', async () => {
    const { org } = await enrolOwn();
    const own = { of: 'account' as const, ownerId: String(ids.users.mallory), login: 'mallory' };
    const told = [{ ...own, role: 'admin' as const }];
    const roleNow = async () =>
      (await ownAppStandings('github', told)).standings.find(({ ownerId }) => ownerId === org.id)?.role ?? null;
    expect(await roleNow()).toBe('admin');
    const member = (method: string, role?: string) =>
      fetch(`${github.url}/_sandbox/orgs/${org.login}/members/mallory`, {
        method,
        headers: { 'content-type': 'application/json' },
        ...(role ? { body: JSON.stringify({ role }) } : {}),
      });
    await member('PUT', 'member');
    expect(await roleNow()).toBe('member');
    await member('DELETE');
    expect(await roleNow()).toBeNull();
    // An App that is removed can tell nothing, and nothing is told in its place.
    const installation = Object.values(github.state.installations).find((each) => each.accountId === Number(org.id));
    await control(`/installations/${installation?.id}/uninstall`);
    expect(await roleNow()).toBeNull();
    expect([...(await ownAppStandings('github', told)).broken]).toContain(org.id);
  });

  test('a tenant’s App serves no other tenant', async () => {
    const { appId, org } = await enrolOwn();
    const own = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const start = { ...startOf(org.login), tenant: { slug: 't-elsewhere' } };
    await expect(startEnrollment(mallory, start, own)).rejects.toMatchObject({ code: 'invalid' });
    const fresh = startOf(`${org.login}-2`);
    await expect(startEnrollment(mallory, fresh, own)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('an own App that was deleted at GitHub', () => {
  const rowOf = (id: string) => unsafeDb().githubApp.findUniqueOrThrow({ where: { id } });
  const deleteAtGithub = async ({ slug }: { slug: string }): Promise<void> => {
    const answer = await fetch(`${github.url}/_sandbox/apps/${slug}`, { method: 'DELETE' });
    if (!answer.ok) throw new Error(`delete ${slug}: ${answer.status}`);
  };
  const inTenant = (path: string, ctx: Ctx): StartInput => ({ ...startOf(path), tenant: { slug: ctx.tenant.slug } });
  /** Enrolled, used, given a key once, and then gone. */
  async function gone() {
    const enrolled = await enrolOwn();
    const used = { usedAt: new Date(), keyReplacedAt: new Date() };
    const before = await unsafeDb().githubApp.update({ where: { id: enrolled.appId }, data: used });
    await deleteAtGithub(before);
    return { ...enrolled, before };
  }

  test('is followed by another in the same row, of which the former’s secrets say nothing', async () => {
    const { org, ctx, enrollmentId, appId, before } = await gone();
    await unsafeDb().enrollment.delete({ where: { id: enrollmentId } });
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, inTenant(org.login, ctx)), 'mallory');
    expect(await rowOf(appId)).toEqual(before);
    const page = await finishApp(mallory, codeAndState(created));
    const after = await rowOf(appId);
    const made = Object.values(github.state.apps).find((app) => String(app.id) === after.appId);
    expect(after).toMatchObject({ tenantId: ctx.tenant.id, accountId: org.id, usedAt: null, keyReplacedAt: null });
    expect(after.appId).not.toBe(before.appId);
    expect(after.createdAt.getTime()).toBeGreaterThan(before.createdAt.getTime());
    expect(made).toMatchObject({ slug: after.slug, webhookUrl: `${portal}/api/hooks/github/${appId}` });
    const acts = { connectionId: 'github', tenantId: ctx.tenant.id, githubAppId: appId };
    expect(await openConnectionFor(acts)).toMatchObject({
      webhookSecret: made?.webhookSecret,
      app: { id: after.appId, slug: after.slug, privateKey: made?.privateKeyPem },
    });
    const back = await finishInstall(mallory, installed(await installAtGithub(page, org.id, 'mallory')));
    expect(back).toMatch(/\/pools$/);
    const audit = await unsafeDb().audit.findFirst({
      where: { action: 'github-app:replace', tenantId: ctx.tenant.id },
    });
    expect(audit).toMatchObject({
      actorId: mallory.person.userId,
      before: { appId: before.appId },
      after: { appId: after.appId, account: org.login },
    });
  });

  test('leaves an enrollment that lives, which is woken for the new one and gone back to', async () => {
    const { org, ctx, enrollmentId, appId } = await gone();
    await activate(enrollmentId);
    const dueOf = () => unsafeDb().task.findFirst({ where: { kind: 'enrollment', key: enrollmentId } });
    await unsafeDb().enrollment.update({ where: { id: enrollmentId }, data: { toldAt: null } });
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, inTenant(org.login, ctx)), 'mallory');
    expect(await dueOf()).toBeNull();
    const page = await finishApp(mallory, codeAndState(created));
    expect(await dueOf()).not.toBeNull();
    await unsafeDb().task.deleteMany({ where: { key: enrollmentId } });
    const back = installed(await installAtGithub(page, org.id, 'mallory'));
    expect(await finishInstall(mallory, back)).toBe(`/t/${ctx.tenant.slug}/enrollments/${enrollmentId}`);
    expect(await dueOf()).not.toBeNull();
    // What a pass saw before that counts no more, however lately it was.
    const row = await enrollmentRow(enrollmentId);
    if (!row) throw new Error('no row');
    expect(row.toldAt?.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(await provenScope(mallory, row)).toMatchObject({
      scopeId: org.id,
      installation: { id: back.installation_id },
    });
    // The next pass finds it by the installation that took the place of the one that went with the former App.
    expect(row.installationId).not.toBe(back.installation_id);
    const at = await atScope(row);
    const seen = at && (await (await openForgeFor(row)).observeScope(at));
    expect(seen).toMatchObject({ exists: true, problem: null, installation: { id: back.installation_id } });
    expect(await githubCredentials(row)).toMatchObject({ appId: (await rowOf(appId)).appId });
    expect(await unsafeDb().enrollment.count({ where: { scopeId: org.id } })).toBe(1);
    // With an App that is there, what is enrolled is enrolled.
    await expect(beginOwnApp(mallory, inTenant(org.login, ctx))).rejects.toMatchObject({ code: 'invalid' });
  });

  test('A13: another installation than GitHub made of the new one leads nowhere', async () => {
    const { org, ctx, enrollmentId } = await gone();
    await activate(enrollmentId);
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, inTenant(org.login, ctx)), 'mallory');
    const page = await finishApp(mallory, codeAndState(created));
    await unsafeDb().task.deleteMany({ where: { key: enrollmentId } });
    const { state } = installed(await installAtGithub(page, org.id, 'mallory'));
    const guessed = finishInstall(mallory, { installation_id: String(ids.installations.tinyland), state });
    await expect(guessed).rejects.toMatchObject({ code: 'forbidden' });
    expect(await unsafeDb().task.count({ where: { key: enrollmentId } })).toBe(0);
    expect(await unsafeDb().enrollment.count({ where: { id: enrollmentId } })).toBe(1);
  });

  test('is not followed by one that was made for another account, or by whoever is no admin here', async () => {
    const { org, ctx, appId, before } = await gone();
    const other = organization();
    const start = inTenant(org.login, ctx);
    const address = await beginOwnApp(mallory, start);
    const elsewhere = await createAtGithub(mallory, address, 'mallory', other.login);
    await expect(finishApp(mallory, codeAndState(elsewhere))).rejects.toMatchObject({ code: 'forbidden' });
    const sam = await signedIn('sam-tinyland', ids.users.sam);
    await expect(beginOwnApp(sam, start)).rejects.toMatchObject({ code: 'invalid' });
    // The address of somebody else’s errand is worth nothing, and who is an admin no longer keeps nothing.
    await deleteAtGithub({ slug: `flywheel-${org.login}` });
    const created = codeAndState(await createAtGithub(mallory, address, 'mallory'));
    await expect(finishApp(sam, created)).rejects.toMatchObject({ code: 'forbidden' });
    const who = { tenantId: ctx.tenant.id, userId: mallory.person.userId };
    await unsafeDb().membership.updateMany({ where: who, data: { role: 'member' } });
    await expect(finishApp(mallory, created)).rejects.toMatchObject({ code: 'invalid' });
    expect(await rowOf(appId)).toEqual(before);
  });

  test('of two who each make another, the second does not end the first one’s', async () => {
    const { org, ctx, appId } = await gone();
    const [one, two] = [
      await beginOwnApp(mallory, inTenant(org.login, ctx)),
      await beginOwnApp(mallory, inTenant(org.login, ctx)),
    ];
    const first = codeAndState(await createAtGithub(mallory, one, 'mallory'));
    await finishApp(mallory, first);
    const kept = await rowOf(appId);
    github.state.apps[kept.appId] = { ...(github.state.apps[kept.appId] as App), slug: 'renamed-meanwhile' };
    const second = codeAndState(await createAtGithub(mallory, two, 'mallory'));
    await expect(finishApp(mallory, second)).rejects.toMatchObject({
      code: 'conflict',
      screen: { todo: expect.stringContaining(`Delete the App flywheel-${org.login}`) },
    });
    expect(await rowOf(appId)).toEqual(kept);
    await expect(finishApp(mallory, first)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test.each([null, new Date(0)])('that is given a new key meanwhile (last: %s) keeps its place', async (last) => {
    const { org, ctx, appId } = await enrolOwn();
    const before = await unsafeDb().githubApp.update({ where: { id: appId }, data: { keyReplacedAt: last } });
    const app = github.state.apps[before.appId] as App;
    // Without a key that GitHub knows it cannot be told from one that is gone.
    const privateKey = github.addKey(before.slug);
    await control(`/apps/${before.slug}/keys/revoke-old`);
    const address = await beginOwnApp(mallory, inTenant(org.login, ctx));
    await replaceOwnKey(ctx, OwnKeyInput.parse({ githubAppId: appId, privateKey }));
    const kept = await rowOf(appId);
    github.state.apps[before.appId] = { ...app, slug: `${app.slug}-renamed` };
    const created = codeAndState(await createAtGithub(mallory, address, 'mallory'));
    await expect(finishApp(mallory, created)).rejects.toMatchObject({
      code: 'conflict',
      screen: {
        happened: expect.stringContaining('at the same time'),
        todo: expect.stringContaining(`Delete the App flywheel-${org.login}`),
      },
    });
    expect(await rowOf(appId)).toEqual(kept);
  });

  test('is not taken for gone where GitHub is away', async () => {
    const { org, ctx, enrollmentId } = await enrolOwn();
    await unsafeDb().enrollment.delete({ where: { id: enrollmentId } });
    await control('/faults', { match: { path: '/app$' }, kind: 'status', status: 502, times: 1 });
    await expect(beginOwnApp(mallory, inTenant(org.login, ctx))).rejects.toMatchObject({ code: 'unavailable' });
    expect(
      await unsafeDb().errand.count({ where: { kind: 'own-app', details: { path: ['accountId'], equals: org.id } } }),
    ).toBe(0);
  });
});

describe('a way in that is broken off', () => {
  const conversions = { match: { method: 'POST', path: 'app-manifests' } };
  const countOf = (accountId: string) => unsafeDb().githubApp.count({ where: { accountId } });
  const todoOf = (todo: RegExp) => ({ screen: { todo: expect.stringMatching(todo) } });

  test('before GitHub heard of it: the same address goes on', async () => {
    const org = organization();
    const back = codeAndState(await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory'));
    await control('/faults', { ...conversions, kind: 'reset-before' });
    await expect(finishApp(mallory, back)).rejects.toMatchObject({
      code: 'unavailable',
      ...todoOf(/^Reload this page/),
    });
    expect(await countOf(org.id)).toBe(0);
    expect(await finishApp(mallory, back)).toContain('/installations/new');
    expect(await countOf(org.id)).toBe(1);
  });

  test('when the secrets were told and did not arrive: the person is told what to delete, and begins again', async () => {
    const org = organization();
    const back = codeAndState(await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory'));
    await control('/faults', { ...conversions, kind: 'reset-after' });
    await expect(finishApp(mallory, back)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(finishApp(mallory, back)).rejects.toMatchObject(
      todoOf(
        new RegExp(`^Delete the App that you just made, at ${github.url}/organizations/${org.login}/settings/apps`),
      ),
    );
    expect(await unsafeDb().tenant.findUnique({ where: { slug: `t-${org.login}` } })).toBeNull();
    // As they were told.
    const lost = Object.values(github.state.apps).find(({ ownerId }) => String(ownerId) === org.id);
    delete github.state.apps[lost?.id ?? 0];
    const again = await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory');
    expect(await finishApp(mallory, codeAndState(again))).toContain('/installations/new');
  });

  test('a slug is kept for who is away with it for an hour, from everybody else', async () => {
    const org = organization();
    const jess = await signedIn('JessSullivan', ids.users.jess);
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory');
    const { tenant } = startOf(org.login);
    const repository = { connectionId: 'github', level: 'repository' as const, path: 'JessSullivan/cmux', tenant };
    const taken = { screen: { fields: { 'tenant.new.slug': expect.stringContaining('is taken') } } };
    await expect(startEnrollment(jess, repository)).rejects.toMatchObject(taken);
    expect(await finishApp(mallory, codeAndState(created))).toContain('/installations/new');
    const other = organization();
    await beginOwnApp(mallory, startOf(other.login));
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_001 });
    const { tenant: free } = startOf(other.login);
    await expect(startEnrollment(jess, { ...repository, tenant: free })).resolves.toMatchObject({
      tenantSlug: `t-${other.login}`,
    });
  });

  test('an App that cannot be kept is named, and where it is to be deleted', async () => {
    const org = organization();
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory');
    const like = await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'cmux' } });
    const { id: _, departure: __, ...columns } = like;
    await unsafeDb().tenant.create({ data: { ...columns, slug: `t-${org.login}`, isDefault: false } });
    await expect(finishApp(mallory, codeAndState(created))).rejects.toMatchObject({
      screen: {
        happened: expect.stringContaining('is taken'),
        changed: expect.stringContaining(`flywheel-${org.login}`),
        todo: expect.stringContaining(
          `Delete the App flywheel-${org.login} at ${github.url}/organizations/${org.login}`,
        ),
      },
    });
    expect(await countOf(org.id)).toBe(0);
  });

  test('of two tabs one goes on, and the other is not told to delete what was kept', async () => {
    const org = organization();
    const back = codeAndState(await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory'));
    const both = await Promise.allSettled([finishApp(mallory, back), finishApp(mallory, back)]);
    const refused = both.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    expect(refused).toMatchObject([{ code: 'forbidden' }]);
    expect(await countOf(org.id)).toBe(1);
  });
});

describe('the install link', () => {
  test('brings an owner back to the wizard with the scope found', async () => {
    const org = organization();
    const address = await beginInstall(mallory, { connectionId: 'github', path: org.login });
    const back = installed(await installAtGithub(address, org.id, 'mallory'));
    const query = new URLSearchParams({ connection: 'github', level: 'organization', path: org.login });
    expect(await finishInstall(mallory, back)).toBe(`/enroll/tenant?${query.toString()}`);
  });

  test('brings back to the repository that was meant, and a person’s account to their repositories', async () => {
    const jess = await signedIn('JessSullivan', ids.users.jess);
    const path = 'JessSullivan/cmux';
    const to = await beginInstall(jess, { connectionId: 'github', path });
    const back = installed(await installAtGithub(to, String(ids.users.jess), 'JessSullivan'));
    expect(await finishInstall(jess, back)).toContain('level=repository');
    const other = await beginInstall(jess, { connectionId: 'github', path: null });
    const again = installed(await installAtGithub(other, String(ids.users.jess), 'JessSullivan'));
    expect(await finishInstall(jess, again)).toBe('/enroll?connection=github&q=JessSullivan');
  });

  test('A13: a guessed installation is refused in words, recorded, and leaves nothing', async () => {
    const state = stateOf(await beginInstall(mallory, { connectionId: 'github', path: null }));
    const guessed = finishInstall(mallory, { installation_id: String(ids.installations.tinyland), state });
    await expect(guessed).rejects.toMatchObject({
      code: 'forbidden',
      screen: { happened: expect.stringContaining('does not show you'), changed: 'Nothing was changed.' },
    });
    const denied = await unsafeDb().audit.findFirst({
      where: { target: `installation ${ids.installations.tinyland}` },
    });
    expect(denied).toMatchObject({ action: 'access:denied', actorId: mallory.person.userId });
  });

  test('A13: an own App’s installation that is not the one which GitHub made is refused, and its draft goes', async () => {
    const org = organization();
    const created = await createAtGithub(mallory, await beginOwnApp(mallory, startOf(org.login)), 'mallory');
    const page = await finishApp(mallory, codeAndState(created));
    const { state } = installed(await installAtGithub(page, org.id, 'mallory'));
    const guessed = finishInstall(mallory, { installation_id: String(ids.installations.tinyland), state });
    await expect(guessed).rejects.toMatchObject({ code: 'forbidden' });
    expect(await unsafeDb().enrollment.count({ where: { scopeId: org.id } })).toBe(0);
  });

  test('A11: somebody else’s state is refused, and still counts for them whom it was made for', async () => {
    const org = organization();
    const address = await beginInstall(mallory, { connectionId: 'github', path: org.login });
    const back = installed(await installAtGithub(address, org.id, 'mallory'));
    const jess = await signedIn('JessSullivan', ids.users.jess);
    await expect(finishInstall(jess, back)).rejects.toMatchObject({ code: 'forbidden' });
    expect(await finishInstall(mallory, back)).toContain('/enroll/tenant');
  });

  test('a state counts once, also for two at once', async () => {
    const org = organization();
    const address = await beginInstall(mallory, { connectionId: 'github', path: org.login });
    const back = installed(await installAtGithub(address, org.id, 'mallory'));
    const both = await Promise.allSettled([finishInstall(mallory, back), finishInstall(mallory, back)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    await expect(finishInstall(mallory, back)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a state ends after an hour, and is kept as a hash alone', async () => {
    const state = stateOf(await beginInstall(mallory, { connectionId: 'github', path: null }));
    expect(JSON.stringify(await unsafeDb().errand.findMany())).not.toContain(state);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_001 });
    await expect(finishInstall(mallory, { state })).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('a state of another errand does not count', async () => {
    const state = stateOf(await beginOwnApp(mallory, startOf(organization().login)));
    await expect(finishInstall(mallory, { state, installation_id: '1' })).rejects.toMatchObject({ code: 'forbidden' });
    const other = stateOf(await beginInstall(mallory, { connectionId: 'github', path: null }));
    await expect(finishApp(mallory, { state: other, code: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(manifestForm(mallory, other)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('without a state nothing is looked up', async () => {
    const before = answers;
    const found = await finishInstall(mallory, { installation_id: String(ids.installations.tinyland) });
    expect(found).toBe('/enroll');
    expect(answers).toBe(before);
  });

  test('who may only ask an owner comes back without an installation', async () => {
    const state = stateOf(await beginInstall(mallory, { connectionId: 'github', path: 'acme' }));
    expect(await finishInstall(mallory, { state })).toBe('/enroll?connection=github&q=acme');
  });
});

describe('the operator’s App', () => {
  const input = (more: object) =>
    NewConnectionInput.parse({ connectionId: 'second', name: 'Second', baseUrl: 'https://x.example', ...more });

  test('comes with the forge that it is for, and nobody but an operator can end what was begun', async () => {
    const second = await startGithub({ port: 0 });
    try {
      const address = await beginConnection(olive, input({ baseUrl: second.url }));
      await expect(manifestForm(mallory, stateOf(address))).rejects.toMatchObject({ code: 'forbidden' });
      const form = await manifestForm(olive, stateOf(address));
      expect(form).toMatchObject({
        action: `${second.url}/settings/apps/new?state=${stateOf(address)}`,
        manifest: {
          public: true,
          callback_urls: [`${portal}/api/auth/callback/second`],
          hook_attributes: { url: `${portal}/api/hooks/second`, active: true },
        },
      });
      const body = new URLSearchParams({
        manifest: JSON.stringify(form.manifest),
        state: stateOf(address),
        as: 'olive-operator',
      });
      const answer = await fetch(`${second.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
      const back = codeAndState(new URL(answer.headers.get('location') ?? ''));
      const demoted = { ...olive, person: { ...olive.person, isOperator: false } };
      await expect(manifestForm(demoted, back.state)).rejects.toMatchObject({ code: 'not_found' });
      expect(await finishApp(olive, back)).toBe('/operator/forges?made=second');
      const made = Object.values(second.state.apps).at(-1);
      const connection = await openConnection('second');
      expect(connection).toMatchObject({
        baseUrl: second.url,
        clientId: made?.clientId,
        clientSecret: made?.clientSecret,
        webhookSecret: made?.webhookSecret,
        app: { id: String(made?.id), slug: made?.slug, privateKey: made?.privateKeyPem },
      });
      expect(await githubApps(connection).itself()).toMatchObject({ slug: made?.slug });
      const rows = await forgeRows();
      expect(rows.find(({ id }) => id === 'second')).toMatchObject({
        app: made?.slug,
        canSignIn: true,
        webhook: { tone: 'idle' },
      });
      await expect(beginPlatformApp(olive, { connectionId: 'second', organization: null })).rejects.toMatchObject({
        code: 'conflict',
      });
      const audit = await unsafeDb().audit.findFirst({ where: { action: 'forge:create-app' } });
      expect(audit).toMatchObject({ target: 'forge/second', tenantId: null });
      expect(textOf(audit)).not.toContain(made?.clientSecret);
    } finally {
      await second.stop();
    }
  });

  test('is not begun at a forge that does not answer', async () => {
    const gone = await startGithub({ port: 0 });
    await gone.stop();
    const sealedClientSecret = await seal('x', connectionPlace('gone', 'client_secret'));
    const data = { id: 'gone', kind: 'github' as const, name: 'Gone', baseUrl: gone.url, clientId: 'i' };
    await unsafeDb().forgeConnection.create({ data: { ...data, sealedClientSecret } });
    await expect(beginPlatformApp(olive, { connectionId: 'gone', organization: null })).rejects.toMatchObject({
      screen: { fields: { organization: expect.any(String) } },
    });
    expect(await unsafeDb().errand.count({ where: { connectionId: 'gone' } })).toBe(0);
    await unsafeDb().forgeConnection.delete({ where: { id: 'gone' } });
  });

  test('is made for a forge that people only signed in with', async () => {
    const bare = await startGithub({ port: 0 });
    try {
      const sealedClientSecret = await seal('x', connectionPlace('bare', 'client_secret'));
      const data = { id: 'bare', kind: 'github' as const, name: 'Bare', baseUrl: bare.url, clientId: 'i' };
      await unsafeDb().forgeConnection.create({ data: { ...data, sealedClientSecret } });
      const address = await beginPlatformApp(olive, { connectionId: 'bare', organization: 'tinyland-inc' });
      const form = await manifestForm(olive, stateOf(address));
      expect(form.action).toContain('/organizations/tinyland-inc/settings/apps/new');
      const body = new URLSearchParams({
        manifest: JSON.stringify(form.manifest),
        org: 'tinyland-inc',
        state: stateOf(address),
        as: 'ada-tinyland',
      });
      const answer = await fetch(`${bare.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
      await finishApp(olive, codeAndState(new URL(answer.headers.get('location') ?? '')));
      const row = await unsafeDb().forgeConnection.findUniqueOrThrow({ where: { id: 'bare' } });
      expect(row).toMatchObject({ appId: expect.any(String), clientId: expect.stringMatching(/^Iv23/) });
    } finally {
      await bare.stop();
    }
  });

  test.each([
    [{ connectionId: 'github' }, 'connectionId'],
    [{ baseUrl: 'the first' }, 'baseUrl'],
  ])('%j is taken', async (change, field) => {
    const asked = { ...input({}), ...change, ...('baseUrl' in change ? { baseUrl: github.url } : {}) };
    await expect(beginConnection(olive, asked)).rejects.toMatchObject({
      screen: { fields: { [field]: expect.any(String) } },
    });
  });

  test.each([
    { connectionId: '../x' },
    { connectionId: 'A' },
    { baseUrl: 'https://x.example/path' },
    { baseUrl: 'https://u@x.example' },
    { baseUrl: 'file:///etc' },
    { organization: 'a/b' },
  ])('%j is no forge', (change) => {
    expect(
      NewConnectionInput.safeParse({ connectionId: 'x', name: 'X', baseUrl: 'https://x.example', ...change }).success,
    ).toBe(false);
  });
});

describe('a new key', () => {
  const dueOf = async (key: string) => (await unsafeDb().task.findFirst({ where: { kind: 'enrollment', key } }))?.dueAt;

  test('of an own App takes the place of the old one, and wakes what it serves and nothing else', async () => {
    const { ctx, appId, enrollmentId } = await enrolOwn();
    const other = await enrolOwn();
    await activate(enrollmentId);
    await activate(other.enrollmentId);
    const own = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const privateKey = github.addKey(own.slug);
    const input = OwnKeyInput.parse({ githubAppId: appId, privateKey });
    await replaceOwnKey(ctx, input);
    const row = await enrollmentRow(enrollmentId);
    if (!row) throw new Error('no row');
    expect(await githubCredentials(row)).toMatchObject({ privateKey });
    expect(await dueOf(enrollmentId)).toBeDefined();
    expect(await dueOf(other.enrollmentId)).toBeUndefined();
    await control(`/apps/${own.slug}/keys/revoke-old`);
    expect(await provenScope(mallory, row)).toBeDefined();
    const [shown] = await ownAppsOf(ctx);
    expect(shown?.keyReplacedAt).not.toBeNull();
    expect(textOf(await unsafeDb().audit.findMany())).not.toContain(privateKey.split('\n')[1]);
    // A stranger's App is absent, whatever the key.
    await expect(replaceOwnKey(other.ctx, input)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('that is another App’s changes nothing, and nothing is woken', async () => {
    const { ctx, appId, enrollmentId } = await enrolOwn();
    await activate(enrollmentId);
    const before = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const input = OwnKeyInput.parse({ githubAppId: appId, privateKey: github.app.privateKeyPem });
    await expect(replaceOwnKey(ctx, input)).rejects.toMatchObject({ code: 'invalid' });
    expect(await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } })).toEqual(before);
    expect(await dueOf(enrollmentId)).toBeUndefined();
  });

  test('of the shared App reaches all that it serves, and none with an App of its own', async () => {
    const own = await enrolOwn();
    await activate(own.enrollmentId);
    const tenant = await unsafeDb().tenant.findUniqueOrThrow({ where: { slug: 'tinyland-inc' } });
    const shared = await unsafeDb().enrollment.create({
      data: {
        tenantId: tenant.id,
        name: 'shared',
        connectionId: 'github',
        level: 'organization',
        path: 'tinyland-inc',
        scopeId: String(ids.orgs.tinyland),
        installationId: String(ids.installations.tinyland),
        state: 'active',
      },
    });
    const privateKey = github.addKey(github.app.slug);
    await replacePlatformKey(olive, PlatformKeyInput.parse({ connectionId: 'github', privateKey }));
    const row = await unsafeDb().forgeConnection.findUniqueOrThrow({ where: { id: 'github' } });
    expect(await open(row.sealedPrivateKey ?? '', connectionPlace('github', 'private_key'))).toBe(privateKey);
    // After the second for which a worker may still hold the old one.
    expect((await dueOf(shared.id))?.getTime()).toBeGreaterThan(Date.now() + 1_000);
    expect(await dueOf(own.enrollmentId)).toBeUndefined();
    const foreign = github.addKey(`flywheel-${own.org.login}`);
    const refused = replacePlatformKey(olive, PlatformKeyInput.parse({ connectionId: 'github', privateKey: foreign }));
    await expect(refused).rejects.toMatchObject({ code: 'invalid' });
  });

  test.each([
    '',
    'nonsense',
    '-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----',
    `-----BEGIN RSA PRIVATE KEY-----${'x'.repeat(20_001)}-----END RSA PRIVATE KEY-----`,
  ])('that is no key is refused before anybody is asked', (privateKey) => {
    expect(PlatformKeyInput.safeParse({ connectionId: 'github', privateKey }).success).toBe(false);
  });
});

describe('a new webhook secret of an own App', () => {
  const input = (githubAppId: string) => OwnSecretInput.parse({ githubAppId });
  const atGithub = (appId: string) => Object.values(github.state.apps).find(({ id }) => String(id) === appId);
  async function both(id: string): Promise<{ signs: string | undefined; kept: string }> {
    const row = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id } });
    const kept = await open(row.sealedWebhookSecret, githubAppPlace(row, 'webhook_secret'));
    return { signs: atGithub(row.appId)?.webhookSecret, kept };
  }
  const ofSecret = { match: { method: 'PATCH', path: '/app/hook/config$' } };
  /** All that ends after some time ends after a twentieth of it. */
  function hasten(): void {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(ms / 20));
  }

  test('is given to GitHub and kept for that row, written down, and what it serves is looked at', async () => {
    const { ctx, appId, enrollmentId } = await enrolOwn();
    const other = await enrolOwn();
    await activate(enrollmentId);
    const before = await both(appId);
    await replaceOwnSecret(ctx, input(appId));
    const after = await both(appId);
    expect(after.kept).toBe(after.signs);
    expect(after.kept).not.toBe(before.kept);
    expect(await unsafeDb().task.count({ where: { kind: 'enrollment', key: enrollmentId } })).toBe(1);
    const audit = await unsafeDb().audit.findMany({ where: { action: 'github-app:replace-secret' } });
    expect(audit).toMatchObject([{ tenantId: ctx.tenant.id, actorId: mallory.person.userId }]);
    expect(textOf(audit)).not.toContain(after.kept);
    // A stranger's App is absent.
    await expect(replaceOwnSecret(other.ctx, input(appId))).rejects.toMatchObject({ code: 'not_found' });
    expect(await both(appId)).toEqual(after);
  });

  test('of two at once one is told so without waiting, and GitHub signs with the other’s, which is kept', async () => {
    const { ctx, appId } = await enrolOwn();
    for (let round = 0; round < 3; round += 1) {
      // Whoever is given the first one hears of it last.
      await control('/faults', { ...ofSecret, kind: 'delay-after', delayMs: 500 });
      const pressed = await Promise.allSettled([
        replaceOwnSecret(ctx, input(appId)),
        replaceOwnSecret(ctx, input(appId)),
      ]);
      const refused = pressed.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(refused).toMatchObject([
        {
          code: 'conflict',
          screen: { happened: expect.stringContaining('just now'), changed: 'Nothing was changed.' },
        },
      ]);
      const { signs, kept } = await both(appId);
      expect(kept).toBe(signs);
    }
  });

  test('that many ask for at once leaves the pool to others', async () => {
    const { ctx, appId } = await enrolOwn();
    await control('/faults', { ...ofSecret, kind: 'delay-after', delayMs: 2_000 });
    const presses = Array.from({ length: 12 }, () => replaceOwnSecret(ctx, input(appId)));
    const all = Promise.allSettled(presses);
    await sleep(500);
    const begun = Date.now();
    await unsafeDb().githubApp.count();
    expect(Date.now() - begun).toBeLessThan(1_000);
    expect((await all).filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('that GitHub is too slow to answer may be there, and is said as an answer that was lost', async () => {
    const { ctx, appId } = await enrolOwn();
    hasten();
    await control('/faults', { ...ofSecret, kind: 'delay-after', delayMs: 1_500 });
    await expect(replaceOwnSecret(ctx, input(appId))).rejects.toMatchObject({
      code: 'unavailable',
      screen: {
        happened: 'The answer to the new webhook secret was lost. GitHub did not answer in time.',
        changed: expect.stringContaining('may sign with a new'),
      },
    });
    vi.restoreAllMocks();
    await replaceOwnSecret(ctx, input(appId));
    const { signs, kept } = await both(appId);
    expect(kept).toBe(signs);
  });

  test('has the whole time from when GitHub is asked, and before that nothing is in doubt', async () => {
    const { appId } = await enrolOwn();
    const own = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const connection = await openConnectionFor({ ...own, githubAppId: appId });
    hasten();
    await withNewSecret(async (_, give) => {
      await sleep(800);
      await give(connection);
    });
    const noKey = { ...connection, app: { id: own.appId, slug: own.slug, privateKey: '' } };
    const refused = await withNewSecret(async (_, give) => void (await give(noKey))).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Error);
    expect(refused).not.toMatchObject({ code: 'unavailable' });
  });

  test('whose answer was lost is said so, and done again mends it', async () => {
    const { ctx, appId } = await enrolOwn();
    await control('/faults', { match: { method: 'PATCH', path: '/app/hook/config$' }, kind: 'reset-after' });
    await expect(replaceOwnSecret(ctx, input(appId))).rejects.toMatchObject({
      code: 'unavailable',
      screen: {
        happened: expect.stringContaining('was lost'),
        changed: expect.stringContaining('may sign with a new'),
      },
    });
    expect((await both(appId)).kept).not.toBe((await both(appId)).signs);
    await replaceOwnSecret(ctx, input(appId));
    expect((await both(appId)).kept).toBe((await both(appId)).signs);
  });

  test('that GitHub refuses changes nothing, and is not said to be in doubt', async () => {
    const { ctx, appId } = await enrolOwn();
    const before = await both(appId);
    await control('/faults', { match: { method: 'PATCH', path: '/app/hook/config$' }, kind: 'status', status: 403 });
    await expect(replaceOwnSecret(ctx, input(appId))).rejects.toMatchObject({ code: 'forbidden' });
    expect(await both(appId)).toEqual(before);
  });

  test('its webhook is shown, and an App that is gone as that', async () => {
    const { ctx, appId, org } = await enrolOwn();
    const { appId: number } = await unsafeDb().githubApp.findUniqueOrThrow({ where: { id: appId } });
    const app = atGithub(number);
    if (!app) throw new Error('no App');
    // What GitHub delivers has nowhere to arrive here.
    await github.settled();
    expect(await ownAppsOf(ctx)).toMatchObject([
      { isGone: false, webhook: { tone: 'bad', says: expect.stringContaining('Last delivery') } },
    ]);
    app.webhookUrl = 'https://elsewhere.example';
    expect(await ownAppsOf(ctx)).toMatchObject([{ webhook: { says: 'Goes to https://elsewhere.example' } }]);
    await fetch(`${github.url}/_sandbox/apps/flywheel-${org.login}`, { method: 'DELETE' });
    expect(await ownAppsOf(ctx)).toMatchObject([{ isGone: true, webhook: { tone: 'bad' } }]);
  });

  test('an App is gone where GitHub does not know it, and not where it refuses something else', async () => {
    const { ctx, org, enrollmentId } = await enrolOwn();
    await unsafeDb().enrollment.delete({ where: { id: enrollmentId } });
    const refuse = (path: string, status: number) =>
      control('/faults', { match: { method: 'GET', path }, kind: 'status', status });
    for (const [path, status] of [
      ['/app/hook/config$', 403],
      ['/app/hook/config$', 404],
      ['/app/hook/deliveries$', 404],
      ['/app$', 403],
    ] as const) {
      await refuse(path, status);
      expect(await ownAppsOf(ctx), `${path} ${status}`).toMatchObject([{ isGone: false, webhook: { tone: 'warn' } }]);
    }
    for (const status of [401, 404]) {
      await refuse('/app$', status);
      expect(await ownAppsOf(ctx), `${status}`).toMatchObject([{ isGone: true }]);
    }
    // Nor does another take its place then.
    await refuse('/app$', 403);
    const again = beginOwnApp(mallory, { ...startOf(org.login), tenant: { slug: ctx.tenant.slug } });
    await expect(again).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('what GitHub refuses the shared App is told as it is', async () => {
    await control('/faults', { match: { path: '/app/hook/config$' }, kind: 'status', status: 401 });
    const shared = (await forgeRows()).find(({ id }) => id === 'github');
    const says = 'GitHub refuses the App’s credentials for the App’s webhook.';
    expect(shared?.webhook).toEqual({ tone: 'warn', says });
  });
});

test('what an operator reads of a webhook', () => {
  const at = new Date();
  const last = { at, event: 'ping', statusCode: 200 };
  expect(webhookSummary({ url: 'u', last }, 'u').tone).toBe('good');
  expect(webhookSummary({ url: 'u', last: null }, 'u').tone).toBe('idle');
  expect(webhookSummary({ url: 'v', last }, 'u')).toEqual({ tone: 'bad', says: 'Goes to v' });
  expect(webhookSummary({ url: null, last }, 'u').tone).toBe('bad');
  expect(webhookSummary({ url: 'u', last: { ...last, statusCode: 401 } }, 'u').says).toContain('401');
});

test('an errand that ended is cleared away', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 7_200_000 });
  await beginInstall(mallory, { connectionId: 'github', path: null }).catch(() => null);
  expect(await errands()).toBeLessThanOrEqual(1);
});
