import type { Metadata } from 'next';
import Link from 'next/link';
import { listStacks, type StackRow } from '#lib/state/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { bytes } from '#components/ui/figures.ts';
import { StackForm } from '#components/state/stack-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { add } from './actions.ts';

export const metadata: Metadata = { title: 'State' };

export default operatorPage('operator:see', async () => {
  const stacks = await listStacks();
  return (
    <>
      <PageHeader title="OpenTofu state" answer={answerOf(stacks)} />
      <Section title="Stacks">
        {stacks.length === 0 ? (
          <EmptyState title="No stack yet">
            A stack is one state that OpenTofu or Terraform keeps here: sealed, with every version, and locked while
            somebody works on it. Add one, give it a credential, and copy its backend block.
          </EmptyState>
        ) : (
          <Stacks stacks={stacks} />
        )}
      </Section>
      <Section title={stacks.length === 0 ? 'Add one' : 'Add another'}>
        <StackForm action={add} />
      </Section>
    </>
  );
});

function answerOf(stacks: StackRow[]): string {
  const locked = stacks.filter(({ lock }) => lock).length;
  const kept = `${stacks.length} ${stacks.length === 1 ? 'stack is' : 'stacks are'} kept here`;
  if (stacks.length === 0) return 'No state is kept here yet. No tenant reaches any.';
  return `${kept}, ${locked === 0 ? 'none is' : locked === 1 ? '1 is' : `${locked} are`} locked. No tenant reaches any.`;
}

function Stacks({ stacks }: { stacks: StackRow[] }) {
  return (
    <Table label="Stacks">
      <thead>
        <tr>
          <Th>Stack</Th>
          <Th>Lock</Th>
          <Th numeric>Versions</Th>
          <Th numeric>Serial</Th>
          <Th numeric>Resources</Th>
          <Th numeric>Size</Th>
          <Th>Last written</Th>
        </tr>
      </thead>
      <tbody>
        {stacks.map(({ name, description, lock, versions, newest }) => (
          <Tr key={name}>
            <Td className="min-w-48">
              <Link href={`/operator/state/${name}`} className="font-medium break-all text-accent hover:underline">
                {name}
              </Link>
              {description ? <span className="block text-sm break-words text-ink-3">{description}</span> : null}
            </Td>
            <Td>
              {lock ? (
                <>
                  <Badge tone="busy">Locked</Badge>
                  <span className="block text-sm text-ink-2">
                    {lock.who} <RelativeTime at={lock.since} />
                  </span>
                </>
              ) : (
                <Badge tone="idle">Free</Badge>
              )}
            </Td>
            <Td numeric>{versions}</Td>
            <Td numeric>{newest?.serial ?? '–'}</Td>
            <Td numeric>{newest?.resources ?? '–'}</Td>
            <Td numeric>{newest ? bytes(newest.bytes) : '–'}</Td>
            <Td>
              {newest ? (
                <>
                  <RelativeTime at={newest.at} />
                  <span className="block text-sm break-all text-ink-3">{newest.by}</span>
                </>
              ) : (
                'Nothing yet'
              )}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
