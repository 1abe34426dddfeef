import { House, Plus } from 'lucide-react';
import { cookies } from 'next/headers';
import type { ReactNode } from 'react';
import { countUnread } from '#lib/notice/index.ts';
import { currentPerson } from '#lib/tenant/index.ts';
import { Frame } from '#components/app/frame.tsx';
import { signOut } from '../(public)/sign-out/actions.ts';
import { themeOf } from '../theme.ts';

const items = [
  { href: '/home', label: 'Your tenants', icon: <House size={16} aria-hidden /> },
  { href: '/enroll', label: 'Enroll a scope', icon: <Plus size={16} aria-hidden /> },
];

/** No fence: each page within asks who is there, and sends the rest to sign in. */
export default async function PersonLayout({ children }: { children: ReactNode }) {
  const by = await currentPerson();
  if (!by) return children;
  const unread = await countUnread({ of: 'person', by });
  const theme = themeOf((await cookies()).get('theme')?.value);
  return (
    <Frame
      area="person"
      person={by.person}
      theme={theme}
      signOut={signOut}
      items={items}
      bell={{ href: '/notices', unread }}
    >
      {children}
    </Frame>
  );
}
