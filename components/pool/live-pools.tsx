'use client';

import type { TenantOverview } from '#lib/enrollment/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout, type Tone } from '#components/ui/status.tsx';
import { PoolTable } from './pool-table.tsx';

const everyMs = 3000;

type Answer = { tone: Exclude<Tone, 'idle'>; text: string };

/** One sentence over all pools, worst first. */
function answerOf({ pools, quota }: TenantOverview): Answer {
  const sum = (of: (pool: TenantOverview['pools'][number]) => number) =>
    pools.reduce((total, pool) => total + of(pool), 0);
  const queued = sum((pool) => pool.queued);
  const failed = sum((pool) => pool.failed);
  const idle = sum((pool) => pool.idle);
  const held = `${quota.runners.used} of ${quota.runners.quota} runners of the quota are held.`;
  if (failed > 0) return { tone: 'bad', text: `${failed} runners failed to start. ${held}` };
  if (queued > 0)
    return { tone: 'busy', text: `${queued} ${queued === 1 ? 'job waits' : 'jobs wait'} for a runner. ${held}` };
  if (idle > 0)
    return {
      tone: 'good',
      text: `No job waits; ${idle} ${idle === 1 ? 'runner stands' : 'runners stand'} ready. ${held}`,
    };
  return { tone: 'good', text: `No job waits. A runner starts when one comes. ${held}` };
}

export function LivePools({ url, first }: { url: string; first: TenantOverview }) {
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
    <Polled url={url} first={first} everyMs={() => everyMs}>
      {(overview) => {
        const { tone, text } = answerOf(overview);
        return (
          <>
            <div className="mb-6">
              <Callout tone={tone} title={text} role="status" />
            </div>
            <Section title="Now">
              <PoolTable pools={overview.pools} />
            </Section>
          </>
        );
      }}
    </Polled>
  );
}
