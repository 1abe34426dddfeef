/** What the stand-in keeps. Ids are numbers, as GitLab's are; groups and people's own namespaces share one row of numbers. */

/** https://docs.gitlab.com/api/access_requests/#valid-access-levels: minimal, guest, planner, reporter, developer, maintainer, owner. */
export type AccessLevel = 5 | 10 | 15 | 20 | 30 | 40 | 50;
export type Visibility = 'private' | 'internal' | 'public';
export type JobStatus = 'pending' | 'running' | 'success' | 'failed' | 'canceled';

export interface User {
  id: number;
  login: string;
  name: string;
  admin: boolean;
  /** The account behind a project's or group's access token. */
  bot: boolean;
  namespaceId: number;
  createdAt: string;
}

export interface Member {
  userId: number;
  level: AccessLevel;
}

export interface Group {
  id: number;
  path: string;
  name: string;
  parentId: number | null;
  visibility: Visibility;
  members: Member[];
  /** "New group runners can be registered", which also holds for what lies below. */
  runnerRegistration: boolean;
  createdAt: string;
}

export interface Project {
  id: number;
  path: string;
  name: string;
  /** A group's id or a person's namespace's. */
  namespaceId: number;
  visibility: Visibility;
  members: Member[];
  ciEnabled: boolean;
  runnerRegistration: boolean;
  createdAt: string;
}

/** The OAuth application that the portal is registered as. */
export interface Application {
  clientId: string;
  clientSecret: string;
  name: string;
  redirectUris: string[];
  scopes: string[];
}

export interface Grant {
  code: string;
  userId: number;
  scopes: string[];
  redirectUri: string;
  challenge: string | null;
  method: string;
  nonce: string | null;
  expiresAt: number;
}

interface TokenCore {
  id: number;
  token: string;
  userId: number;
  scopes: string[];
  revoked: boolean;
  createdAt: string;
}

export type Token =
  | (TokenCore & { kind: 'oauth'; refreshToken: string; expiresAt: number })
  /** `expiresOn` is a day, at whose beginning (UTC) the token ends. */
  | (TokenCore & { kind: 'access'; name: string; expiresOn: string });
export type AccessToken = Extract<Token, { kind: 'access' }>;

export type RunnerType = 'instance_type' | 'group_type' | 'project_type';

export interface Runner {
  id: number;
  type: RunnerType;
  groupId: number | null;
  projectIds: number[];
  description: string;
  maintenanceNote: string;
  tags: string[];
  runUntagged: boolean;
  locked: boolean;
  paused: boolean;
  accessLevel: 'not_protected' | 'ref_protected';
  maximumTimeout: number | null;
  token: string;
  /** Absent in what an older sandbox kept. */
  tokenExpiresAt?: string | null;
  contactedAt: string | null;
  managers: { id: number; systemId: string; version: string; contactedAt: string; createdAt: string }[];
  creatorId: number;
  createdAt: string;
}

export interface Job {
  id: number;
  pipelineId: number;
  projectId: number;
  name: string;
  stage: string;
  tags: string[];
  status: JobStatus;
  /** What whoever runs it is asked to do: how long it takes and how it ends. */
  durationSeconds: number;
  wantedStatus: 'success' | 'failed';
  runnerId: number | null;
  token: string;
  trace: string;
  sha: string;
  userId: number;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}

export interface Hook {
  id: number;
  kind: 'project' | 'group';
  /** The project's id or the group's. */
  ownerId: number;
  url: string;
  name: string | null;
  description: string | null;
  token: string;
  signingToken: string;
  events: Record<HookEvent, boolean>;
  sslVerification: boolean;
  uuid: string;
  createdAt: string;
}
export const hookEvents = [
  'push_events',
  'job_events',
  'pipeline_events',
  'member_events',
  'resource_access_token_events',
] as const;
export type HookEvent = (typeof hookEvents)[number];

export interface Delivery {
  id: number;
  hookId: number;
  url: string;
  trigger: string;
  idempotencyKey: string;
  requestHeaders: Record<string, string>;
  payload: Record<string, unknown>;
  /** The status, or GitLab's words for no answer. */
  responseStatus: string;
  deliveredAt: string;
}

export interface Settings {
  /** What `GET /version` says; tests make it old. */
  version: string;
  /** Group hooks are part of the paid plans. */
  plan: 'free' | 'premium';
  /** How long a runner's token lives from when it is made; without it they do not end. */
  runnerTokenSeconds?: number;
}

export interface State {
  version: 1;
  nextId: number;
  settings: Settings;
  application: Application;
  /** Signs id tokens. */
  privateKeyPem: string;
  users: Record<string, User>;
  groups: Record<string, Group>;
  projects: Record<string, Project>;
  /** Full paths that projects had before; they still lead to them. */
  moved: Record<string, number>;
  grants: Record<string, Grant>;
  tokens: Record<string, Token>;
  runners: Record<string, Runner>;
  jobs: Record<string, Job>;
  hooks: Record<string, Hook>;
  deliveries: Delivery[];
}
