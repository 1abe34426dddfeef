import type { ScopeLevel } from '../../model/index.ts';
import type { AtScope, Cancel, ScopeObservation, ScopeProblem, TokenFacts } from '../port.ts';
import { access, gitlabLevel, instanceId, isActive, missingScopes, neededScopes, roleNeeded } from './choice.ts';
import type { Ask, Client } from './client.ts';
import { credentialError, type Refusal } from './errors.ts';
import { AccessToken, Group, Member, Metadata, Project, User } from './schema.ts';

/** `POST /user/runners` came with 16.0. */
const oldestMajor = 16;

/** How a request is made by the access token of an enrolled scope. */
export function askAt({ credential, level, path, signal }: AtScope): Ask {
  if (credential.kind !== 'token') throw credentialError();
  const about = gitlabLevel(level) === 'instance' ? 'the instance' : path;
  return { as: { token: credential.token, whose: 'scope' }, signal, about };
}

/** What the reconciler asks, by an access token. */
export function gitlabObserver(client: Client) {
  return {
    observeScope: (input: AtScope): Promise<ScopeObservation> => observeScope(client, input),
    checkToken: (input: Cancel & { token: string; scopesFor: 'person' | ScopeLevel }): Promise<TokenFacts> =>
      checkToken(client, input),
  };
}

/** From the most basic reason to the least: each is only asked for where those before it do not hold. */
async function observeScope(client: Client, input: AtScope): Promise<ScopeObservation> {
  const ask = askAt(input);
  const unseen = { exists: false, path: input.path, ownerId: null, webhooks: false, tokenExpiresAt: null };
  const self = await findOwnToken(client, ask);
  if (self === 'ended') return observation(unseen, tokenEnded());
  if (self === 'unknown') return observation(unseen, tooOld('an older version'));
  const tokenExpiresAt = self.expires_at ?? null;
  const missing = missingScopes(self.scopes, neededScopes(input.level));
  if (missing.includes('read_api')) return observation({ ...unseen, tokenExpiresAt }, scopesMissing(missing));
  const place = await findPlace(client, input, ask);
  if (!place) return observation({ ...unseen, tokenExpiresAt }, scopeGone(ask.about));
  const { path, ownerId } = place;
  const webhooks = input.level !== 'instance' && self.scopes.includes('api');
  const seen = { exists: true, path, ownerId, webhooks, tokenExpiresAt };
  if (missing.length > 0) return observation(seen, scopesMissing(missing));
  const problem =
    (await versionProblem(client, ask)) ??
    (await roleProblem(client, input, ask, self)) ??
    (place.ciDisabled ? ciDisabled(place.path) : null);
  return observation(seen, problem);
}

function observation(
  seen: Pick<ScopeObservation, 'exists' | 'path' | 'ownerId' | 'webhooks' | 'tokenExpiresAt'>,
  problem: ScopeProblem | null,
): ScopeObservation {
  return { ...seen, problem, installation: null, runnerGroups: false };
}

/** 404 where the server is too old to tell a token of itself. */
async function findOwnToken(client: Client, ask: Ask): Promise<AccessToken | 'ended' | 'unknown'> {
  let status = 0;
  const absent = (refusal: Refusal) => {
    ({ status } = refusal);
    return status === 401 || status === 404;
  };
  const found = await client.find(AccessToken, { ...ask, absent }, (api) => api.tokens.show());
  return found ?? (status === 404 ? 'unknown' : 'ended');
}

type Place = { path: string; ownerId: string; ciDisabled: boolean };

/** By id alone: a path may be another's by now. */
async function findPlace(client: Client, { level, scopeId }: AtScope, ask: Ask): Promise<Place | null> {
  if (level === 'instance') return { path: '', ownerId: instanceId, ciDisabled: false };
  if (!/^\d+$/.test(scopeId)) return null;
  if (level === 'group') {
    const group = await client.find(Group, ask, (api) => api.groups.show(scopeId, { withProjects: false }));
    return group && { path: group.full_path, ownerId: group.id, ciDisabled: false };
  }
  const project = await client.find(Project, ask, (api) => api.projects.show(scopeId));
  if (!project) return null;
  const { path_with_namespace: path, namespace, builds_access_level: builds } = project;
  return { path, ownerId: namespace.id, ciDisabled: builds === 'disabled' };
}

async function versionProblem(client: Client, ask: Ask): Promise<ScopeProblem | null> {
  const metadata = await client.find(Metadata, ask, (api) => api.metadata.show());
  if (!metadata) return tooOld('an older version');
  const major = Number.parseInt(metadata.version, 10);
  return major >= oldestMajor ? null : tooOld(metadata.version.slice(0, 20));
}

/** The role of the account that the token belongs to: a person, or the bot of a group's or project's own token. */
async function roleProblem(
  client: Client,
  { level: scopeLevel, scopeId }: AtScope,
  ask: Ask,
  self: AccessToken,
): Promise<ScopeProblem | null> {
  const level = gitlabLevel(scopeLevel);
  const userId = Number(self.user_id);
  const hidden = { ...ask, absent: ({ status }: Refusal) => status === 404 || status === 403 };
  const member =
    level === 'instance'
      ? null
      : await client.find(Member, hidden, (api) =>
          api.members[level].show(scopeId, userId, { includeInherited: true }),
        );
  if (isActive(member) && member.access_level >= roleNeeded[level].level) return null;
  const user = await client.call(User, ask, (api) => api.users.showCurrentUser());
  if (user.is_admin) return null;
  const held = isActive(member) && member.access_level >= access.guest ? 'too low a role' : 'no role';
  return {
    reason: 'RoleMissing',
    message: `The access token has ${held} on ${ask.about}: runners are made by ${roleNeeded[level].name}s. Raise its role, or give the token of somebody who has it.`,
  };
}

function tokenEnded(): ScopeProblem {
  return { reason: 'TokenEnded', message: 'The access token has ended or was revoked. Give the enrollment a new one.' };
}

function scopesMissing(missing: string[]): ScopeProblem {
  return {
    reason: 'TokenScopeMissing',
    message: `The access token lacks ${missing.join(' and ')}. Make one that has it and give it to the enrollment.`,
  };
}

function scopeGone(about: string): ScopeProblem {
  return {
    reason: 'ScopeGone',
    message: `GitLab shows ${about} no more. Remove the enrollment, or give the access token a role there again.`,
  };
}

function tooOld(version: string): ScopeProblem {
  return {
    reason: 'ServerTooOld',
    message: `This GitLab is ${version}, which cannot make runners for programs. The operator must upgrade it to ${oldestMajor}.0 or later.`,
  };
}

function ciDisabled(path: string): ScopeProblem {
  return {
    reason: 'RegistrationDisabled',
    message: `CI/CD is switched off in ${path}. A maintainer must switch it on (Settings, General, Visibility).`,
  };
}

/** The token's own end-point answers whatever its scopes; the account's name wants one that reads. */
async function checkToken(
  client: Client,
  { token, scopesFor, signal }: Cancel & { token: string; scopesFor: 'person' | ScopeLevel },
): Promise<TokenFacts> {
  const ask: Ask = { as: { token, whose: 'given' }, signal, about: 'this access token' };
  const self = await client.call(AccessToken, ask, (api) => api.tokens.show());
  const unread = { ...ask, absent: ({ status }: Refusal) => status === 403 };
  const user = await client.find(User, unread, (api) => api.users.showCurrentUser());
  return {
    subject: self.user_id,
    login: user?.username ?? `user ${self.user_id}`,
    scopes: self.scopes,
    missingScopes: missingScopes(self.scopes, neededScopes(scopesFor)),
    expiresAt: self.expires_at ?? null,
  };
}
