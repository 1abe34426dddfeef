import { type Forgejo, ids, startForgejo } from '#sandbox/forgejo/index.ts';
import { holdContract } from './contract-suite.ts';
import { startWire, type Wire } from './contract-wire.ts';
import {
  type HookWorld,
  type LevelWorld,
  type MadeWorld,
  noProblems,
  type Person,
  type TokenWorld,
  type World,
} from './contract-world.ts';
import { type AtScope, type ForgeConnectionValue, forgeOf, type ScopeCredential } from './index.ts';

const logins = { owner: 'ada-tinyland', member: 'sam-tinyland', stranger: 'mallory' };
const subjects = { owner: ids.users.ada, member: ids.users.sam, stranger: ids.users.mallory };
const personScopes = ['read:user', 'read:organization', 'read:repository'];
const byApp = { kind: 'installation' as const, installationId: '1' };
const webhookSecret = 'a-secret-of-the-hooks-here';

/** The forge, its wire, and what else was started for it. */
type Stage = { forgejo: Forgejo; wire: Wire; stops: (() => Promise<void>)[] };

async function forgejoWorld(): Promise<World> {
  const wire = await startWire();
  const forgejo = await startForgejo({ port: 0 });
  wire.to(forgejo.url);
  const stage: Stage = { forgejo, wire, stops: [() => forgejo.stop(), () => wire.stop()] };
  return {
    wire,
    connection: {
      id: 'forgejo',
      kind: 'forgejo',
      baseUrl: wire.url,
      clientId: forgejo.app.clientId,
      clientSecret: forgejo.app.clientSecret,
      webhookSecret,
      allowLoopback: true,
    },
    levels: [repositoryLevel(stage), organizationLevel(stage), accountLevel(stage)],
    outer: {
      path: 'tinyland',
      userToken: () => forgejo.token(logins.owner, personScopes),
      add(count, name) {
        for (let i = 0; i < count; i += 1) forgejo.addRepo({ owner: 'tinyland', name: `${name}${i}`, private: true });
      },
    },
    lastCursor: '1000',
    limits: {
      named: (seconds) => limit({ 'retry-after': String(seconds) }),
      until: (at) => limit({ 'retry-after': at.toUTCString() }),
      unnamed: () => limit({}),
    },
    team: {
      organization: 'tinyland',
      id: `${ids.orgs.tinyland}/${ids.orgs.tinyland * 10 + 1}`,
      path: 'tinyland/Developers',
      admin: () => forgejo.token(logins.owner, personScopes),
      member: async () => forgejo.token(logins.member, personScopes),
      outsider: () => forgejo.token(logins.stranger, personScopes),
    },
    personTokens: tokensOf(forgejo, logins.owner, personScopes, ['read:user', 'read:organization'], 'read:repository'),
    tell: (connection) => tell(stage, connection),
    keepsToken: false,
    async stop() {
      for (const stop of stage.stops) await stop();
    },
  };
}

async function tell({ forgejo, wire }: Stage, connection: ForgeConnectionValue) {
  const repository = { id: String(ids.repos.lab), path: 'tinyland/lab' };
  const credential = by(forgejo.token(logins.owner, ['read:user', 'write:repository']));
  const at: AtScope = { level: 'repository', scopeId: repository.id, path: repository.path, credential };
  await forgeOf(connection).ensureWebhook({ ...at, url: wire.heardAt });
  const { id } = forgejo.queueJob({ repository: repository.path, runsOn: ['nix'], durationSeconds: 1 });
  await fetch(`${forgejo.url}/_sandbox/jobs/${id}/cancel`, { method: 'POST' });
  await forgejo.settled();
  return { repository, job: null, proof: 'x-forgejo-signature', ids: ['x-forgejo-delivery', 'x-gitea-delivery'] };
}

/** What stands before a Forgejo limits, and answers in HTML. */
function limit(headers: Record<string, string>) {
  return { status: 429, headers: { 'content-type': 'text/html', ...headers }, body: '<h1>Too Many Requests</h1>' };
}

function by(token: string): ScopeCredential {
  return { kind: 'token', token };
}

function tokensOf(forgejo: Forgejo, login: string, scopes: string[], fewer: string[], missing: string): TokenWorld {
  return {
    good: () => forgejo.token(login, scopes),
    lacking: () => ({ token: forgejo.token(login, fewer), missing: [missing] }),
    ended() {
      const token = forgejo.token(login, scopes);
      delete forgejo.state.tokens[token];
      return token;
    },
    ofStranger: () => ({ token: forgejo.token(logins.stranger, scopes), subject: String(subjects.stranger) }),
    tells: false,
  };
}

// ------------------------------------------------------------------------------------------------ the three levels

function anyLevel(stage: Stage, owner: string, scopes: string[], fewer: string[], missing: string) {
  const { forgejo } = stage;
  const tokens = tokensOf(forgejo, owner, scopes, fewer, missing);
  const problems: LevelWorld['problems'] = {
    ...noProblems,
    TokenEnded: async (at) => ({ ...at, credential: by(tokens.ended()) }),
    TokenScopeMissing: async (at) => ({ ...at, credential: by(tokens.lacking().token) }),
    // An older server with the same accounts and repositories, in the place of this one.
    async ServerTooOld(at) {
      const older = await startForgejo({ port: 0, version: '14.0.2+gitea-1.22.0' });
      stage.stops.push(() => older.stop());
      stage.wire.to(older.url);
      return { ...at, credential: by(older.token(owner, scopes)) };
    },
  };
  return {
    standings: null,
    transfer: null,
    listed: true,
    credential: () => by(tokens.good()),
    wrongCredential: byApp,
    tokens,
    problems,
    groups: null,
    runners: runnersOf(forgejo),
  };
}

function inTinyland({ forgejo }: Stage, scopes: string[]) {
  return {
    userToken: (person: Person) => forgejo.token(logins[person], personScopes),
    subject: (person: Person) => String(subjects[person]),
    async demote() {
      const role = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"role":"member"}' };
      await fetch(`${forgejo.url}/_sandbox/orgs/tinyland/members/${logins.owner}`, role);
    },
    async RoleMissing(at: AtScope) {
      return { ...at, credential: by(forgejo.token(logins.member, scopes)) };
    },
  };
}

function repositoryLevel(stage: Stage): LevelWorld {
  const { forgejo } = stage;
  const scopes = ['read:user', 'write:repository'];
  const { RoleMissing, ...people } = inTinyland(stage, scopes);
  const any = anyLevel(stage, logins.owner, scopes, ['read:user', 'read:repository'], 'write:repository');
  return {
    ...any,
    ...people,
    level: 'repository',
    scope: { id: String(ids.repos.lab), path: 'tinyland/lab', ownerId: String(ids.orgs.tinyland) },
    foreign: { id: String(ids.repos.toolbox), path: 'mallory-labs/toolbox' },
    roles: { owner: 'admin', member: 'member', stranger: 'not_found' },
    async transfer() {
      const repo = forgejo.state.repos[ids.repos.lab];
      if (repo) Object.assign(repo, { private: false, ownerId: ids.orgs.malloryLabs });
      return String(ids.orgs.malloryLabs);
    },
    async rename() {
      forgejo.renameRepo('tinyland/lab', 'laboratory');
      return 'tinyland/laboratory';
    },
    takeName: async () => String(forgejo.addRepo({ owner: 'tinyland', name: 'lab', private: true }).id),
    problems: {
      ...any.problems,
      RoleMissing,
      async ScopeGone(at) {
        delete forgejo.state.repos[ids.repos.lab];
        return at;
      },
      async RegistrationDisabled(at) {
        const repo = forgejo.state.repos[ids.repos.lab];
        if (repo) repo.actions = false;
        return at;
      },
    },
    hooks: hooksOf(stage, any.credential),
  };
}

function organizationLevel(stage: Stage): LevelWorld {
  const { forgejo } = stage;
  const scopes = ['read:user', 'write:organization'];
  const { RoleMissing, ...people } = inTinyland(stage, scopes);
  const any = anyLevel(stage, logins.owner, scopes, ['read:user', 'read:organization'], 'write:organization');
  return {
    ...any,
    ...people,
    level: 'organization',
    standings: { owner: 'admin', member: 'member', stranger: 'none' },
    scope: { id: String(ids.orgs.tinyland), path: 'tinyland', ownerId: String(ids.orgs.tinyland) },
    foreign: { id: String(ids.orgs.malloryLabs), path: 'mallory-labs' },
    roles: { owner: 'admin', member: 'member', stranger: 'none' },
    async rename() {
      forgejo.renameOrg('tinyland', 'tinyland-new');
      return 'tinyland-new';
    },
    takeName: async (name) => String(forgejo.addOrg({ name, owners: [logins.stranger] }).id),
    problems: {
      ...any.problems,
      RoleMissing,
      async ScopeGone(at) {
        delete forgejo.state.orgs[ids.orgs.tinyland];
        return at;
      },
    },
    hooks: hooksOf(stage, any.credential),
  };
}

/** An account is its person's: nobody else has a role in it, and its own token reaches it and no other. */
function accountLevel(stage: Stage): LevelWorld {
  const { forgejo } = stage;
  const people = { ...subjects, owner: ids.users.jess };
  const loginOf = (person: Person) => forgejo.state.users[people[person]]?.login ?? '';
  const any = anyLevel(stage, 'JessSullivan', ['write:user'], ['read:user'], 'write:user');
  return {
    ...any,
    level: 'account',
    scope: { id: String(ids.users.jess), path: 'JessSullivan', ownerId: String(ids.users.jess) },
    foreign: { id: String(ids.users.mallory), path: 'mallory' },
    userToken: (person) => forgejo.token(loginOf(person), personScopes),
    subject: (person) => String(people[person]),
    roles: { owner: 'admin', member: 'none', stranger: 'none' },
    async rename() {
      const user = forgejo.state.users[ids.users.jess];
      if (user) user.login = 'JessNew';
      return 'JessNew';
    },
    takeName: async (login) => String(forgejo.addUser({ login }).id),
    demote: null,
    problems: {
      ...any.problems,
      ScopeGone: async (at) => ({ ...at, credential: by(forgejo.token(logins.stranger, ['write:user'])) }),
    },
    hooks: hooksOf(stage, any.credential),
  };
}

function runnersOf(forgejo: Forgejo): MadeWorld {
  const all = () => Object.values(forgejo.state.runners);
  const one = (id: string) => {
    const found = forgejo.state.runners[id];
    if (!found) throw new Error(`no runner ${id}`);
    return found;
  };
  return {
    idsNamed: (name) => all().flatMap((each) => (each.name === name ? [String(each.id)] : [])),
    named: (name) => all().filter((runner) => runner.name === name).length,
    namedAt: (id, name) => all().filter((runner) => runner.name === name && runner.scope.slice(1) === id).length,
    rename: (id, name) => void (one(id).name = name),
    multiply(id, count, prefix) {
      const like = one(id);
      for (let i = 0; i < count; i += 1) {
        const number = 900_000 + i;
        forgejo.state.runners[number] = { ...like, id: number, name: `${prefix}${i}` };
      }
    },
    // Labels are declared by the runner itself, and nothing else of it is the portal's.
    spoil: null,
    drop: (id) => void delete forgejo.state.runners[id],
    occupy(id) {
      one(id).jobId = 424_242;
      return () => void (one(id).jobId = null);
    },
    move: (id) => void (one(id).scope = `r${ids.repos.site}`),
    async works({ token, uuid }) {
      const answer = await fetch(`${forgejo.url}/api/actions/runner.v1.RunnerService/Declare`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-runner-token': token, 'x-runner-uuid': uuid ?? '' },
        body: JSON.stringify({ version: 'v9', labels: ['nix'] }),
      });
      return answer.status === 200;
    },
  };
}

function hooksOf({ forgejo, wire }: Stage, credential: () => ScopeCredential): HookWorld {
  const at = (url: string) => Object.values(forgejo.state.hooks).filter((hook) => hook.url.split('?')[0] === url);
  return {
    credential,
    to: (url) => at(url).length,
    spoil(url) {
      for (const hook of at(url)) hook.active = false;
    },
    provesBy: (url, secret) => at(url).every((hook) => hook.secret === secret),
    // Its operator has switched webhooks off: the routes are gone.
    refuse(at) {
      wire.listen(({ path }) => (/\/hooks/.test(path) ? { status: 404, body: { message: 'Not Found' } } : 'pass'));
      return at;
    },
  };
}

holdContract('forgejo', forgejoWorld);
