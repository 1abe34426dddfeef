import type { Metadata } from 'next';
import { page } from '#lib/tenant/index.ts';
import { CodeBlock, Mono } from '#components/ui/code.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Caches', props.params);
}

function nixConf(url: string, publicKey: string): string {
  return `extra-substituters = ${url}\nextra-trusted-public-keys = ${publicKey}`;
}

export default page<Params>('cache:see', async (ctx) => {
  const views = await ctx.db.cacheView.findMany({ orderBy: { createdAt: 'asc' } });
  return (
    <>
      <PageHeader
        title="Caches"
        answer={
          views.length === 0
            ? 'No cache is in use.'
            : `${views.length} ${views.length === 1 ? 'view is' : 'views are'} in use. Runners get address and token by themselves.`
        }
      />
      {views.length === 0 ? (
        <EmptyState title="No cache view yet">
          Turn Attic on in an enrollment. Its jobs then find what was built before, and nobody else finds what is
          private.
        </EmptyState>
      ) : null}
      {views.map(({ id, plane, name, isPublic, publicKey, substituterUrl, observedAt }) => (
        <Section key={id} title={plane === 'attic' ? 'Attic view' : 'Bazel cache'}>
          <div className="grid gap-4">
            <Card>
              <Facts
                rows={[
                  ['Name', <Mono key="name">{name}</Mono>],
                  [
                    'Readable by',
                    <Badge key="public" tone="idle">
                      {isPublic ? 'Anybody' : 'Holders of a token'}
                    </Badge>,
                  ],
                  ['Last seen', observedAt ? <RelativeTime key="seen" at={observedAt.toISOString()} /> : 'not yet'],
                ]}
              />
            </Card>
            {substituterUrl && publicKey ? (
              <CodeBlock text={nixConf(substituterUrl, publicKey)} label="nix.conf, for use outside the runners" />
            ) : null}
          </div>
        </Section>
      ))}
    </>
  );
});
