import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { personalToken } from './enterprises.ts';
import { Fault, type Faults } from './faults.ts';
import {
  changePermissions,
  changeSelection,
  install,
  removeInstallation,
  renameOrg,
  renameRepo,
  setSuspended,
  transferRepo,
} from './installations.ts';
import type { Jobs } from './jobs.ts';
import type { App, Enterprise, Installation, Job, Org, Repo, ScaleSet, Token, User } from './model.ts';
import { userToken } from './oauth.ts';
import { newKey } from './seed.ts';
import { peopleControls } from './teams.ts';
import type { Webhooks } from './webhooks.ts';
import { same, type World } from './world.ts';

/** Where tests and people move this world by hand. Nothing here exists at the real GitHub. */
export function controlRoutes(web: Routes, world: World, hooks: Webhooks, jobs: Jobs, faults: Faults): void {
  const post = <T>(path: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => unknown): void => {
    web.on('POST', `/_sandbox${path}`, (ask) => done(handle(parse(schema, ask.body), ask)));
  };
  web.on('GET', '/_sandbox', () => ({ status: 200, ...page('Sandbox GitHub', overview(world), { wide: true }) }));
  web.on('GET', '/_sandbox/state', () => ({ status: 200, body: world.state }));
  web.on('GET', '/_sandbox/app', () => ({ status: 200, body: seedApp(world) }));
  web.on('PATCH', '/_sandbox/app', (ask) => {
    Object.assign(seedApp(world), parse(AppChange, ask.body));
    world.save();
    return { status: 200, body: seedApp(world) };
  });
  post('/apps/:slug/keys', z.unknown(), (_, ask) => ({ pem: addKey(world, appNamed(world, ask.params['slug'])) }));
  post('/apps/:slug/keys/revoke-old', z.unknown(), (_, ask) =>
    revokeOldKeys(world, appNamed(world, ask.params['slug'])),
  );
  web.on('DELETE', '/_sandbox/apps/:slug', (ask) => done(deleteApp(world, appNamed(world, ask.params['slug']))));
  accountControls(post, web, world, hooks);
  installationControls(post, world, hooks);
  post('/tokens', NewToken, ({ login, kind, ...given }) => {
    const user = needUser(world, login);
    return kind === 'user' ? userToken(world, seedApp(world), user) : personalToken(world, user, given);
  });
  post('/tokens/end', z.object({ token: z.string() }), ({ token }) => {
    if (!world.state.tokens[token]) absent('token');
    delete world.state.tokens[token];
    world.save();
  });
  web.on('POST', '/_sandbox/jobs', (ask) => queueJob(world, jobs, ask));
  web.on('GET', '/_sandbox/jobs', () => ({ status: 200, body: Object.values(world.state.jobs) }));
  post('/jobs/:id/cancel', z.unknown(), (_, ask) => {
    const job = world.state.jobs[ask.params['id'] as string] ?? absent('job');
    jobs.finish(job, 'cancelled');
    return job;
  });
  web.on('GET', '/_sandbox/scale-sets', () => ({
    status: 200,
    body: Object.values(world.state.scaleSets).map((s) => ({
      ...s,
      statistics: jobs.statistics(s),
      session: Object.values(world.state.sessions).find((x) => x.scaleSetId === s.id) ?? null,
    })),
  }));
  web.on('DELETE', '/_sandbox/scale-sets/:name', (ask) => done(jobs.removeSet(setNamed(world, ask.params['name']))));
  post('/scale-sets/:name/hold', z.object({ owner: z.string().min(1) }), ({ owner }, ask) =>
    holdSession(world, setNamed(world, ask.params['name']), owner),
  );
  web.on('GET', '/_sandbox/deliveries', () => ({ status: 200, body: world.state.deliveries }));
  post('/faults', Fault, (fault) => faults.add(fault));
  web.on('GET', '/_sandbox/faults', () => ({ status: 200, body: faults.list() }));
  web.on('DELETE', '/_sandbox/faults', () => {
    faults.clear();
    return { status: 204 };
  });
}

type Post = <T>(path: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => unknown) => void;

function accountControls(post: Post, web: Routes, world: World, hooks: Webhooks): void {
  post('/users', z.object({ login: z.string().min(1), name: z.string().optional() }), (u) => addUser(world, u));
  post('/orgs', NewOrg, (o) => addOrg(world, o));
  post('/repos', z.object({ owner: z.string(), name: z.string().min(1), private: z.boolean().default(true) }), (r) =>
    addRepo(world, r),
  );
  post('/enterprises', NewEnterprise, (given) => addEnterprise(world, given));
  post('/enterprises/:slug/rename', z.object({ slug: z.string().min(1) }), (to, ask) => {
    const enterprise = world.enterprise(ask.params['slug'] as string) ?? absent('enterprise');
    enterprise.slug = to.slug;
    world.save();
    return enterprise;
  });
  post('/enterprises/:slug/owners', z.object({ owners: z.array(z.string()) }), (given, ask) => {
    const enterprise = world.enterprise(ask.params['slug'] as string) ?? absent('enterprise');
    enterprise.ownerIds = given.owners.map((login) => needUser(world, login).id);
    world.save();
    return enterprise;
  });
  post('/orgs/:org/rename', z.object({ login: z.string().min(1), sender: z.string().optional() }), (to, ask) => {
    const org = world.org(ask.params['org'] as string) ?? absent('organization');
    renameOrg(world, hooks, org.login, to.login, senderFor(world, org.id, to.sender));
    return org;
  });
  post('/repos/:owner/:repo/workflows', z.object({ file: z.string().min(1) }), ({ file }, ask) => {
    const repo = world.repo(ask.params['owner'] as string, ask.params['repo'] as string) ?? absent('repository');
    repo.workflows = [...new Set([...(repo.workflows ?? []), file])];
    world.save();
  });
  post('/repos/:owner/:repo/rename', z.object({ name: z.string().min(1) }), (to, ask) => {
    renameRepo(world, `${ask.params['owner']}/${ask.params['repo']}`, to.name);
  });
  post('/repos/:owner/:repo/transfer', z.object({ owner: z.string().min(1) }), (to, ask) => {
    const repo = repoNamed(world, `${ask.params['owner']}/${ask.params['repo']}`);
    const owner = world.org(to.owner) ?? needUser(world, to.owner);
    transferRepo(world, hooks, repo, owner, senderFor(world, repo.ownerId, undefined));
  });
  peopleControls(web, world, hooks);
  web.on('PUT', '/_sandbox/repos/:owner/:repo/collaborators/:login', (ask) => {
    const repo = world.repo(ask.params['owner'] as string, ask.params['repo'] as string) ?? absent('repository');
    const { level } = parse(z.object({ level: z.enum(['read', 'write', 'admin']) }), ask.body);
    const userId = needUser(world, ask.params['login'] as string).id;
    repo.collaborators = [...repo.collaborators.filter((c) => c.userId !== userId), { userId, level }];
    return done(world.save());
  });
}

const Selection = z.object({
  selection: z.enum(['all', 'selected']).default('all'),
  repositories: z.array(z.string()).default([]),
  sender: z.string().optional(),
});

function installationControls(post: Post, world: World, hooks: Webhooks): void {
  post('/installations', Selection.extend({ account: z.string(), app: z.string().optional() }), (given) => {
    const account = world.org(given.account) ?? needUser(world, given.account);
    const app = given.app === undefined ? seedApp(world) : appNamed(world, given.app);
    return install(world, hooks, app, {
      accountId: account.id,
      selection: given.selection,
      repositoryIds: reposNamed(world, given.repositories),
      senderId: senderFor(world, account.id, given.sender),
    });
  });
  const change = <T extends { sender?: string | undefined }>(
    path: string,
    schema: z.ZodType<T>,
    handle: (installation: Installation, body: T, senderId: number) => unknown,
  ): void => {
    post(`/installations/:id/${path}`, schema, (body, ask) => {
      const installation = world.state.installations[ask.params['id'] as string] ?? absent('installation');
      handle(installation, body, senderFor(world, installation.accountId, body.sender));
      return installation;
    });
  };
  const OnlySender = z.object({ sender: z.string().optional() }).default({});
  change('suspend', OnlySender, (i, _, sender) => setSuspended(world, hooks, i, sender, true));
  change('unsuspend', OnlySender, (i, _, sender) => setSuspended(world, hooks, i, sender, false));
  change('uninstall', OnlySender, (i, _, sender) => removeInstallation(world, hooks, i, sender));
  change('repositories', Selection, (i, given, sender) =>
    changeSelection(world, hooks, i, {
      selection: given.selection,
      repositoryIds: reposNamed(world, given.repositories),
      senderId: sender,
    }),
  );
  change(
    'permissions',
    z.object({ permissions: z.record(z.string(), z.enum(['read', 'write'])), sender: z.string().optional() }),
    (i, given, sender) => changePermissions(world, hooks, i, given.permissions, sender),
  );
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  throw new Reply({ status: 400, body: { message: z.prettifyError(parsed.error) } });
}

function absent(what: string): never {
  throw new Reply({ status: 404, body: { message: `No such ${what}.` } });
}

function done(body: unknown): Answer {
  return body === undefined ? { status: 204 } : { status: 200, body };
}

const AppChange = z
  .object({
    callbackUrls: z.array(z.url()),
    setupUrl: z.string(),
    webhookUrl: z.string(),
    webhookSecret: z.string(),
    permissions: z.record(z.string(), z.enum(['read', 'write'])),
    events: z.array(z.string()),
  })
  .partial();

/** The App that came with the seed is the first one. */
export function seedApp(world: World): App {
  return Object.values(world.state.apps)[0] ?? absent('App');
}

function appNamed(world: World, slug: string | undefined): App {
  return Object.values(world.state.apps).find((a) => same(a.slug, slug ?? '')) ?? absent('App');
}

/** Another private key of the App, shown this once; the ones before it go on working until they are revoked. */
export function addKey(world: World, app: App): string {
  const { privateKeyPem, publicKeyPem } = newKey();
  app.morePublicKeyPems = [...(app.morePublicKeyPems ?? []), publicKeyPem];
  world.save();
  return privateKeyPem;
}

function revokeOldKeys(world: World, app: App): void {
  app.publicKeyPem = app.morePublicKeyPems?.at(-1) ?? app.publicKeyPem;
  app.morePublicKeyPems = [];
  world.save();
}

/** Its installations and all its tokens go with it, and nobody is told: there is no App any more that could hear of it. */
function deleteApp(world: World, app: App): void {
  const { apps, installations, tokens } = world.state;
  const isOfApp = (token: Token): boolean => {
    if (token.kind === 'user') return token.appId === app.id;
    return token.kind === 'installation' && installations[token.installationId]?.appId === app.id;
  };
  for (const [key, token] of Object.entries(tokens)) if (isOfApp(token)) delete tokens[key];
  for (const { id, appId } of Object.values(installations)) if (appId === app.id) delete installations[id];
  delete apps[app.id];
  world.save();
}

function setNamed(world: World, name: string | undefined): ScaleSet {
  return Object.values(world.state.scaleSets).find((s) => same(s.name, name ?? '')) ?? absent('scale set');
}

/** Somebody else's listener has the set's session and keeps it: it seems to have been seen in an hour. */
function holdSession(world: World, set: ScaleSet, ownerName: string): void {
  for (const session of Object.values(world.state.sessions))
    if (session.scaleSetId === set.id) delete world.state.sessions[session.id];
  const id = randomUUID();
  world.state.sessions[id] = { id, scaleSetId: set.id, ownerName, seenAt: world.now().getTime() + 3_600_000 };
  world.wake();
}

function needUser(world: World, login: string): User {
  return world.user(login) ?? absent('user');
}

/** Events name somebody who did it: the one given, else an owner of the account. */
function senderFor(world: World, accountId: number, login: string | undefined): number {
  if (login !== undefined) return needUser(world, login).id;
  const org = world.state.orgs[accountId];
  return org?.members.find((m) => m.role === 'admin')?.userId ?? accountId;
}

function reposNamed(world: World, names: string[]): number[] {
  return names.map((name) => repoNamed(world, name).id);
}

function repoNamed(world: World, name: string): Repo {
  return Object.values(world.state.repos).find((r) => same(world.fullName(r), name)) ?? absent(`repository ${name}`);
}

const NewOrg = z.object({
  login: z.string().min(1),
  name: z.string().optional(),
  plan: z.enum(['team', 'free']).default('team'),
  admins: z.array(z.string()).min(1),
  members: z.array(z.string()).default([]),
});
export type NewOrg = z.input<typeof NewOrg>;

function taken(world: World, login: string): void {
  if (world.user(login) ?? world.org(login)) throw new Reply({ status: 409, body: { message: `${login} exists.` } });
}

export function addUser(world: World, given: { login: string; name?: string | undefined }): User {
  taken(world, given.login);
  const user: User = { id: world.id(), login: given.login, name: given.name ?? given.login, createdAt: world.iso() };
  world.state.users[user.id] = user;
  world.save();
  return user;
}

export function addOrg(world: World, input: NewOrg): Org {
  const given = NewOrg.parse(input);
  taken(world, given.login);
  const member = (role: 'admin' | 'member') => (login: string) => ({
    userId: needUser(world, login).id,
    role,
    public: true,
  });
  const members = [...given.admins.map(member('admin')), ...given.members.map(member('member'))];
  const org: Org = {
    id: world.id(),
    login: given.login,
    name: given.name ?? given.login,
    plan: given.plan,
    members,
    createdAt: world.iso(),
  };
  world.state.orgs[org.id] = org;
  world.save();
  return org;
}

export function addRepo(world: World, given: { owner: string; name: string; private: boolean }): Repo {
  const owner = world.org(given.owner) ?? needUser(world, given.owner);
  if (world.repo(owner.login, given.name)) throw new Reply({ status: 409, body: { message: `${given.name} exists.` } });
  const repo: Repo = {
    id: world.id(),
    name: given.name,
    ownerId: owner.id,
    private: given.private,
    archived: false,
    collaborators: [],
    createdAt: world.iso(),
  };
  world.state.repos[repo.id] = repo;
  world.save();
  return repo;
}

const NewToken = z.object({
  login: z.string(),
  kind: z.enum(['user', 'pat']).default('user'),
  scopes: z.array(z.string()).optional(),
  fineGrained: z.boolean().optional(),
  days: z.number().positive().optional(),
});

const NewEnterprise = z.object({
  slug: z.string().min(1),
  name: z.string().optional(),
  owners: z.array(z.string()).min(1),
  orgs: z.array(z.string()).default([]),
});

function addEnterprise(world: World, given: z.infer<typeof NewEnterprise>): Enterprise {
  if (world.enterprise(given.slug)) throw new Reply({ status: 409, body: { message: `${given.slug} exists.` } });
  const enterprise: Enterprise = {
    id: world.id(),
    slug: given.slug,
    name: given.name ?? given.slug,
    ownerIds: given.owners.map((login) => needUser(world, login).id),
    orgIds: given.orgs.map((login) => (world.org(login) ?? absent('organization')).id),
    createdAt: world.iso(),
  };
  world.state.enterprises[enterprise.id] = enterprise;
  world.save();
  return enterprise;
}

const NewJob = z.object({
  repository: z.string(),
  labels: z.union([
    z.array(z.string()),
    z.string().transform((text) =>
      text
        .split(',')
        .map((l) => l.trim())
        .filter(Boolean),
    ),
  ]),
  name: z.string().min(1).optional(),
  workflow: z.string().min(1).optional(),
  durationSeconds: z.union([z.number(), z.literal('').transform(() => undefined), z.coerce.number()]).optional(),
  conclusion: z.enum(['success', 'failure', 'cancelled', 'skipped']).optional(),
  sender: z.string().optional(),
});

/** Programs get the job as JSON; the page's form comes back to the page. */
function queueJob(world: World, jobs: Jobs, ask: Ask): Answer {
  const given = parse(NewJob, ask.body);
  const { repository, sender, ...rest } = given;
  const job = jobs.queue({
    ...rest,
    repo: repoNamed(world, repository),
    senderId: sender === undefined ? undefined : needUser(world, sender).id,
  });
  const isForm = (ask.headers['content-type'] ?? '').includes('form');
  return isForm ? { status: 303, headers: { location: '/_sandbox' } } : { status: 201, body: job };
}

function overview(world: World): Html {
  const { users, orgs, repos, jobs, installations, scaleSets, deliveries } = world.state;
  const all = Object.values(jobs);
  return html`<h1>Sandbox GitHub</h1>
    <p>
      ${all.filter((j) => j.phase === 'running').length} jobs run,
      ${all.filter((j) => j.phase !== 'running' && j.phase !== 'completed').length} wait.
    </p>
    <form method="post" action="/_sandbox/jobs" class="card">
      <h2>Queue a job</h2>
      <label class="field" for="repository">Repository</label
      ><select id="repository" name="repository">
        ${Object.values(repos).map((r) => html`<option>${world.fullName(r)}</option>`)}
      </select>
      <label class="field" for="labels">runs-on</label><input id="labels" name="labels" required placeholder="nix" />
      <label class="field" for="duration">Runs for (seconds)</label
      ><input id="duration" name="durationSeconds" type="number" min="0" placeholder="as the runner likes" />
      <label class="field" for="conclusion">Ends with</label
      ><select id="conclusion" name="conclusion">
        <option>success</option>
        <option>failure</option>
      </select>
      <p></p>
      <button class="primary">Queue the job</button>
    </form>
    ${table(
      'Jobs',
      ['id', 'repository', 'name', 'runs-on', 'state', 'runner', 'queued'],
      all
        .toReversed()
        .slice(0, 50)
        .map((j) => jobRow(world, j)),
    )}
    ${table(
      'Scale sets',
      ['id', 'where', 'name', 'group'],
      Object.values(scaleSets).map((s) => [s.id, whereOf(world, s.scope), s.name, s.runnerGroupId]),
    )}
    ${table(
      'Installations',
      ['id', 'App', 'account', 'repositories', 'state'],
      Object.values(installations).map((i) => [
        i.id,
        world.state.apps[i.appId]?.slug ?? '',
        world.account(i.accountId).login,
        i.selection,
        i.suspendedAt ? 'suspended' : 'active',
      ]),
    )}
    ${table(
      'Organizations',
      ['id', 'login', 'plan', 'members'],
      Object.values(orgs).map((o) => [
        o.id,
        o.login,
        o.plan,
        o.members.map((m) => `${world.account(m.userId).login} (${m.role})`).join(', '),
      ]),
    )}
    ${table(
      'Teams',
      ['id', 'path', 'members'],
      Object.values(world.state.teams).map((t) => [
        t.id,
        `${orgs[t.orgId]?.login}/${t.slug}`,
        t.members.map((m) => `${world.account(m.userId).login} (${m.role})`).join(', '),
      ]),
    )}
    ${table(
      'Enterprises',
      ['id', 'slug', 'organizations'],
      Object.values(world.state.enterprises).map((e) => [
        e.id,
        e.slug,
        e.orgIds.map((id) => world.account(id).login).join(', '),
      ]),
    )}
    <p><a href="/settings/tokens/new">Make a personal access token</a></p>
    ${table(
      'People',
      ['id', 'login', 'name'],
      Object.values(users).map((u) => [u.id, u.login, u.name]),
    )}
    ${table(
      'Last deliveries',
      ['id', 'event', 'to', 'answer', 'when'],
      deliveries
        .slice(-20)
        .toReversed()
        .map((d) => [d.id, `${d.event}${d.action ? `.${d.action}` : ''}`, d.url, d.statusCode, d.deliveredAt]),
    )}`;
}

function whereOf(world: World, scope: string): string {
  const id = Number(scope.slice(1));
  if (scope.startsWith('e')) return `enterprises/${world.state.enterprises[id]?.slug ?? id}`;
  const repo = world.state.repos[id];
  return scope.startsWith('o') ? (world.state.orgs[id]?.login ?? scope) : repo ? world.fullName(repo) : scope;
}

function jobRow(world: World, job: Job): (string | number)[] {
  const repo = world.state.repos[job.repositoryId];
  return [
    job.id,
    repo ? world.fullName(repo) : '',
    job.name,
    job.labels.join(', '),
    job.conclusion ?? job.phase,
    job.runnerName ?? '',
    job.createdAt,
  ];
}

function table(title: string, head: string[], rows: (string | number)[][]): Html {
  if (rows.length === 0)
    return html`<h2>${title}</h2>
      <p>None yet.</p>`;
  return html`<h2>${title}</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="${title}">
      <table>
        <thead>
          <tr>
            ${head.map((h) => html`<th scope="col">${h}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              html`<tr>
                ${row.map((cell) => html`<td>${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
