import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { inDays, newBotToken, newToken, tokenScopes } from './access-tokens.ts';
import { Fault, type Faults } from './faults.ts';
import type { Hooks } from './hooks.ts';
import type { Jobs } from './jobs.ts';
import type { AccessLevel, AccessToken, Group, Job, Project, User, Visibility } from './model.ts';
import { oauthToken } from './oauth.ts';
import { renameGroup, renameProject } from './rest-accounts.ts';
import type { World } from './world.ts';

/** Where tests and people move this world by hand. Nothing here exists at the real GitLab. */
export function controlRoutes(web: Routes, world: World, hooks: Hooks, jobs: Jobs, faults: Faults): void {
  const post = <T>(path: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => unknown): void => {
    web.on('POST', `/_sandbox${path}`, (ask) => done(handle(parse(schema, ask.body), ask)));
  };
  web.on('GET', '/_sandbox', () => ({ status: 200, ...page('Sandbox GitLab', overview(world), { wide: true }) }));
  web.on('GET', '/_sandbox/state', () => ({ status: 200, body: world.state }));
  web.on('GET', '/_sandbox/app', () => ({ status: 200, body: world.state.application }));
  const patch = <T extends object>(path: string, schema: z.ZodType<T>, target: () => object): void => {
    web.on('PATCH', `/_sandbox${path}`, (ask) => {
      Object.assign(target(), parse(schema, ask.body));
      world.save();
      return { status: 200, body: target() };
    });
  };
  patch('/app', z.object({ redirectUris: z.array(z.url()) }).partial(), () => world.state.application);
  patch(
    '/settings',
    z
      .object({ version: z.string(), plan: z.enum(['free', 'premium']), runnerTokenSeconds: z.number().positive() })
      .partial(),
    () => world.state.settings,
  );
  placeControls(post, world);
  tokenControls(post, web, world);
  web.on('POST', '/_sandbox/jobs', (ask) => queueJob(world, jobs, ask));
  web.on('GET', '/_sandbox/jobs', () => ({ status: 200, body: Object.values(world.state.jobs) }));
  post('/jobs/:id/cancel', z.unknown(), (_, ask) => {
    const job = world.state.jobs[ask.params['id'] ?? ''] ?? absent('job');
    jobs.finish(job, 'canceled');
    return job;
  });
  web.on('GET', '/_sandbox/deliveries', () => ({ status: 200, body: world.state.deliveries }));
  post('/deliveries/:id/resend', z.unknown(), (_, ask) => {
    const sent = world.state.deliveries.find((each) => String(each.id) === ask.params['id']) ?? absent('delivery');
    hooks.resend(world.state.hooks[sent.hookId] ?? absent('hook'), sent);
  });
  post('/faults', Fault, (fault) => faults.add(fault));
  web.on('GET', '/_sandbox/faults', () => ({ status: 200, body: faults.list() }));
  web.on('DELETE', '/_sandbox/faults', () => {
    faults.clear();
    return { status: 204 };
  });
}

type Post = <T>(path: string, schema: z.ZodType<T>, handle: (body: T, ask: Ask) => unknown) => void;

const Visible = z.enum(['private', 'internal', 'public']).default('private');
const NewPlace = z.object({ path: z.string().min(1), visibility: Visible, owner: z.string().optional() });
const Level = z.union([
  z.literal(5),
  z.literal(10),
  z.literal(15),
  z.literal(20),
  z.literal(30),
  z.literal(40),
  z.literal(50),
]);

function placeControls(post: Post, world: World): void {
  post(
    '/users',
    z.object({ login: z.string().min(1), name: z.string().optional(), admin: z.boolean().default(false) }),
    (given) => addUser(world, given),
  );
  post('/groups', NewPlace, (given) => addGroup(world, given));
  post('/projects', NewPlace, (given) => addProject(world, given));
  post('/rename', z.object({ path: z.string(), to: z.string().min(1) }), ({ path, to }) => rename(world, path, to));
  post('/remove', z.object({ path: z.string() }), ({ path }) => remove(world, path));
  post(
    '/members',
    z.object({ path: z.string(), login: z.string(), level: Level.nullable() }),
    ({ path, login, level }) => setMember(world, path, login, level),
  );
  // Switches of a group's or project's settings that the API does not tell of.
  post(
    '/place-settings',
    z.object({ path: z.string(), runnerRegistration: z.boolean().optional(), ciEnabled: z.boolean().optional() }),
    ({ path, ...settings }) => {
      const place = placeAt(world, path);
      for (const [name, value] of Object.entries(settings))
        if (value !== undefined) Object.assign(place, { [name]: value });
      world.save();
    },
  );
}

function tokenControls(post: Post, web: Routes, world: World): void {
  post('/oauth-tokens', z.object({ login: z.string() }), ({ login }) => userToken(world, login));
  post('/access-tokens', NewAccessToken, (given) => accessToken(world, given));
  web.on('DELETE', '/_sandbox/tokens', (ask) => {
    const { token } = parse(z.object({ token: z.string() }), ask.body);
    (world.state.tokens[token] ?? absent('token')).revoked = true;
    world.save();
    return { status: 204 };
  });
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  throw new Reply({ status: 400, body: { message: z.prettifyError(parsed.error) } });
}

function absent(what: string): never {
  throw new Reply({ status: 404, body: { message: `No such ${what}.` } });
}

function taken(what: string): never {
  throw new Reply({ status: 409, body: { message: `${what} exists.` } });
}

function done(body: unknown): Answer {
  return body === undefined ? { status: 204 } : { status: 200, body };
}

export function needUser(world: World, login: string): User {
  return world.user(login) ?? absent(`user ${login}`);
}

export function placeAt(world: World, path: string): Group | Project {
  return world.group(path) ?? world.project(path) ?? absent(`group or project ${path}`);
}

export function rename(world: World, path: string, to: string): void {
  const place = placeAt(world, path);
  if ('namespaceId' in place) renameProject(world, place, to);
  else renameGroup(world, place, to);
}

/** A group takes with it what lies in it, and each its runners and hooks. */
export function remove(world: World, path: string): void {
  const place = placeAt(world, path);
  const { groups, projects, runners, hooks } = world.state;
  const isIn = (groupId: number) => world.lineage(groupId).includes(place as Group);
  const gone = 'namespaceId' in place ? [place] : Object.values(projects).filter((each) => isIn(each.namespaceId));
  const goneGroups = 'namespaceId' in place ? [] : Object.values(groups).filter((each) => isIn(each.id));
  const goneIds = new Set([...gone, ...goneGroups].map((each) => each.id));
  for (const runner of Object.values(runners)) {
    const ownerId = runner.groupId ?? runner.projectIds[0];
    if (ownerId !== undefined && goneIds.has(ownerId)) delete runners[runner.id];
  }
  for (const hook of Object.values(hooks)) if (goneIds.has(hook.ownerId)) delete hooks[hook.id];
  for (const each of gone) delete projects[each.id];
  for (const each of goneGroups) delete groups[each.id];
  world.save();
}

export function setMember(world: World, path: string, login: string, level: AccessLevel | null): void {
  const place = placeAt(world, path);
  const userId = needUser(world, login).id;
  const others = place.members.filter((member) => member.userId !== userId);
  place.members = level === null ? others : [...others, { userId, level }];
  world.save();
}

export function addUser(world: World, given: { login: string; name?: string | undefined; admin?: boolean }): User {
  if (world.user(given.login) ?? world.group(given.login)) taken(given.login);
  const user: User = {
    id: world.id(),
    login: given.login,
    name: given.name ?? given.login,
    admin: given.admin ?? false,
    bot: false,
    namespaceId: world.id(),
    createdAt: world.iso(),
  };
  world.state.users[user.id] = user;
  world.save();
  return user;
}

type Place = { path: string; visibility?: Visibility | undefined; owner?: string | undefined };

/** `tinyland/new` is made in `tinyland`; `owner` becomes its Owner. */
export function addGroup(world: World, { path, visibility, owner }: Place): Group {
  const { parent, name } = split(path);
  if (world.group(path)) taken(path);
  const group: Group = {
    id: world.id(),
    path: name,
    name,
    parentId: parent === '' ? null : (world.group(parent) ?? absent(`group ${parent}`)).id,
    visibility: visibility ?? 'private',
    members: owner === undefined ? [] : [{ userId: needUser(world, owner).id, level: 50 }],
    runnerRegistration: true,
    createdAt: world.iso(),
  };
  world.state.groups[group.id] = group;
  world.save();
  return group;
}

export function addProject(world: World, { path, visibility }: Place): Project {
  const { parent, name } = split(path);
  const namespaceId = world.group(parent)?.id ?? needUser(world, parent).namespaceId;
  if (world.project(path)) taken(path);
  const project: Project = {
    id: world.id(),
    path: name,
    name,
    namespaceId,
    visibility: visibility ?? 'private',
    members: [],
    ciEnabled: true,
    runnerRegistration: true,
    createdAt: world.iso(),
  };
  world.state.projects[project.id] = project;
  world.save();
  return project;
}

function split(path: string): { parent: string; name: string } {
  const at = path.lastIndexOf('/');
  return { parent: path.slice(0, Math.max(at, 0)), name: path.slice(at + 1) };
}

export function userToken(world: World, login: string): string {
  return oauthToken(world, needUser(world, login), ['openid', 'read_user', 'read_api']).token;
}

const NewAccessToken = z.object({
  /** A person's own token; or a group's or project's, with the role that it has there. */
  login: z.string().optional(),
  path: z.string().optional(),
  level: Level.optional(),
  name: z.string().default('flywheel'),
  scopes: z.array(z.enum(tokenScopes)).min(1),
  days: z.number().int().optional(),
});
export type NewAccessToken = z.input<typeof NewAccessToken>;

export function accessToken(world: World, input: NewAccessToken): AccessToken {
  const { login, path, level, name, scopes, days } = NewAccessToken.parse(input);
  const given = { name, scopes, expiresOn: inDays(world, days ?? 30) };
  if (login !== undefined) return newToken(world, needUser(world, login), given);
  return newBotToken(world, placeAt(world, path ?? ''), { ...given, level: level ?? 50 });
}

const NewJob = z.object({
  project: z.string(),
  tags: z.union([
    z.array(z.string()),
    z.string().transform((text) =>
      text
        .split(',')
        .map((tag) => tag.trim())
        .filter(Boolean),
    ),
  ]),
  name: z.string().min(1).optional(),
  durationSeconds: z.union([z.number(), z.literal('').transform(() => undefined), z.coerce.number()]).optional(),
  status: z.enum(['success', 'failed']).optional(),
});

/** Programs get the job as JSON; the page's form comes back to the page. */
function queueJob(world: World, jobs: Jobs, ask: Ask): Answer {
  const { project, ...rest } = parse(NewJob, ask.body);
  const job = jobs.queue({ ...rest, project: world.project(project) ?? absent(`project ${project}`) });
  const isForm = (ask.headers['content-type'] ?? '').includes('form');
  return isForm ? { status: 303, headers: { location: '/_sandbox' } } : { status: 201, body: job };
}

// ------------------------------------------------------------------------------------------------ the page

function overview(world: World): Html {
  const { users, groups, projects, runners, jobs, hooks, deliveries } = world.state;
  const all = Object.values(jobs);
  return html`<h1>Sandbox GitLab</h1>
    <p>
      ${all.filter((job) => job.status === 'running').length} jobs run,
      ${all.filter((job) => job.status === 'pending').length} wait.
    </p>
    <form method="post" action="/_sandbox/jobs" class="card">
      <h2>Queue a job</h2>
      <label class="field" for="project">Project</label
      ><select id="project" name="project">
        ${Object.values(projects).map((each) => html`<option>${world.projectPath(each)}</option>`)}
      </select>
      <label class="field" for="tags">tags</label><input id="tags" name="tags" required placeholder="nix" />
      <label class="field" for="duration">Runs for (seconds)</label
      ><input id="duration" name="durationSeconds" type="number" min="0" placeholder="2" />
      <label class="field" for="status">Ends with</label
      ><select id="status" name="status">
        <option>success</option>
        <option>failed</option>
      </select>
      <p></p>
      <button class="primary">Queue the job</button>
    </form>
    ${table(
      'Jobs',
      ['id', 'project', 'name', 'tags', 'state', 'runner', 'queued'],
      all
        .toReversed()
        .slice(0, 50)
        .map((job) => jobRow(world, job)),
    )}
    ${table(
      'Runners',
      ['id', 'of', 'description', 'tags', 'last contact'],
      Object.values(runners).map((each) => [
        each.id,
        each.type,
        each.description,
        each.tags.join(', '),
        each.contactedAt ?? 'never',
      ]),
    )}
    ${table(
      'Hooks',
      ['id', 'of', 'to'],
      Object.values(hooks).map((each) => [each.id, `${each.kind} ${each.ownerId}`, each.url]),
    )}
    ${table(
      'Groups',
      ['id', 'path', 'members'],
      Object.values(groups).map((each) => [
        each.id,
        world.fullPath(each),
        each.members.map((member) => `${users[member.userId]?.login} (${member.level})`).join(', '),
      ]),
    )}
    ${table(
      'People',
      ['id', 'login', 'name'],
      Object.values(users).map((each) => [each.id, each.login, each.name]),
    )}
    ${table(
      'Last deliveries',
      ['id', 'event', 'to', 'answer', 'when'],
      deliveries
        .slice(-20)
        .toReversed()
        .map((each) => [each.id, each.trigger, each.url, each.responseStatus, each.deliveredAt]),
    )}`;
}

function jobRow(world: World, job: Job): (string | number)[] {
  const project = world.state.projects[job.projectId];
  const runner = job.runnerId === null ? undefined : world.state.runners[job.runnerId];
  const path = project ? world.projectPath(project) : '';
  return [job.id, path, job.name, job.tags.join(', '), job.status, runner?.description ?? '', job.createdAt];
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
            ${head.map((cell) => html`<th scope="col">${cell}</th>`)}
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
