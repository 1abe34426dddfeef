import type { Metadata } from 'next';
import Link from 'next/link';
import { cacheViews, listTokens, personTokenDaysMost, type TokenRow } from '#lib/caching/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { RevokeForm } from '#components/cache/revoke-form.tsx';
import { CacheTokenForm } from '#components/cache/token-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../../title.ts';
import { issue, revoke } from '../actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Cache tokens', props.params);
}

function answerOf(tokens: TokenRow[]): string {
  const accepted = tokens.filter(({ isAccepted }) => isAccepted).length;
  if (accepted === 0) return 'The server takes no token of this tenant now.';
  return `The server takes ${accepted} ${accepted === 1 ? 'token' : 'tokens'} of this tenant now. Runners’ are renewed by themselves.`;
}

export default page<Params>('cache:see', async (ctx) => {
  const [tokens, views] = [await listTokens(ctx), await cacheViews(ctx)];
  const { slug } = ctx.tenant;
  const mayChange = may(ctx.role, 'cache:change');
  const usable = views.filter(({ isRemoving, publicKey }) => !isRemoving && publicKey !== null);
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/caches`} className="hover:underline">
            Caches
          </Link>
        }
        title="Cache tokens"
        answer={answerOf(tokens)}
      />
      <div className="mb-8">
        <Callout tone="note" title="What revoking does">
          Attic asks nobody whether a token is still good. A token that is revoked is not renewed, and a runner’s is
          replaced at once; the server takes the old one until the time in the column Ends: at most seven days for
          runners, {personTokenDaysMost} for people. Only another signing key at the server ends tokens sooner, and it
          ends those of all tenants; ask the operator.
        </Callout>
      </div>
      {tokens.length === 0 ? (
        <EmptyState title="No token yet">Runners get theirs with the first enrollment that uses Attic.</EmptyState>
      ) : (
        <List tokens={tokens} slug={slug} mayChange={mayChange} />
      )}
      {usable.length > 0 ? (
        <Section
          title="A token of your own"
          id="new"
          className="mt-8"
          note="For a machine of yours. It is shown once, and bears your name in the list above."
        >
          <CacheTokenForm
            action={issue.bind(null, slug)}
            views={usable}
            daysMost={personTokenDaysMost}
            mayPush={mayChange}
          />
        </Section>
      ) : null}
    </>
  );
});

const standings: Record<TokenRow['standing'], { tone: 'good' | 'warn' | 'idle' | 'bad'; says: string }> = {
  works: { tone: 'good', says: 'Works' },
  'ends-soon': { tone: 'warn', says: 'Ends soon' },
  replaced: { tone: 'idle', says: 'Replaced, still accepted' },
  revoked: { tone: 'warn', says: 'Revoked, still accepted' },
  'key-changed': { tone: 'idle', says: 'Ended by a new key' },
  ended: { tone: 'idle', says: 'Has ended' },
};

function List({ tokens, slug, mayChange }: { tokens: TokenRow[]; slug: string; mayChange: boolean }) {
  return (
    <Table label="Cache tokens">
      <thead>
        <tr>
          <Th>Of</Th>
          <Th>Used in</Th>
          <Th>May</Th>
          <Th>Since</Th>
          <Th>Ends</Th>
          <Th>Standing</Th>
          <Th>Id</Th>
          <Th>
            <span className="sr-only">Revoke</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {tokens.map((token) => (
          <Tr key={token.id}>
            <Td className="min-w-32">
              <span className="break-words">{token.holder}</span>
              <span className="block text-sm text-ink-3">{token.kind === 'runner' ? 'runners of' : 'a person'}</span>
            </Td>
            <Td className="min-w-40">
              <span className="break-words">{token.usedIn}</span>
            </Td>
            <Td className="min-w-48">
              {token.scope.map(({ view, may: allowed }) => (
                <span key={view} className="block text-sm">
                  <span className="font-mono break-all">{view}</span> {allowed === 'rw' ? 'read, push' : 'read'}
                </span>
              ))}
            </Td>
            <Td>
              <RelativeTime at={token.issuedAt} />
            </Td>
            <Td>
              <RelativeTime at={token.expiresAt} />
            </Td>
            <Td>
              <Badge tone={standings[token.standing].tone}>{standings[token.standing].says}</Badge>
              {token.revokedBy ? <span className="block text-sm text-ink-3">by {token.revokedBy}</span> : null}
            </Td>
            <Td className="font-mono text-sm">{token.id.slice(0, 8)}</Td>
            <Td>
              {isRevocable(token, mayChange) ? (
                <RevokeForm
                  action={revoke.bind(null, slug)}
                  tokenId={token.id}
                  what={`the token of ${token.holder}, used in ${token.usedIn}`}
                />
              ) : null}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function isRevocable({ standing, isOwn }: TokenRow, mayChange: boolean): boolean {
  return (mayChange || isOwn) && standing !== 'ended' && standing !== 'key-changed' && standing !== 'revoked';
}
