import type { Metadata } from 'next';
import { listPeople, operatorPage, type PersonRow } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Button } from '#components/ui/button.tsx';
import { inputClass } from '#components/ui/field.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { disable, enable, endSessions } from './actions.ts';

export const metadata: Metadata = { title: 'People' };

export default operatorPage('operator:see', async (by, { searchParams }) => {
  const query = typeof searchParams['q'] === 'string' ? searchParams['q'].slice(0, 100) : '';
  const { rows, hasMore } = await listPeople(query);
  const signedIn = rows.filter(({ sessions }) => sessions > 0).length;
  const found = `${rows.length}${hasMore ? ' or more' : ''} ${rows.length === 1 ? 'person' : 'people'}`;
  return (
    <>
      <PageHeader
        title="People"
        answer={`${found}${query === '' ? '' : ` called “${query}”`}, ${signedIn} signed in. Whoever is disabled is signed out at once and cannot come back; the tokens of their programs are revoked.`}
      />
      <search>
        <form className="mb-4 flex max-w-md gap-2">
          <input
            type="search"
            name="q"
            aria-label="Name or login"
            defaultValue={query}
            placeholder="Name or login"
            className={inputClass}
          />
          <Button type="submit">Search</Button>
        </form>
      </search>
      {rows.length === 0 ? (
        <EmptyState title="Nobody">Nobody of that name or login has signed in yet.</EmptyState>
      ) : (
        <Table label="People">
          <thead>
            <tr>
              <Th>Person</Th>
              <Th>Accounts</Th>
              <Th numeric>Tenants</Th>
              <Th numeric>Sessions</Th>
              <Th>Last seen</Th>
              <Th>
                <span className="sr-only">Act</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <PersonLine key={row.userId} row={row} isSelf={row.userId === by.person.userId} />
            ))}
          </tbody>
        </Table>
      )}
      {hasMore ? <p className="mt-4 text-ink-2">There are more: search for one by name or login.</p> : null}
    </>
  );
});

function PersonLine({ row, isSelf }: { row: PersonRow; isSelf: boolean }) {
  const { name, logins, tenants, sessions, lastSeenAt, disabledAt } = row;
  return (
    <Tr>
      <Td className="font-medium">
        {name} {isSelf ? <Tag>you</Tag> : null} {disabledAt ? <Badge tone="bad">Disabled</Badge> : null}
      </Td>
      <Td className="text-ink-2">
        {logins.map(({ connectionId, login, subject }) => (
          <span key={`${connectionId} ${subject}`} className="block">
            {login}{' '}
            <span className="font-mono text-sm text-ink-3">
              {connectionId}:{subject}
            </span>
          </span>
        ))}
      </Td>
      <Td numeric>{tenants}</Td>
      <Td numeric>{sessions}</Td>
      <Td>{lastSeenAt ? <RelativeTime at={lastSeenAt} /> : '–'}</Td>
      <Td>{isSelf ? null : <Acts row={row} />}</Td>
    </Tr>
  );
}

function Acts({ row }: { row: PersonRow }) {
  const { userId, name, sessions, disabledAt } = row;
  const fields = { userId };
  return (
    <div className="flex flex-wrap gap-2">
      {sessions > 0 ? (
        <ButtonForm action={endSessions} fields={fields} look="secondary" small>
          End sessions <span className="sr-only">of {name}</span>
        </ButtonForm>
      ) : null}
      {disabledAt ? (
        <ButtonForm action={enable} fields={fields} look="secondary" small>
          Enable <span className="sr-only">{name}</span>
        </ButtonForm>
      ) : (
        <ButtonForm action={disable} fields={fields} look="danger" small>
          Disable <span className="sr-only">{name}</span>
        </ButtonForm>
      )}
    </div>
  );
}
