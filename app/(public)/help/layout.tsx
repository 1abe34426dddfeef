import Link from 'next/link';
import type { ReactNode } from 'react';
import { guideMap, type GuideGroup } from '#lib/guide/index.ts';
import { currentPerson } from '#lib/tenant/index.ts';
import { NavLink } from '#components/app/nav-link.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Mark } from '#components/ui/mark.tsx';

/** The guide's pages beside the one that is read; who reads it makes no difference but for the way back. */
export default async function GuideLayout({ children }: { children: ReactNode }) {
  const [groups, by] = await Promise.all([guideMap(), currentPerson()]);
  return (
    <div className="mx-auto max-w-6xl px-4 sm:px-8">
      <header className="flex flex-wrap items-center justify-between gap-3 border-b py-4">
        <Link href="/" className="flex items-center gap-2 text-lg font-semibold tracking-tight">
          <Mark size={22} />
          Flywheel
        </Link>
        {by ? <LinkButton href="/home">Open the portal</LinkButton> : <LinkButton href="/sign-in">Sign in</LinkButton>}
      </header>
      <div className="md:grid md:grid-cols-[13rem_minmax(0,1fr)] md:gap-10">
        <details className="border-b py-3 md:hidden">
          <summary className="font-medium">Pages of the guide</summary>
          <Pages groups={groups} />
        </details>
        <div className="hidden md:block">
          <div className="sticky top-0 max-h-dvh overflow-y-auto py-8">
            <Pages groups={groups} />
          </div>
        </div>
        <main id="main" className="min-w-0 py-8">
          {children}
        </main>
      </div>
    </div>
  );
}

function Pages({ groups }: { groups: GuideGroup[] }) {
  return (
    <nav aria-label="Guide" className="grid gap-4 pt-3 md:pt-0">
      <NavLink href="/help" exact>
        The guide
      </NavLink>
      {groups.map(({ title, pages }) => (
        <div key={title}>
          <p className="px-2.5 pb-1 text-sm text-ink-3">{title}</p>
          <ul className="grid gap-0.5">
            {pages.map(({ name, title }) => (
              <li key={name}>
                <NavLink href={`/help/${name}`}>{title}</NavLink>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}
