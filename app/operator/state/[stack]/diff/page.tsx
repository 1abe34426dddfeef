import type { Metadata } from 'next';
import Link from 'next/link';
import { diffView, type ChangedResource, type DiffView, type StateDiff } from '#lib/state/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { Button } from '#components/ui/button.tsx';
import { TextField } from '#components/ui/field.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Tag } from '#components/ui/status.tsx';

export const metadata: Metadata = { title: 'Changes of a state' };

type Params = { stack: string };

export default operatorPage<Params>('operator:see', async (_, { params, searchParams }) => {
  const view = await diffView(params.stack, searchParams['from'], searchParams['to']);
  const { from, to, diff } = view;
  return (
    <>
      <PageHeader
        above={
          <Link href={`/operator/state/${params.stack}`} className="hover:underline">
            {params.stack}
          </Link>
        }
        title={from ? `From version ${from.number} to ${to.number}` : `Version ${to.number}, from nothing`}
        answer={answerOf(view)}
      />
      <form className="mb-6 flex flex-wrap items-end gap-3">
        <TextField
          type="number"
          name="from"
          label="From version"
          min={0}
          defaultValue={from?.number ?? 0}
          className="tabular max-w-32"
        />
        <TextField
          type="number"
          name="to"
          label="To version"
          min={1}
          defaultValue={to.number}
          className="tabular max-w-32"
        />
        <Button type="submit">Compare</Button>
      </form>
      {diff ? <Diff diff={diff} /> : null}
    </>
  );
});

function answerOf({ diff, isEncrypted }: DiffView): string {
  if (isEncrypted)
    return 'The program encrypted one of them before it came here, so that nobody here can compare them.';
  if (!diff) return 'One of them is of a format that this page cannot read.';
  const { added, changed, removed, outputs } = diff;
  const outputsMoved = outputs.added.length + outputs.changed.length + outputs.removed.length;
  const resources = `${added.length} added, ${changed.length} changed, ${removed.length} removed`;
  if (added.length + changed.length + removed.length + outputsMoved === 0)
    return 'Their resources and outputs are the same.';
  return `${resources}${outputsMoved === 0 ? '' : `, ${outputsMoved} ${outputsMoved === 1 ? 'output' : 'outputs'}`}.`;
}

const linesMost = 500;

function Diff({ diff: { added, changed, removed, outputs } }: { diff: StateDiff }) {
  const lines = [
    ...added.map((address) => ({ mark: '+' as const, address })),
    ...changed.map((resource) => ({ mark: '~' as const, ...resource })),
    ...removed.map((address) => ({ mark: '-' as const, address })),
  ];
  return (
    <>
      <Section title="Resources" note="Values are not shown: a state says only of some of them that they are secret.">
        {lines.length === 0 ? (
          <EmptyState title="None was added, changed or removed">Only the serial, or outputs, are others.</EmptyState>
        ) : (
          <ul aria-label="Changed resources" className="grid overflow-hidden rounded-lg border bg-surface">
            {lines.slice(0, linesMost).map((line) => (
              <Line key={`${line.mark} ${line.address}`} {...line} />
            ))}
          </ul>
        )}
        {lines.length > linesMost ? (
          <p className="mt-3 text-ink-2">{`${lines.length - linesMost} more are not shown: download both to see all.`}</p>
        ) : null}
      </Section>
      <Outputs outputs={outputs} />
    </>
  );
}

const marks = {
  '+': { word: 'added', ink: 'text-good' },
  '~': { word: 'changed', ink: 'text-warn' },
  '-': { word: 'removed', ink: 'text-bad' },
};

type LineProps = { mark: keyof typeof marks; address: string } & Partial<ChangedResource>;

function Line({ mark, address, attributes = [], more = 0 }: LineProps) {
  const { word, ink } = marks[mark];
  return (
    <li className="border-b border-line px-4 py-2.5 last:border-b-0">
      <span className={`mr-2 font-mono font-semibold ${ink}`} aria-hidden>
        {mark}
      </span>
      <span className="font-mono text-sm break-all">{address}</span> <span className="text-sm text-ink-3">{word}</span>
      {attributes.length > 0 ? (
        <ul aria-label={`Attributes of ${address}`} className="mt-1 ml-5 grid gap-0.5 text-sm text-ink-2">
          {attributes.map(({ path, isSensitive }) => (
            <li key={path} className="break-all">
              <span className="font-mono">{path}</span> {isSensitive ? <Tag>sensitive</Tag> : null}
            </li>
          ))}
          {more > 0 ? <li>{`and ${more} more`}</li> : null}
        </ul>
      ) : null}
    </li>
  );
}

function Outputs({ outputs }: { outputs: StateDiff['outputs'] }) {
  const lines = [
    ...outputs.added.map((name) => ({ mark: '+' as const, address: name })),
    ...outputs.changed.map((name) => ({ mark: '~' as const, address: name })),
    ...outputs.removed.map((name) => ({ mark: '-' as const, address: name })),
  ];
  if (lines.length === 0) return null;
  return (
    <Section title="Outputs">
      <ul aria-label="Changed outputs" className="grid overflow-hidden rounded-lg border bg-surface">
        {lines.map((line) => (
          <Line key={line.address} {...line} />
        ))}
      </ul>
    </Section>
  );
}
