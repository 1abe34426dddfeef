import type { Metadata } from 'next';
import Link from 'next/link';
import { redirect } from 'next/navigation';
import { personPage, roleLabel, tenantsOf } from '#lib/tenant/index.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Tag } from '#components/ui/status.tsx';

export const metadata: Metadata = { title: 'Your tenants' };

export default personPage(async (by, { searchParams }) => {
  const tenants = await tenantsOf(by);
  const [only] = tenants;
  // Whoever has one tenant means that one; `?all` is the way here nevertheless.
  if (only && tenants.length === 1 && searchParams['all'] === undefined) redirect(`/t/${only.slug}`);
  return (
    <>
      <PageHeader
        title="Your tenants"
        answer={tenants.length === 0 ? 'You belong to no tenant yet.' : `You belong to ${tenants.length} tenants.`}
        actions={
          <>
            <LinkButton href="/tenants/new">New tenant</LinkButton>
            {tenants.length > 0 ? (
              <LinkButton href="/enroll" look="primary">
                Enroll a scope
              </LinkButton>
            ) : null}
          </>
        }
      />
      {tenants.length === 0 ? (
        <EmptyState
          title="Begin with a repository or organization"
          action={
            <LinkButton href="/enroll" look="primary">
              Enroll a scope
            </LinkButton>
          }
        >
          Enroll one that you administer, and its jobs run here. If your organization is enrolled already, you belong to
          its tenant as soon as the forge counts you in: sign out and in again to look.
        </EmptyState>
      ) : (
        <ul className="grid gap-3 sm:grid-cols-2">
          {tenants.map(({ id, slug, displayName, role }) => (
            <li key={id}>
              <Link href={`/t/${slug}`} className="grid gap-1 rounded-lg border bg-surface p-4 hover:border-accent">
                <span className="text-lg font-medium">{displayName}</span>
                <span className="flex items-center justify-between gap-2 text-ink-3">
                  <span className="truncate font-mono text-sm">{slug}</span>
                  <Tag>{roleLabel[role]}</Tag>
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </>
  );
});
