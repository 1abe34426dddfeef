'use client';

import { Menu } from 'lucide-react';
import { usePathname } from 'next/navigation';
import type { ReactNode } from 'react';

/** The rail on a narrow screen, closed until it is asked for. It lives on from page to page, and closes when it has led to one. */
export function PhoneMenu({ children }: { children: ReactNode }) {
  return (
    <details key={usePathname()}>
      {/* Beside the brand and not around it: a link within what opens and closes is told to nobody who cannot see. */}
      <summary className="absolute top-2.5 right-2.5 list-none rounded-md p-2">
        <Menu size={20} aria-hidden />
        <span className="sr-only">Menu</span>
      </summary>
      <div className="grid grid-cols-1 gap-4 px-4 pb-4">{children}</div>
    </details>
  );
}
