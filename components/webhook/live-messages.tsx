'use client';

import type { MessageRow } from '#lib/notice/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export type Messages = { rows: MessageRow[]; nextBefore: string | null };

type Props = { url: string; first: Messages; replay: FormAction | null };

const soonMs = 60_000;

/** Looks again while something is about to be sent. */
function everyMs({ rows }: Messages): number | false {
  const isSoon = rows.some(({ nextAttemptAt }) => nextAttemptAt && Date.parse(nextAttemptAt) - Date.now() < soonMs);
  return isSoon ? 2_000 : 30_000;
}

/** What was sent and what came of it; it moves by itself. */
export function LiveMessages({ url, first, replay }: Props) {
  // What a press has changed was rendered anew by the server: it is looked at from there, and not when the next look is due.
  const rendered = first.rows.map(({ id, state, attempts }) => `${id} ${state} ${attempts}`).join();
  return (
    <Polled key={rendered} url={url} first={first} everyMs={everyMs}>
      {(messages) => <MessageTable rows={messages.rows} replay={replay} />}
    </Polled>
  );
}

function MessageTable({ rows, replay }: { rows: MessageRow[]; replay: FormAction | null }) {
  if (rows.length === 0)
    return <EmptyState title="Nothing was sent yet">Send a test, or wait for something to happen.</EmptyState>;
  return (
    <Table label="What was sent">
      <thead>
        <tr>
          <Th>When</Th>
          <Th>Message</Th>
          <Th>State</Th>
          <Th numeric>Answer</Th>
          <Th numeric>Attempts</Th>
          {replay ? (
            <Th>
              <span className="sr-only">Replay</span>
            </Th>
          ) : null}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Tr key={row.id}>
            <Td>
              <RelativeTime at={row.createdAt} />
            </Td>
            <Td className="min-w-56">
              <span className="break-words">{row.title}</span>
              <span className="block font-mono text-xs break-all text-ink-3">{`${row.kind} ${row.id}`}</span>
            </Td>
            <Td className="min-w-48">
              <State row={row} />
            </Td>
            <Td numeric>{row.responseCode ?? '–'}</Td>
            <Td numeric>{row.attempts}</Td>
            {replay ? (
              <Td>
                <Replay row={row} action={replay} />
              </Td>
            ) : null}
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function State({ row }: { row: MessageRow }) {
  const { state, error, nextAttemptAt, attempts } = row;
  if (state === 'delivered') return <Badge tone="good">Delivered</Badge>;
  return (
    <>
      {state === 'given_up' ? (
        <Badge tone="bad">Given up</Badge>
      ) : (
        <Badge tone="busy">{attempts === 0 ? 'Waiting' : 'Trying again'}</Badge>
      )}
      {error ? <span className="mt-1 block text-sm text-ink-2">{error}</span> : null}
      {nextAttemptAt && attempts > 0 ? (
        <span className="block text-sm text-ink-3">
          Next <RelativeTime at={nextAttemptAt} />
        </span>
      ) : null}
    </>
  );
}

function Replay({ row, action }: { row: MessageRow; action: FormAction }) {
  if (row.state === 'waiting') return null;
  return (
    <ButtonForm action={action} fields={{ messageId: row.id }} look="secondary" small>
      Replay<span className="sr-only">{` ${row.title}`}</span>
    </ButtonForm>
  );
}
