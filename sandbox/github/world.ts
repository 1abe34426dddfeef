import { randomBytes } from 'node:crypto';
import type { Kept } from '#sandbox/stand-in/index.ts';
import type { App, Enterprise, Installation, Level, Org, Repo, RunnerGroup, State, User } from './model.ts';

/**
 * The state with the questions every route asks of it. Changes go through `state` and then `save()`.
 * `signals` wakes long polls: whoever changes jobs, messages or runners calls `wake()`.
 */
export class World {
  readonly #kept: Kept<State>;
  readonly #clock: () => Date;
  readonly #waiting = new Set<() => void>();
  /** Where people and programs reach this GitHub; written into every link. */
  url: string;

  constructor(kept: Kept<State>, url: string, clock: () => Date) {
    this.#kept = kept;
    this.#clock = clock;
    this.url = url;
  }

  get state(): State {
    return this.#kept.value;
  }

  get api(): string {
    return `${this.url}/api/v3`;
  }

  now(): Date {
    return this.#clock();
  }

  iso(): string {
    return this.now().toISOString();
  }

  id(): number {
    this.state.nextId += 1;
    return this.state.nextId;
  }

  token(prefix: string): string {
    return `${prefix}_${randomBytes(18).toString('hex')}`;
  }

  save(): void {
    this.#kept.save();
  }

  wake(): void {
    this.save();
    for (const resume of this.#waiting) resume();
  }

  /** Resolves at the next `wake()`, after `ms`, or when the caller has gone: look again whichever it was. */
  sleepUntilWoken(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const resume = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', resume);
        this.#waiting.delete(resume);
        resolve();
      };
      const timer = setTimeout(resume, ms);
      signal.addEventListener('abort', resume);
      this.#waiting.add(resume);
      if (signal.aborted) resume();
    });
  }

  user(login: string): User | undefined {
    return Object.values(this.state.users).find((u) => same(u.login, login));
  }

  org(login: string): Org | undefined {
    return Object.values(this.state.orgs).find((o) => same(o.login, login));
  }

  enterprise(slug: string): Enterprise | undefined {
    return Object.values(this.state.enterprises).find((e) => same(e.slug, slug));
  }

  enterpriseOf(orgId: number): Enterprise | undefined {
    return Object.values(this.state.enterprises).find((e) => e.orgIds.includes(orgId));
  }

  /** The user or organization with this id: what may own a repository or an installation. */
  account(id: number): User | Org {
    const found = this.state.orgs[id] ?? this.state.users[id];
    if (!found) throw new Error(`no account ${id}`);
    return found;
  }

  isOrg(account: User | Org): account is Org {
    return 'members' in account;
  }

  repo(owner: string, name: string): Repo | undefined {
    const account = this.org(owner) ?? this.user(owner);
    if (!account) return undefined;
    return Object.values(this.state.repos).find((r) => r.ownerId === account.id && same(r.name, name));
  }

  fullName(repo: Repo): string {
    return `${this.account(repo.ownerId).login}/${repo.name}`;
  }

  role(org: Org, userId: number): 'admin' | 'member' | undefined {
    return org.members.find((m) => m.userId === userId)?.role;
  }

  /** What a person may do with a repository, from ownership, organization role and collaboration; undefined is nothing. */
  level(repo: Repo, userId: number): Level | undefined {
    if (repo.ownerId === userId) return 'admin';
    const collaborator = repo.collaborators.find((c) => c.userId === userId)?.level;
    const org = this.state.orgs[repo.ownerId];
    const role = org && this.role(org, userId);
    if (role === 'admin') return 'admin';
    return collaborator ?? (role ? 'read' : undefined);
  }

  installationOn(app: App, accountId: number): Installation | undefined {
    return Object.values(this.state.installations).find((i) => i.appId === app.id && i.accountId === accountId);
  }

  installedRepos(installation: Installation): Repo[] {
    const owned = Object.values(this.state.repos).filter((r) => r.ownerId === installation.accountId);
    return installation.selection === 'all' ? owned : owned.filter((r) => installation.repositoryIds.includes(r.id));
  }

  /** Group 1 is "Default" in every organization and enterprise and cannot be made or deleted. */
  runnerGroups(orgId: number): RunnerGroup[] {
    const key = `${orgId}:1`;
    this.state.runnerGroups[key] ??= {
      id: 1,
      orgId,
      name: 'Default',
      default: true,
      visibility: 'all',
      repositoryIds: [],
      allowsPublic: false,
      restrictedToWorkflows: false,
      selectedWorkflows: [],
    };
    return Object.values(this.state.runnerGroups).filter((g) => g.orgId === orgId);
  }
}

export function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
