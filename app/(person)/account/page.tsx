import type { Metadata } from 'next';
import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import { listSessions, personPage } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { signOut } from '../../(public)/sign-out/actions.ts';
import { addAccount } from './actions.ts';

export const metadata: Metadata = { title: 'Your account' };

export default personPage(async (by) => {
  const { person } = by;
  const [sessions, connections] = await Promise.all([listSessions(by), forgeConnectionsOf()]);
  const others = connections.filter(({ id }) => person.identities.every(({ connectionId }) => connectionId !== id));
  return (
    <>
      <PageHeader
        title={person.name}
        answer={`You sign in by ${person.identities.length === 1 ? 'one forge account' : `${person.identities.length} forge accounts`} and are signed in at ${sessions.length} ${sessions.length === 1 ? 'place' : 'places'}.`}
      />
      <Section
        title="Forge accounts"
        note="What you may do here follows from what these accounts may do on their forge."
      >
        <Table label="Forge accounts">
          <thead>
            <tr>
              <Th>Forge</Th>
              <Th>Login</Th>
              <Th>Id there</Th>
            </tr>
          </thead>
          <tbody>
            {person.identities.map(({ id, connectionId, login, subject }) => (
              <Tr key={id}>
                <Td>{connectionId}</Td>
                <Td>{login}</Td>
                <Td className="font-mono text-sm">{subject}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
        {others.map(({ id, name }) => (
          <div key={id} className="mt-3">
            <ButtonForm action={addAccount} fields={{ connection: id }} look="secondary">
              Add an account on {name}
            </ButtonForm>
          </div>
        ))}
      </Section>
      <Section
        title="Where you are signed in"
        actions={
          <ButtonForm action={signOut} fields={{ everywhere: 'yes' }} look="secondary" small>
            Sign out everywhere
          </ButtonForm>
        }
      >
        <Table label="Sessions">
          <thead>
            <tr>
              <Th>Browser</Th>
              <Th>Last used</Th>
              <Th>Since</Th>
            </tr>
          </thead>
          <tbody>
            {sessions.map(({ id, userAgent, lastSeenAt, createdAt }) => (
              <Tr key={id}>
                <Td>{userAgent ?? 'Unknown'}</Td>
                <Td>
                  <RelativeTime at={lastSeenAt} />
                </Td>
                <Td>
                  <RelativeTime at={createdAt} />
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Section>
    </>
  );
});
