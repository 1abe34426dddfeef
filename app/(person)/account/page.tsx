import type { Metadata } from 'next';
import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import { listSessions, personPage } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { signOut } from '../../(public)/sign-out/actions.ts';
import { addAccount, endOthers, endSession } from './actions.ts';

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
                <Td>{connections.find((each) => each.id === connectionId)?.name ?? connectionId}</Td>
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
      <Section title="Programs" note="A program shows a token in your place, and reaches what you reach.">
        <LinkButton href="/account/tokens">See your tokens</LinkButton>
      </Section>
      <Section
        title="Where you are signed in"
        note="A session that you end is over at once, wherever it is."
        actions={
          <div className="flex flex-wrap gap-2">
            {sessions.length > 1 ? (
              <ButtonForm action={endOthers} look="secondary" small>
                End all others
              </ButtonForm>
            ) : null}
            <ButtonForm action={signOut} fields={{ everywhere: 'yes' }} look="secondary" small>
              Sign out everywhere
            </ButtonForm>
          </div>
        }
      >
        <Table label="Sessions">
          <thead>
            <tr>
              <Th>Browser</Th>
              <Th>Last used</Th>
              <Th>Since</Th>
              <Th>
                <span className="sr-only">End</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {sessions.map(({ id, userAgent, lastSeenAt, createdAt, isCurrent }) => (
              <Tr key={id}>
                <Td className="min-w-64 break-words">
                  {browserOf(userAgent)} {isCurrent ? <Tag>this one</Tag> : null}
                  {userAgent ? <span className="block text-xs text-ink-3">{userAgent}</span> : null}
                </Td>
                <Td>
                  <RelativeTime at={lastSeenAt} />
                </Td>
                <Td>
                  <RelativeTime at={createdAt} />
                </Td>
                <Td>
                  {isCurrent ? null : (
                    <ButtonForm action={endSession} fields={{ sessionId: id }} look="secondary" small>
                      End <span className="sr-only">the session of {browserOf(userAgent)}</span>
                    </ButtonForm>
                  )}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Section>
    </>
  );
});

const browsers: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];
const systems: [RegExp, string][] = [
  [/Windows/, 'Windows'],
  [/iPhone|iPad/, 'iOS'],
  [/Mac OS X/, 'macOS'],
  [/Android/, 'Android'],
  [/Linux/, 'Linux'],
];

/** What a browser calls itself, in two words; what it says whole stands below. */
function browserOf(userAgent: string | null): string {
  const found = (list: [RegExp, string][]) => list.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1];
  const [browser, system] = [found(browsers), found(systems)];
  if (!browser) return 'Another program';
  return system ? `${browser} on ${system}` : browser;
}
