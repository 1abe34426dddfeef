import Link from 'next/link';
import type { LivePool } from '#lib/usage/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { Badge } from '#components/ui/status.tsx';

function Number({ value, warn = false }: { value: number; warn?: boolean }) {
  if (value === 0) return <span className="text-ink-3">0</span>;
  return <span className={warn ? 'font-medium text-bad' : 'font-medium'}>{value}</span>;
}

/**
 * What runs now in each pool, and where it is told, how many more may start; the label leads to the pool's own page, where the
 * tenant is known.
 */
export function PoolTable({ pools, slug }: { pools: (LivePool & { room?: number })[]; slug?: string }) {
  const hasPlaces = pools.some(({ places }) => places > 0);
  const hasRoom = pools.some(({ room }) => room !== undefined);
  return (
    <Table label="Pools now">
      <thead>
        <tr>
          <Th>Label</Th>
          <Th numeric>Jobs waiting</Th>
          <Th numeric>Starting</Th>
          <Th numeric>Running</Th>
          <Th numeric>Idle</Th>
          {hasPlaces ? <Th numeric>Places held</Th> : null}
          <Th numeric>Failed</Th>
          <Th numeric>Warm to most</Th>
          {hasRoom ? <Th numeric>Room for</Th> : null}
          <Th>Last change</Th>
        </tr>
      </thead>
      <tbody>
        {pools.map((pool) => (
          <Tr key={pool.label}>
            <Td className="font-mono text-sm whitespace-nowrap">
              {slug === undefined ? (
                pool.label
              ) : (
                <Link href={`/t/${slug}/enrollments/${pool.enrollmentId}/pools/${pool.pool}`}>{pool.label}</Link>
              )}
            </Td>
            <Td numeric>
              <Number value={pool.queued} />
            </Td>
            <Td numeric>
              <Number value={pool.pending} />
            </Td>
            <Td numeric>
              <Number value={pool.running} />
            </Td>
            <Td numeric>
              <Number value={pool.idle} />
            </Td>
            {hasPlaces ? (
              <Td numeric>
                <Number value={pool.places} />
              </Td>
            ) : null}
            <Td numeric>
              <Number value={pool.failed} warn />
            </Td>
            <Td numeric>
              {pool.minRunners} to {pool.maxRunners}
            </Td>
            {hasRoom ? <Td numeric>{pool.room} more</Td> : null}
            <Td className="text-sm text-ink-3">
              {pool.observedAt ? <RelativeTime at={pool.observedAt} /> : <Badge tone="idle">Not yet</Badge>}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
