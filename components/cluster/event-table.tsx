import type { Look } from '#lib/cluster/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

/** What the cluster said, newest first. */
export function EventTable({ events }: { events: Look['events'] }) {
  return (
    <Table label="Events">
      <thead>
        <tr>
          <Th>Said</Th>
          <Th>Message</Th>
          <Th numeric>Times</Th>
        </tr>
      </thead>
      <tbody>
        {events.map(({ key, at, isWarning, reason, message, about, times }) => (
          <Tr key={key}>
            <Td>
              <Badge tone={isWarning ? 'warn' : 'idle'}>{reason}</Badge>
              <span className="mt-1 block text-sm text-ink-3">
                <RelativeTime at={at} />
              </span>
            </Td>
            <Td className="min-w-64 text-ink-2">
              <span className="break-words">{message}</span>
              <span className="block font-mono text-sm text-ink-3">{about}</span>
            </Td>
            <Td numeric>{times}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
