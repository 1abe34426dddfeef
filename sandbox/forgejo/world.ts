import { randomBytes } from 'node:crypto';
import type { Kept } from '#sandbox/stand-in/index.ts';
import type { Job, Org, Permission, Repo, State, User } from './model.ts';

const ranks: Record<Permission, number> = { read: 1, write: 2, admin: 3, owner: 4 };

/** The state with the questions that every route asks of it. Changes go through `state` and then `save()`. */
export class World {
  readonly #kept: Kept<State>;
  readonly #clock: () => Date;
  /** Where people and programs reach this Forgejo; written into every link. */
  url = '';

  constructor(kept: Kept<State>, clock: () => Date) {
    this.#kept = kept;
    this.#clock = clock;
  }

  get state(): State {
    return this.#kept.value;
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

  /** Forty hex digits, as access tokens and runners' tokens are. */
  token(): string {
    return randomBytes(20).toString('hex');
  }

  save(): void {
    this.#kept.save();
  }

  user(login: string): User | undefined {
    return Object.values(this.state.users).find((each) => same(each.login, login));
  }

  org(name: string): Org | undefined {
    return Object.values(this.state.orgs).find((each) => same(each.name, name));
  }

  account(id: number): User | Org {
    const found = this.state.orgs[id] ?? this.state.users[id];
    if (!found) throw new Error(`no account ${id}`);
    return found;
  }

  nameOf(id: number): string {
    const account = this.account(id);
    return 'login' in account ? account.login : account.name;
  }

  repo(owner: string, name: string): Repo | undefined {
    const account = this.org(owner) ?? this.user(owner);
    return (
      account && Object.values(this.state.repos).find((each) => each.ownerId === account.id && same(each.name, name))
    );
  }

  fullName(repo: Repo): string {
    return `${this.nameOf(repo.ownerId)}/${repo.name}`;
  }

  /** The most that any of a person's teams may; undefined for who is in none. */
  roleIn(org: Org, userId: number): Permission | undefined {
    const held = org.teams.filter((team) => team.members.includes(userId)).map((team) => team.permission);
    return held.toSorted((a, b) => ranks[b] - ranks[a])[0];
  }

  /** What a person may do with a repository, by ownership, team or collaboration; a site administrator may all. */
  permission(repo: Repo, user: User): Permission | undefined {
    if (repo.ownerId === user.id || user.admin) return 'owner';
    const org = this.state.orgs[repo.ownerId];
    const role = org && this.roleIn(org, user.id);
    const collaborator = repo.collaborators.find(({ userId }) => userId === user.id)?.permission;
    const held = [role, collaborator].filter((each) => each !== undefined);
    return held.toSorted((a, b) => ranks[b] - ranks[a])[0];
  }

  /** Runners and hooks of these scopes serve a repository: its own and its owner's. */
  scopesOver(repo: Repo): string[] {
    return [`r${repo.id}`, `a${repo.ownerId}`];
  }

  jobsIn(scope: string): Job[] {
    return Object.values(this.state.jobs).filter((job) => {
      const repo = this.state.repos[job.repoId];
      return repo !== undefined && this.scopesOver(repo).includes(scope);
    });
  }

  /** The queue has changed: runners that ask are looked at anew. */
  queueChanged(): void {
    this.state.tasksVersion += 1;
    this.save();
  }
}

export function atLeast(held: Permission | undefined, need: Permission): boolean {
  return held !== undefined && ranks[held] >= ranks[need];
}

export function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
