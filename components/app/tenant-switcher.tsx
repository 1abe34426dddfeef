'use client';

import Link from 'next/link';
import { useEffect, useRef, useState } from 'react';
import { ChevronsUpDown, Plus } from 'lucide-react';
import { inputClass } from '#components/ui/field.tsx';

export type SwitcherTenant = { slug: string; displayName: string; role: string };

const searchFrom = 6;

/** The browser's own disclosure, so that it also opens before the scripts are there. */
export function TenantSwitcher({ here, tenants }: { here: string; tenants: SwitcherTenant[] }) {
  const details = useRef<HTMLDetailsElement>(null);
  const [typed, setTyped] = useState('');
  useEffect(() => closeOnLeaving(details), []);
  const wanted = typed.trim().toLowerCase();
  const shown = tenants.filter(({ slug, displayName }) => `${displayName} ${slug}`.toLowerCase().includes(wanted));
  return (
    <details ref={details} className="relative">
      <summary className="flex min-h-9 list-none items-center justify-between gap-2 rounded-md border bg-surface px-3 font-medium hover:bg-sunken">
        <span className="truncate">{here}</span>
        <ChevronsUpDown size={16} className="shrink-0 text-ink-3" aria-label="Change tenant" />
      </summary>
      <div className="absolute inset-x-0 top-full z-10 mt-1 grid gap-1 rounded-lg bg-surface p-1 shadow-pop">
        {tenants.length >= searchFrom ? (
          <input
            aria-label="Search tenants"
            placeholder="Search"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            className={inputClass}
          />
        ) : null}
        <ul className="max-h-72 overflow-y-auto">
          {shown.map(({ slug, displayName, role }) => (
            <li key={slug}>
              <Link
                href={`/t/${slug}`}
                onClick={() => details.current?.removeAttribute('open')}
                className="flex items-baseline justify-between gap-2 rounded-md px-2 py-1.5 hover:bg-sunken"
              >
                <span className="truncate">{displayName}</span>
                <span className="shrink-0 text-xs text-ink-3">{role}</span>
              </Link>
            </li>
          ))}
          {shown.length === 0 ? <li className="px-2 py-1.5 text-ink-3">No tenant of that name.</li> : null}
        </ul>
        <Link
          href="/enroll"
          className="flex items-center gap-2 rounded-md border-t px-2 py-2 text-accent hover:bg-sunken"
        >
          <Plus size={16} aria-hidden />
          Enroll a scope
        </Link>
      </div>
    </details>
  );
}

function closeOnLeaving(details: React.RefObject<HTMLDetailsElement | null>): () => void {
  const leave = (event: Event) => {
    const key = event instanceof KeyboardEvent ? event.key : null;
    const isOutside = event.target instanceof Node && !details.current?.contains(event.target);
    if (key === 'Escape' || (key === null && isOutside)) details.current?.removeAttribute('open');
  };
  document.addEventListener('pointerdown', leave);
  document.addEventListener('keydown', leave);
  return () => {
    document.removeEventListener('pointerdown', leave);
    document.removeEventListener('keydown', leave);
  };
}
