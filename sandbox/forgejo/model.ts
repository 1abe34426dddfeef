/** What the stand-in keeps. Ids are numbers, as Forgejo's are; people and organizations share one sequence, as they do there. */

export type Permission = 'read' | 'write' | 'admin' | 'owner';
export type Conclusion = 'success' | 'failure' | 'cancelled' | 'skipped';

export interface User {
  id: number;
  login: string;
  name: string;
  admin: boolean;
  createdAt: string;
}

/** Belonging to an organization is being in one of its teams. */
export interface Team {
  id: number;
  name: string;
  permission: Permission;
  members: number[];
}

export interface Org {
  id: number;
  name: string;
  fullName: string;
  teams: Team[];
  createdAt: string;
}

export interface Repo {
  id: number;
  name: string;
  ownerId: number;
  private: boolean;
  /** Whether Actions are switched on there. */
  actions: boolean;
  collaborators: { userId: number; permission: 'read' | 'write' | 'admin' }[];
  createdAt: string;
}

export interface OAuthApp {
  id: number;
  name: string;
  clientId: string;
  clientSecret: string;
  redirectUris: string[];
}

export interface Grant {
  code: string;
  appId: number;
  userId: number;
  redirectUri: string;
  challenge: string | null;
  expiresAt: number;
}

/** An OAuth token may do all that its person may. `personal` is an access token, held to its scopes. */
export type Token =
  | { kind: 'oauth'; token: string; refreshToken: string; appId: number; userId: number; expiresAt: number }
  | { kind: 'personal'; id: number; name: string; token: string; userId: number; scopes: string[] };

/** `scope` is `a<account id>` or `r<repository id>`: where a runner or a hook belongs. */
export interface Runner {
  id: number;
  uuid: string;
  token: string;
  name: string;
  scope: string;
  description: string;
  ephemeral: boolean;
  version: string;
  labels: string[];
  /** Epoch milliseconds; 0 is never. */
  lastOnline: number;
  jobId: number | null;
}

export interface Job {
  id: number;
  runId: number;
  attempt: number;
  handle: string;
  repoId: number;
  name: string;
  workflow: string;
  runsOn: string[];
  status: 'waiting' | 'running' | Conclusion;
  /** What a runner that follows the stand-in's wish ends it with, and after how long. */
  wantedConclusion: Conclusion;
  durationSeconds: number;
  runnerId: number | null;
  runnerName: string | null;
  taskId: number;
  logLines: number;
  senderId: number;
  createdAt: string;
  startedAt: string | null;
  stoppedAt: string | null;
}

export interface Hook {
  id: number;
  scope: string;
  type: string;
  url: string;
  contentType: string;
  secret: string;
  events: string[];
  active: boolean;
  createdAt: string;
  updatedAt: string;
}

export interface Delivery {
  id: number;
  uuid: string;
  hookId: number;
  event: string;
  url: string;
  payload: Record<string, unknown>;
  statusCode: number;
  deliveredAt: string;
}

export interface State {
  version: 1;
  nextId: number;
  users: Record<string, User>;
  orgs: Record<string, Org>;
  repos: Record<string, Repo>;
  apps: Record<string, OAuthApp>;
  grants: Record<string, Grant>;
  tokens: Record<string, Token>;
  runners: Record<string, Runner>;
  /** By scope. A registration token serves any number of runners. */
  registrationTokens: Record<string, string>;
  jobs: Record<string, Job>;
  /** Moves with every change to the queue: a runner that names it has seen all. */
  tasksVersion: number;
  hooks: Record<string, Hook>;
  deliveries: Delivery[];
  /** Lower-case former names, until somebody else takes them. */
  movedAccounts: Record<string, number>;
  movedRepos: Record<string, number>;
}
