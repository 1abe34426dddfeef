import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { Fault, type Faults } from './faults.ts';
import type { Jobs } from './jobs.ts';
import type { OAuthApp, Org, Repo, User } from './model.ts';
import { oauthToken, personalToken } from './oauth.ts';
import * as render from './render.ts';
import type { Webhooks } from './webhooks.ts';
import { same, type World } from './world.ts';

/** Where tests and people move this world by hand. Nothing here exists at a real Forgejo. */
export function controlRoutes(web: Routes, world: World, hooks: Webhooks, jobs: Jobs, faults: Faults): void {
  const on = <T>(method: string, path: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => unknown): void => {
    web.on(method, `/_sandbox${path}`, (ask) => done(handle(parse(schema, ask.body), ask)));
  };
  web.on('GET', '/_sandbox', () => ({ status: 200, ...page('Sandbox Forgejo', overview(world), { wide: true }) }));
  on('GET', '/state', z.unknown(), () => world.state);
  on('GET', '/app', z.unknown(), () => seedApp(world));
  on('PATCH', '/app', z.object({ redirectUris: z.array(z.url()) }), (change) => {
    Object.assign(seedApp(world), change);
    world.save();
    return seedApp(world);
  });
  on('POST', '/users', z.object({ login: z.string().min(1), name: z.string().optional() }), (u) => addUser(world, u));
  on('POST', '/orgs', NewOrg, (given) => addOrg(world, given));
  on('POST', '/repos', NewRepo, (given) => addRepo(world, hooks, given));
  on('DELETE', '/repos/:owner/:repo', z.unknown(), (_, ask) => removeRepo(world, hooks, repoOf(world, ask)));
  on('POST', '/orgs/:org/rename', z.object({ name: z.string().min(1) }), ({ name }, ask) =>
    renameOrg(world, orgOf(world, ask), name),
  );
  on('POST', '/repos/:owner/:repo/rename', z.object({ name: z.string().min(1) }), ({ name }, ask) =>
    renameRepo(world, repoOf(world, ask), name),
  );
  on('PATCH', '/repos/:owner/:repo', z.object({ actions: z.boolean() }), (change, ask) => {
    Object.assign(repoOf(world, ask), change);
    world.save();
  });
  on('PUT', '/orgs/:org/members/:login', z.object({ role: z.enum(['owner', 'member']) }), ({ role }, ask) =>
    setRole(world, orgOf(world, ask), needUser(world, ask.params['login'] ?? '').id, role),
  );
  on('DELETE', '/orgs/:org/members/:login', z.unknown(), (_, ask) =>
    setRole(world, orgOf(world, ask), needUser(world, ask.params['login'] ?? '').id, null),
  );
  const Collaborator = z.object({ permission: z.enum(['read', 'write', 'admin']) });
  on('PUT', '/repos/:owner/:repo/collaborators/:login', Collaborator, ({ permission }, ask) => {
    const repo = repoOf(world, ask);
    const userId = needUser(world, ask.params['login'] ?? '').id;
    repo.collaborators = [...repo.collaborators.filter((each) => each.userId !== userId), { userId, permission }];
    world.save();
  });
  on('POST', '/tokens', NewToken, ({ login, scopes, name }) => {
    const user = needUser(world, login);
    return scopes ? personalToken(world, user, name, scopes) : oauthToken(world, seedApp(world), user);
  });
  web.on('POST', '/_sandbox/jobs', (ask) => queueJob(world, jobs, ask));
  on('GET', '/jobs', z.unknown(), () => Object.values(world.state.jobs));
  on('POST', '/jobs/:id/cancel', z.unknown(), (_, ask) => {
    const job = world.state.jobs[ask.params['id'] ?? ''] ?? absent('job');
    jobs.finish(job, 'cancelled');
    return job;
  });
  on('GET', '/deliveries', z.unknown(), () => world.state.deliveries);
  on('POST', '/faults', Fault, (fault) => faults.add(fault));
  on('GET', '/faults', z.unknown(), () => faults.list());
  on('DELETE', '/faults', z.unknown(), () => faults.clear());
}

const NewOrg = z.object({ name: z.string().min(1), owners: z.array(z.string()).min(1) });
const NewRepo = z.object({ owner: z.string(), name: z.string().min(1), private: z.boolean().default(true) });
/** Without scopes it is an OAuth token, which may do all. */
const NewToken = z.object({
  login: z.string(),
  scopes: z.array(z.string()).optional(),
  name: z.string().default('token'),
});

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

export function seedApp(world: World): OAuthApp {
  return Object.values(world.state.apps)[0] ?? absent('application');
}

export function needUser(world: World, login: string): User {
  return world.user(login) ?? absent('user');
}

function orgOf(world: World, ask: Ask): Org {
  return world.org(ask.params['org'] ?? '') ?? absent('organization');
}

function repoOf(world: World, ask: Ask): Repo {
  return world.repo(ask.params['owner'] ?? '', ask.params['repo'] ?? '') ?? absent('repository');
}

function takeName(world: World, name: string): void {
  if (world.user(name) ?? world.org(name)) throw new Reply({ status: 409, body: { message: `${name} exists.` } });
  delete world.state.movedAccounts[name.toLowerCase()];
}

export function addUser(world: World, { login, name }: { login: string; name?: string | undefined }): User {
  takeName(world, login);
  const user: User = { id: world.id(), login, name: name ?? login, admin: false, createdAt: world.iso() };
  world.state.users[user.id] = user;
  world.save();
  return user;
}

export function addOrg(world: World, { name, owners }: { name: string; owners: string[] }): Org {
  takeName(world, name);
  const members = owners.map((login) => needUser(world, login).id);
  const teams: Org['teams'] = [{ id: world.id(), name: 'Owners', permission: 'owner', members }];
  const org: Org = { id: world.id(), name, fullName: name, teams, createdAt: world.iso() };
  world.state.orgs[org.id] = org;
  world.save();
  return org;
}

export function addRepo(world: World, hooks: Webhooks, given: { owner: string; name: string; private: boolean }): Repo {
  const owner = world.org(given.owner) ?? needUser(world, given.owner);
  if (world.repo(given.owner, given.name)) throw new Reply({ status: 409, body: { message: `${given.name} exists.` } });
  delete world.state.movedRepos[`${given.owner}/${given.name}`.toLowerCase()];
  const rest = { actions: true, collaborators: [], createdAt: world.iso() };
  const repo: Repo = { id: world.id(), name: given.name, ownerId: owner.id, private: given.private, ...rest };
  world.state.repos[repo.id] = repo;
  world.save();
  repositoryEvent(world, hooks, repo, 'created');
  return repo;
}

function removeRepo(world: World, hooks: Webhooks, repo: Repo): void {
  repositoryEvent(world, hooks, repo, 'deleted');
  delete world.state.repos[repo.id];
  world.save();
}

function repositoryEvent(world: World, hooks: Webhooks, repo: Repo, action: 'created' | 'deleted'): void {
  const org = world.state.orgs[repo.ownerId];
  const sender = render.account(world, org?.teams[0]?.members[0] ?? repo.ownerId);
  const organization = org ? { organization: render.organization(world, org) } : {};
  hooks.send(repo, 'repository', { action, repository: render.repository(world, repo, null), ...organization, sender });
}

export function renameOrg(world: World, org: Org, name: string): void {
  const before = org.name;
  takeName(world, name);
  org.name = name;
  world.state.movedAccounts[before.toLowerCase()] = org.id;
  world.save();
}

export function renameRepo(world: World, repo: Repo, name: string): void {
  world.state.movedRepos[world.fullName(repo).toLowerCase()] = repo.id;
  repo.name = name;
  world.save();
}

function setRole(world: World, org: Org, userId: number, role: 'owner' | 'member' | null): void {
  for (const team of org.teams) team.members = team.members.filter((each) => each !== userId);
  const permission = role === 'owner' ? 'owner' : 'write';
  const team = org.teams.find((each) => each.permission === permission);
  if (role !== null && team) team.members.push(userId);
  else if (role !== null) org.teams.push({ id: world.id(), name: 'Developers', permission, members: [userId] });
  world.save();
}

const Labels = z.union([
  z.array(z.string()),
  z.string().transform((text) =>
    text
      .split(',')
      .map((each) => each.trim())
      .filter(Boolean),
  ),
]);
const NewJob = z.object({
  repository: z.string(),
  runsOn: Labels,
  name: z.string().min(1).optional(),
  workflow: z.string().min(1).optional(),
  durationSeconds: z.union([z.literal('').transform(() => undefined), z.coerce.number()]).optional(),
  conclusion: z.enum(['success', 'failure', 'cancelled', 'skipped']).optional(),
});

/** Programs get the job as JSON; the page's form comes back to the page. */
function queueJob(world: World, jobs: Jobs, ask: Ask): Answer {
  const { repository, ...rest } = parse(NewJob, ask.body);
  const job = jobs.queue({ ...rest, repo: repoNamed(world, repository) });
  const isForm = (ask.headers['content-type'] ?? '').includes('form');
  return isForm ? { status: 303, headers: { location: '/_sandbox' } } : { status: 201, body: job };
}

export function repoNamed(world: World, name: string): Repo {
  return (
    Object.values(world.state.repos).find((repo) => same(world.fullName(repo), name)) ?? absent(`repository ${name}`)
  );
}

function overview(world: World): Html {
  const { repos, jobs, runners, hooks, orgs, users, deliveries } = world.state;
  const all = Object.values(jobs);
  const named = (scope: string) => {
    const id = Number(scope.slice(1));
    const repo = repos[id];
    return scope.startsWith('a') ? world.nameOf(id) : repo ? world.fullName(repo) : scope;
  };
  return html`<h1>Sandbox Forgejo</h1>
    <p>
      ${all.filter(({ status }) => status === 'running').length} jobs run,
      ${all.filter(({ status }) => status === 'waiting').length} wait.
    </p>
    <form method="post" action="/_sandbox/jobs" class="card">
      <h2>Queue a job</h2>
      <label class="field" for="repository">Repository</label
      ><select id="repository" name="repository">
        ${Object.values(repos).map((repo) => html`<option>${world.fullName(repo)}</option>`)}
      </select>
      <label class="field" for="runsOn">runs-on</label
      ><input id="runsOn" name="runsOn" required placeholder="tinyland-docker" />
      <label class="field" for="duration">Runs for (seconds)</label
      ><input id="duration" name="durationSeconds" type="number" min="0" placeholder="5" />
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
        .slice(-50)
        .toReversed()
        .map((job) => jobRow(world, job)),
    )}
    ${table(
      'Runners',
      ['id', 'where', 'name', 'labels', 'state'],
      Object.values(runners).map((each) => [
        each.id,
        named(each.scope),
        each.name,
        each.labels.join(', '),
        render.runnerStatus(world, each),
      ]),
    )}
    ${table(
      'Hooks',
      ['id', 'where', 'to', 'events'],
      Object.values(hooks).map((each) => [each.id, named(each.scope), each.url, each.events.join(', ')]),
    )}
    ${table(
      'Organizations',
      ['id', 'name', 'teams'],
      Object.values(orgs).map(({ id, name, teams }) => [
        id,
        name,
        teams.map((team) => `${team.name}: ${team.members.map((each) => world.nameOf(each)).join(', ')}`).join('; '),
      ]),
    )}
    ${table(
      'People',
      ['id', 'login', 'name'],
      Object.values(users).map(({ id, login, name }) => [id, login, name]),
    )}
    ${table(
      'Last deliveries',
      ['id', 'event', 'to', 'answer', 'when'],
      deliveries
        .slice(-20)
        .toReversed()
        .map((each) => [each.id, each.event, each.url, each.statusCode, each.deliveredAt]),
    )}`;
}

function jobRow(world: World, job: World['state']['jobs'][string]): (string | number)[] {
  const repo = world.state.repos[job.repoId];
  const where = repo ? world.fullName(repo) : '';
  return [job.id, where, job.name, job.runsOn.join(', '), job.status, job.runnerName ?? '', job.createdAt];
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
            ${head.map((each) => html`<th scope="col">${each}</th>`)}
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
