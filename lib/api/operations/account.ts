import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import { listPersonTokens, revokePersonToken, revokeShownToken } from '#lib/tenant/index.ts';
import { cut, PageQuery, pageOf, personOperation, type Operation } from '../operation.ts';
import { ForgeShape, MeShape, TokenShape } from '../shapes.ts';

export const account: Operation[] = [
  personOperation(
    {
      id: 'getMe',
      method: 'GET',
      path: '/me',
      tag: 'Account',
      summary: 'Whose token this is, and what it may',
      answer: MeShape,
    },
    async ({ person, token }) => ({
      name: person.name,
      isOperator: person.isOperator,
      accounts: person.identities.map(({ connectionId: connection, forge, subject, login }) => ({
        connection,
        forge,
        subject,
        login,
      })),
      token: { ...token, expiresAt: token.expiresAt.toISOString() },
    }),
  ),
  personOperation(
    {
      id: 'listTokens',
      method: 'GET',
      path: '/me/tokens',
      tag: 'Account',
      summary: 'Your personal tokens',
      description: 'Tokens are made on the page of your account, where you show that it is you.',
      query: PageQuery,
      answer: pageOf(TokenShape),
    },
    async (by, { query, now }) => cut(await listPersonTokens(by, now), query, ({ id }) => id),
    { reach: 'personal' },
  ),
  personOperation(
    {
      id: 'revokeThisToken',
      method: 'DELETE',
      path: '/me/token',
      tag: 'Account',
      summary: 'Revoke the very token that asks, at once',
      scope: 'read',
    },
    async (by, { now }) => revokeShownToken(by, now),
    { reach: 'any' },
  ),
  personOperation(
    {
      id: 'revokeToken',
      method: 'DELETE',
      path: '/me/tokens/{token}',
      tag: 'Account',
      summary: 'Revoke one of your personal tokens, at once',
    },
    async (by, { params, now }) => revokePersonToken(by, params['token'] ?? '', now),
  ),
  personOperation(
    {
      id: 'listForges',
      method: 'GET',
      path: '/forges',
      tag: 'Account',
      summary: 'The forges that scopes can be enrolled from',
      query: PageQuery,
      answer: pageOf(ForgeShape),
    },
    async (_by, { query }) => cut(await forgeConnectionsOf(), query, ({ id }) => id),
  ),
];
