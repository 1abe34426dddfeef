import type { Metadata } from 'next';
import Link from 'next/link';
import {
  bazelView,
  cachesSummary,
  cacheViews,
  hitRate,
  listTokens,
  viewsMost,
  type BazelView,
  type CachesSummary,
  type CacheViewRow,
  type TokenRow,
} from '#lib/caching/index.ts';
import { bazelrc, defaultViewSettings, nixConfig } from '#lib/model/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { ViewForm } from '#components/cache/view-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Behind, Chart } from '#components/ui/chart.tsx';
import { CodeBlock, Mono } from '#components/ui/code.tsx';
import { PageHeader, Section, Stat, Stats } from '#components/ui/layout.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { bytes, count, percent } from '#components/ui/figures.ts';
import { tenantTitle } from '../title.ts';
import { create } from './actions.ts';
import { ViewState } from './view-state.tsx';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Caches', props.params);
}

function answerOf(summary: CachesSummary, bazel: BazelView | null, tokens: TokenRow[]): string {
  if (summary.views === 0 && !bazel) return 'No cache is in use.';
  const ending = tokens.filter(({ standing }) => standing === 'ends-soon').length;
  const parts = [
    summary.bazelHitRate === null
      ? null
      : `Bazel found ${percent(summary.bazelHitRate)} of what was asked for in 14 days.`,
    summary.logicalBytes === null || summary.storedBytes === null
      ? null
      : `Attic keeps ${bytes(summary.logicalBytes)} for you in ${bytes(summary.storedBytes)}.`,
    ending === 0 ? null : `${ending} ${ending === 1 ? 'token ends' : 'tokens end'} within three days.`,
  ].filter((part) => part !== null);
  if (parts.length > 0) return parts.join(' ');
  return 'The caches are in use; how much they help is not told yet.';
}

export default page<Params>('cache:see', async (ctx) => {
  const [views, bazel, tokens] = [await cacheViews(ctx), await bazelView(ctx), await listTokens(ctx)];
  const summary = cachesSummary(views, bazel);
  const { slug } = ctx.tenant;
  const mayChange = may(ctx.role, 'cache:change');
  return (
    <>
      <PageHeader title="Caches" answer={answerOf(summary, bazel, tokens)} />
      {views.length === 0 && !bazel ? (
        <EmptyState title="No cache yet">
          Turn Attic or Bazel on in an enrollment. Its jobs then find what was built before, and nobody else finds what
          is private.
        </EmptyState>
      ) : (
        <Figures summary={summary} />
      )}
      {views.length > 0 ? <Views views={views} slug={slug} /> : null}
      {bazel ? <Bazel bazel={bazel} /> : null}
      {views.length > 0 ? <Tokens tokens={tokens} slug={slug} /> : null}
      {views.length > 0 || bazel ? <Laptop views={views} bazel={bazel} slug={slug} /> : null}
      {mayChange && views.length > 0 ? (
        <Section
          title="Another view"
          note="A logical part of its own: what is pushed to it is read through it alone, and stored once with all the rest."
        >
          {views.length >= viewsMost ? (
            <p className="text-ink-2">{`A tenant has at most ${viewsMost} views. Remove one to make another.`}</p>
          ) : (
            <ViewForm
              action={create.bind(null, slug)}
              prefix={slug}
              first={{ ...defaultViewSettings, isPublic: false, retentionDays: null }}
            />
          )}
        </Section>
      ) : null}
    </>
  );
});

function Figures({
  summary: { views, bazelHitRate, servedBytes, logicalBytes, storedBytes },
}: {
  summary: CachesSummary;
}) {
  const known = (value: number | null) => (value === null ? 'not known' : bytes(value));
  return (
    <Stats>
      <Stat label="Attic views" value={views} />
      <Stat label="Kept in Attic" value={known(logicalBytes)} note="as you would count it" />
      <Stat label="Stored for that" value={known(storedBytes)} note="compressed, each part once" />
      <Stat
        label="Bazel hit rate"
        value={bazelHitRate === null ? 'not known' : percent(bazelHitRate)}
        note="of actions, 14 days"
      />
      <Stat label="Given out by Bazel" value={known(servedBytes)} note="about, 14 days" />
    </Stats>
  );
}

function Views({ views, slug }: { views: CacheViewRow[]; slug: string }) {
  const isKnown = views.some(({ size }) => size !== null);
  const note = isKnown
    ? 'Stored bytes are counted whole in each view that has them; Attic stores them once. It counts no hits and misses: a view’s own page has what was read at least.'
    : 'Sizes and last use are not known: no reading of Attic’s database has come yet, or the operator gave no connection to it. Attic counts no hits and misses.';
  return (
    <Section title="Attic views" note={note}>
      <Table label="Attic views">
        <thead>
          <tr>
            <Th>View</Th>
            <Th>Readable by</Th>
            <Th>Pushed to by</Th>
            <Th numeric>Paths</Th>
            <Th numeric>Logical</Th>
            <Th numeric>Stored</Th>
            <Th>Last use</Th>
            <Th>State</Th>
          </tr>
        </thead>
        <tbody>
          {views.map((view) => (
            <Tr key={view.id}>
              <Td className="min-w-40">
                <Link href={`/t/${slug}/caches/${view.id}`} className="text-accent underline">
                  <Mono>{view.name}</Mono>
                </Link>
              </Td>
              <Td>{view.isPublic ? 'Anybody' : 'Holders of a token'}</Td>
              <Td>{view.trust === 'trusted' ? 'Trusted jobs' : 'Jobs not trusted'}</Td>
              <Td numeric>{view.size ? view.size.value.objects.toLocaleString('en') : 'not known'}</Td>
              <Td numeric>{view.size ? bytes(view.size.value.logicalBytes) : 'not known'}</Td>
              <Td numeric>{view.size ? bytes(view.size.value.storedBytes) : 'not known'}</Td>
              <Td>
                <LastUse view={view} />
              </Td>
              <Td>
                <ViewState view={view} />
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

function LastUse({ view: { size } }: { view: CacheViewRow }) {
  if (!size) return <span className="text-ink-3">not known</span>;
  return size.value.lastUsedAt ? (
    <RelativeTime at={size.value.lastUsedAt} />
  ) : (
    <span className="text-ink-3">never</span>
  );
}

function Bazel({ bazel }: { bazel: BazelView }) {
  const { state, advice, days } = bazel;
  return (
    <Section
      title="Bazel cache"
      note="One of your own, in a namespace of its own. Runners write with a login; whoever reaches it reads without one."
    >
      {state && days ? (
        <div className="grid gap-4">
          <Meter
            label="Full"
            used={state.value.storedBytes}
            limit={state.value.limitBytes}
            text={`${bytes(state.value.storedBytes)} of ${bytes(state.value.limitBytes)}`}
            note={`${state.value.objects.toLocaleString('en')} entries, ${bytes(state.value.logicalBytes)} before compression.`}
          />
          {advice ? (
            <Callout tone={advice.tone === 'idle' ? 'note' : advice.tone} title={advice.says}>
              {advice.sizeGib === null ? null : 'The size is set in the enrollment; a disk grows and does not shrink.'}
            </Callout>
          ) : null}
          <div>
            <Chart
              label="Actions asked for, a day: hits and misses"
              steps={days.map(({ day }) => day)}
              bars={[
                { name: 'Hits', values: days.map(({ hits }) => hits), look: 'accent' },
                { name: 'Misses', values: days.map(({ misses }) => misses), look: 'idle' },
              ]}
              unit={count}
            />
            <Behind title="Hits, misses and bytes by day">
              <Days days={days} />
            </Behind>
          </div>
          <p className="text-sm text-ink-3">
            Read <RelativeTime at={state.at} />.
          </p>
        </div>
      ) : (
        <p className="max-w-prose text-ink-2">
          Its figures are not known: it has not answered the portal yet, or the operator gave no way to it.
        </p>
      )}
    </Section>
  );
}

type Day = { day: string; hits: number; misses: number; servedBytes: number };

function rateOf(day: Day): string {
  const rate = hitRate(day);
  return rate === null ? 'nothing asked' : `${percent(rate)} found`;
}

function Days({ days }: { days: Day[] }) {
  return (
    <Table label="Bazel cache by day">
      <thead>
        <tr>
          <Th>Day</Th>
          <Th numeric>Hits</Th>
          <Th numeric>Misses</Th>
          <Th numeric>Hit rate</Th>
          <Th numeric>Given out, about</Th>
        </tr>
      </thead>
      <tbody>
        {days.toReversed().map((day) => (
          <Tr key={day.day}>
            <Td className="whitespace-nowrap">{day.day}</Td>
            <Td numeric>{day.hits.toLocaleString('en')}</Td>
            <Td numeric>{day.misses.toLocaleString('en')}</Td>
            <Td numeric>{rateOf(day)}</Td>
            <Td numeric>{bytes(day.servedBytes)}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function Tokens({ tokens, slug }: { tokens: TokenRow[]; slug: string }) {
  const accepted = tokens.filter(({ isAccepted }) => isAccepted);
  const people = accepted.filter(({ kind }) => kind === 'person').length;
  const [next] = accepted;
  return (
    <Section
      title="Tokens"
      note="Attic keeps no list of tokens and can take none back. This one is kept by the portal."
      actions={
        <LinkButton href={`/t/${slug}/caches/tokens`} small>
          All tokens
        </LinkButton>
      }
    >
      <p className="text-ink-2">
        {accepted.length === 0
          ? 'None is accepted now.'
          : `${accepted.length} ${accepted.length === 1 ? 'is' : 'are'} accepted now: ${accepted.length - people} of runners, ${people} of people. The next to end does so `}
        {next ? <RelativeTime at={next.expiresAt} /> : null}
        {next ? '.' : null}
      </p>
    </Section>
  );
}

function Laptop({ views, bazel, slug }: { views: CacheViewRow[]; bazel: BazelView | null; slug: string }) {
  const readable = views.flatMap(({ substituterUrl: url, publicKey, trust }) =>
    url && publicKey && trust === 'trusted' ? [{ url, publicKey }] : [],
  );
  return (
    <Section
      title="On a laptop"
      note="What runners are given by themselves, for a machine of your own. Reading needs a token of yours where a view is private."
    >
      <div className="grid gap-4">
        {readable.length > 0 ? <CodeBlock text={nixConfig(readable)} label="nix.conf" /> : null}
        {readable.length > 0 ? (
          <p className="text-ink-2">
            <Link href={`/t/${slug}/caches/tokens#new`} className="text-accent underline">
              Make a token
            </Link>{' '}
            to get the netrc that goes with it.
          </p>
        ) : null}
        {bazel?.outsideUrl ? (
          <CodeBlock text={bazelrc({ url: bazel.outsideUrl })} label=".bazelrc, which reads and does not write" />
        ) : null}
        {bazel && !bazel.outsideUrl ? (
          <p className="max-w-prose text-ink-2">
            The Bazel cache is reached inside the cluster alone, at <Mono>{bazel.serviceUrl}</Mono>. The operator can
            open a way for reading from elsewhere.
          </p>
        ) : null}
        <CodeBlock
          text="try-import /flywheel/cache/bazelrc"
          label=".bazelrc of a repository: in runners it finds the cache, elsewhere nothing"
        />
      </div>
    </Section>
  );
}
