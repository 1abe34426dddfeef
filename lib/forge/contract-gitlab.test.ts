import { type Gitlab, ids, startGitlab } from '#sandbox/gitlab/index.ts';
import { holdContract } from './contract-suite.ts';
import { startWire } from './contract-wire.ts';
import {
  type HookWorld,
  type LevelWorld,
  type MadeWorld,
  noProblems,
  type Person,
  type Place,
  type TokenWorld,
  type World,
} from './contract-world.ts';
import { signingTokenOf } from './gitlab/webhook.ts';
import { type ForgeConnectionValue, forgeOf, type ScopeCredential } from './index.ts';

const logins = { owner: 'ada-tinyland', member: 'sam-tinyland', stranger: 'mallory' };
const subjects = { owner: ids.users.ada, member: ids.users.sam, stranger: ids.users.mallory };
const runnerScopes = ['create_runner', 'manage_runner', 'read_api'] as const;
const byApp = { kind: 'installation' as const, installationId: '1' };

async function gitlabWorld(): Promise<World> {
  const wire = await startWire();
  const gitlab = await startGitlab({ port: 0 });
  wire.to(gitlab.url);
  return {
    wire,
    connection: {
      id: 'gitlab',
      kind: 'gitlab',
      baseUrl: wire.url,
      clientId: gitlab.application.clientId,
      clientSecret: gitlab.application.clientSecret,
      webhookSecret: 'a-secret-of-the-hooks-here',
      allowLoopback: true,
    },
    levels: [projectLevel(gitlab), groupLevel(gitlab), instanceLevel(gitlab)],
    outer: {
      path: 'tinyland',
      userToken: () => gitlab.userToken(logins.owner),
      add(count, name) {
        for (let i = 0; i < count; i += 1) gitlab.addProject({ path: `tinyland/${name}${i}` });
      },
    },
    lastCursor: 'projects:500',
    limits: {
      named: (seconds) => limit({ 'retry-after': String(seconds) }),
      until: (at) => limit({ 'ratelimit-remaining': '0', 'ratelimit-reset': String(Math.ceil(at.getTime() / 1000)) }),
      unnamed: () => limit({}),
    },
    team: {
      organization: 'tinyland',
      id: String(ids.groups.lab),
      path: 'tinyland/lab',
      admin() {
        gitlab.setMember('tinyland/lab', 'JessSullivan', 40);
        return gitlab.userToken('JessSullivan');
      },
      // From above.
      member: async () => gitlab.userToken(logins.member),
      outsider: () => gitlab.userToken(logins.stranger),
    },
    personTokens: {
      good: () => gitlab.accessToken({ login: logins.owner, scopes: ['read_api'] }),
      lacking: () => ({
        token: gitlab.accessToken({ login: logins.owner, scopes: ['create_runner'] }),
        missing: ['read_api'],
      }),
      ended: () => gitlab.accessToken({ login: logins.owner, scopes: ['read_api'], days: -1 }),
      ofStranger: () => ofStranger(gitlab, ['read_api']),
      tells: true,
    },
    tell: (connection) => tell(gitlab, connection),
    keepsToken: true,
    async stop() {
      await gitlab.stop();
      await wire.stop();
    },
  };

  async function tell(forge: Gitlab, connection: ForgeConnectionValue) {
    const at = { level: 'project' as const, scopeId: String(ids.projects.site), path: 'tinyland/site' };
    const credential = by(forge.accessToken({ path: at.path, scopes: ['api'], level: 40 }));
    await forgeOf(connection).ensureWebhook({ ...at, credential, url: wire.heardAt });
    forge.queueJob({ project: at.path, tags: ['nix'], durationSeconds: 1 });
    await forge.settled();
    return {
      repository: { id: at.scopeId, path: at.path },
      // GitLab tells the tags of the runner that has the job, and none has it yet.
      job: { labels: [], state: 'queued' as const },
      proof: 'webhook-signature',
      ids: ['webhook-id'],
    };
  }
}

function limit(headers: Record<string, string>) {
  return { status: 429, headers: { 'content-type': 'text/plain', ...headers }, body: 'Retry later\n' };
}

function by(token: string): ScopeCredential {
  return { kind: 'token', token };
}

function ofStranger(gitlab: Gitlab, scopes: readonly ('api' | 'read_api' | (typeof runnerScopes)[number])[]) {
  const token = gitlab.accessToken({ login: logins.stranger, scopes: [...scopes] });
  return { token, subject: String(subjects.stranger) };
}

// ------------------------------------------------------------------------------------------------ the three levels

/** What a project and a group have alike: a bot's token each, with the least role that may make runners. */
function placeLevel(gitlab: Gitlab, scope: Place & { ownerId: string }, role: 40 | 50) {
  const token = (scopes: readonly ('api' | (typeof runnerScopes)[number])[], level: 30 | 40 | 50 = role, days = 30) =>
    gitlab.accessToken({ path: scope.path, scopes: [...scopes], level, days });
  const tokens: TokenWorld = {
    good: () => token(runnerScopes),
    lacking: () => ({ token: token(['manage_runner', 'read_api']), missing: ['create_runner'] }),
    ended: () => token(runnerScopes, role, -1),
    ofStranger: () => ofStranger(gitlab, runnerScopes),
    tells: true,
  };
  const problems: LevelWorld['problems'] = {
    ...noProblems,
    TokenEnded: async (at) => ({ ...at, credential: by(tokens.ended()) }),
    TokenScopeMissing: async (at) => ({ ...at, credential: by(tokens.lacking().token) }),
    async ScopeGone(at) {
      gitlab.remove(scope.path);
      return at;
    },
    RoleMissing: async (at) => ({ ...at, credential: by(token(runnerScopes, 30)) }),
    async ServerTooOld(at) {
      gitlab.state.settings.version = '15.11.13';
      return at;
    },
  };
  return {
    scope,
    userToken: (person: Person) => gitlab.userToken(logins[person]),
    subject: (person: Person) => String(subjects[person]),
    standings: null,
    listed: true,
    credential: () => by(tokens.good()),
    wrongCredential: byApp,
    transfer: null,
    demote: async () => gitlab.setMember('tinyland', logins.owner, 30),
    problems,
    tokens,
    groups: null,
    runners: runnersOf(gitlab),
    hooks: hooksOf(gitlab, () => by(token([...runnerScopes, 'api']))),
  };
}

function projectLevel(gitlab: Gitlab): LevelWorld {
  const scope = { id: String(ids.projects.site), path: 'tinyland/site', ownerId: String(ids.groups.tinyland) };
  const place = placeLevel(gitlab, scope, 40);
  return {
    ...place,
    level: 'project',
    foreign: { id: String(ids.projects.toolbox), path: 'mallory-labs/toolbox' },
    roles: { owner: 'admin', member: 'member', stranger: 'not_found' },
    async transfer() {
      const project = gitlab.state.projects[scope.id];
      if (project) project.namespaceId = ids.groups.malloryLabs;
      return String(ids.groups.malloryLabs);
    },
    async rename() {
      gitlab.rename(scope.path, 'pages');
      return 'tinyland/pages';
    },
    async takeName(path) {
      // Whoever takes a name takes it from the redirection, too.
      delete gitlab.state.moved[path];
      return String(gitlab.addProject({ path }).id);
    },
    problems: {
      ...place.problems,
      async RegistrationDisabled(at) {
        const project = gitlab.state.projects[scope.id];
        if (project) project.ciEnabled = false;
        return at;
      },
    },
  };
}

function groupLevel(gitlab: Gitlab): LevelWorld {
  const scope = { id: String(ids.groups.tinyland), path: 'tinyland', ownerId: String(ids.groups.tinyland) };
  return {
    ...placeLevel(gitlab, scope, 50),
    level: 'group',
    standings: { owner: 'admin', member: 'member', stranger: 'none' },
    foreign: { id: String(ids.groups.malloryLabs), path: 'mallory-labs' },
    roles: { owner: 'admin', member: 'member', stranger: 'not_found' },
    async rename() {
      gitlab.rename('tinyland', 'tinyland-new');
      return 'tinyland-new';
    },
    takeName: async (path) => String(gitlab.addGroup({ path, owner: logins.stranger }).id),
  };
}

/** Served by a token of an administrator, whose it wholly is; everybody who has an account belongs to it. */
function instanceLevel(gitlab: Gitlab): LevelWorld {
  const owner = 'olive-operator';
  const token = (login: string, scopes: readonly (typeof runnerScopes)[number][] = runnerScopes, days = 30) =>
    gitlab.accessToken({ login, scopes: [...scopes], days });
  const tokens: TokenWorld = {
    good: () => token(owner),
    lacking: () => ({ token: token(owner, ['manage_runner', 'read_api']), missing: ['create_runner'] }),
    ended: () => token(owner, runnerScopes, -1),
    ofStranger: () => ofStranger(gitlab, runnerScopes),
    tells: true,
  };
  return {
    level: 'instance',
    scope: { id: 'instance', path: '', ownerId: 'instance' },
    foreign: null,
    userToken: (person) => gitlab.userToken({ ...logins, owner }[person]),
    subject: (person) => String({ ...subjects, owner: ids.users.olive }[person]),
    standings: null,
    roles: { owner: 'admin', member: 'member', stranger: 'member' },
    listed: true,
    credential: () => by(tokens.good()),
    wrongCredential: byApp,
    rename: null,
    transfer: null,
    takeName: () => Promise.reject(new Error('an instance has no name')),
    async demote() {
      const user = gitlab.state.users[ids.users.olive];
      if (user) user.admin = false;
    },
    problems: {
      ...noProblems,
      TokenEnded: async (at) => ({ ...at, credential: by(tokens.ended()) }),
      TokenScopeMissing: async (at) => ({ ...at, credential: by(tokens.lacking().token) }),
      RoleMissing: async (at) => ({ ...at, credential: by(token(logins.owner)) }),
      async ServerTooOld(at) {
        gitlab.state.settings.version = '15.11.13';
        return at;
      },
    },
    tokens,
    groups: null,
    runners: runnersOf(gitlab),
    hooks: null,
  };
}

function runnersOf(gitlab: Gitlab): MadeWorld {
  const all = () => Object.values(gitlab.state.runners);
  const one = (id: string) => {
    const found = gitlab.state.runners[id];
    if (!found) throw new Error(`no runner ${id}`);
    return found;
  };
  const isAt = (scopeId: string) => (runner: ReturnType<typeof one>) =>
    [runner.groupId ?? 'instance', ...runner.projectIds].some((id) => String(id) === scopeId);
  return {
    idsNamed: (name) => all().flatMap((each) => (each.description === name ? [String(each.id)] : [])),
    named: (name) => all().filter((each) => each.description === name).length,
    namedAt: (id, name) => all().filter((each) => each.description === name && isAt(id)(each)).length,
    rename: (id, name) => void (one(id).description = name),
    multiply(id, count, prefix) {
      const like = one(id);
      for (let i = 0; i < count; i += 1) {
        const number = 900_000 + i;
        gitlab.state.runners[number] = { ...like, id: number, description: `${prefix}${i}` };
      }
    },
    spoil: (id) => void (one(id).runUntagged = true),
    drop: (id) => void delete gitlab.state.runners[id],
    occupy(id) {
      const job = gitlab.queueJob({ project: 'tinyland/site', tags: ['nobodys'], durationSeconds: 1 });
      Object.assign(job, { status: 'running', runnerId: Number(id) });
      return () => void Object.assign(job, { status: 'success' });
    },
    // An Owner of a group is one of every group in it, and an administrator of all.
    move: (id) => void Object.assign(one(id), { type: 'group_type', groupId: ids.groups.lab, projectIds: [] }),
    async works({ token }) {
      const answer = await fetch(`${gitlab.apiUrl}/runners/verify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token }),
      });
      return answer.status === 200;
    },
  };
}

/** A hook wants scope `api`, which is more than runners need. */
function hooksOf(gitlab: Gitlab, credential: () => ScopeCredential): HookWorld {
  const all = () => Object.values(gitlab.state.hooks);
  return {
    credential,
    to: (url) => all().filter((hook) => hook.url === url).length,
    provesBy: (url, secret) =>
      all()
        .filter((hook) => hook.url === url)
        .every((hook) => hook.signingToken === signingTokenOf(secret)),
    spoil(url) {
      for (const hook of all()) if (hook.url === url) hook.events.job_events = false;
    },
    // Who has the scopes for runners alone.
    refuse: (at) => {
      const scopes = [...runnerScopes];
      return { ...at, credential: by(gitlab.accessToken({ path: at.path, scopes, level: 50 })) };
    },
  };
}

holdContract('gitlab', gitlabWorld);
