import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { AtScope, RunnerGroup, ScopeObservation, ScopeProblem, Unsupported } from '../port.ts';
import { runnerGroupPrefix } from '../runner-group.ts';
import type { Ask, Client } from './client.ts';
import {
  credentialError,
  levelError,
  mayNotManageError,
  notFoundError,
  type Refusal,
  tokenEndedError,
} from './errors.ts';
import { missingPermissions } from './choice.ts';
import { findInstallation } from './scopes.ts';
import { findEnterprise, mayManageRunners, missingScopes, tokenSaid } from './token.ts';
import { versionProblem } from './version.ts';
import { Installation, Repository, RunnerGroup as GroupSchema, RunnerGroupPage } from './schema.ts';

/** What the reconciler asks and does, by the App's own credentials; at an enterprise by a token. */
export function githubObserver(client: Client) {
  async function observeScope(input: AtScope): Promise<ScopeObservation> {
    if (input.level === 'enterprise') return observeEnterprise(client, input);
    if (input.level !== 'organization' && input.level !== 'repository') throw levelError(input.level);
    const installation = await currentInstallation(input);
    // A name may be another account's by now; an id never is.
    if (!installation || isOfAnother(installation, input)) return nothingSeen(input.path);
    // A suspended installation mints no token: what lies behind it stays unseen, and is not therefore gone.
    // Whose a repository is stays unseen where nothing is asked of it.
    const ownerId = input.level === 'organization' ? installation.account.id : null;
    if (installation.suspended_at) {
      return observation(input, installation, {
        exists: true,
        path: pathOf(installation, input),
        ownerId,
        covered: true,
      });
    }
    const ask = { as: { installation: installation.id }, signal: input.signal, about: input.path };
    const old = await versionProblem(client, ask);
    if (old) {
      const seen = { exists: true, path: pathOf(installation, input), ownerId, covered: true };
      return { ...observation(input, installation, seen), problem: old };
    }
    if (input.level === 'organization') return observeOrganization(input, installation);
    return observeRepository(input, installation);
  }

  /** The installation that was enrolled, or the one that took its place after the App was removed and installed again. */
  async function currentInstallation(input: AtScope): Promise<Installation | null> {
    const { level, path, signal } = input;
    const params = { installation_id: installationOf(input) };
    const ask = { as: { app: true as const }, signal, about: path, params };
    const enrolled = await client.find('GET /app/installations/{installation_id}', Installation, ask);
    return enrolled ?? findInstallation(client, level === 'organization' ? 'organization' : 'repository', path, signal);
  }

  async function observeOrganization(input: AtScope, installation: Installation): Promise<ScopeObservation> {
    const path = installation.account.login;
    const credential = { kind: 'installation' as const, installationId: installation.id };
    const runnerGroups = await hasRunnerGroups({ ...input, path, credential });
    const { id: ownerId } = installation.account;
    return observation(input, installation, { exists: true, path, ownerId, covered: true, runnerGroups });
  }

  async function observeRepository(input: AtScope, installation: Installation): Promise<ScopeObservation> {
    const ask = {
      as: { installation: installation.id },
      signal: input.signal,
      about: input.path,
      params: { id: input.scopeId },
    };
    const repository = await client.find('GET /repositories/{id}', Repository, ask);
    // Private and not selected reads as absent, public and not selected reads as there: only the App's own list can tell.
    const path = repository?.full_name ?? input.path;
    const serving = await findInstallation(client, 'repository', path, input.signal);
    const covered = serving?.id === installation.id;
    const ownerId = repository?.owner.id ?? null;
    const exists = ownerId === installation.account.id;
    return observation(input, installation, { exists, path, ownerId, covered: covered && exists });
  }

  async function hasRunnerGroups(input: AtScope): Promise<boolean> {
    const absent = ({ status }: Refusal) => status === 404 || status === 403;
    const { route, ask } = await groupsAt(input);
    const params = { ...ask.params, per_page: 1 };
    return (await client.find(`GET ${route}`, RunnerGroupPage, { ...ask, params, absent })) !== null;
  }

  /** Where the groups are and who may touch them. An enterprise is found by its id: its slug may be another's by now. */
  async function groupsAt(input: AtScope): Promise<GroupsAt> {
    const { path, signal, level, scopeId: id } = input;
    const about = { signal, about: path };
    if (level !== 'enterprise') {
      const as = { installation: installationOf(input) };
      return { route: '/orgs/{org}/actions/runner-groups', ask: { ...about, as, params: { org: path } } };
    }
    const token = tokenOf(input);
    const enterprise = await findEnterprise(client, { token, slug: path, id, signal });
    if (!enterprise) throw notFoundError(path);
    const ask = { ...about, as: { user: token }, params: { org: enterprise.slug } };
    return { route: '/enterprises/{org}/actions/runner-groups', ask };
  }

  /** The enterprise is there, so that 404 is what GitHub says to a token that may not look at its groups. */
  async function groupsOf(input: AtScope, { route, ask }: GroupsAt): Promise<GroupSchema[]> {
    const groups = client.all(`GET ${route}`, RunnerGroupPage, (page) => page.runner_groups, ask);
    if (input.level !== 'enterprise') return groups;
    return groups.catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'not_found') throw mayNotManageError(input.path);
      throw error;
    });
  }

  async function findGroup(input: AtScope & { name: string }, at: GroupsAt): Promise<GroupSchema | null> {
    return (await groupsOf(input, at)).find((group) => group.name === input.name && !group.default) ?? null;
  }

  async function ensureRunnerGroup(
    input: AtScope & { name: string; allowsPublicRepositories: false },
  ): Promise<{ change: 'created' | 'updated' | null; id: string; name: string } | Unsupported> {
    if (!hasGroups(input)) return { unsupported: true };
    assertOurs(input.name);
    const { route, ask } = await groupsAt(input);
    const before = await findGroup(input, { route, ask });
    const wanted = { visibility: 'all', allows_public_repositories: false };
    if (!before) {
      const params = { ...ask.params, ...wanted, name: input.name };
      const made = await client.find(`POST ${route}`, GroupSchema, { ...ask, params, absent: isOutsidePlan });
      return made ? { change: 'created', id: made.id, name: made.name } : { unsupported: true };
    }
    if (before.visibility === 'all' && !before.allows_public_repositories)
      return { change: null, id: before.id, name: before.name };
    const params = { ...ask.params, ...wanted, runner_group_id: before.id, name: before.name };
    const after = await client.call(`PATCH ${route}/{runner_group_id}`, GroupSchema, { ...ask, params });
    return { change: 'updated', id: after.id, name: after.name };
  }

  async function observeRunnerGroup(input: AtScope & { name: string }): Promise<RunnerGroup | null> {
    if (!hasGroups(input)) return null;
    const group = await findGroup(input, await groupsAt(input));
    return group && portGroup(group);
  }

  async function removeRunnerGroup(input: AtScope & { id: string }): Promise<{ change: 'removed' | null }> {
    if (!hasGroups(input)) return { change: null };
    const { route, ask } = await groupsAt(input);
    const group = (await groupsOf(input, { route, ask })).find(({ id }) => id === input.id);
    if (!group) return { change: null };
    assertOurs(group.name);
    const params = { ...ask.params, runner_group_id: input.id };
    await client.find(`DELETE ${route}/{runner_group_id}`, z.unknown(), { ...ask, params });
    return { change: 'removed' };
  }

  return {
    observeScope,
    observeRunnerGroup: (input: AtScope & { name: string }) => observeRunnerGroup(input).catch(byScope(input)),
    ensureRunnerGroup: (input: AtScope & { name: string; allowsPublicRepositories: false }) =>
      ensureRunnerGroup(input).catch(byScope(input)),
    removeRunnerGroup: (input: AtScope & { id: string }) => removeRunnerGroup(input).catch(byScope(input)),
  };
}

type GroupsAt = { route: string; ask: Ask };

/** A repository has its runners and no groups of them. */
function hasGroups({ level }: AtScope): boolean {
  return level !== 'repository';
}

/** The token of an enterprise is nobody's sign-in: that it has ended is told to whoever keeps the enrollment. */
function byScope({ path }: AtScope) {
  return (error: unknown): never => {
    if (error instanceof AppError && error.code === 'unauthenticated') throw tokenEndedError(path);
    throw error;
  };
}

function isOfAnother(installation: Installation, { level, scopeId }: AtScope): boolean {
  return level === 'organization' && installation.account.id !== scopeId;
}

function pathOf(installation: Installation, { level, path }: AtScope): string {
  return level === 'organization' ? installation.account.login : path;
}

function tokenOf({ credential, level }: AtScope): string {
  if (credential.kind === 'token') return credential.token;
  throw levelError(level);
}

function installationOf({ credential, path }: AtScope): string {
  if (credential.kind === 'installation') return credential.installationId;
  throw credentialError(path);
}

function portGroup(group: GroupSchema): RunnerGroup {
  const { id, name, visibility, allows_public_repositories: allowsPublicRepositories } = group;
  return { id, name, visibility, allowsPublicRepositories };
}

/**
 * Groups beside the default one are part of the paid plans. A missing permission is 403 as well, but says so in its own
 * words, which GitHub uses for nothing else.
 */
function isOutsidePlan({ status, message }: Refusal): boolean {
  if (status === 404) return true;
  return status === 403 && !/not accessible by integration|suspended/i.test(message);
}

/** Looks with the token, and says the first thing that it cannot do. What it may not see is not therefore gone. */
async function observeEnterprise(client: Client, input: AtScope): Promise<ScopeObservation> {
  const { path, scopeId, signal } = input;
  const token = tokenOf(input);
  const said = await tokenSaid(client, token, signal).catch(nullIf('unauthenticated'));
  const seen = (problem: ScopeProblem | null, at = path, exists = false): ScopeObservation => ({
    exists,
    path: at,
    ownerId: exists ? scopeId : null,
    webhooks: false,
    problem,
    tokenExpiresAt: said?.expiresAt ?? null,
    installation: null,
    runnerGroups: problem === null,
  });
  if (!said)
    return seen({ reason: 'TokenEnded', message: `GitHub no longer knows the token of ${path}. Enter a new one.` });
  const missing = missingScopes(said.scopes);
  if (missing.length > 0) {
    const message = `The token of ${path} lacks ${missing.join(', ')}. Enter a classic token that has them.`;
    return seen({ reason: 'TokenScopeMissing', message });
  }
  const enterprise = await findEnterprise(client, { token, slug: path, id: scopeId, signal });
  if (!enterprise) {
    const message = `The enterprise ${path} no longer exists, or ${said.user.login} does not belong to it any more.`;
    return seen({ reason: 'ScopeGone', message });
  }
  const { slug } = enterprise;
  const old = await versionProblem(client, { as: { user: token }, signal, about: path });
  if (old) return seen(old, slug, true);
  if (await mayManageRunners(client, { token, slug, signal })) return seen(null, slug, true);
  const message = `${said.user.login}, whose token serves ${slug}, may not manage its runners. Enter a token of an owner.`;
  return seen({ reason: 'RoleMissing', message }, slug, true);
}

function nullIf(code: AppError['code']) {
  return (error: unknown): null => {
    if (error instanceof AppError && error.code === code) return null;
    throw error;
  };
}

function assertOurs(name: string): void {
  if (name.startsWith(runnerGroupPrefix) && name.length > runnerGroupPrefix.length) return;
  throw new AppError('invalid', {
    log: `the runner group ${name} is not ours to change`,
    screen: { happened: `The runner group ${name} was not made by the portal.`, todo: 'Change it at GitHub.' },
  });
}

function nothingSeen(path: string): ScopeObservation {
  const problem: ScopeProblem = {
    reason: 'AppMissing',
    message: `The App is no longer installed on ${path}. Install it again to go on.`,
  };
  const nothing = { ownerId: null, webhooks: false, installation: null, runnerGroups: false, tokenExpiresAt: null };
  return { exists: false, path, problem, ...nothing };
}

function observation(
  input: AtScope,
  installation: Installation,
  seen: { exists: boolean; path: string; ownerId: string | null; covered: boolean; runnerGroups?: boolean },
): ScopeObservation {
  return {
    exists: seen.exists,
    path: seen.path,
    ownerId: seen.ownerId,
    webhooks: false,
    problem: problemOf(input, installation, seen),
    tokenExpiresAt: null,
    installation: {
      id: installation.id,
      accountId: installation.account.id,
      accountLogin: installation.account.login,
      accountType: installation.account.type,
      suspendedAt: installation.suspended_at,
      permissions: installation.permissions,
      repositorySelection: installation.repository_selection,
    },
    runnerGroups: seen.runnerGroups ?? false,
  };
}

/** `covered` is false where the installation is of selected repositories and this one is not among them. */
function problemOf(
  { level }: AtScope,
  installation: Installation,
  { exists, path, covered }: { exists: boolean; path: string; covered: boolean },
): ScopeProblem | null {
  if (installation.suspended_at) {
    const message = `The App’s installation on ${path} is suspended; jobs get no runner until it is resumed.`;
    return { reason: 'AppSuspended', message };
  }
  // Of a private repository GitHub shows the App the same nothing where it is gone and where it was left out.
  if (!exists && !covered && installation.repository_selection === 'selected') {
    const message = `The App’s installation leaves ${path} out, or it no longer exists. Add the repository to it.`;
    return { reason: 'RepositoryNotSelected', message };
  }
  if (!exists)
    return { reason: 'ScopeGone', message: `${path} no longer exists on the forge, or belongs to another owner.` };
  if (!covered) {
    const message = `The App’s installation leaves ${path} out. Add the repository to it.`;
    return { reason: 'RepositoryNotSelected', message };
  }
  const missing = missingPermissions(level, installation.permissions);
  if (missing.length === 0) return null;
  const message = `The App lacks ${missing.join(', ')} on ${path}. Accept its new permissions.`;
  return { reason: 'PermissionMissing', message };
}
