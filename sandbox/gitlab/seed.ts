import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Group, Project, State, User, Visibility } from './model.ts';

/** Ids that tests and the portal's own demo data may name; none of them is one of the other stand-ins'. */
export const ids = {
  users: { jess: 5001, ada: 5002, sam: 5003, mallory: 5004, olive: 5005 },
  groups: { tinyland: 6001, lab: 6002, malloryLabs: 6003 },
  namespaces: { jess: 6101, ada: 6102, sam: 6103, mallory: 6104, olive: 6105 },
  projects: { site: 7001, kernels: 7002, toolbox: 7003, cmux: 7004 },
} as const;

/** What the portal's application may ask for. */
const applicationScopes = ['openid', 'profile', 'email', 'read_user', 'read_api'];

interface SeedUser {
  id: number;
  login: string;
  name: string;
  namespaceId: number;
  admin?: boolean;
}

export interface Seed {
  users: SeedUser[];
  groups: (Pick<Group, 'id' | 'path' | 'name' | 'members'> & { parentId?: number; visibility?: Visibility })[];
  projects: (Pick<Project, 'id' | 'path' | 'name' | 'namespaceId'> & { visibility?: Visibility })[];
}

const { users, groups, namespaces, projects } = ids;

export const demoSeed: Seed = {
  users: [
    { id: users.jess, login: 'JessSullivan', name: 'Jess Sullivan', namespaceId: namespaces.jess },
    { id: users.ada, login: 'ada-tinyland', name: 'Ada (owner of tinyland)', namespaceId: namespaces.ada },
    { id: users.sam, login: 'sam-tinyland', name: 'Sam (developer in tinyland)', namespaceId: namespaces.sam },
    { id: users.mallory, login: 'mallory', name: 'Mallory (a stranger)', namespaceId: namespaces.mallory },
    {
      id: users.olive,
      login: 'olive-operator',
      name: 'Olive (administrator)',
      namespaceId: namespaces.olive,
      admin: true,
    },
  ],
  groups: [
    {
      id: groups.tinyland,
      path: 'tinyland',
      name: 'Tinyland',
      members: [
        { userId: users.ada, level: 50 },
        { userId: users.sam, level: 30 },
      ],
    },
    { id: groups.lab, path: 'lab', name: 'Lab', parentId: groups.tinyland, members: [] },
    {
      id: groups.malloryLabs,
      path: 'mallory-labs',
      name: 'Mallory Labs',
      visibility: 'public',
      members: [{ userId: users.mallory, level: 50 }],
    },
  ],
  projects: [
    { id: projects.site, path: 'site', name: 'Site', namespaceId: groups.tinyland },
    { id: projects.kernels, path: 'kernels', name: 'Kernels', namespaceId: groups.lab },
    { id: projects.toolbox, path: 'toolbox', name: 'Toolbox', namespaceId: groups.malloryLabs, visibility: 'public' },
    { id: projects.cmux, path: 'cmux', name: 'cmux', namespaceId: namespaces.jess },
  ],
};

export function freshState(seed: Seed, now: Date): State {
  const createdAt = now.toISOString();
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  return {
    version: 1,
    nextId: 200_000,
    settings: { version: '19.3.1', plan: 'premium' },
    application: {
      clientId: randomBytes(32).toString('hex'),
      clientSecret: `gloas-${randomBytes(32).toString('hex')}`,
      name: 'Flywheel Sandbox',
      redirectUris: [],
      scopes: applicationScopes,
    },
    privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    users: byId(seed.users.map((user): User => ({ ...user, admin: user.admin ?? false, bot: false, createdAt }))),
    groups: byId(
      seed.groups.map((group): Group => ({
        ...group,
        parentId: group.parentId ?? null,
        visibility: group.visibility ?? 'private',
        members: group.members.map((member) => ({ ...member })),
        runnerRegistration: true,
        createdAt,
      })),
    ),
    projects: byId(
      seed.projects.map((project): Project => ({
        ...project,
        visibility: project.visibility ?? 'private',
        members: [],
        ciEnabled: true,
        runnerRegistration: true,
        createdAt,
      })),
    ),
    moved: {},
    grants: {},
    tokens: {},
    runners: {},
    jobs: {},
    hooks: {},
    deliveries: [],
  };
}

function byId<T extends { id: number }>(list: T[]): Record<string, T> {
  return Object.fromEntries(list.map((item) => [String(item.id), item]));
}
