/**
 * GitHub: github.com, *.ghe.com and Enterprise Server, by its REST API (version 2022-11-28) and one GitHub App.
 *
 * A person's part (sign-in.ts, scopes.ts) is asked with that person's token, the platform's part (observe.ts) by the App.
 * All requests go through client.ts, whose errors are errors.ts. An enterprise is reached by an owner's classic token
 * (token.ts), since no App may register runners there; the token is power over all its runners, so operators enter it.
 */
import type { Forge, ForgeConnectionValue } from '../port.ts';
import { type Client, githubClient } from './client.ts';
import { dispatchWorkflow } from './dispatch.ts';
import { githubObserver } from './observe.ts';
import { findAccount, listTeams, standingAt } from './people.ts';
import { AppItself } from './schema.ts';
import { githubScopes } from './scopes.ts';
import { githubSignIn } from './sign-in.ts';
import { checkToken, tokenAdvice } from './token.ts';
import { githubWebhooks } from './webhook.ts';

export { githubWebhooks } from './webhook.ts';

export function githubForge(connection: ForgeConnectionValue): Forge {
  const client = githubClient(connection);
  const installUrl = installUrlOf(connection, client);
  const scopes = githubScopes(client, connection, installUrl);
  return {
    kind: 'github',
    installUrl,
    signIn: githubSignIn(connection, client),
    listScopes: scopes.list,
    findScope: scopes.find,
    listMembershipScopes: scopes.memberships,
    listTeams: (input) => listTeams(client, input),
    findAccount: (input) => findAccount(client, input),
    standingAt: (input) => standingAt(client, input),
    ...githubObserver(client),
    checkToken: (input) => checkToken(client, input),
    tokenAdvice: (scopesFor) => tokenAdvice(connection, scopesFor),
    runners: null,
    ensureWebhook: unsupported,
    removeWebhook: unsupported,
    dispatchWorkflow: (input) => dispatchWorkflow(client, input),
    verifyWebhook: (input) => githubWebhooks.verifyWebhook(connection.webhookSecret ?? '', input),
    readWorkflowJob: githubWebhooks.readWorkflowJob,
  };
}

/** The App has one webhook for all its installations. */
async function unsupported() {
  return { unsupported: true as const };
}

/** Asked once and kept: an Enterprise Server has Apps under another path than github.com, and the App itself knows it. */
function installUrlOf(connection: ForgeConnectionValue, client: Client): Forge['installUrl'] {
  let known: string | undefined;
  return async function installUrl(cancel) {
    if (!connection.app) return `${connection.baseUrl}/settings/installations`;
    const ask = { as: { app: true as const }, signal: cancel?.signal, about: connection.app.slug };
    known ??= `${(await client.call('GET /app', AppItself, ask)).html_url}/installations/new`;
    return known;
  };
}
