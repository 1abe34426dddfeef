import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ClusterClient, readObject } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { Condition } from '#lib/model/index.ts';
import { tenantCtx } from '#lib/tenant/index.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import {
  approvePlan,
  listCredentials,
  makePlan,
  OwnKeyInput,
  replaceOwnKey,
  savePools,
  startEnrollment,
} from './index.ts';
import { beginOwnApp, finishApp, finishInstall, manifestForm } from './github-app.ts';

/*
 * What becomes of an App's installation at GitHub, from the click there to the condition here: the stand-in's signed webhook,
 * the delivery that wakes, the look that finds. Nothing of the event is believed, and no look is waited five minutes for.
 */

let portal: TestPortal;
let admin: ClusterClient;

beforeAll(async () => {
  portal = await startTestPortal({ arc: true });
  portal.github.app.webhookUrl = `${env().PORTAL_URL}/api/hooks/github`;
  portal.startWorker();
  const { kubeconfigPath } = await testCluster();
  const kubeConfig = () => {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfigPath);
    return config;
  };
  admin = new ClusterClient({ id: 'admin', kubeConfig });
}, 180_000);
afterAll(() => portal?.stop());

async function control(path: string, body: object = {}): Promise<{ id: number }> {
  const answer = await fetch(`${portal.github.url}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? { id: 0 } : ((await answer.json()) as { id: number });
}

type Enrolled = { id: string; slug: string; installation: string; scopeId: string };

async function readyEnrollment(slug: string, level: 'organization' | 'repository', path: string): Promise<Enrolled> {
  const ada = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const { enrollmentId: id } = await startEnrollment(ada, { connectionId: 'github', level, path, tenant });
  return applied(slug, id, 'ada-tinyland');
}

async function applied(slug: string, id: string, login: string): Promise<Enrolled> {
  const ctx = await portal.member(login, slug);
  await savePools(ctx, { enrollmentId: id, pools: [{ pool: 'docker', minRunners: 0, maxRunners: 1 }] });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId: id, kind: 'enroll' }));
  await isReady(id);
  const { installationId, scopeId } = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return { id, slug, installation: installationId ?? '', scopeId };
}

async function conditionOf(id: string, type: string): Promise<{ status: string; reason: string } | undefined> {
  const row = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } });
  return Condition.array()
    .parse(row.conditions)
    .find((each) => each.type === type);
}

/** Well below the five minutes after which it would be looked at in any case. */
const soonMs = 20_000;
const isReady = (id: string) =>
  eventually('ready', async () => (await conditionOf(id, 'Ready'))?.status === 'True', soonMs);
const says = (id: string, reason: string) =>
  eventually(reason, async () => (await conditionOf(id, 'ForgeReady'))?.reason === reason, soonMs);

async function secretOf({ slug }: Enrolled): Promise<Record<string, string>> {
  const metadata = { name: `${slug}-github`, namespace: `runners-${slug}` };
  const found = await readObject(admin, { apiVersion: 'v1', kind: 'Secret', metadata });
  const data = (found as { data?: Record<string, string> } | undefined)?.data ?? {};
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
}

async function setOf({ slug }: Enrolled) {
  const metadata = { name: `${slug}-docker`, namespace: `runners-${slug}` };
  const object = { apiVersion: 'actions.github.com/v1alpha1', kind: 'AutoscalingRunnerSet', metadata };
  return (await readObject(admin, object)) as unknown as {
    spec: { githubConfigUrl: string };
    metadata: { annotations: object };
  };
}

describe('the shared App', () => {
  test('suspended and resumed', async () => {
    await portal.organization('life-suspend');
    const { id, installation } = await readyEnrollment('life-suspend', 'organization', 'life-suspend');
    await control(`/installations/${installation}/suspend`);
    await says(id, 'AppSuspended');
    await control(`/installations/${installation}/unsuspend`);
    await isReady(id);
    expect(await conditionOf(id, 'ForgeReady')).toMatchObject({ status: 'True', reason: 'AsWanted' });
  }, 90_000);

  test('uninstalled, and installed again under another number: the cluster is told', async () => {
    await portal.organization('life-again');
    const enrolled = await readyEnrollment('life-again', 'organization', 'life-again');
    expect(await secretOf(enrolled)).toMatchObject({ github_app_installation_id: enrolled.installation });
    await control(`/installations/${enrolled.installation}/uninstall`);
    await says(enrolled.id, 'AppMissing');
    const { id: again } = await control('/installations', { account: 'life-again' });
    await isReady(enrolled.id);
    expect(String(again)).not.toBe(enrolled.installation);
    expect(await secretOf(enrolled)).toMatchObject({ github_app_installation_id: String(again) });
  }, 90_000);

  test('with a permission taken and given', async () => {
    await portal.organization('life-permit');
    const { id, installation } = await readyEnrollment('life-permit', 'organization', 'life-permit');
    const { permissions } = portal.github.app;
    const { organization_self_hosted_runners: _, ...fewer } = permissions;
    await control(`/installations/${installation}/permissions`, { permissions: fewer });
    await says(id, 'PermissionMissing');
    await control(`/installations/${installation}/permissions`, { permissions });
    await isReady(id);
    expect(await conditionOf(id, 'ForgeReady')).toMatchObject({ status: 'True', reason: 'AsWanted' });
  }, 90_000);

  test('a repository left out, put back, and transferred away', async () => {
    const owner = 'life-repo';
    const { id: orgId } = portal.github.addOrg({ login: owner, admins: ['ada-tinyland'] });
    for (const name of ['app', 'other', 'third']) portal.github.addRepo({ owner, name, private: true });
    const only = (...names: string[]) => ({
      selection: 'selected',
      repositories: names.map((name) => `${owner}/${name}`),
    });
    await control('/installations', { account: owner, ...only('app') });
    const { id, installation, scopeId } = await readyEnrollment(owner, 'repository', `${owner}/app`);
    await control(`/installations/${installation}/repositories`, only('other'));
    await says(id, 'RepositoryNotSelected');
    await control(`/installations/${installation}/repositories`, only('app', 'other'));
    await isReady(id);
    // Transferred: GitHub shows the App nothing of it, whether it was left out or is gone; where all are selected it is gone.
    const repository = portal.github.state.repos[Number(scopeId)];
    if (!repository) throw new Error('no repository');
    portal.github.addOrg({ login: 'life-buyer', admins: ['mallory'] });
    await control('/installations', { account: 'life-buyer' });
    await portal.github.settled();
    await control(`/repos/${owner}/app/transfer`, { owner: 'life-buyer' });
    await says(id, 'RepositoryNotSelected');
    await control(`/installations/${installation}/repositories`, { selection: 'all' });
    await says(id, 'ScopeGone');
    expect(await conditionOf(id, 'Ready')).toMatchObject({ status: 'False' });
    repository.ownerId = orgId;
  }, 120_000);

  test('an organization that is renamed stays the same one; whoever takes its name does not become it', async () => {
    await portal.organization('life-before');
    const enrolled = await readyEnrollment('life-before', 'organization', 'life-before');
    await control('/orgs/life-before/rename', { login: 'life-after' });
    await eventually(
      'the new path',
      async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrolled.id } })).path === 'life-after',
      soonMs,
    );
    await isReady(enrolled.id);
    await eventually(
      'the new address',
      async () => (await setOf(enrolled)).spec.githubConfigUrl === `${portal.github.url}/life-after`,
      soonMs,
    );
    portal.github.addOrg({ login: 'life-before', admins: ['mallory'] });
    await control('/installations', { account: 'life-before' });
    await portal.github.settled();
    await isReady(enrolled.id);
    expect(await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrolled.id } })).toMatchObject({
      path: 'life-after',
      scopeId: enrolled.scopeId,
      installationId: enrolled.installation,
    });
  }, 120_000);
});

describe('an App of the organization’s own', () => {
  /** As mallory does it, between the portal's pages and GitHub's. */
  async function enrolOwn(login: string): Promise<Enrolled> {
    const { id: orgId } = portal.github.addOrg({ login, admins: ['mallory'] });
    const mallory = await portal.person('mallory');
    const tenant = { new: { slug: login, displayName: login, kind: 'organization' as const } };
    const start = { connectionId: 'github', level: 'organization' as const, path: login, tenant };
    const state = (address: URL) => address.searchParams.get('state') ?? '';
    const leave = new URL(await beginOwnApp(mallory, start), portal.github.url);
    const { manifest } = await manifestForm(mallory, state(leave));
    const body = new URLSearchParams({
      manifest: JSON.stringify(manifest),
      org: login,
      state: state(leave),
      as: 'mallory',
    });
    const made = await fetch(`${portal.github.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
    const back = new URL(made.headers.get('location') ?? '');
    const page = await finishApp(mallory, { code: back.searchParams.get('code') ?? '', state: state(back) });
    const installed = await fetch(page, {
      method: 'POST',
      body: new URLSearchParams({ account: String(orgId), selection: 'all' }),
      headers: { cookie: 'sandbox_login=mallory' },
      redirect: 'manual',
    });
    const query = new URL(installed.headers.get('location') ?? '').searchParams;
    const number = query.get('installation_id') ?? undefined;
    const wizard = await finishInstall(mallory, { installation_id: number, state: query.get('state') ?? undefined });
    return applied(login, wizard.split('/')[4] ?? '', 'mallory');
  }

  test('serves from its own key, hears of its own events, and is given a new key that the cluster gets', async () => {
    const enrolled = await enrolOwn('life-own');
    const own = await unsafeDb().githubApp.findFirstOrThrow({ where: { accountId: enrolled.scopeId } });
    const mine = await tenantCtx(await portal.person('mallory'), 'life-own');
    const key = mine && (await listCredentials(mine)).find(({ kind }) => kind === 'app-key');
    expect(key).toMatchObject({
      enrollmentId: null,
      enrollment: 'life-own',
      purpose: `Private key of the App ${own.slug}`,
      owner: mine?.person.name,
      usedAt: expect.any(String),
      renewedBy: 'person',
    });
    const first = await secretOf(enrolled);
    expect(first).toMatchObject({ github_app_id: own.appId, github_app_installation_id: enrolled.installation });
    expect(first['github_app_private_key']).not.toBe(portal.github.app.privateKeyPem);

    await control(`/installations/${enrolled.installation}/suspend`);
    await says(enrolled.id, 'AppSuspended');
    await control(`/installations/${enrolled.installation}/unsuspend`);
    await isReady(enrolled.id);

    const before = JSON.stringify((await setOf(enrolled)).metadata.annotations);
    const privateKey = portal.github.addKey(own.slug);
    const ctx = await tenantCtx(await portal.person('mallory'), 'life-own');
    if (!ctx) throw new Error('no tenant');
    await replaceOwnKey(ctx, OwnKeyInput.parse({ githubAppId: own.id, privateKey }));
    await control(`/apps/${own.slug}/keys/revoke-old`);
    await eventually(
      'the new key',
      async () => (await secretOf(enrolled))['github_app_private_key'] === privateKey,
      soonMs,
    );
    await eventually(
      'another hash',
      async () => JSON.stringify((await setOf(enrolled)).metadata.annotations) !== before,
      soonMs,
    );
    await isReady(enrolled.id);
  }, 120_000);
});
