import type { Metadata } from 'next';
import { Search } from 'lucide-react';
import { personPage } from '#lib/tenant/index.ts';
import { MoreLink, ScopeList } from '#components/enrollment/scope-list.tsx';
import { Button, LinkButton } from '#components/ui/button.tsx';
import { inputClass } from '#components/ui/field.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState, ErrorCallout } from '#components/ui/states.tsx';
import { Steps } from '#components/ui/steps.tsx';
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
        answer="Pick an organization or repository that you administer. Nothing is changed before the plan in step five."
      />
      {page ? <Choices page={page} query={query} requestId={by.requestId} /> : <NoIdentity />}
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

type ChoicesProps = { page: ScopePage; query: string | undefined; requestId: string };

function Choices({ page, query, requestId }: ChoicesProps) {
  const { connection, connections, found, failure } = page;
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
      {failure ? <ErrorCallout error={{ ...failure.screen, requestId }} /> : null}
      {scopes.length > 0 ? (
        <ScopeList connection={connection.id} scopes={scopes} enrolled={found?.enrolled ?? []} />
      ) : null}
      {!failure && scopes.length === 0 ? (
        <EmptyState
          title={query ? `Nothing that you administer is named like “${query}”` : 'You administer nothing there'}
        >
          Only whoever administers a scope on the forge may enroll it. Ask an owner of the organization, or for
          repositories an admin of the repository.
        </EmptyState>
      ) : null}
      {nextCursor ? <MoreLink href={`/enroll?${more.toString()}`} /> : null}
      <p className="text-sm text-ink-3">
        An organization covers all its repositories, which then change nothing but their runs-on label. Not in the list?{' '}
        {found ? (
          <a href={found.installUrl} rel="noreferrer" className="text-accent underline">
            Install the App on another account
          </a>
        ) : (
          'Only what you administer is shown.'
        )}
      </p>
    </div>
  );
}
