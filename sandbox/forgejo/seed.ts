import { randomBytes, randomUUID } from 'node:crypto';
import type { OAuthApp, Org, Repo, State, User } from './model.ts';

/** Ids that tests and the portal's own demo data may name. None is another stand-in's. */
export const ids = {
  users: { jess: 7001, ada: 7002, sam: 7003, mallory: 7004, olive: 7005 },
  orgs: { tinyland: 7101, malloryLabs: 7102 },
  repos: { cmux: 7201, dotfiles: 7202, site: 7211, lab: 7212, toolbox: 7221 },
  app: 7301,
} as const;

export interface Seed {
  users: { id: number; login: string; name: string; admin?: boolean }[];
  orgs: { id: number; name: string; fullName: string; owners: number[]; members?: number[] }[];
  repos: { id: number; name: string; ownerId: number; private?: boolean }[];
}

export const demoSeed: Seed = {
  users: [
    { id: ids.users.jess, login: 'JessSullivan', name: 'Jess Sullivan' },
    { id: ids.users.ada, login: 'ada-tinyland', name: 'Ada (owner of tinyland)' },
    { id: ids.users.sam, login: 'sam-tinyland', name: 'Sam (member of tinyland)' },
    { id: ids.users.mallory, login: 'mallory', name: 'Mallory (a stranger)' },
    { id: ids.users.olive, login: 'olive-operator', name: 'Olive (site administrator)', admin: true },
  ],
  orgs: [
    {
      id: ids.orgs.tinyland,
      name: 'tinyland',
      fullName: 'Tinyland',
      owners: [ids.users.ada],
      members: [ids.users.sam],
    },
    { id: ids.orgs.malloryLabs, name: 'mallory-labs', fullName: 'Mallory Labs', owners: [ids.users.mallory] },
  ],
  repos: [
    { id: ids.repos.cmux, name: 'cmux', ownerId: ids.users.jess, private: true },
    { id: ids.repos.dotfiles, name: 'dotfiles', ownerId: ids.users.jess },
    { id: ids.repos.site, name: 'site', ownerId: ids.orgs.tinyland },
    { id: ids.repos.lab, name: 'lab', ownerId: ids.orgs.tinyland, private: true },
    { id: ids.repos.toolbox, name: 'toolbox', ownerId: ids.orgs.malloryLabs, private: true },
  ],
};

export function freshState(seed: Seed, now: Date): State {
  const createdAt = now.toISOString();
  const app: OAuthApp = {
    id: ids.app,
    name: 'Flywheel Sandbox',
    clientId: randomUUID(),
    clientSecret: `gto_${randomBytes(26).toString('hex')}`,
    redirectUris: [],
  };
  return {
    version: 1,
    nextId: 700_000,
    users: byId(seed.users.map((user): User => ({ admin: false, ...user, createdAt }))),
    orgs: byId(seed.orgs.map((org) => orgOf(org, createdAt))),
    repos: byId(
      seed.repos.map((repo): Repo => ({ private: false, ...repo, actions: true, collaborators: [], createdAt })),
    ),
    apps: byId([app]),
    grants: {},
    tokens: {},
    runners: {},
    registrationTokens: {},
    jobs: {},
    tasksVersion: 1,
    hooks: {},
    deliveries: [],
    movedAccounts: {},
    movedRepos: {},
  };
}

/** Team ids follow from the organization's, so that they are the same in every run. */
function orgOf({ id, name, fullName, owners, members = [] }: Seed['orgs'][number], createdAt: string): Org {
  const teams: Org['teams'] = [{ id: id * 10, name: 'Owners', permission: 'owner', members: owners }];
  if (members.length > 0) teams.push({ id: id * 10 + 1, name: 'Developers', permission: 'write', members });
  return { id, name, fullName, teams, createdAt };
}

function byId<T extends { id: number }>(list: T[]): Record<string, T> {
  return Object.fromEntries(list.map((item) => [String(item.id), item]));
}
