/**
 * Forgejo 15 and later, and Gitea 1.24 and later, by the API that the two share (/api/v1).
 *
 * There are no Apps. A person signs in by OAuth, whose token is full power and is dropped; from there on the person's part
 * (scopes.ts) is asked with an access token that they gave, and so is the portal's (observe.ts, runners.ts, hooks.ts) with
 * one for the scope. All requests go through client.ts, whose errors are errors.ts. There are no runner groups.
 */
import type { Forge, ForgeConnectionValue } from '../port.ts';
import { forgejoClient } from './client.ts';
import { forgejoHooks } from './hooks.ts';
import { observeScope } from './observe.ts';
import { findAccount, listTeams, standingAt } from './people.ts';
import { forgejoRunners } from './runners.ts';
import { forgejoScopes } from './scopes.ts';
import { forgejoSignIn } from './sign-in.ts';
import { checkToken, tokenAdvice } from './token.ts';
import { forgejoWebhooks } from './webhook.ts';

export { forgejoWebhooks } from './webhook.ts';

export function forgejoForge(connection: ForgeConnectionValue): Forge {
  const client = forgejoClient(connection);
  const tokensUrl = `${connection.baseUrl}/user/settings/applications`;
  const scopes = forgejoScopes(client, tokensUrl);
  const secret = connection.webhookSecret ?? '';
  return {
    kind: 'forgejo',
    installUrl: () => Promise.resolve(tokensUrl),
    signIn: forgejoSignIn(connection, client),
    listScopes: scopes.list,
    findScope: scopes.find,
    listMembershipScopes: scopes.memberships,
    listTeams: (input) => listTeams(client, input),
    findAccount: (input) => findAccount(client, input),
    standingAt: (input) => standingAt(client, input),
    observeScope: (input) => observeScope(client, input),
    checkToken: (input) => checkToken(client, input),
    tokenAdvice: (scopesFor) => tokenAdvice(tokensUrl, scopesFor),
    observeRunnerGroup: () => Promise.resolve(null),
    ensureRunnerGroup: () => Promise.resolve({ unsupported: true }),
    removeRunnerGroup: () => Promise.resolve({ change: null }),
    runners: forgejoRunners(client),
    ...forgejoHooks(client, secret),
    dispatchWorkflow: null,
    verifyWebhook: (input) => forgejoWebhooks.verifyWebhook(secret, input),
    readWorkflowJob: forgejoWebhooks.readWorkflowJob,
  };
}
