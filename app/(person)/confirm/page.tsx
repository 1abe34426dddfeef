import type { Metadata } from 'next';
import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import { personPage } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Callout } from '#components/ui/status.tsx';
import { safeNext } from '../../(public)/sign-in/next.ts';
import { confirm } from './actions.ts';

export const metadata: Metadata = { title: 'Confirm it is you' };

/** What each forge can be asked for, so that nobody expects a password where none is asked. */
const asks = {
  github: 'GitHub shows its account picker. Whether it asks for more is GitHub’s to say.',
  gitlab: 'GitLab signs you out and asks who you are again.',
  forgejo: 'The forge asks who you are where you are not signed in to it.',
};

export default personPage(async ({ person }, { searchParams }) => {
  const next = safeNext(typeof searchParams['next'] === 'string' ? searchParams['next'] : undefined);
  const nameOf = new Map((await forgeConnectionsOf()).map(({ id, name }) => [id, name]));
  return (
    <>
      <PageHeader
        title="Confirm it is you"
        answer="What replaces a credential or takes something away wants a sign-in of the last ten minutes."
      />
      <div className="grid max-w-md gap-6">
        {searchParams['error'] === 'another' ? (
          <Callout tone="bad" role="alert" title={`That was not an account of ${person.name}.`}>
            You are still signed in as before, and nothing was changed. Choose the same account as here.
          </Callout>
        ) : null}
        <ul className="grid gap-4 [&_button]:w-full">
          {person.identities.map(({ id, connectionId, login, forge }, at) => (
            <li key={id}>
              <ButtonForm
                action={confirm}
                fields={{ connection: connectionId, next }}
                look={at === 0 ? 'primary' : 'secondary'}
              >
                Confirm with {nameOf.get(connectionId) ?? connectionId} as {login}
              </ButtonForm>
              <p className="mt-1 text-sm text-ink-3">{asks[forge]}</p>
            </li>
          ))}
        </ul>
        <div>
          <LinkButton href={next} look="quiet" small>
            Back without confirming
          </LinkButton>
        </div>
      </div>
    </>
  );
});
