'use client';

import Link from 'next/link';
import type { TenantOverview } from '#lib/enrollment/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { EnrollmentList } from '#components/enrollment/enrollment-list.tsx';
import { PoolTable } from '#components/pool/pool-table.tsx';
import { Card, Section, Stat, Stats } from '#components/ui/layout.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { Callout } from '#components/ui/status.tsx';

type Props = { url: string; slug: string; first: TenantOverview; cost: { total: string; note: string } | null };

const movingMs = 2000;
const settledMs = 10_000;

function isMoving({ enrollments, pools }: TenantOverview): boolean {
  const isUnderWay = enrollments.some(({ ready, state }) => !ready && (state === 'active' || state === 'withdrawing'));
  return isUnderWay || pools.some(({ queued, pending, running }) => queued + pending + running > 0);
}

/** Is everything well, what runs now, what did this month cost, what needs me. */
export function LiveOverview({ url, slug, first, cost }: Props) {
  return (
    <Polled url={url} first={first} everyMs={(overview) => (isMoving(overview) ? movingMs : settledMs)}>
      {(overview) => <Now overview={overview} slug={slug} cost={cost} />}
    </Polled>
  );
}

type NowProps = { overview: TenantOverview; slug: string; cost: Props['cost'] };

function Now({ overview, slug, cost }: NowProps) {
  const { enrollments, pools, quota } = overview;
  const sum = (of: (pool: TenantOverview['pools'][number]) => number) =>
    pools.reduce((total, pool) => total + of(pool), 0);
  return (
    <>
      <Answer overview={overview} slug={slug} />
      <Stats>
        <Stat label="Jobs waiting" value={sum(({ queued }) => queued)} note="without a runner yet" />
        <Stat
          label="Runners busy"
          value={sum(({ running }) => running)}
          note={`${sum(({ pending }) => pending)} starting`}
        />
        <Stat label="Runners idle" value={sum(({ idle }) => idle)} note="warm, and paid for" />
        {cost ? <Stat label="Cost this month" value={cost.total} note={cost.note} /> : null}
      </Stats>
      <div className="mb-8 grid gap-4 md:grid-cols-3">
        <Card>
          <Meter
            label="CPU"
            used={quota.cpu.usedShare}
            limit={1}
            text={`${quota.cpu.used} of ${quota.cpu.quota} cores`}
            note={`All pools at their most: ${quota.cpu.promised}`}
          />
        </Card>
        <Card>
          <Meter
            label="Memory"
            used={quota.memory.usedShare}
            limit={1}
            text={`${quota.memory.used} of ${quota.memory.quota}`}
            note={`All pools at their most: ${quota.memory.promised}`}
          />
        </Card>
        <Card>
          <Meter
            label="Runners"
            used={quota.runners.usedShare}
            limit={1}
            text={`${quota.runners.used} of ${quota.runners.quota}`}
            note={`All pools at their most: ${quota.runners.promised}`}
          />
        </Card>
      </div>
      {pools.length > 0 ? (
        <Section title="Pools now">
          <PoolTable pools={pools} />
        </Section>
      ) : null}
      <Section title="Enrollments">
        <EnrollmentList slug={slug} enrollments={enrollments} />
      </Section>
    </>
  );
}

function Answer({ overview, slug }: Omit<NowProps, 'cost'>) {
  const { needsYou, enrollments, pools } = overview;
  if (needsYou.length > 0) {
    return (
      <div className="mb-6">
        <Callout
          tone="wait"
          title={needsYou.length === 1 ? 'One enrollment needs you.' : `${needsYou.length} enrollments need you.`}
          role="status"
        >
          <ul>
            {needsYou.map(({ id, name, headline, at }) => (
              <li key={id}>
                <Link
                  href={at === 'credentials' ? `/t/${slug}/credentials` : `/t/${slug}/enrollments/${id}`}
                  className="font-medium text-ink underline"
                >
                  {name}
                </Link>
                : {headline}
              </li>
            ))}
          </ul>
        </Callout>
      </div>
    );
  }
  const failed = pools.reduce((total, pool) => total + pool.failed, 0);
  const underWay = enrollments.filter(({ ready, state }) => !ready && state !== 'withdrawn');
  const title =
    underWay.length > 0
      ? `${underWay.length === 1 ? 'One enrollment is' : `${underWay.length} enrollments are`} not ready yet.`
      : failed > 0
        ? `${failed} runners failed to start.`
        : 'Everything is well.';
  return (
    <div className="mb-6">
      <Callout tone={underWay.length > 0 ? 'busy' : failed > 0 ? 'warn' : 'good'} title={title} role="status">
        {underWay[0]?.headline}
      </Callout>
    </div>
  );
}
