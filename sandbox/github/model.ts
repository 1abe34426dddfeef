/** What the stand-in keeps. Ids are numbers, as GitHub's are, and are the only thing that a rename does not change. */

export type Level = 'read' | 'write' | 'admin';
export type Permissions = Record<string, 'read' | 'write'>;
export type Conclusion = 'success' | 'failure' | 'cancelled' | 'skipped';

export interface User {
  id: number;
  login: string;
  name: string;
  createdAt: string;
}

export interface Org {
  id: number;
  login: string;
  name: string;
  /** 'free' has no runner groups beside the default one. */
  plan: 'team' | 'free';
  members: { userId: number; role: 'admin' | 'member'; public: boolean }[];
  createdAt: string;
}

/** Members of an organization; its maintainers may change who they are. */
export interface Team {
  id: number;
  orgId: number;
  name: string;
  slug: string;
  members: { userId: number; role: 'maintainer' | 'member' }[];
}

/** Its id is what GraphQL calls `databaseId`; the slug may change. */
export interface Enterprise {
  id: number;
  slug: string;
  name: string;
  ownerIds: number[];
  orgIds: number[];
  createdAt: string;
}

export interface Repo {
  id: number;
  name: string;
  /** A user's id or an organization's: the two share no number. */
  ownerId: number;
  private: boolean;
  archived: boolean;
  collaborators: { userId: number; level: Level }[];
  /** Files of workflows that can be started by hand. */
  workflows?: string[];
  createdAt: string;
}

export interface App {
  id: number;
  slug: string;
  name: string;
  ownerId: number;
  clientId: string;
  clientSecret: string;
  webhookSecret: string;
  privateKeyPem: string;
  publicKeyPem: string;
  /** Of keys that were generated later: GitHub lets an App have several at once. */
  morePublicKeyPems?: string[];
  callbackUrls: string[];
  setupUrl: string;
  webhookUrl: string;
  homepageUrl: string;
  permissions: Permissions;
  events: string[];
  createdAt: string;
}

export interface Installation {
  id: number;
  appId: number;
  accountId: number;
  selection: 'all' | 'selected';
  repositoryIds: number[];
  permissions: Permissions;
  events: string[];
  createdAt: string;
  updatedAt: string;
  suspendedAt: string | null;
  suspendedBy: number | null;
}

export interface Grant {
  code: string;
  appId: number;
  userId: number;
  redirectUri: string;
  challenge: string | null;
  expiresAt: number;
}

/** What a bearer string stands for. `pat` is a personal access token, classic unless it says otherwise. */
export type Token =
  | {
      kind: 'user';
      token: string;
      refreshToken: string;
      appId: number;
      userId: number;
      expiresAt: number;
      refreshExpiresAt: number;
    }
  | { kind: 'pat'; token: string; userId: number; scopes: string[]; fineGrained?: boolean; expiresAt: number }
  | {
      kind: 'installation';
      token: string;
      installationId: number;
      permissions: Permissions;
      repositoryIds: number[] | null;
      expiresAt: number;
    }
  | { kind: 'registration'; token: string; scope: string; expiresAt: number };

export interface RunnerGroup {
  id: number;
  /** Of an organization or an enterprise: the two share no number. */
  orgId: number;
  name: string;
  default: boolean;
  visibility: 'all' | 'selected' | 'private';
  repositoryIds: number[];
  allowsPublic: boolean;
  restrictedToWorkflows: boolean;
  selectedWorkflows: string[];
}

/** `scope` is `o<org id>`, `r<repository id>` or `e<enterprise id>`: where a scale set was registered. */
export interface ScaleSet {
  id: number;
  scope: string;
  name: string;
  runnerGroupId: number;
  labels: { type: string; name: string }[];
  disableUpdate: boolean;
  createdOn: string;
  /** Events not yet made into a message. */
  events: Record<string, unknown>[];
  messages: { id: number; body: Record<string, unknown>[] }[];
  lastMessageId: number;
  /** What the listener said in its last poll. */
  maxCapacity: number | null;
}

export interface Session {
  id: string;
  scaleSetId: number;
  ownerName: string;
  seenAt: number;
}

export interface Runner {
  id: number;
  name: string;
  scaleSetId: number;
  scope: string;
  runnerGroupId: number;
  token: string;
  online: boolean;
  jobId: number | null;
  createdAt: string;
}

export interface Job {
  id: number;
  runId: number;
  requestId: number;
  repositoryId: number;
  name: string;
  workflow: string;
  labels: string[];
  /** queued: nobody has it; available: offered; assigned: a scale set took it; running, completed: a runner has or had it. */
  phase: 'queued' | 'available' | 'assigned' | 'running' | 'completed';
  conclusion: Conclusion | null;
  wantedConclusion: Conclusion;
  durationSeconds: number | null;
  /** Goes on until this is false, however long it says that it takes: for tests. */
  held?: boolean;
  scaleSetId: number | null;
  runnerId: number | null;
  runnerName: string | null;
  runnerGroupId: number | null;
  senderId: number;
  headSha: string;
  createdAt: string;
  assignedAt: string | null;
  startedAt: string | null;
  completedAt: string | null;
}

export interface Delivery {
  id: number;
  guid: string;
  appId: number;
  event: string;
  action: string | null;
  installationId: number | null;
  repositoryId: number | null;
  deliveredAt: string;
  redelivery: boolean;
  durationSeconds: number;
  status: string;
  statusCode: number;
  url: string;
  requestHeaders: Record<string, string>;
  payload: Record<string, unknown>;
  responseHeaders: Record<string, string> | null;
  responseBody: string | null;
}

export interface State {
  version: 1;
  nextId: number;
  /** What `GET /meta` says; tests make it old. */
  serverVersion?: string;
  serviceKey: string;
  users: Record<string, User>;
  orgs: Record<string, Org>;
  teams: Record<string, Team>;
  enterprises: Record<string, Enterprise>;
  repos: Record<string, Repo>;
  apps: Record<string, App>;
  installations: Record<string, Installation>;
  grants: Record<string, Grant>;
  manifests: Record<string, { appId: number; expiresAt: number }>;
  tokens: Record<string, Token>;
  runnerGroups: Record<string, RunnerGroup>;
  scaleSets: Record<string, ScaleSet>;
  sessions: Record<string, Session>;
  runners: Record<string, Runner>;
  jobs: Record<string, Job>;
  deliveries: Delivery[];
  /** Lower-case former `owner/name` of a repository, so that an old name answers 301. */
  moved: Record<string, number>;
}
