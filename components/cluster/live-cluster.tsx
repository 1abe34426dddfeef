'use client';

import Link from 'next/link';
import type { ClusterLook } from '#lib/enrollment/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout, Tag } from '#components/ui/status.tsx';
import { EventTable } from './event-table.tsx';
import { PodTable } from './pod-table.tsx';

type Seen = Extract<ClusterLook, { isAway: false }>;
type Props = { url: string; slug: string; first: ClusterLook };

const movingMs = 3_000;
const settledMs = 10_000;

function everyMs(look: ClusterLook): number {
  if (look.isAway) return settledMs;
  return look.pods.some(({ phase }) => phase === 'Pending' || phase === 'Ending') ? movingMs : settledMs;
}

/** What of the tenant's is in the cluster now, kept up to date. */
export function LiveCluster({ url, slug, first }: Props) {
  return (
    <Polled url={url} first={first} everyMs={everyMs}>
      {(look) => (look.isAway ? <Away /> : <Here look={look} slug={slug} />)}
    </Polled>
  );
}

function Away() {
  return (
    <Callout tone="warn" title="The cluster does not answer." role="status">
      What runs there goes on, and jobs may wait. This page asks again by itself; if it stays so, tell the operator.
    </Callout>
  );
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

function answerOf({ pods }: Seen): { tone: 'good' | 'busy' | 'wait'; text: string } {
  const stuck = pods.filter(({ needsSomebody }) => needsSomebody).length;
  const starting = pods.filter(({ phase, needsSomebody }) => phase === 'Pending' && !needsSomebody).length;
  const running = pods.filter(({ phase }) => phase === 'Running').length;
  if (stuck > 0) {
    const which = stuck === 1 ? 'pod is not well' : 'pods are not well';
    return { tone: 'wait', text: `${stuck} of ${pods.length} ${which}; the first column says which, and why.` };
  }
  if (starting > 0)
    return { tone: 'busy', text: `${count(starting, 'pod is starting', 'pods are starting')}, ${running} running.` };
  if (pods.length === 0) return { tone: 'good', text: 'Nothing runs now.' };
  return { tone: 'good', text: `${count(pods.length, 'pod is', 'pods are')} there, and all are well.` };
}

function Here({ look, slug }: { look: Seen; slug: string }) {
  if (look.namespaces.length === 0) return <Nothing slug={slug} />;
  const { tone, text } = answerOf(look);
  return (
    <>
      <div className="mb-6 grid gap-3">
        <Callout tone={tone} title={text} role="status" />
        {look.isPart ? (
          <Callout tone="note" title="There is more than is read at once.">
            Some pods and events are left out.
          </Callout>
        ) : null}
      </div>
      <Section title="Pods" note={<Namespaces namespaces={look.namespaces} />}>
        {look.pods.length === 0 ? (
          <EmptyState title="No pod runs">A runner starts when a job comes, and ends with it.</EmptyState>
        ) : (
          <PodTable pods={look.pods} />
        )}
      </Section>
      <Section
        title="Events"
        note="What the cluster said of these namespaces in about the last hour; it keeps no more."
      >
        {look.events.length === 0 ? (
          <EmptyState title="No event">Nothing was said in the last hour.</EmptyState>
        ) : (
          <EventTable events={look.events} />
        )}
      </Section>
    </>
  );
}

function Namespaces({ namespaces }: Pick<Seen, 'namespaces'>) {
  return (
    <>
      {namespaces.map(({ name, leaving }, index) => (
        <span key={name}>
          {index > 0 ? ' and ' : null}
          <Tag mono>{name}</Tag>
          {leaving ? ' (being removed)' : null}
        </span>
      ))}{' '}
      {namespaces.length === 1 ? 'is' : 'are'} this tenant’s alone. Nobody signs in to the cluster: the portal looks for
      you.
    </>
  );
}

function Nothing({ slug }: { slug: string }) {
  return (
    <EmptyState
      title="Nothing of this tenant is in the cluster"
      action={
        <Link href={`/t/${slug}/enrollments`} className="font-medium text-accent hover:underline">
          See the enrollments
        </Link>
      }
    >
      Its namespaces come with the first enrollment that is approved, and go with the last one that is withdrawn.
    </EmptyState>
  );
}
