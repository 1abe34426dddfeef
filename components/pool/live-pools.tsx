'use client';

import type { PoolsNow } from '#lib/enrollment/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { Card, Section } from '#components/ui/layout.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout, type Tone } from '#components/ui/status.tsx';
import { PoolTable } from './pool-table.tsx';
import { RunnerTable } from './runner-table.tsx';

/** Between an answer, which the server holds until something has changed, and the next question. */
const everyMs = 100;

type Answer = { tone: Exclude<Tone, 'idle'>; text: string };

/** One sentence over all pools, worst first. */
function answerOf({ pools, quota }: PoolsNow): Answer {
  const sum = (of: (pool: PoolsNow['pools'][number]) => number) => pools.reduce((total, pool) => total + of(pool), 0);
  const queued = sum((pool) => pool.queued);
  const failed = sum((pool) => pool.failed);
  const idle = sum((pool) => pool.idle);
  const places = sum((pool) => pool.places);
  const held = `${quota.runners.used} of ${quota.runners.quota} runners of the quota are held.`;
  if (failed > 0)
    return { tone: 'bad', text: `${failed} ${failed === 1 ? 'runner' : 'runners'} failed to start. ${held}` };
  if (queued > 0)
    return { tone: 'busy', text: `${queued} ${queued === 1 ? 'job waits' : 'jobs wait'} for a runner. ${held}` };
  const standing = [
    ...(idle > 0 ? [`${idle} ${idle === 1 ? 'runner stands' : 'runners stand'} ready`] : []),
    ...(places > 0 ? [`${places} ${places === 1 ? 'place is' : 'places are'} held for jobs`] : []),
  ];
  if (standing.length > 0) return { tone: 'good', text: `No job waits; ${standing.join(', ')}. ${held}` };
  return { tone: 'good', text: `No job waits. A runner starts when one comes. ${held}` };
}

export function LivePools({ url, first, slug }: { url: string; first: PoolsNow; slug: string }) {
  if (first.pools.length === 0) {
    return (
      <div className="mb-8">
        <EmptyState title="No pool is in use">
          Choose pools in an enrollment, and what runs in them is shown here.
        </EmptyState>
      </div>
    );
  }
  return (
    <Polled url={url} first={first} everyMs={() => everyMs} since={({ tag }) => tag}>
      {(now) => {
        const { tone, text } = answerOf(now);
        return (
          <>
            <div className="mb-6">
              <Callout tone={tone} title={text} role="status" />
            </div>
            <Section title="Now">
              <PoolTable pools={now.pools} slug={slug} />
            </Section>
            <Quota quota={now.quota} />
            <Section title="Runners">
              {now.runners.length === 0 ? (
                <EmptyState title="No runner now">One starts when a job asks for it, and is shown here.</EmptyState>
              ) : (
                <RunnerTable runners={now.runners} />
              )}
            </Section>
          </>
        );
      }}
    </Polled>
  );
}

function Quota({ quota: { cpu, memory, runners } }: Pick<PoolsNow, 'quota'>) {
  return (
    <div className="mb-8 grid gap-4 md:grid-cols-3">
      <Card>
        <Meter label="CPU" used={cpu.usedShare} limit={1} text={`${cpu.used} of ${cpu.quota} cores`} />
      </Card>
      <Card>
        <Meter label="Memory" used={memory.usedShare} limit={1} text={`${memory.used} of ${memory.quota}`} />
      </Card>
      <Card>
        <Meter label="Runners" used={runners.usedShare} limit={1} text={`${runners.used} of ${runners.quota}`} />
      </Card>
    </div>
  );
}
