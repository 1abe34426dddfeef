import type { ScopeLevel } from '../model/index.ts';
import type { Reply, Wire } from './contract-wire.ts';
import type { AtScope, ForgeConnectionValue, ScopeCredential, ScopeProblem, ScopeRole } from './port.ts';

/**
 * A forge as the contract's tests move it, in words that are every forge's: a stand-in behind a wire, with three levels. What a
 * forge does not have is null here, and the tests hold it to not having it.
 */
export type World = {
  wire: Wire;
  connection: ForgeConnectionValue;
  /** One for each level of this forge. */
  levels: LevelWorld[];
  /** A scope with repositories in it and who administers it, for lists of many. */
  outer: { path: string; userToken(): string; add(count: number, name: string): void };
  /** The last cursor that an unending list of repositories may be asked with. */
  lastCursor: string;
  /** Limits as this forge says them: for so long, until a time, and without a word on how long. */
  limits: { named(seconds: number): Reply; until(at: Date): Reply; unnamed(): Reply };
  /** A team of an organization (a subgroup), and the tokens of who sees to its people, who is in it, and who is neither. */
  team: {
    organization: string;
    id: string;
    path: string;
    admin(): string;
    member(): Promise<string>;
    outsider(): string;
  };
  /** A person's own access token, where people give one. */
  personTokens: TokenWorld | null;
  /** Has the forge send a webhook to the wire, and says what it is about. */
  tell(connection: ForgeConnectionValue): Promise<Told>;
  /** Whether the token of a sign-in is limited enough to be kept. */
  keepsToken: boolean;
  stop(): Promise<void>;
};

export type Told = {
  /** Of whom `readRepository` reads. */
  repository: Place;
  /** Null where the forge tells no job's event, and only that there is something to look at. */
  job: { labels: string[]; state: 'queued' } | null;
  /** The header without which a delivery proves nothing. */
  proof: string;
  /** The headers that tell a repeat from another delivery; the first decides. */
  ids: string[];
};

export type Place = { id: string; path: string };
export type Person = 'owner' | 'member' | 'stranger';
export type Reason = ScopeProblem['reason'];

export type LevelWorld = {
  level: ScopeLevel;
  /** What is enrolled. */
  scope: Place & { ownerId: string };
  /** Of the same level, and nothing to do with this scope's owner. Null where there is but one. */
  foreign: Place | null;
  userToken(person: Person): string;
  subject(person: Person): string;
  /** What each may be told of their role. */
  roles: Record<Person, ScopeRole | 'not_found'>;
  /** What the scope's own credential tells of each; null where it may not. */
  standings: Record<Person, ScopeRole> | null;
  /** False where it is not for people to enrol, and no list names it. */
  listed: boolean;
  /** With just what the portal asks for. */
  credential(): ScopeCredential;
  /** Of the kind that this level is not reached by. */
  wrongCredential: ScopeCredential;
  /** Gives the scope another name and says its new path. Null where it has no name. */
  rename: (() => Promise<string>) | null;
  /** Makes another scope of that name, the stranger's, and says its id. */
  takeName(path: string): Promise<string>;
  /** Gives it to the stranger, where all may see it, and says the new owner's id. Null where it belongs to itself. */
  transfer: (() => Promise<string>) | null;
  /** The owner is one no more. Null where ownership cannot be lost. */
  demote: (() => Promise<void>) | null;
  /** How each reason comes about, and how one then looks. Null where this level never has it. */
  problems: Record<Reason, ((at: AtScope) => Promise<AtScope>) | null>;
  tokens: TokenWorld | null;
  groups: MadeWorld | null;
  runners: MadeWorld | null;
  hooks: HookWorld | null;
};

/** Access tokens, as a person would make them at the forge. */
export type TokenWorld = {
  good(): string;
  lacking(): { token: string; missing: string[] };
  ended(): string;
  ofStranger(): { token: string; subject: string };
  /** Whether the forge says when a token ends, and its scopes. */
  tells: boolean;
};

/** What the portal makes at a scope: runners, or runner groups. */
export type MadeWorld = {
  /** How many of this name there are in the whole forge. */
  named(name: string): number;
  idsNamed(name: string): string[];
  /** How many of this name there are at the scope of this id. */
  namedAt(scopeId: string, name: string): number;
  /** Gives one another name, as somebody would who does not know us. */
  rename(id: string, name: string): void;
  /** Puts many there at once: `<prefix>0`, `<prefix>1` and so on, all like this one. */
  multiply(id: string, count: number, prefix: string): void;
  /** Changes it by hand so that it is not as it was asked for. Null where nothing about it can be. */
  spoil: ((id: string) => void) | null;
  drop(id: string): void;
  /** Gives it a job, and says how that job ends. Null where what is made has none. */
  occupy: ((id: string) => () => void) | null;
  /** Makes it another scope’s, where the credential may reach as well. Null where no credential reaches beyond its scope. */
  move: ((id: string) => void) | null;
  /** Whether a process that holds this secret is let in. Null where what is made has no secret. */
  works: ((secret: { token: string; uuid: string | null }) => Promise<boolean>) | null;
};

export type HookWorld = {
  /** With what a hook wants, which may be more than runners do. */
  credential(): ScopeCredential;
  /** How many there are that send to this address. */
  to(url: string): number;
  /** Whether all of them prove what they send by this secret. */
  provesBy(url: string, secret: string): boolean;
  /** Switches it off by hand. */
  spoil(url: string): void;
  /** The forge has none here any more, or not for us. */
  refuse(at: AtScope): AtScope;
};

/** A level that never has any of them; each level names what it can have. */
export const noProblems = {
  AppMissing: null,
  AppSuspended: null,
  ScopeGone: null,
  RepositoryNotSelected: null,
  PermissionMissing: null,
  TokenEnded: null,
  TokenScopeMissing: null,
  RoleMissing: null,
  ServerTooOld: null,
  RegistrationDisabled: null,
} satisfies LevelWorld['problems'];
