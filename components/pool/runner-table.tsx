import type { LiveRunner } from '#lib/usage/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

const words: Record<LiveRunner['state'], { tone: Tone; word: string }> = {
  starting: { tone: 'busy', word: 'Starting' },
  idle: { tone: 'idle', word: 'Idle' },
  place: { tone: 'idle', word: 'Place held' },
  running: { tone: 'good', word: 'Running' },
  failed: { tone: 'bad', word: 'Failed' },
};

/** What needs somebody first, then what works, then what waits. */
const order: LiveRunner['state'][] = ['failed', 'running', 'starting', 'idle', 'place'];

/** Each runner that there is, with its job, where it is, and since when. */
export function RunnerTable({ runners }: { runners: LiveRunner[] }) {
  const sorted = runners.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return (
    <Table label="Runners now">
      <thead>
        <tr>
          <Th>Runner</Th>
          <Th>State</Th>
          <Th>Job</Th>
          <Th>Pool’s label</Th>
          <Th>Node</Th>
          <Th>Since</Th>
        </tr>
      </thead>
      <tbody>
        {sorted.map((runner) => (
          <Tr key={runner.uid}>
            <Td className="min-w-40 font-mono text-xs wrap-anywhere">{runner.name}</Td>
            <Td className="min-w-56">
              <Badge tone={words[runner.state].tone}>{words[runner.state].word}</Badge>
              {runner.reason ? (
                <span className="mt-1 block text-sm wrap-anywhere text-ink-2">{runner.reason}</span>
              ) : null}
            </Td>
            <Td className="min-w-40 wrap-anywhere">
              <Job runner={runner} />
            </Td>
            <Td className="font-mono text-sm whitespace-nowrap">{runner.label}</Td>
            <Td className="min-w-36 font-mono text-xs wrap-anywhere">{runner.node ?? '–'}</Td>
            <Td className="text-sm text-ink-3">
              <RelativeTime at={runner.createdAt} />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function Job({ runner: { job } }: { runner: LiveRunner }) {
  if (!job) return <span className="text-ink-3">–</span>;
  return (
    <>
      <span className="font-medium">{job.name ?? 'A job'}</span>
      <span className="block text-sm text-ink-2">{job.repository}</span>
    </>
  );
}
