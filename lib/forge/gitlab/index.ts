/**
 * GitLab: gitlab.com and self-managed servers from 16.0, by REST API v4 and access tokens.
 *
 * A person's part (sign-in.ts, scopes.ts) is asked with that person's OAuth token, which reads and changes nothing; the
 * platform's part (observe.ts, runners.ts, and the hooks of webhook.ts) by the access token that was given for the scope:
 * a project's, a group's or an administrator's. GitLab has no Apps, no installations and no runner groups. All requests go
 * through client.ts, whose errors are errors.ts.
 */
import { guardOf } from '../guard.ts';
import type { Forge, ForgeConnectionValue } from '../port.ts';
import { tokenAdvice, tokenUrl } from './choice.ts';
import { gitlabClient } from './client.ts';
import { gitlabObserver } from './observe.ts';
import { findAccount, listTeams, standingAt } from './people.ts';
import { gitlabRunners } from './runners.ts';
import { gitlabScopes } from './scopes.ts';
import { gitlabSignIn } from './sign-in.ts';
import { gitlabHooks, gitlabWebhooks } from './webhook.ts';

export { gitlabWebhooks } from './webhook.ts';

export function gitlabForge(connection: ForgeConnectionValue): Forge {
  const client = gitlabClient(connection);
  const scopes = gitlabScopes(client);
  return {
    kind: 'gitlab',
    installUrl: () => Promise.resolve(tokenUrl(connection.baseUrl, 'instance', '')),
    signIn: gitlabSignIn(connection, client),
    listScopes: scopes.list,
    findScope: scopes.find,
    listMembershipScopes: scopes.memberships,
    listTeams: (input) => listTeams(client, input),
    findAccount: (input) => findAccount(client, input),
    standingAt: (input) => standingAt(client, input),
    ...gitlabObserver(client),
    tokenAdvice: (scopesFor, path) => tokenAdvice(connection.baseUrl, scopesFor, path),
    observeRunnerGroup: () => Promise.resolve(null),
    ensureRunnerGroup: () => Promise.resolve({ unsupported: true }),
    removeRunnerGroup: () => Promise.resolve({ change: null }),
    runners: gitlabRunners(client, guardOf(connection)),
    ...gitlabHooks(client, connection.webhookSecret),
    dispatchWorkflow: null,
    verifyWebhook: (input) => gitlabWebhooks.verifyWebhook(connection.webhookSecret ?? '', input),
    readWorkflowJob: gitlabWebhooks.readWorkflowJob,
  };
}
