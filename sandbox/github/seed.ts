import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { App, Enterprise, Installation, Org, Permissions, Repo, State, Team, User } from './model.ts';

/** Ids that tests and the portal's own demo data may name. */
export const ids = {
  users: { jess: 1001, ada: 1002, sam: 1003, mallory: 1004, olive: 1005 },
  orgs: {
    tinyland: 2001,
    malloryLabs: 2002,
    apply500: 2003,
    slow: 2004,
    free: 2005,
    bigApps: 2006,
    bigData: 2007,
  },
  enterprises: { big: 2901 },
  teams: { compilers: 4001 },
  repos: {
    cmux: 3001,
    dotfiles: 3002,
    lab: 3011,
    site: 3012,
    infra: 3013,
    games: 3014,
    docs: 3015,
    toolbox: 3021,
    apply500App: 3031,
    slowApp: 3041,
    freeApp: 3051,
    bigWeb: 3061,
    bigLake: 3071,
  },
  app: 12345,
  installations: { tinyland: 67890, jess: 67891 },
} as const;

export const appSlug = 'flywheel-sandbox';

/** What the App asks for: enough for ARC at both levels, to see who may enrol, and to watch jobs. */
export const appPermissions: Permissions = {
  actions: 'read',
  administration: 'write',
  members: 'read',
  metadata: 'read',
  organization_self_hosted_runners: 'write',
};
export const appEvents = ['membership', 'organization', 'repository', 'team', 'workflow_job'];

export interface Seed {
  users: { id: number; login: string; name: string }[];
  orgs: { id: number; login: string; name: string; plan?: Org['plan']; admins: number[]; members?: number[] }[];
  repos: { id: number; name: string; ownerId: number; private?: boolean }[];
  enterprises?: { id: number; slug: string; name: string; ownerIds: number[]; orgIds: number[] }[];
  teams?: { id: number; orgId: number; name: string; slug: string; maintainers: number[]; members: number[] }[];
  installations: { id: number; accountId: number; selection: 'all' | 'selected'; repositoryIds?: number[] }[];
  app: { id: number; ownerId: number };
}

export const demoSeed: Seed = {
  users: [
    { id: ids.users.jess, login: 'JessSullivan', name: 'Jess Sullivan' },
    { id: ids.users.ada, login: 'ada-tinyland', name: 'Ada (owner of tinyland-inc)' },
    { id: ids.users.sam, login: 'sam-tinyland', name: 'Sam (member of tinyland-inc)' },
    { id: ids.users.mallory, login: 'mallory', name: 'Mallory (a stranger)' },
    { id: ids.users.olive, login: 'olive-operator', name: 'Olive (platform operator)' },
  ],
  orgs: [
    {
      id: ids.orgs.tinyland,
      login: 'tinyland-inc',
      name: 'Tinyland',
      admins: [ids.users.ada],
      members: [ids.users.sam],
    },
    { id: ids.orgs.malloryLabs, login: 'mallory-labs', name: 'Mallory Labs', admins: [ids.users.mallory] },
    // These three fail on purpose, so that a person can see the portal's error paths too.
    { id: ids.orgs.apply500, login: 'org-apply-500', name: 'Runner groups answer 500', admins: [ids.users.ada] },
    { id: ids.orgs.slow, login: 'org-slow', name: 'Answers after three seconds', admins: [ids.users.ada] },
    {
      id: ids.orgs.free,
      login: 'org-free',
      name: 'No runner groups in its plan',
      plan: 'free',
      admins: [ids.users.ada],
    },
    { id: ids.orgs.bigApps, login: 'big-apps', name: 'Apps of Big Enterprise', admins: [ids.users.olive] },
    { id: ids.orgs.bigData, login: 'big-data', name: 'Data of Big Enterprise', admins: [ids.users.olive] },
  ],
  enterprises: [
    {
      id: ids.enterprises.big,
      slug: 'big-enterprise',
      name: 'Big Enterprise',
      ownerIds: [ids.users.olive],
      orgIds: [ids.orgs.bigApps, ids.orgs.bigData],
    },
  ],
  teams: [
    {
      id: ids.teams.compilers,
      orgId: ids.orgs.tinyland,
      name: 'Compilers',
      slug: 'compilers',
      maintainers: [ids.users.sam],
      members: [],
    },
  ],
  repos: [
    { id: ids.repos.cmux, name: 'cmux', ownerId: ids.users.jess, private: true },
    { id: ids.repos.dotfiles, name: 'dotfiles', ownerId: ids.users.jess },
    { id: ids.repos.lab, name: 'lab', ownerId: ids.orgs.tinyland, private: true },
    { id: ids.repos.site, name: 'site', ownerId: ids.orgs.tinyland },
    { id: ids.repos.infra, name: 'infra', ownerId: ids.orgs.tinyland, private: true },
    { id: ids.repos.games, name: 'games', ownerId: ids.orgs.tinyland, private: true },
    { id: ids.repos.docs, name: 'docs', ownerId: ids.orgs.tinyland, private: true },
    { id: ids.repos.toolbox, name: 'toolbox', ownerId: ids.orgs.malloryLabs, private: true },
    { id: ids.repos.apply500App, name: 'app', ownerId: ids.orgs.apply500, private: true },
    { id: ids.repos.slowApp, name: 'app', ownerId: ids.orgs.slow, private: true },
    { id: ids.repos.freeApp, name: 'app', ownerId: ids.orgs.free, private: true },
    { id: ids.repos.bigWeb, name: 'web', ownerId: ids.orgs.bigApps, private: true },
    { id: ids.repos.bigLake, name: 'lake', ownerId: ids.orgs.bigData, private: true },
  ],
  installations: [
    { id: ids.installations.tinyland, accountId: ids.orgs.tinyland, selection: 'all' },
    { id: ids.installations.jess, accountId: ids.users.jess, selection: 'selected', repositoryIds: [ids.repos.cmux] },
  ],
  app: { id: ids.app, ownerId: ids.users.olive },
};

export function freshState(seed: Seed, now: Date): State {
  const createdAt = now.toISOString();
  const app = newApp({
    id: seed.app.id,
    slug: appSlug,
    name: 'Flywheel Sandbox',
    ownerId: seed.app.ownerId,
    createdAt,
  });
  const state: State = {
    version: 1,
    nextId: 100_000,
    serviceKey: randomBytes(32).toString('base64url'),
    users: byId(seed.users.map((u): User => ({ ...u, createdAt }))),
    orgs: byId(
      seed.orgs.map((o): Org => ({
        id: o.id,
        login: o.login,
        name: o.name,
        plan: o.plan ?? 'team',
        members: [
          ...o.admins.map((userId) => ({ userId, role: 'admin' as const, public: true })),
          ...(o.members ?? []).map((userId) => ({ userId, role: 'member' as const, public: false })),
        ],
        createdAt,
      })),
    ),
    repos: byId(
      seed.repos.map((r): Repo => ({
        id: r.id,
        name: r.name,
        ownerId: r.ownerId,
        private: r.private ?? false,
        archived: false,
        collaborators: [],
        createdAt,
      })),
    ),
    teams: byId(
      (seed.teams ?? []).map(({ maintainers, members, ...t }): Team => ({
        ...t,
        members: [
          ...maintainers.map((userId) => ({ userId, role: 'maintainer' as const })),
          ...members.map((userId) => ({ userId, role: 'member' as const })),
        ],
      })),
    ),
    enterprises: byId((seed.enterprises ?? []).map((e): Enterprise => ({ ...e, createdAt }))),
    apps: byId([app]),
    installations: byId(
      seed.installations.map((i): Installation => ({
        id: i.id,
        appId: app.id,
        accountId: i.accountId,
        selection: i.selection,
        repositoryIds: i.repositoryIds ?? [],
        permissions: { ...app.permissions },
        events: [...app.events],
        createdAt,
        updatedAt: createdAt,
        suspendedAt: null,
        suspendedBy: null,
      })),
    ),
    grants: {},
    manifests: {},
    tokens: {},
    runnerGroups: {},
    scaleSets: {},
    sessions: {},
    runners: {},
    jobs: {},
    deliveries: [],
    moved: {},
  };
  return state;
}

/** An App with a key of its own. The key is made here and kept in the state, as GitHub shows it once and never changes it. */
export function newApp(
  given: { id: number; slug: string; name: string; ownerId: number; createdAt: string } & Partial<App>,
): App {
  return {
    ...newKey(),
    clientId: `Iv23${randomBytes(8).toString('hex')}`,
    clientSecret: randomBytes(20).toString('hex'),
    webhookSecret: randomBytes(20).toString('hex'),
    callbackUrls: [],
    setupUrl: '',
    webhookUrl: '',
    homepageUrl: 'https://example.com',
    permissions: { ...appPermissions },
    events: [...appEvents],
    ...given,
  };
}

/** As GitHub makes them: PKCS#1. */
export function newKey(): Pick<App, 'privateKeyPem' | 'publicKeyPem'> {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    privateKeyPem: keys.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    publicKeyPem: keys.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

function byId<T extends { id: number }>(list: T[]): Record<string, T> {
  return Object.fromEntries(list.map((item) => [String(item.id), item]));
}
