import { z } from 'zod';
import { AppError } from '../errors.ts';
import { organizationChoice, membershipRole } from './github/choice.ts';
import { type Client, githubClient } from './github/client.ts';
import { notFoundError, type Refusal } from './github/errors.ts';
import {
  AppOfOwner,
  HookConfig,
  HookDelivery,
  Installation,
  InstallationPage,
  MadeApp,
  MemberOf,
} from './github/schema.ts';
import type { Cancel, ForgeConnectionValue, ScopeChoice, ScopeRole } from './port.ts';

export { apiBaseUrl as githubApiUrl } from './github/client.ts';

/**
 * What only GitHub has: an App that is made from a manifest, is told its secrets once, is installed, and is given new keys.
 * The port knows nothing of it; an App that is there is a part of the connection's value.
 */

/** `platform`: the connection's App, for every account that installs it. `organization`: one organization's own. */
export type AppUse = 'platform' | 'organization';

export type AppManifest = {
  name: string;
  url: string;
  description: string;
  public: boolean;
  redirect_url: string;
  setup_url: string;
  setup_on_update: boolean;
  callback_urls: string[];
  hook_attributes: { url: string; active: boolean };
  default_permissions: Record<string, 'read' | 'write'>;
  default_events: string[];
};

/**
 * `organization_self_hosted_runners` and `administration` are what ARC registers runners by at the two levels; `actions`
 * lets us hear of jobs; `members` tells who owns the organization, without which nobody could prove that they may enrol it.
 * An organization's own App serves no repository by itself, so that it has no `administration`.
 */
const permissionsOf: Record<AppUse, Record<string, 'read' | 'write'>> = {
  platform: {
    actions: 'read',
    administration: 'write',
    members: 'read',
    metadata: 'read',
    organization_self_hosted_runners: 'write',
  },
  organization: { actions: 'read', members: 'read', metadata: 'read', organization_self_hosted_runners: 'write' },
};

const eventsOf: Record<AppUse, string[]> = {
  platform: ['membership', 'organization', 'repository', 'team', 'workflow_job'],
  organization: ['membership', 'organization', 'team', 'workflow_job'],
};

/** GitHub's own limit on an App's name, which is unique over all of GitHub; whoever creates it may change it there. */
const nameLengthMax = 34;

/** https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest, "GitHub App Manifest parameters" */
export function appManifest(given: {
  use: AppUse;
  name: string;
  portalUrl: string;
  redirectUrl: string;
  setupUrl: string;
  hookUrl: string;
  callbackUrls: string[];
}): AppManifest {
  const { use, name, portalUrl, redirectUrl, setupUrl, hookUrl, callbackUrls } = given;
  return {
    name: name.slice(0, nameLengthMax).replace(/[^A-Za-z0-9]+$/, ''),
    url: portalUrl,
    description: 'Registers CI runners of GloriousFlywheel.',
    public: use === 'platform',
    redirect_url: redirectUrl,
    setup_url: setupUrl,
    setup_on_update: false,
    callback_urls: callbackUrls,
    hook_attributes: { url: hookUrl, active: true },
    default_permissions: permissionsOf[use],
    default_events: eventsOf[use],
  };
}

/** Where the manifest is posted to: the person's own settings, or an organization's, which only its owners may open. */
export function manifestFormUrl(baseUrl: string, organization: string | null, state: string): string {
  const of = organization === null ? '' : `/organizations/${encodeURIComponent(organization)}`;
  return `${baseUrl}${of}/settings/apps/new?${new URLSearchParams({ state }).toString()}`;
}

/** Where an owner installs the App on the one account that is meant. */
export function installPageUrl(htmlUrl: string, accountId: string | null, state: string): string {
  const query = new URLSearchParams({ state });
  if (accountId !== null) query.set('suggested_target_id', accountId);
  return `${htmlUrl}/installations/new?${query.toString()}`;
}

/** An App's secrets as GitHub tells them, once. They go sealed into a row and nowhere else. */
export type NewApp = {
  id: string;
  slug: string;
  htmlUrl: string;
  owner: { id: string; login: string };
  clientId: string;
  clientSecret: string;
  webhookSecret: string;
  privateKey: string;
};

export type AppItself = { id: string; slug: string; htmlUrl: string; owner: { id: string; login: string } };

export type InstallationOf = { id: string; accountId: string; accountLogin: string; accountType: string };

export type WebhookState = {
  url: string | null;
  last: { at: Date; event: string; statusCode: number } | null;
};

export type GithubApps = ReturnType<typeof githubApps>;

/** The errors are those of the port. What needs an App says `forbidden` where the connection has none. */
export function githubApps(connection: ForgeConnectionValue) {
  const client = githubClient(connection);
  return {
    /** The end of the manifest flow. The code counts once, for an hour; `not_found` after that. */
    async convert(code: string, cancel?: Cancel): Promise<NewApp> {
      if (!/^[\w-]{1,200}$/.test(code)) throw notFoundError('the new App');
      const ask = { as: { nobody: true as const }, signal: cancel?.signal, about: 'the new App', params: { code } };
      const made = await client.call('POST /app-manifests/{code}/conversions', MadeApp, ask);
      return {
        id: made.id,
        slug: made.slug,
        htmlUrl: made.html_url,
        owner: { id: made.owner.id, login: made.owner.login },
        clientId: made.client_id,
        clientSecret: made.client_secret,
        webhookSecret: made.webhook_secret,
        privateKey: made.pem,
      };
    },

    /** Whose key the connection carries: GitHub answers only to a key that is the App's. */
    async itself(cancel?: Cancel): Promise<AppItself> {
      return portApp(await client.call('GET /app', AppOfOwner, askAsApp('the App', cancel)));
    },

    /** The same; null where GitHub knows no such App, or not by this key. What it refuses otherwise tells of neither. */
    async known(cancel?: Cancel): Promise<AppItself | null> {
      const absent = ({ status }: Refusal) => status === 401 || status === 404;
      const app = await client.find('GET /app', AppOfOwner, { ...askAsApp('the App', cancel), absent });
      return app && portApp(app);
    },

    /** An installation as this very person is shown it; null where they are shown none of that id. */
    async installationOfUser(input: Cancel & { userToken: string; id: string }): Promise<InstallationOf | null> {
      const { userToken, signal, id } = input;
      const ask = { as: { user: userToken }, signal, about: 'your installations' };
      const all = await client.all('GET /user/installations', InstallationPage, (page) => page.installations, ask);
      const found = all.find((each) => each.id === id);
      return found ? portInstallation(found) : null;
    },

    /**
     * The organization that its own App is installed on, as `findScope` would tell it. The role is asked by the App, since
     * a person's token, which is of the connection's App, is told nothing of an organization where that one is not
     * installed; it counts only if the membership is of the same account by id.
     */
    async ownScope(
      input: Cancel & { accountId: string; person: { subject: string; login: string } },
    ): Promise<ScopeChoice & { role: ScopeRole }> {
      const { accountId, person, signal } = input;
      const app = await client.call('GET /app', AppOfOwner, askAsApp('the App', { signal }));
      const installation = await installationOn(client, accountId, signal);
      const installUrl = installation?.html_url ?? `${app.html_url}/installations/new?suggested_target_id=${accountId}`;
      const login = installation?.account.login ?? app.owner.login;
      const choice = organizationChoice({ id: accountId, login }, installation, installUrl);
      if (!installation || installation.suspended_at) return { ...choice, role: 'none' };
      return { ...choice, role: await roleIn(client, installation, person, signal) };
    },

    /** GitHub signs with this secret from its answer on. */
    async setWebhookSecret(secret: string, cancel?: Cancel): Promise<void> {
      const ask = { ...askAsApp('the App’s webhook', cancel), params: { secret } };
      await client.call('PATCH /app/hook/config', HookConfig, ask);
    },

    /** Where the App's webhook goes, and how its last delivery was answered. */
    async webhookState(cancel?: Cancel): Promise<WebhookState> {
      const config = await client.call('GET /app/hook/config', HookConfig, askAsApp('the App’s webhook', cancel));
      const ask = { ...askAsApp('the App’s webhook', cancel), params: { per_page: 1 } };
      const [last] = await client.call('GET /app/hook/deliveries', z.array(HookDelivery), ask);
      return {
        url: config.url,
        last: last ? { at: last.delivered_at, event: last.event, statusCode: last.status_code } : null,
      };
    },
  };
}

function askAsApp(about: string, cancel: Cancel | undefined) {
  return { as: { app: true as const }, signal: cancel?.signal, about };
}

function portApp({ id, slug, html_url: htmlUrl, owner }: z.output<typeof AppOfOwner>): AppItself {
  return { id, slug, htmlUrl, owner: { id: owner.id, login: owner.login } };
}

function portInstallation({ id, account }: Installation): InstallationOf {
  return { id, accountId: account.id, accountLogin: account.login, accountType: account.type };
}

/** By the account's id: its name may be another's by now. An organization's own App has no more than one. */
async function installationOn(
  client: Client,
  accountId: string,
  signal: AbortSignal | undefined,
): Promise<Installation | null> {
  const ask = { as: { app: true as const }, signal, about: 'the App’s installations' };
  const all = await client.all('GET /app/installations', z.array(Installation), (page) => page, ask);
  return all.find((each) => each.account.id === accountId) ?? null;
}

async function roleIn(
  client: Client,
  installation: Installation,
  { subject, login }: { subject: string; login: string },
  signal: AbortSignal | undefined,
): Promise<ScopeRole> {
  const org = installation.account.login;
  const membership = await client.find('GET /orgs/{org}/memberships/{username}', MemberOf, {
    as: { installation: installation.id },
    signal,
    about: org,
    params: { org, username: login },
    absent: ({ status }: Refusal) => status === 404,
  });
  // A login that was given up may be somebody else's now.
  const isThem = membership?.user.id === subject && membership.organization.id === installation.account.id;
  return isThem ? membershipRole(membership) : 'none';
}

/** Checks that a key is the App's own before it takes the place of the one that works: GitHub itself has no way to. */
export async function assertKeyOf(
  connection: ForgeConnectionValue,
  app: { id: string; slug: string },
  privateKey: string,
): Promise<void> {
  const apps = githubApps({ ...connection, app: { ...app, privateKey } });
  const itself = await apps.itself().catch((error: unknown) => {
    if (error instanceof AppError && ['forbidden', 'not_found', 'internal'].includes(error.code)) return null;
    throw error;
  });
  if (itself?.id === app.id) return;
  const message = 'GitHub does not take it for a private key of this App';
  throw new AppError('invalid', {
    log: `the key offered for App ${app.id} is not one of its keys`,
    screen: {
      happened: 'This key was not taken; the old one stays.',
      todo: 'Generate a private key in the App’s settings at GitHub and paste the whole file.',
      fields: { privateKey: message },
    },
  });
}
