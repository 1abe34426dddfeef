'use client';

import type { EnrollmentView } from '#lib/enrollment/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { RenderAnew } from '#components/app/render-anew.tsx';
import { PoolTable } from '#components/pool/pool-table.tsx';
import { Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { movers, Phases, toneOf } from './phases.tsx';

const movingMs = 1500;
const settledMs = 15_000;

function pollMs(enrollment: EnrollmentView): number | false {
  if (enrollment.state === 'draft' || enrollment.state === 'withdrawn') return false;
  return enrollment.ready ? settledMs : movingMs;
}

/** Is it ready; if not, what is it waiting for, since when, and who must act. */
export function LiveEnrollment({ url, first }: { url: string; first: EnrollmentView }) {
  return (
    <Polled url={url} first={first} everyMs={pollMs}>
      {(enrollment) => (
        <>
          <RenderAnew isOutdated={enrollment.state !== first.state || enrollment.generation !== first.generation} />
          <Now enrollment={enrollment} />
        </>
      )}
    </Polled>
  );
}

function Now({ enrollment }: { enrollment: EnrollmentView }) {
  const { ready, state, headline, waitingFor, since, phases, pools } = enrollment;
  const tone = ready ? 'good' : state === 'withdrawn' || state === 'draft' ? 'note' : toneOf('False', waitingFor);
  const mover = movers[waitingFor];
  return (
    <>
      <div className="mb-6">
        <Callout tone={tone === 'idle' ? 'note' : tone} title={headline} role="status">
          {mover && !ready ? <>It waits for {mover}</> : null}
          {since && mover && !ready ? ', since ' : null}
          {since ? <RelativeTime at={since} /> : null}
        </Callout>
      </div>
      {phases.length > 0 ? (
        <Section title={state === 'withdrawing' || state === 'withdrawn' ? 'Removal' : 'Progress'}>
          <Phases phases={phases} />
        </Section>
      ) : null}
      {pools.length > 0 ? (
        <Section title="Pools now">
          <PoolTable pools={pools} />
        </Section>
      ) : null}
    </>
  );
}
