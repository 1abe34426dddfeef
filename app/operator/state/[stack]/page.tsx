import type { Metadata } from 'next';
import Link from 'next/link';
import { backendBlock, stackView, type CredentialRow, type StackView } from '#lib/state/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { Refresh } from '#components/app/refresh.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { WordsForm } from '#components/form/words-form.tsx';
import { CredentialForm } from '#components/state/credential-form.tsx';
import { RotateForm } from '#components/state/rotate-form.tsx';
import { VersionTable } from '#components/state/version-table.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { CodeBlock } from '#components/ui/code.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { goBack, issue, revoke, rotate, unlock } from '../actions.ts';

export const metadata: Metadata = { title: 'Stack' };

type Params = { stack: string };

export default operatorPage<Params>('operator:see', async (_, { params, searchParams }) => {
  const before = Number(searchParams['before']);
  const stack = await stackView(params.stack, new Date(), Number.isInteger(before) && before > 0 ? before : undefined);
  const { name, description, versions, nextBefore, count, lock } = stack;
  const back = searchParams['back'];
  return (
    <>
      <PageHeader
        above={
          <Link href="/operator/state" className="hover:underline">
            OpenTofu state
          </Link>
        }
        title={<span className="break-all">{name}</span>}
        answer={answerOf(stack)}
      />
      {description ? <p className="-mt-4 mb-6 max-w-prose break-words text-ink-2">{description}</p> : null}
      {lock ? <Refresh everyMs={10_000} /> : null}
      <div className="mb-8 grid gap-4 empty:hidden">
        {typeof back === 'string' ? (
          <Callout tone="good" role="status" title={`Version ${back.slice(0, 12)} is the newest now.`}>
            Its serial is above all before it, so programs take it for newer. What it describes in the world was not
            changed: plan and apply.
          </Callout>
        ) : null}
        <Lock stack={stack} />
        <Refusal stack={stack} />
      </div>
      <Section title="Versions" note="Every state that was written, sealed. None is ever changed or removed.">
        {versions.length === 0 ? (
          <EmptyState title="Nothing was written yet">
            Add a credential below, put the backend block into a configuration and run tofu init.
          </EmptyState>
        ) : (
          <VersionTable stack={name} versions={versions} newest={count} isLocked={lock !== null} goBack={goBack} />
        )}
        {nextBefore ? (
          <div className="mt-4">
            <LinkButton href={`/operator/state/${name}?before=${nextBefore}`}>Older</LinkButton>
          </div>
        ) : null}
      </Section>
      <Section
        title="Use it"
        note="For OpenTofu and Terraform as they are. The credential stays outside of the configuration, in TF_HTTP_USERNAME and TF_HTTP_PASSWORD. A state that OpenTofu encrypts itself is kept as it comes."
      >
        <CodeBlock text={backendBlock(name)} label="Backend block" copy="Copy the block" />
      </Section>
      <Section title="Credentials" note="Each opens this stack and no other. None is a tenant’s.">
        <Credentials stack={name} credentials={stack.credentials} />
        <h3 className="mt-6 mb-3 font-medium">Add a credential</h3>
        <CredentialForm action={issue} stack={name} />
      </Section>
    </>
  );
});

function answerOf({ lock, versions: [newest], count, credentials }: StackView): string {
  if (lock) return `Locked by ${lock.who}: whoever else comes waits.`;
  if (count === 0)
    return credentials.some(({ state }) => state === 'live')
      ? 'Ready; nothing was written yet.'
      : 'Nothing was written yet, and no credential opens it.';
  if (newest?.kind === 'purge') return 'Emptied. What was kept before is in the versions.';
  return `${count} ${count === 1 ? 'version is' : 'versions are'} kept, and nobody works on it now.`;
}

function Lock({ stack: { name, lock } }: { stack: StackView }) {
  if (!lock) return null;
  return (
    <Callout tone="busy" title={`${lock.who} holds the lock.`}>
      <p className="mb-1">
        Taken <RelativeTime at={lock.since} /> with credential {lock.credential}
        {lock.operation ? `, for ${lock.operation}` : ''}
        {lock.toolVersion ? `, by version ${lock.toolVersion}` : ''}.
      </p>
      <p className="mb-3 font-mono text-sm break-all text-ink-3">{lock.id}</p>
      <details>
        <summary className="cursor-pointer font-medium text-ink">Take it away</summary>
        <div className="mt-3 max-w-xl">
          <WordsForm
            action={unlock}
            fields={{ stack: name, lockId: lock.id }}
            name="reason"
            label="Why"
            help="Only if who holds it is gone: what they still send is then refused, and what they began in the world stays half done. The reason is kept in the audit."
            button="Take the lock away"
            look="danger"
          />
        </div>
      </details>
    </Callout>
  );
}

function Refusal({ stack: { refusal } }: { stack: StackView }) {
  if (!refusal) return null;
  return (
    <Callout tone="warn" title="The last write that was refused">
      <p className="break-words">{refusal.text}</p>
      <p>
        <RelativeTime at={refusal.at} />. Nothing was changed by it.
      </p>
    </Callout>
  );
}

function Credentials({ stack, credentials }: { stack: string; credentials: CredentialRow[] }) {
  if (credentials.length === 0)
    return <EmptyState title="No credential yet">Until there is one, no program reaches this stack.</EmptyState>;
  return (
    <Table label="Credentials">
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>State</Th>
          <Th>May</Th>
          <Th>Last used</Th>
          <Th>Ends</Th>
          <Th>Added</Th>
          <Th>
            <span className="sr-only">What can be done</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {credentials.map((credential) => (
          <CredentialLine key={credential.id} stack={stack} credential={credential} />
        ))}
      </tbody>
    </Table>
  );
}

const states = {
  live: <Badge tone="good">In use</Badge>,
  expired: <Badge tone="warn">Ended</Badge>,
  revoked: <Badge tone="idle">Revoked</Badge>,
};

function CredentialLine({ stack, credential }: { stack: string; credential: CredentialRow }) {
  const { id, name, mayWrite, usedAt, expiresAt, previousUntil, createdAt, createdBy, state } = credential;
  return (
    <Tr>
      <Td className="font-mono text-sm break-all">{name}</Td>
      <Td>{states[state]}</Td>
      <Td>{mayWrite ? 'Read and write' : 'Read'}</Td>
      <Td>{usedAt ? <RelativeTime at={usedAt} /> : 'Never'}</Td>
      <Td>
        {expiresAt ? <RelativeTime at={expiresAt} /> : 'When revoked'}
        {previousUntil && state === 'live' ? (
          <span className="block text-sm text-ink-3">
            The secret before it ends <RelativeTime at={previousUntil} />
          </span>
        ) : null}
      </Td>
      <Td>
        <RelativeTime at={createdAt} />
        <span className="block text-sm break-all text-ink-3">{createdBy}</span>
      </Td>
      <Td>
        {state === 'revoked' ? null : (
          <Card className="grid gap-2 border-none p-0">
            <RotateForm action={rotate} stack={stack} credentialId={id} name={name} />
            <ButtonForm action={revoke} fields={{ stack, credentialId: id }} look="danger" small>
              Revoke<span className="sr-only"> {name}</span>
            </ButtonForm>
          </Card>
        )}
      </Td>
    </Tr>
  );
}
