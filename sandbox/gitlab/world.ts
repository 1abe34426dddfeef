import { randomBytes } from 'node:crypto';
import type { Kept } from '#sandbox/stand-in/index.ts';
import type { Group, Member, Project, Runner, State, User } from './model.ts';

/** The state with the questions every route asks of it. Changes go through `state` and then `save()`. */
export class World {
  readonly #kept: Kept<State>;
  readonly #clock: () => Date;
  /** Where people and programs reach this GitLab; written into every link. */
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

  /** `glpat-…`, `glrt-…`: GitLab's tokens say by their beginning what they are. */
  token(prefix: string): string {
    return `${prefix}-${randomBytes(20).toString('base64url')}`;
  }

  save(): void {
    this.#kept.save();
  }

  user(login: string): User | undefined {
    return Object.values(this.state.users).find((user) => same(user.login, login));
  }

  fullPath(group: Group): string {
    const parent = group.parentId === null ? undefined : this.state.groups[group.parentId];
    return parent ? `${this.fullPath(parent)}/${group.path}` : group.path;
  }

  /** The group's own name and those above it, as pages show it. */
  fullName(group: Group): string {
    const parent = group.parentId === null ? undefined : this.state.groups[group.parentId];
    return parent ? `${this.fullName(parent)} / ${group.name}` : group.name;
  }

  /** The person whose own namespace this is. */
  ownerOf(namespaceId: number): User | undefined {
    return Object.values(this.state.users).find((user) => user.namespaceId === namespaceId);
  }

  namespacePath(namespaceId: number): string {
    const group = this.state.groups[namespaceId];
    return group ? this.fullPath(group) : (this.ownerOf(namespaceId)?.login ?? '');
  }

  projectPath(project: Project): string {
    return `${this.namespacePath(project.namespaceId)}/${project.path}`;
  }

  /** By id or by full path; a group's former path leads nowhere. */
  group(idOrPath: string): Group | undefined {
    if (/^\d+$/.test(idOrPath)) return this.state.groups[idOrPath];
    return Object.values(this.state.groups).find((group) => same(this.fullPath(group), idOrPath));
  }

  /** By id, by full path, or by a path it had before. */
  project(idOrPath: string): Project | undefined {
    if (/^\d+$/.test(idOrPath)) return this.state.projects[idOrPath];
    const found = Object.values(this.state.projects).find((project) => same(this.projectPath(project), idOrPath));
    const movedId = this.state.moved[idOrPath.toLowerCase()];
    return found ?? (movedId === undefined ? undefined : this.state.projects[movedId]);
  }

  /** The group and what it lies in, nearest first. */
  lineage(groupId: number | null): Group[] {
    const group = groupId === null ? undefined : this.state.groups[groupId];
    return group ? [group, ...this.lineage(group.parentId)] : [];
  }

  /** The highest role that membership gives here, from above included; 0 is none. */
  groupLevel(group: Group, userId: number): number {
    return Math.max(0, ...this.lineage(group.id).map((each) => levelIn(each.members, userId)));
  }

  projectLevel(project: Project, userId: number): number {
    const own = this.ownerOf(project.namespaceId)?.id === userId ? 50 : 0;
    const group = this.state.groups[project.namespaceId];
    return Math.max(own, levelIn(project.members, userId), group ? this.groupLevel(group, userId) : 0);
  }

  /** What is not private is seen by whoever is signed in. */
  sees(thing: Group | Project, user: User): boolean {
    if (user.admin || thing.visibility !== 'private') return true;
    const level = 'namespaceId' in thing ? this.projectLevel(thing, user.id) : this.groupLevel(thing, user.id);
    return level > 0;
  }

  /** Whether this runner takes jobs of that project, before tags are looked at. */
  serves(runner: Runner, project: Project): boolean {
    if (runner.type === 'instance_type') return true;
    if (runner.type === 'project_type') return runner.projectIds.includes(project.id);
    return this.lineage(project.namespaceId).some((group) => group.id === runner.groupId);
  }
}

function levelIn(members: Member[], userId: number): number {
  return Math.max(0, ...members.filter((member) => member.userId === userId).map((member) => member.level));
}

export function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
