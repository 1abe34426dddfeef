import type { Metadata } from 'next';
import { Search } from 'lucide-react';
import { labelKey } from '#lib/model/index.ts';
import { personPage } from '#lib/tenant/index.ts';
import { MoreLink, ScopeList } from '#components/enrollment/scope-list.tsx';
import { Button, LinkButton } from '#components/ui/button.tsx';
import { TokenForm } from '#components/enrollment/token-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { inputClass, TextField } from '#components/ui/field.tsx';
import { Card, PageHeader } from '#components/ui/layout.tsx';
import { EmptyState, ErrorCallout } from '#components/ui/states.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { giveToken } from './actions.ts';
import { install } from './app/actions.ts';
import { scopePage, type ScopePage } from './scopes.ts';
import { wizardSteps } from './steps.ts';

export const metadata: Metadata = { title: 'Enroll: scope' };

function text(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 500) : undefined;
}

export default personPage(async (by, { searchParams }) => {
  const query = text(searchParams['q']);
  const asked = { connection: text(searchParams['connection']), query, cursor: text(searchParams['after']) };
  const page = await scopePage(by, asked);
  return (
    <div className="max-w-3xl">
      <Steps steps={wizardSteps()} at={0} />
      <PageHeader
        title="Which scope shall run here?"
        answer="Pick one that you administer. Nothing is changed before the plan in step five."
      />
      {page ? (
        <Choices page={page} query={query} requestId={by.requestId} isOperator={by.person.isOperator} />
      ) : (
        <NoIdentity />
      )}
    </div>
  );
});

function NoIdentity() {
  return (
    <EmptyState
      title="No forge to look at"
      action={<LinkButton href="/sign-in?next=/enroll">Sign in with a forge</LinkButton>}
    >
      None of your forge accounts belongs to a forge that is set up here.
    </EmptyState>
  );
}

/** No App may register runners for an enterprise: an operator does it, by a token. */
function Enterprise({ connectionId }: { connectionId: string }) {
  return (
    <form action="/enroll/tenant" className="grid gap-3 rounded-lg border bg-surface p-4">
      <input type="hidden" name="connection" value={connectionId} />
      <input type="hidden" name="level" value="enterprise" />
      <TextField
        name="path"
        label="A whole enterprise, as operator"
        help="Its slug, as in github.com/enterprises/its-slug. You enter an access token of it in the next step."
        className="font-mono"
        maxLength={100}
        required
      />
      <div>
        <Button type="submit">Enroll this enterprise</Button>
      </div>
    </form>
  );
}

/** GitHub tells a person's token nothing of an organization before an App is installed there: its name has to be typed. */
function Elsewhere({ connectionId }: { connectionId: string }) {
  return (
    <Card className="grid gap-4">
      <form action="/enroll/app" className="grid gap-3">
        <input type="hidden" name="connection" value={connectionId} />
        <TextField
          name="path"
          label="An organization that is not in the list"
          help="GitHub names one here only when an App is installed on it. Its name, as in github.com/its-name."
          className="font-mono"
          maxLength={39}
          required
        />
        <div>
          <Button type="submit">Choose its App</Button>
        </div>
      </form>
      <div className="grid gap-2 border-t pt-4">
        <p className="text-sm text-ink-2">
          For a repository that is not in the list, its owner installs the shared App.
        </p>
        <ButtonForm action={install} fields={{ connectionId }} look="secondary" small>
          Install the shared App
        </ButtonForm>
      </div>
    </Card>
  );
}

type ChoicesProps = { page: ScopePage; query: string | undefined; requestId: string; isOperator: boolean };

function Choices({ page, query, requestId, isOperator }: ChoicesProps) {
  const { connection, connections, found, failure, tokenAdvice } = page;
  const scopes = found?.scopes ?? [];
  const nextCursor = found?.nextCursor ?? null;
  const more = new URLSearchParams({
    connection: connection.id,
    ...(query ? { q: query } : {}),
    after: nextCursor ?? '',
  });
  return (
    <div className="grid gap-4">
      <form role="search" className="flex flex-wrap gap-2">
        {connections.length > 1 ? (
          <select name="connection" aria-label="Forge" defaultValue={connection.id} className={`${inputClass} w-auto`}>
            {connections.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        ) : null}
        <input
          type="search"
          name="q"
          aria-label="Search by name"
          placeholder={`Search on ${connection.name}`}
          defaultValue={query}
          className={`${inputClass} min-w-0 flex-1`}
        />
        <Button type="submit">
          <Search size={16} aria-hidden />
          Search
        </Button>
      </form>
      {tokenAdvice ? (
        <Card>
          <h2 className="mb-2 font-semibold">An access token of yours for {connection.name}</h2>
          <p className="mb-4 text-ink-2">
            A sign-in at {connection.name} would be power over your whole account, so the portal drops it at once. It
            lists what you administer, and registers runners, by a token of the few scopes that this needs.
          </p>
          <TokenForm
            action={giveToken}
            fields={{ connectionId: connection.id }}
            help={tokenAdvice}
            button="Keep the token and go on"
          />
        </Card>
      ) : null}
      {failure ? <ErrorCallout error={{ ...failure.screen, requestId }} /> : null}
      {scopes.length > 0 ? (
        <ScopeList connection={connection.id} scopes={scopes} enrolled={found?.enrolled ?? []} install={install} />
      ) : null}
      {found && scopes.length === 0 ? (
        <EmptyState
          title={query ? `Nothing that you administer is named like “${query}”` : 'You administer nothing there'}
        >
          Only whoever administers a scope on the forge may enroll it. Ask an owner of the organization, or for
          repositories an admin of the repository.
        </EmptyState>
      ) : null}
      {nextCursor ? <MoreLink href={`/enroll?${more.toString()}`} /> : null}
      <p className="text-sm text-ink-3">
        {connection.kind === 'gitlab'
          ? 'A group covers all its projects'
          : 'An organization covers all its repositories'}
        , which then change nothing but their {labelKey[connection.kind]} label. Only what you administer is shown.
      </p>
      {found && connection.kind === 'github' ? <Elsewhere connectionId={connection.id} /> : null}
      {isOperator && connection.kind === 'github' ? <Enterprise connectionId={connection.id} /> : null}
    </div>
  );
}
