import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { install } from './installations.ts';
import type { App, Org, User } from './model.ts';
import { accountPicker } from './oauth.ts';
import { newApp } from './seed.ts';
import type { Webhooks } from './webhooks.ts';
import { same, type World } from './world.ts';

const manifestHours = 1;

/**
 * The pages on which a person installs an App or makes one from a manifest. A cookie holds who they said they are,
 * for these pages only: signing in to an App (oauth.ts) always asks.
 */
export function appPageRoutes(web: Routes, world: World, hooks: Webhooks): void {
  web.on('GET', '/apps/:slug', (ask) =>
    withApp(world, ask, (app) => ({ status: 302, headers: { location: `/apps/${app.slug}/installations/new` } })),
  );
  web.on('GET', '/apps/:slug/installations/new', (ask) =>
    withApp(world, ask, (app) => asPerson(world, ask, (person) => installPage(world, app, person, ask))),
  );
  web.on('GET', '/apps/:slug/installations/select_target', (ask) =>
    withApp(world, ask, (app) => asPerson(world, ask, (person) => installPage(world, app, person, ask))),
  );
  web.on('POST', '/apps/:slug/installations/new', (ask) =>
    withApp(world, ask, (app) => asPerson(world, ask, (person) => doInstall(world, hooks, app, person, ask))),
  );
  web.on('POST', '/settings/apps/new', (ask) => manifestPage(world, ask));
  web.on('POST', '/organizations/:org/settings/apps/new', (ask) => manifestPage(world, ask));
  web.on('POST', '/settings/apps/create', (ask) => createFromManifest(world, ask));
}

function withApp(world: World, ask: Ask, then: (app: App) => Answer): Answer {
  const app = Object.values(world.state.apps).find((a) => same(a.slug, ask.params['slug'] as string));
  return app ? then(app) : { status: 404, ...page('Not found', html`<h1>There is no such App</h1>`) };
}

/** Asks who it is first, and comes back to the same address. */
function asPerson(world: World, ask: Ask, then: (person: User) => Answer): Answer {
  const chosen = z.object({ login: z.string(), remember: z.literal('1') }).safeParse(ask.body);
  const login = chosen.success
    ? chosen.data.login
    : /(?:^|;\s*)sandbox_login=([^;]+)/.exec(ask.headers.cookie ?? '')?.[1];
  const person = login === undefined ? undefined : world.user(decodeURIComponent(login));
  const here = `${ask.path}?${ask.query.toString()}`;
  if (chosen.success && person) {
    const cookie = `sandbox_login=${encodeURIComponent(person.login)}; Path=/; HttpOnly; SameSite=Lax`;
    return { status: 303, headers: { location: here, 'set-cookie': cookie } };
  }
  if (person) return then(person);
  const content = html`<h1>Who are you?</h1>
    <p>Choose an account to go on.</p>
    <form method="post" action="${here}">
      <input type="hidden" name="remember" value="1" />${accountPicker(world)}
    </form>`;
  return { status: 200, ...page('Who are you?', content) };
}

function ownedAccounts(world: World, person: User): (User | Org)[] {
  return [person, ...Object.values(world.state.orgs).filter((org) => world.role(org, person.id) === 'admin')];
}

function installPage(world: World, app: App, person: User, ask: Ask): Answer {
  const accounts = ownedAccounts(world, person);
  // GitHub's own links preselect with suggested_target_id; either name of the account works here too.
  const wanted = ask.query.get('suggested_target_id') ?? ask.query.get('target_id');
  const selected = accounts.find((a) => String(a.id) === wanted) ?? accounts[1] ?? person;
  const choices = accounts.map((account) => {
    const has = world.installationOn(app, account.id) ? ' (installed: change its repositories)' : '';
    return html`<label
      ><input type="radio" name="account" value="${account.id}" ${account === selected ? html` checked` : ''} />
      ${account.login}${has}</label
    >`;
  });
  const repos = accounts.flatMap((account) => Object.values(world.state.repos).filter((r) => r.ownerId === account.id));
  const content = html`<h1>Install ${app.name}</h1>
    <p>
      Signed in as <strong>${person.login}</strong>. The App asks for:
      ${Object.entries(app.permissions)
        .map(([k, v]) => `${k} (${v})`)
        .join(', ')}.
    </p>
    <form method="post" action="/apps/${app.slug}/installations/new?${ask.query.toString()}">
      <fieldset>
        <legend>Where</legend>
        ${choices}
      </fieldset>
      <fieldset>
        <legend>Repositories</legend>
        <label><input type="radio" name="selection" value="all" checked /> All repositories</label>
        <label
          ><input type="radio" name="selection" value="selected" /> Only these, as far as they belong to the
          account:</label
        >
        ${repos.map((r) => html`<label><input type="checkbox" name="repository" value="${r.id}" /> ${world.fullName(r)}</label>`)}
      </fieldset>
      <button class="primary">Install</button>
    </form>`;
  return { status: 200, ...page(`Install ${app.name}`, content) };
}

const Chosen = z.object({
  account: z.coerce.number().int(),
  selection: z.enum(['all', 'selected']),
  repository: z.union([z.string(), z.array(z.string())]).default([]),
});

function doInstall(world: World, hooks: Webhooks, app: App, person: User, ask: Ask): Answer {
  const chosen = Chosen.safeParse(ask.body);
  const account = chosen.success ? ownedAccounts(world, person).find((a) => a.id === chosen.data.account) : undefined;
  if (!chosen.success || !account)
    return {
      status: 403,
      ...page(
        'Not yours',
        html`<h1>You do not own this account</h1>
          <p>Nothing was changed.</p>`,
      ),
    };
  const repositoryIds = [chosen.data.repository]
    .flat()
    .map(Number)
    .filter((id) => world.state.repos[id]?.ownerId === account.id);
  const action = world.installationOn(app, account.id) ? 'update' : 'install';
  const installation = install(world, hooks, app, {
    accountId: account.id,
    selection: chosen.data.selection,
    repositoryIds,
    senderId: person.id,
  });
  if (!app.setupUrl)
    return {
      status: 200,
      ...page(
        'Installed',
        html`<h1>Installed on ${account.login}</h1>
          <p>The App has no setup address to go back to.</p>`,
      ),
    };
  const back = new URL(app.setupUrl);
  back.searchParams.set('installation_id', String(installation.id));
  back.searchParams.set('setup_action', action);
  const state = ask.query.get('state');
  if (state !== null) back.searchParams.set('state', state);
  return { status: 302, headers: { location: back.toString() } };
}

/** The manifest arrives as a form from another site; the person then confirms here, as on GitHub. */
function manifestPage(world: World, ask: Ask): Answer {
  const posted = z.object({ manifest: z.string() }).safeParse(ask.body);
  const manifest = posted.success ? readManifest(posted.data.manifest) : undefined;
  if (!posted.success || !manifest)
    return {
      status: 422,
      ...page(
        'Invalid manifest',
        html`<h1>This manifest is not valid</h1>
          <p>Nothing was changed.</p>`,
      ),
    };
  const content = html`<h1>Create a GitHub App</h1>
    <p>
      “${manifest.name}” asks for:
      ${Object.entries(manifest.default_permissions)
        .map(([k, v]) => `${k} (${v})`)
        .join(', ')}.
    </p>
    <form method="post" action="/settings/apps/create">
      <input type="hidden" name="manifest" value="${posted.data.manifest}" />
      <input type="hidden" name="org" value="${ask.params['org'] ?? ''}" /><input
        type="hidden"
        name="state"
        value="${ask.query.get('state') ?? ''}"
      />
      <label class="field" for="login">As</label
      ><select id="login" name="as">
        ${Object.values(world.state.users).map((u) => html`<option>${u.login}</option>`)}
      </select>
      <p></p>
      <button class="primary">Create the App</button>
    </form>`;
  return { status: 200, ...page('Create a GitHub App', content) };
}

const Manifest = z.object({
  name: z.string().min(1),
  url: z.string(),
  redirect_url: z.url(),
  hook_attributes: z.object({ url: z.string(), active: z.boolean().optional() }).optional(),
  callback_urls: z.array(z.string()).default([]),
  setup_url: z.string().default(''),
  default_permissions: z.record(z.string(), z.enum(['read', 'write'])).default({}),
  default_events: z.array(z.string()).default([]),
});

function readManifest(text: string): z.infer<typeof Manifest> | undefined {
  try {
    return Manifest.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function createFromManifest(world: World, ask: Ask): Answer {
  const form = z
    .object({ manifest: z.string(), org: z.string().default(''), state: z.string().default(''), as: z.string() })
    .parse(ask.body);
  const manifest = readManifest(form.manifest);
  const person = world.user(form.as);
  const owner = form.org ? world.org(form.org) : person;
  const allowed = manifest && person && owner && ownedAccounts(world, person).includes(owner);
  if (!allowed)
    return {
      status: 403,
      ...page(
        'Not yours',
        html`<h1>You do not own this account</h1>
          <p>Nothing was changed.</p>`,
      ),
    };
  const slug = manifest.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  if (Object.values(world.state.apps).some((a) => a.slug === slug))
    return { status: 422, ...page('Name taken', html`<h1>An App of this name exists</h1>`) };
  const app = newApp({
    id: world.id(),
    slug,
    name: manifest.name,
    ownerId: owner.id,
    createdAt: world.iso(),
    callbackUrls: manifest.callback_urls,
    setupUrl: manifest.setup_url,
    webhookUrl: manifest.hook_attributes?.url ?? '',
    homepageUrl: manifest.url,
    permissions: manifest.default_permissions,
    events: manifest.default_events,
  });
  world.state.apps[app.id] = app;
  const code = randomBytes(20).toString('hex');
  world.state.manifests[code] = { appId: app.id, expiresAt: world.now().getTime() + manifestHours * 3_600_000 };
  world.save();
  const back = new URL(manifest.redirect_url);
  back.searchParams.set('code', code);
  if (form.state) back.searchParams.set('state', form.state);
  return { status: 302, headers: { location: back.toString() } };
}
