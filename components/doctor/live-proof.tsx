'use client';

import type { ProofRunView, ProofView } from '#lib/doctor/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout, StatusIcon, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

type Check = ProofRunView['checks'][number];

const names: Record<Check['check'], string> = {
  credential: 'Credential at the forge',
  route: 'The label leads to this pool',
  attic: 'Attic view, and nobody else’s token',
  isolation: 'Other namespaces are refused',
  bazel: 'Bazel cache, and nobody else’s login',
};
const checkStates: Record<Check['state'], { word: string; tone: Tone }> = {
  held: { word: 'Holds', tone: 'good' },
  instead: { word: 'Looked at instead', tone: 'good' },
  broken: { word: 'Broken', tone: 'bad' },
  off: { word: 'Not asked for', tone: 'idle' },
  waiting: { word: 'Under way', tone: 'busy' },
};
const runStates: Record<ProofRunView['state'], { word: string; tone: Tone }> = {
  asked: { word: 'Asked for', tone: 'busy' },
  running: { word: 'Under way', tone: 'busy' },
  held: { word: 'Holds', tone: 'good' },
  broken: { word: 'Broken', tone: 'bad' },
};

const movingMs = 1_500;
const settledMs = 30_000;
const isMoving = ({ runs }: ProofView) => runs.some(({ endedAt }) => endedAt === null);

/** Whether the proof holds, when it last did, and what each check of the last run found. */
export function LiveProof({ url, first }: { url: string; first: ProofView }) {
  return (
    <Polled url={url} first={first} everyMs={(view) => (isMoving(view) ? movingMs : settledMs)}>
      {(view) => <Now view={view} />}
    </Polled>
  );
}

const answers: Record<ProofView['standing'], { tone: 'good' | 'bad' | 'warn' | 'note'; title: string }> = {
  held: { tone: 'good', title: 'It holds.' },
  broken: { tone: 'bad', title: 'It does not hold: what is broken stands below.' },
  stale: { tone: 'warn', title: 'It held, but was not proven lately.' },
  none: { tone: 'note', title: 'It was not proven yet.' },
};

function Now({ view }: { view: ProofView }) {
  const { standing, lastHeldAt, dueAt, runs } = view;
  const [latest] = runs;
  return (
    <>
      <div className="mb-6">
        <Callout tone={answers[standing].tone} title={answers[standing].title} role="status">
          {lastHeldAt ? (
            <>
              It last held <RelativeTime at={lastHeldAt} />.{' '}
            </>
          ) : null}
          {isMoving(view) ? (
            'A run is under way.'
          ) : dueAt ? (
            <>
              The next is due <RelativeTime at={dueAt} />.
            </>
          ) : (
            'The first run comes when the enrollment is ready.'
          )}
        </Callout>
      </div>
      {latest && latest.checks.length > 0 ? (
        <Section title="The last run">
          <Checks checks={latest.checks} />
        </Section>
      ) : null}
      <Section title="History">
        {runs.length === 0 ? (
          <EmptyState title="No run yet">
            Each run stays here with what it found: every six hours, and when somebody asks.
          </EmptyState>
        ) : (
          <Runs runs={runs} />
        )}
      </Section>
    </>
  );
}

function Checks({ checks }: { checks: Check[] }) {
  return (
    <ol className="divide-y rounded-lg border bg-surface" aria-label="Checks">
      {checks.map(({ check, state, words, at }) => (
        <li key={check} className="flex gap-3 px-4 py-3">
          <span className="mt-0.5">
            <StatusIcon tone={checkStates[state].tone} size={18} />
          </span>
          <div className="min-w-0 grow">
            <p className="flex flex-wrap items-center justify-between gap-x-4">
              <span className="font-medium">{names[check]}</span>
              <span className="flex items-center gap-2 text-sm text-ink-3">
                {checkStates[state].word} <RelativeTime at={at} />
              </span>
            </p>
            <p className="mt-0.5 max-w-prose break-words text-ink-2">{words}</p>
          </div>
        </li>
      ))}
    </ol>
  );
}

function Runs({ runs }: { runs: ProofRunView[] }) {
  return (
    <Table label="Runs of the proof">
      <thead>
        <tr>
          <Th>Result</Th>
          <Th>Began</Th>
          <Th>Why</Th>
          <Th>What was not as it should be</Th>
        </tr>
      </thead>
      <tbody>
        {runs.map(({ id, state, createdAt, askedBy, checks }) => (
          <Tr key={id}>
            <Td>
              <Badge tone={runStates[state].tone}>{runStates[state].word}</Badge>
            </Td>
            <Td>
              <RelativeTime at={createdAt} />
            </Td>
            <Td>{askedBy === null ? 'It was due' : <span className="break-all">{askedBy}</span>}</Td>
            <Td className="min-w-48 text-ink-2">
              {checks
                .filter((each) => each.state === 'broken')
                .map(({ check }) => names[check])
                .join(', ') || '–'}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
