import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { appManifest, assertKeyOf, githubApps, installPageUrl, manifestFormUrl } from './github-app.ts';
import type { ForgeConnectionValue } from './port.ts';

let github: Github;
let bare: ForgeConnectionValue;
beforeAll(async () => {
  github = await startGithub({ port: 0 });
  const { clientId, clientSecret } = github.app;
  bare = { id: 'github', kind: 'github', baseUrl: github.url, clientId, clientSecret, allowLoopback: true };
});
afterAll(() => github.stop());

const portalUrl = 'http://portal.test';
const manifestOf = (use: 'platform' | 'organization', name: string) =>
  appManifest({
    use,
    name,
    portalUrl,
    redirectUrl: `${portalUrl}/api/github/created`,
    setupUrl: `${portalUrl}/enroll/installed`,
    hookUrl: `${portalUrl}/api/hooks/github`,
    callbackUrls: [`${portalUrl}/api/auth/callback/github`],
  });

/** What a browser does between the portal and GitHub's way back: post the manifest, confirm, follow no further. */
async function createApp(manifest: object, as: string, organization: string | null): Promise<URL> {
  const form = manifestFormUrl(github.url, organization, 'the-state');
  const shown = await fetch(form, {
    method: 'POST',
    body: new URLSearchParams({ manifest: JSON.stringify(manifest) }),
  });
  expect(shown.status).toBe(200);
  const body = new URLSearchParams({
    manifest: JSON.stringify(manifest),
    org: organization ?? '',
    state: 'the-state',
    as,
  });
  const back = await fetch(`${github.url}/settings/apps/create`, { method: 'POST', body, redirect: 'manual' });
  return new URL(back.headers.get('location') ?? 'http://refused.test');
}

async function control(path: string, body: object): Promise<{ id: number }> {
  const answer = await fetch(`${github.url}/_sandbox${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as { id: number };
}

async function ownApp(organization: string, owner: string): Promise<ForgeConnectionValue> {
  const back = await createApp(manifestOf('organization', `own ${organization}`), owner, organization);
  const made = await githubApps(bare).convert(back.searchParams.get('code') ?? '');
  return { ...bare, app: { id: made.id, slug: made.slug, privateKey: made.privateKey } };
}

describe('the manifest', () => {
  test('asks for what is needed and no more', () => {
    expect(manifestOf('organization', 'x').default_permissions).toEqual({
      actions: 'read',
      members: 'read',
      metadata: 'read',
      organization_self_hosted_runners: 'write',
    });
    expect(manifestOf('organization', 'x')).toMatchObject({
      public: false,
      default_events: ['membership', 'organization', 'team', 'workflow_job'],
    });
    expect(manifestOf('platform', 'x')).toMatchObject({
      public: true,
      default_permissions: { administration: 'write' },
    });
  });

  test('keeps within GitHub’s limit of a name', () => {
    expect(manifestOf('platform', `flywheel-${'a'.repeat(60)}`).name).toHaveLength(34);
    expect(manifestOf('platform', `${'a'.repeat(33)}-b`).name).toBe('a'.repeat(33));
  });

  test('goes to a person’s settings or to an organization’s, whose name cannot lead elsewhere', () => {
    expect(manifestFormUrl('https://f.example', null, 's')).toBe('https://f.example/settings/apps/new?state=s');
    expect(manifestFormUrl('https://f.example', 'a/../b?c', 's')).toBe(
      'https://f.example/organizations/a%2F..%2Fb%3Fc/settings/apps/new?state=s',
    );
    expect(installPageUrl('https://f.example/apps/x', '7', 's')).toBe(
      'https://f.example/apps/x/installations/new?state=s&suggested_target_id=7',
    );
  });
});

describe('an App that is made', () => {
  test('tells its secrets once, and its key speaks for it', async () => {
    const back = await createApp(manifestOf('organization', 'made once'), 'ada-tinyland', 'tinyland-inc');
    expect(back.origin + back.pathname).toBe(`${portalUrl}/api/github/created`);
    expect(back.searchParams.get('state')).toBe('the-state');
    const code = back.searchParams.get('code') ?? '';
    const made = await githubApps(bare).convert(code);
    expect(made).toMatchObject({ slug: 'made-once', owner: { id: String(ids.orgs.tinyland), login: 'tinyland-inc' } });
    expect(made.privateKey).toMatch(/^-----BEGIN RSA PRIVATE KEY-----/);
    const app = { id: made.id, slug: made.slug, privateKey: made.privateKey };
    expect(await githubApps({ ...bare, app }).itself()).toMatchObject({ id: made.id, owner: made.owner });
    await expect(githubApps(bare).convert(code)).rejects.toMatchObject({ code: 'not_found' });
  });

  test.each(['', '../../app', 'a b', 'x'.repeat(300)])('a code %j is no code and is not sent', async (code) => {
    await expect(githubApps(bare).convert(code)).rejects.toMatchObject({ code: 'not_found' });
  });

  test('nobody makes one for an organization that they do not own', async () => {
    const back = await createApp(manifestOf('organization', 'not mine'), 'mallory', 'tinyland-inc');
    expect(back.host).toBe('refused.test');
  });

  test('without an App there is nothing to ask', async () => {
    await expect(githubApps(bare).itself()).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('A13: an installation', () => {
  const platform = () => ({
    ...bare,
    app: { id: String(github.app.id), slug: github.app.slug, privateKey: github.app.privateKeyPem },
  });

  test('is shown to those who may see it, and to nobody else', async () => {
    const id = String(ids.installations.tinyland);
    const of = (login: string) => githubApps(platform()).installationOfUser({ userToken: github.userToken(login), id });
    expect(await of('ada-tinyland')).toMatchObject({
      id,
      accountId: String(ids.orgs.tinyland),
      accountType: 'Organization',
    });
    expect(await of('mallory')).toBeNull();
  });

  test('of an organization’s own App tells its owners from its members and from strangers, by id', async () => {
    const connection = await ownApp('mallory-labs', 'mallory');
    const accountId = String(ids.orgs.malloryLabs);
    const as = (subject: number, login: string) =>
      githubApps(connection).ownScope({ accountId, person: { subject: String(subject), login } });
    const before = await as(ids.users.mallory, 'mallory');
    expect(before).toMatchObject({ role: 'none', installation: null, path: 'mallory-labs', scopeId: accountId });
    expect(before.installUrl).toContain(`suggested_target_id=${accountId}`);
    await control('/installations', { account: 'mallory-labs', app: connection.app?.slug });
    expect(await as(ids.users.mallory, 'mallory')).toMatchObject({
      role: 'admin',
      installation: { permissionsMissing: [] },
    });
    expect(await as(ids.users.ada, 'ada-tinyland')).toMatchObject({ role: 'none' });
    // Somebody else who took over the login.
    expect(await as(ids.users.ada, 'mallory')).toMatchObject({ role: 'none' });
    await control('/orgs/mallory-labs/rename', { login: 'mallory-works' });
    expect(await as(ids.users.mallory, 'mallory')).toMatchObject({ role: 'admin', path: 'mallory-works' });
  });
});

describe('a new key', () => {
  test('is taken if it is the App’s, and another App’s or no key at all is not', async () => {
    const mine = await ownApp('tinyland-inc', 'ada-tinyland');
    const { app } = mine;
    if (!app) throw new Error('no App');
    const fresh = github.addKey(app.slug);
    await expect(assertKeyOf(mine, app, fresh)).resolves.toBeUndefined();
    for (const other of [
      github.app.privateKeyPem,
      'nonsense',
      '-----BEGIN RSA PRIVATE KEY-----\nxx\n-----END RSA PRIVATE KEY-----',
    ])
      await expect(assertKeyOf(mine, app, other)).rejects.toMatchObject({
        code: 'invalid',
        screen: { fields: { privateKey: expect.any(String) } },
      });
  });

  test('a forge that is away is not a key that is wrong', async () => {
    const app = { id: String(github.app.id), slug: github.app.slug };
    github.fault({ kind: 'status', match: { path: '/app$' }, status: 502 });
    await expect(assertKeyOf(bare, app, github.app.privateKeyPem)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

test('the webhook’s state: where it goes and how the last delivery was answered', async () => {
  const connection = await ownApp('org-free', 'ada-tinyland');
  expect(await githubApps(connection).webhookState()).toEqual({ url: `${portalUrl}/api/hooks/github`, last: null });
});
