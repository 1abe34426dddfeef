import type { Metadata } from 'next';
import Link from 'next/link';
import { env } from '#lib/env.ts';
import { apiScopes, apiScopeWords, apiTokenDaysMost, listTenantTokens, may, page } from '#lib/tenant/index.ts';
import { ApiTokenForm } from '#components/tenant/api-token-form.tsx';
import { ApiTokens, tokensAnswer } from '#components/tenant/api-tokens.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { tenantTitle } from '../../title.ts';
import { make, revoke } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('API tokens', props.params);
}

const scopes = apiScopes
  .filter((name) => name !== 'operator')
  .map((name) => ({ name, words: name === 'read' ? 'see what its maker sees' : apiScopeWords[name] }));

export default page<Params>('credential:see', async (ctx) => {
  const tokens = await listTenantTokens(ctx, new Date());
  const { slug, displayName } = ctx.tenant;
  const mayChange = may(ctx.role, 'credential:change');
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/settings`} className="hover:underline">
            Settings
          </Link>
        }
        title="API tokens"
        answer={tokensAnswer(tokens)}
      />
      {tokens.length === 0 ? (
        <EmptyState title="No token yet">
          A program shows one at the API and on the command line. It reaches this tenant and no other, acts in the name
          of whoever made it, and every admin here may revoke it.
        </EmptyState>
      ) : (
        <ApiTokens tokens={tokens} {...(mayChange ? { revoke: revoke.bind(null, slug) } : {})} hasPerson />
      )}
      {mayChange ? (
        <Section
          title="A new token"
          id="new"
          className="mt-8"
          note={`It is shown once, reaches ${displayName} alone, and never more than you do: it stops when you are no admin here any more.`}
        >
          <ApiTokenForm
            action={make.bind(null, slug)}
            scopes={scopes}
            daysMost={apiTokenDaysMost}
            portalUrl={env().PORTAL_URL}
          />
        </Section>
      ) : null}
    </>
  );
});
