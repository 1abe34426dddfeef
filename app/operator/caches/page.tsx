import type { Metadata } from 'next';
import { cacheServers, type CacheServerRow, type Checked } from '#lib/caching/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { BazelWayForm } from '#components/cache/bazel-way-form.tsx';
import { CacheServerForm } from '#components/cache/cache-server-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { change, changeWay, check } from './actions.ts';

export const metadata: Metadata = { title: 'Caches' };

function answerOf(servers: CacheServerRow[]): string {
  if (servers.length === 0) return 'No cache server is entered.';
  const bad = servers.filter(({ checklist }) => checklist.some(({ state }) => state === 'bad'));
  if (bad.length > 0) return `${bad.map(({ id }) => id).join(', ')}: something on the checklist is not as it must be.`;
  const unread = servers.filter(({ checkedAt }) => checkedAt === null);
  if (unread.length > 0) return `${unread.map(({ id }) => id).join(', ')}: the checklist was not gone through yet.`;
  return 'What keeps tenants apart on the cache servers is as it must be.';
}

export default operatorPage('operator:see', async (by) => {
  const servers = await cacheServers(by);
  return (
    <>
      <PageHeader title="Caches" answer={answerOf(servers)} />
      {servers.length === 0 ? (
        <EmptyState title="No Attic server yet">
          Enter one for a cluster, and its tenants can turn Attic on in their enrollments.
        </EmptyState>
      ) : null}
      {servers.map((server) => (
        <Server key={server.id} server={server} />
      ))}
    </>
  );
});

const tones: Record<Checked['state'], Tone> = { good: 'good', bad: 'bad', unknown: 'idle' };
const words: Record<Checked['state'], string> = { good: 'As it must be', bad: 'Must be mended', unknown: 'Not known' };

function Server({ server }: { server: CacheServerRow }) {
  const { id, url, clusterId, algorithm, hasKey, hasStatistics, views, tokens, checklist, checkedAt } = server;
  return (
    <>
      <Section title={`Attic of ${clusterId}`}>
        <Card>
          <Facts
            rows={[
              [
                'Address',
                <span key="url" className="font-mono text-sm break-all">
                  {url}
                </span>,
              ],
              ['Signing key', hasKey ? algorithm : 'none'],
              ['Statistics', hasStatistics ? 'a connection that may only read' : 'not connected: sizes are not known'],
              ['Views', views],
              ['Tokens that are accepted', tokens],
            ]}
          />
        </Card>
      </Section>
      <Section
        title="Checklist"
        note="Asked of the server itself, with a view of nobody’s that is made for it and removed again."
        actions={
          <ButtonForm action={check} fields={{ serverId: id }} look="secondary" small>
            Go through it now
          </ButtonForm>
        }
      >
        {checkedAt ? (
          <ul className="grid gap-3">
            {checklist.map(({ name, state, says }) => (
              <li key={name} className="grid gap-1 sm:grid-cols-[11rem_1fr]">
                <span className="flex items-start gap-2 font-medium">{name}</span>
                <span>
                  <Badge tone={tones[state]}>{words[state]}</Badge> <span className="text-ink-2">{says}</span>
                </span>
              </li>
            ))}
            <li className="text-sm text-ink-3">
              Gone through <RelativeTime at={checkedAt} />.
            </li>
          </ul>
        ) : (
          <p className="text-ink-2">Not gone through yet.</p>
        )}
      </Section>
      <Section
        title="Key and statistics"
        note={`Another signing key ends all ${tokens} tokens that the server takes now, of all tenants. Runners get theirs anew within a minute; people make theirs anew. Set the new key at the server first: it is tried there before it is kept.`}
      >
        <CacheServerForm action={change} server={{ id, algorithm }} />
      </Section>
      <Section
        title={`Bazel caches of ${clusterId}`}
        note="Each tenant’s is reached by its own runners alone, unless you let others read. Nobody writes without a login."
      >
        <BazelWayForm
          action={changeWay}
          clusterId={clusterId}
          bazelUrl={server.bazelUrl ?? ''}
          bazelReaders={server.bazelReaders ?? ''}
        />
      </Section>
    </>
  );
}
