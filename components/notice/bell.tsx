'use client';

import Link from 'next/link';
import { usePathname } from 'next/navigation';
import { Bell as BellIcon } from 'lucide-react';
import { useEffect, useState } from 'react';

export type BellProps = {
  /** The page of the notices. */
  href: string;
  unread: number;
  /** Where the count is asked for again; without it, it is as the page was rendered. */
  url?: string;
};

const everyMs = 60_000;
const shownMost = 99;

async function unreadAt(url: string, signal: AbortSignal): Promise<number | null> {
  const response = await fetch(url, { signal, headers: { accept: 'application/json' } });
  if (!response.ok) return null;
  const { unread } = (await response.json()) as { unread: number };
  return unread;
}

/** How much is unread, and the way to it. It looks again with every page and once a minute, quietly: a page that is read is not interrupted. */
export function Bell({ href, unread: first, url }: BellProps) {
  const path = usePathname();
  const [asked, setAsked] = useState<{ first: number; unread: number } | null>(null);
  // What the server has rendered since then is newer than what was asked before.
  const unread = asked?.first === first ? asked.unread : first;
  useEffect(() => {
    // The page of the notices says by itself what is unread.
    if (url === undefined || path === href) return;
    const gone = new AbortController();
    const look = async () => {
      if (document.visibilityState === 'hidden') return;
      // Away for now: the next look tells.
      const found = await unreadAt(url, gone.signal).catch(() => null);
      if (found !== null && !gone.signal.aborted) setAsked({ first, unread: found });
    };
    void look();
    const timer = setInterval(() => void look(), everyMs);
    return () => {
      gone.abort();
      clearInterval(timer);
    };
  }, [url, path, href, first]);
  const many = unread > shownMost ? `more than ${shownMost}` : String(unread);
  return (
    <Link
      href={href}
      aria-label={unread === 0 ? 'Notices' : `Notices, ${many} unread`}
      aria-current={path === href ? 'page' : undefined}
      className="relative grid size-9 place-items-center rounded-md text-ink-2 hover:bg-sunken hover:text-ink aria-[current=page]:bg-sunken aria-[current=page]:text-ink"
    >
      <BellIcon size={18} aria-hidden />
      {unread === 0 ? null : (
        <span
          aria-hidden
          className="tabular absolute -top-0.5 left-5 rounded-lg bg-accent px-1 text-xs leading-4 font-medium text-on-accent"
        >
          {unread > shownMost ? `${shownMost}+` : unread}
        </span>
      )}
    </Link>
  );
}
