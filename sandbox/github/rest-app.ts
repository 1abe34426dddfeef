import { z } from 'zod';
import { type Answer, type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { fail, identify, invalid, needApp, notByIntegration, notFound, sameSecret } from './access.ts';
import { removeInstallation, setSuspended } from './installations.ts';
import type { App, Installation, Permissions, Token } from './model.ts';
import { listed, paged } from './paging.ts';
import * as render from './render.ts';
import type { World } from './world.ts';
import type { Webhooks } from './webhooks.ts';

const hourMs = 3_600_000;

/** What an App asks for itself: its installations, their tokens, its webhook. */
export function appRoutes(api: Routes, world: World, hooks: Webhooks): void {
  const asApp = (method: string, path: string, handle: (app: App, ask: Ask) => Answer): void => {
    api.on(method, path, async (ask) => handle(needApp(await identify(world, ask)), ask));
  };
  const own = (app: App, ask: Ask): Installation => {
    const found = world.state.installations[ask.params['id'] as string];
    return found?.appId === app.id ? found : notFound();
  };
  asApp('GET', '/app', (app) => ({ status: 200, body: render.app(world, app) }));
  asApp('GET', '/app/installations', (app, ask) => {
    const all = Object.values(world.state.installations).filter((i) => i.appId === app.id);
    return paged(world, ask, all, (i) => render.installation(world, i));
  });
  asApp('GET', '/app/installations/:id', (app, ask) => ({
    status: 200,
    body: render.installation(world, own(app, ask)),
  }));
  asApp('DELETE', '/app/installations/:id', (app, ask) => {
    removeInstallation(world, hooks, own(app, ask), app.ownerId);
    return { status: 204 };
  });
  asApp('PUT', '/app/installations/:id/suspended', (app, ask) => {
    setSuspended(world, hooks, own(app, ask), app.ownerId, true);
    return { status: 204 };
  });
  asApp('DELETE', '/app/installations/:id/suspended', (app, ask) => {
    setSuspended(world, hooks, own(app, ask), app.ownerId, false);
    return { status: 204 };
  });
  asApp('POST', '/app/installations/:id/access_tokens', (app, ask) => mintToken(world, own(app, ask), ask));
  asApp('GET', '/app/hook/config', (app) => ({ status: 200, body: hookConfig(app) }));
  asApp('PATCH', '/app/hook/config', (app, ask) => changeHook(world, app, ask));
  asApp('GET', '/app/hook/deliveries', (app, ask) => deliveries(world, app, ask));
  asApp('GET', '/app/hook/deliveries/:id', (app, ask) => ({
    status: 200,
    body: render.delivery(ownDelivery(world, app, ask)),
  }));
  asApp('POST', '/app/hook/deliveries/:id/attempts', (app, ask) => {
    hooks.redeliver(app, ownDelivery(world, app, ask));
    return { status: 202, body: {} };
  });
  api.on('GET', '/installation/repositories', async (ask) => {
    const who = await identify(world, ask);
    if (who.kind !== 'installation')
      return who.kind === 'anonymous' ? fail(401, 'Requires authentication') : notByIntegration();
    const repos = world
      .installedRepos(who.installation)
      .filter((r) => who.repositoryIds === null || who.repositoryIds.includes(r.id));
    return listed(world, ask, 'repositories', repos, (r) => render.repository(world, r), {
      repository_selection: who.installation.selection,
    });
  });
  api.on('DELETE', '/installation/token', async (ask) => {
    const who = await identify(world, ask);
    if (who.kind !== 'installation') return fail(401, 'Requires authentication');
    delete world.state.tokens[(ask.headers.authorization ?? '').split(' ')[1] as string];
    world.save();
    return { status: 204 };
  });
  api.on('POST', '/app-manifests/:code/conversions', (ask) => convertManifest(world, ask));
  api.on('DELETE', '/applications/:client/token', (ask) => revoke(world, ask, 'token'));
  api.on('DELETE', '/applications/:client/grant', (ask) => revoke(world, ask, 'grant'));
  api.on('GET', '/apps/:slug', (ask) => {
    const app = Object.values(world.state.apps).find((a) => a.slug === ask.params['slug']);
    return app ? { status: 200, body: render.app(world, app) } : notFound();
  });
}

const TokenRequest = z.object({
  repositories: z.array(z.string()).optional(),
  repository_ids: z.array(z.number().int()).optional(),
  permissions: z.record(z.string(), z.enum(['read', 'write'])).optional(),
});

function mintToken(world: World, installation: Installation, ask: Ask): Answer {
  if (installation.suspendedAt) return fail(403, 'This installation has been suspended');
  const wanted = TokenRequest.safeParse(ask.body ?? {});
  if (!wanted.success) return fail(422, 'Invalid request.');
  const repositoryIds = narrowedRepos(world, installation, wanted.data);
  const permissions = narrowedPermissions(installation.permissions, wanted.data.permissions);
  const expiresAt = world.now().getTime() + hourMs;
  const token: Token = {
    kind: 'installation',
    token: world.token('ghs'),
    installationId: installation.id,
    permissions,
    repositoryIds,
    expiresAt,
  };
  world.state.tokens[token.token] = token;
  dropExpired(world);
  world.save();
  const repositories = repositoryIds?.map((id) => world.state.repos[id]).filter((r) => r !== undefined);
  return {
    status: 201,
    body: {
      token: token.token,
      expires_at: render.stamp(new Date(expiresAt).toISOString()),
      permissions,
      repository_selection: repositories ? 'selected' : installation.selection,
      ...(repositories ? { repositories: repositories.map((r) => render.repository(world, r)) } : {}),
    },
  };
}

function narrowedRepos(
  world: World,
  installation: Installation,
  wanted: z.infer<typeof TokenRequest>,
): number[] | null {
  if (!wanted.repositories && !wanted.repository_ids) return null;
  const reachable = world.installedRepos(installation);
  const chosen = reachable.filter(
    (r) => wanted.repository_ids?.includes(r.id) || wanted.repositories?.includes(r.name),
  );
  const asked = (wanted.repositories?.length ?? 0) + (wanted.repository_ids?.length ?? 0);
  if (chosen.length < asked)
    return fail(
      422,
      'There is at least one repository that does not exist or is not accessible to the parent installation.',
    );
  return chosen.map((r) => r.id);
}

function narrowedPermissions(held: Permissions, wanted: Permissions | undefined): Permissions {
  if (!wanted) return { ...held };
  for (const [name, need] of Object.entries(wanted)) {
    const enough = held[name] === 'write' || held[name] === need;
    if (!enough) fail(422, 'The permissions requested are not granted to this installation.');
  }
  return { metadata: 'read', ...wanted };
}

/** Tokens pile up otherwise: an hour's worth is all that anybody can use. */
function dropExpired(world: World): void {
  const now = world.now().getTime();
  for (const [key, token] of Object.entries(world.state.tokens)) {
    const end = token.kind === 'user' ? token.refreshExpiresAt : token.expiresAt;
    if (end < now) delete world.state.tokens[key];
  }
}

function hookConfig(app: App): render.Json {
  return { content_type: 'json', insecure_ssl: '0', secret: '********', url: app.webhookUrl };
}

function changeHook(world: World, app: App, ask: Ask): Answer {
  const wanted = z.object({ url: z.url().optional(), secret: z.string().optional() }).safeParse(ask.body ?? {});
  if (!wanted.success) return invalid('Hook', 'url', 'invalid');
  app.webhookUrl = wanted.data.url ?? app.webhookUrl;
  app.webhookSecret = wanted.data.secret ?? app.webhookSecret;
  world.save();
  return { status: 200, body: hookConfig(app) };
}

/** Newest first, paged by a cursor, as GitHub pages deliveries and little else. */
function deliveries(world: World, app: App, ask: Ask): Answer {
  const size = Math.min(Math.max(Number(ask.query.get('per_page') ?? 30), 1), 100);
  const before = Number(ask.query.get('cursor')?.replace('v1_', '') ?? Number.MAX_SAFE_INTEGER);
  const all = world.state.deliveries.filter((d) => d.appId === app.id && d.id < before).toReversed();
  const shown = all.slice(0, size);
  const last = shown.at(-1);
  const query = new URLSearchParams(ask.query);
  query.set('cursor', `v1_${last?.id ?? 0}`);
  const more = last && all.length > size;
  return {
    status: 200,
    headers: more ? { link: `<${world.url}${ask.path}?${query.toString()}>; rel="next"` } : {},
    body: shown.map(render.deliveryItem),
  };
}

function ownDelivery(world: World, app: App, ask: Ask) {
  return world.state.deliveries.find((d) => d.appId === app.id && String(d.id) === ask.params['id']) ?? notFound();
}

/** The end of the manifest flow: the one time that an App's secrets are told. */
function convertManifest(world: World, ask: Ask): Answer {
  const code = ask.params['code'] as string;
  const pending = world.state.manifests[code];
  const app = pending && world.state.apps[pending.appId];
  if (!app || pending.expiresAt < world.now().getTime()) return notFound();
  delete world.state.manifests[code];
  world.save();
  const secrets = { client_secret: app.clientSecret, webhook_secret: app.webhookSecret, pem: app.privateKeyPem };
  return { status: 201, body: { ...render.app(world, app), ...secrets } };
}

/** Signing out: the App, by its client id and secret, gives back one token or the person's whole grant. */
function revoke(world: World, ask: Ask, what: 'token' | 'grant'): Answer {
  const basic = Buffer.from((ask.headers.authorization ?? '').replace(/^basic /i, ''), 'base64').toString();
  const app = Object.values(world.state.apps).find((a) => a.clientId === ask.params['client']);
  if (!app || !sameSecret(basic, `${app.clientId}:${app.clientSecret}`)) return notFound();
  const body = z.object({ access_token: z.string() }).safeParse(ask.body);
  if (!body.success)
    throw new Reply({ status: 422, body: { message: 'Validation Failed', documentation_url: '', errors: [] } });
  const token = world.state.tokens[body.data.access_token];
  if (token?.kind !== 'user' || token.appId !== app.id) return invalid('OauthAccess', 'access_token', 'invalid');
  for (const [key, other] of Object.entries(world.state.tokens)) {
    const same = other.kind === 'user' && other.userId === token.userId && other.appId === app.id;
    if (key === token.token || (what === 'grant' && same)) delete world.state.tokens[key];
  }
  world.save();
  return { status: 204 };
}
