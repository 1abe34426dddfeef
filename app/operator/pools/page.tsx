import type { Metadata } from 'next';
import Link from 'next/link';
import { systemClock } from '#lib/clock.ts';
import { operatorPools, type OperatorPoolRow } from '#lib/enrollment/index.ts';
import { securityClassWords } from '#lib/model/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../money.ts';

export const metadata: Metadata = { title: 'Pools' };

export default operatorPage('operator:see', async () => {
  const pools = await operatorPools(systemClock.now());
  return (
    <>
      <PageHeader
        title="Pools"
        answer={answerOf(pools)}
        actions={
          <LinkButton href="/operator/pools/new" look="primary">
            Add a pool
          </LinkButton>
        }
      />
      {pools.length === 0 ? (
        <EmptyState title="No pool yet">
          A pool is a size, an image and a place for runners. Tenants choose from these.
        </EmptyState>
      ) : (
        <Pools pools={pools} />
      )}
    </>
  );
});

function answerOf(pools: OperatorPoolRow[]): string {
  const ready = pools.filter(({ unready }) => unready === null).length;
  const behind = pools.reduce((sum, pool) => sum + pool.behind, 0);
  const can = `${ready} of ${pools.length} can be chosen`;
  if (behind === 0) return `${can}; every enrollment has them as they are.`;
  return `${can}; a change waits to be rolled out to ${behind} ${behind === 1 ? 'pool' : 'pools'} of enrollments.`;
}

function Pools({ pools }: { pools: OperatorPoolRow[] }) {
  return (
    <Table label="Catalog">
      <thead>
        <tr>
          <Th>Pool</Th>
          <Th>State</Th>
          <Th numeric>CPU</Th>
          <Th numeric>Memory</Th>
          <Th numeric>Storage</Th>
          <Th>Devices</Th>
          <Th>Image</Th>
          <Th numeric>Per runner-hour</Th>
          <Th numeric>Enrollments</Th>
          <Th numeric>Behind</Th>
        </tr>
      </thead>
      <tbody>
        {pools.map((pool) => (
          <Tr key={pool.name}>
            <Td>
              <Link href={`/operator/pools/${pool.name}`} className="font-medium">
                {pool.name}
              </Link>
              <span className="block text-sm text-ink-3">{pool.description}</span>
              {pool.securityClass === 'restricted' ? null : (
                <Badge tone="warn">{securityClassWords[pool.securityClass].title}</Badge>
              )}
            </Td>
            <Td>
              <Badge tone={pool.unready === null ? 'good' : 'idle'}>
                {pool.unready === null ? 'Can be chosen' : 'Not ready'}
              </Badge>
            </Td>
            <Td numeric>{pool.cpu ?? '–'}</Td>
            <Td numeric>{pool.memory ?? '–'}</Td>
            <Td numeric>{pool.storage}</Td>
            <Td className="font-mono text-sm">
              {Object.entries(pool.devices)
                .map(([name, count]) => `${count} × ${name}`)
                .join(', ') || '–'}
            </Td>
            <Td className="min-w-64 font-mono text-sm break-words">
              {pool.image}
              <span className="block font-sans text-ink-3">{imageWords(pool)}</span>
            </Td>
            <Td numeric>{pool.pricePerRunnerHour ? money(pool.pricePerRunnerHour, pool.currency ?? 'USD') : '–'}</Td>
            <Td numeric>{pool.enrollments}</Td>
            <Td numeric>{pool.behind > 0 ? <Badge tone="wait">{pool.behind}</Badge> : 0}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function imageWords({ imageDigest, imageAgeDays }: OperatorPoolRow): string {
  const pinned = imageDigest === null ? 'by its tag alone' : `pinned, ${imageDigest.slice(0, 15)}…`;
  return imageAgeDays === null ? pinned : `${pinned}, ${imageAgeDays} days old`;
}
