import { AppError } from '../../errors.ts';
import type { AtScope, ScopeObservation, ScopeProblem } from '../port.ts';
import type { Ask, Client } from './client.ts';
import { hostOf, levelError, tooOldMessage } from './errors.ts';
import { askAtScope, locate, type Located } from './locate.ts';
import { hasRunnerApi } from './runners.ts';
import { missingScopes } from './token.ts';

/** What is true of an enrolled scope now, by its access token. */
export async function observeScope(client: Client, input: AtScope): Promise<ScopeObservation> {
  const { level, path } = input;
  if (level !== 'repository' && level !== 'organization' && level !== 'account') throw levelError(level);
  const ask = askAtScope(input);
  const ended = await endedToken(client, input, ask);
  if (ended) return observation(null, input, ended);
  const missing = await missingScopes(client, level, ask);
  if (missing.length > 0) {
    const seen = await locate(client, input, ask).catch(nullIfForbidden);
    const message = `The access token for ${path} lacks ${missing.join(', ')}. Give one that has it.`;
    return observation(seen, input, { reason: 'TokenScopeMissing', message });
  }
  const seen = await locate(client, input, ask);
  if (seen) return observation(seen, input, await problemAt(client, seen, ask));
  const message = `${path} no longer exists on the forge, or is hidden from the owner of the access token.`;
  return observation(null, input, { reason: 'ScopeGone', message });
}

function observation(seen: Located | null, { path }: AtScope, problem: ScopeProblem | null): ScopeObservation {
  const isSeen = seen !== null;
  const where = { exists: isSeen, path: seen?.path ?? path, ownerId: seen?.ownerId ?? null, webhooks: isSeen };
  return { ...where, problem, tokenExpiresAt: null, installation: null, runnerGroups: false };
}

function nullIfForbidden(error: unknown): null {
  if (error instanceof AppError && error.code === 'forbidden') return null;
  throw error;
}

/** A token ends when it is deleted or its owner's account is closed. One without `read:user` is not ended. */
async function endedToken(client: Client, { path }: AtScope, ask: Ask): Promise<ScopeProblem | null> {
  const refusal = await client.refusalTo('GET /user', { ...ask, absent: ({ status }) => status === 401 });
  if (refusal?.status !== 401) return null;
  return { reason: 'TokenEnded', message: `The access token for ${path} is no longer valid. Give a new one.` };
}

/**
 * Whether runners may be managed is seen by looking at them, which only those may who may register them. Without Actions a
 * repository has no runners at Forgejo; at Gitea it keeps them, and they would wait for ever.
 */
async function problemAt(client: Client, seen: Located, ask: Ask): Promise<ScopeProblem | null> {
  const params = { ...seen.params, page: 1, limit: 1 };
  const refusal = await client.refusalTo(`GET ${seen.base}/actions/runners`, { ...ask, params });
  if (refusal?.status === 403) {
    const message = `The owner of the access token does not own ${seen.path}. An owner must give one.`;
    return { reason: 'RoleMissing', message };
  }
  if (!seen.hasActions) return switchedOff(client, seen);
  if (!refusal) return null;
  if (hasRunnerApi(await client.server({ ...ask, params: {} }))) return switchedOff(client, seen);
  return { reason: 'ServerTooOld', message: tooOldMessage(client.baseUrl) };
}

function switchedOff(client: Client, { path }: Located): ScopeProblem {
  const message = `${hostOf(client.baseUrl)} has Actions switched off for ${path}. Switch them on in its settings.`;
  return { reason: 'RegistrationDisabled', message };
}
