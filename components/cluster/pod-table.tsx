import type { Look } from '#lib/cluster/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

type PodSeen = Look['pods'][number];

const shownMost = 200;

function toneOf({ phase, needsSomebody }: PodSeen): Tone {
  if (needsSomebody) return phase === 'Failed' ? 'bad' : 'warn';
  if (phase === 'Pending') return 'busy';
  return phase === 'Running' ? 'good' : 'idle';
}

/** Each pod with how it is; what needs somebody comes first. */
export function PodTable({ pods }: { pods: PodSeen[] }) {
  return (
    <>
      <Table label="Pods">
        <thead>
          <tr>
            <Th>State</Th>
            <Th>Pod</Th>
            <Th>Pool</Th>
            <Th>Node</Th>
            <Th numeric>Restarts</Th>
            <Th>Made</Th>
          </tr>
        </thead>
        <tbody>
          {pods.slice(0, shownMost).map((pod) => (
            <PodRow key={`${pod.namespace}/${pod.name}`} pod={pod} />
          ))}
        </tbody>
      </Table>
      {pods.length > shownMost ? <p className="mt-2 text-sm text-ink-3">{pods.length - shownMost} more</p> : null}
    </>
  );
}

function PodRow({ pod }: { pod: PodSeen }) {
  const { name, namespace, pool, phase, why, node, restarts, createdAt } = pod;
  return (
    <Tr>
      <Td>
        <Badge tone={toneOf(pod)}>{phase}</Badge>
        {why ? <span className="mt-1 block max-w-xs min-w-48 text-sm text-ink-2">{why}</span> : null}
      </Td>
      <Td className="font-mono text-sm whitespace-nowrap">
        {name}
        <span className="block text-ink-3">{namespace}</span>
      </Td>
      <Td>{pool ?? <span className="text-ink-3">none</span>}</Td>
      <Td className="font-mono text-sm">{node ?? '–'}</Td>
      <Td numeric>{restarts === 0 ? <span className="text-ink-3">0</span> : restarts}</Td>
      <Td className="text-sm text-ink-3">
        <RelativeTime at={createdAt} />
      </Td>
    </Tr>
  );
}
