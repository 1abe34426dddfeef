import type { Metadata } from 'next';
import Link from 'next/link';
import { env } from '#lib/env.ts';
import { apiScopes, apiScopeWords, apiTokenDaysMost, listPersonTokens, personPage } from '#lib/tenant/index.ts';
import { ApiTokenForm } from '#components/tenant/api-token-form.tsx';
import { ApiTokens, tokensAnswer } from '#components/tenant/api-tokens.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { make, revoke } from './actions.ts';

export const metadata: Metadata = { title: 'Tokens of yours' };

export default personPage(async (by) => {
  const tokens = await listPersonTokens(by, new Date());
  const scopes = apiScopes
    .filter((name) => name !== 'operator' || by.person.isOperator)
    .map((name) => ({ name, words: apiScopeWords[name] }));
  return (
    <>
      <PageHeader
        above={
          <Link href="/account" className="hover:underline">
            Your account
          </Link>
        }
        title="Tokens for your programs"
        answer={tokensAnswer(tokens)}
      />
      {tokens.length === 0 ? (
        <EmptyState title="No token yet">
          A program shows one in your place, at the API and on the command line. It reaches what you reach, within the
          scopes that you give it.
        </EmptyState>
      ) : (
        <ApiTokens tokens={tokens} revoke={revoke} />
      )}
      <Section
        title="A new token"
        id="new"
        className="mt-8"
        note="It is shown once. For a program of one tenant, make one in that tenant’s settings: it reaches no other."
      >
        <ApiTokenForm action={make} scopes={scopes} daysMost={apiTokenDaysMost} portalUrl={env().PORTAL_URL} />
      </Section>
    </>
  );
});
