import {
  Activity,
  Boxes,
  Building2,
  Database,
  FileStack,
  GitBranch,
  House,
  Inbox,
  ListChecks,
  Receipt,
  ScrollText,
  Server,
  Shield,
  Users,
} from 'lucide-react';
import { cookies } from 'next/headers';
import type { ReactNode } from 'react';
import { countUnread } from '#lib/notice/index.ts';
import { currentPerson } from '#lib/tenant/index.ts';
import { Frame } from '#components/app/frame.tsx';
import { signOut } from '../(public)/sign-out/actions.ts';
import { themeOf } from '../theme.ts';

const items = [
  { href: '/operator', label: 'What needs me', icon: <Shield size={16} aria-hidden />, exact: true },
  { href: '/operator/approvals', label: 'Approvals', icon: <Inbox size={16} aria-hidden /> },
  { href: '/operator/tenants', label: 'Tenants', icon: <Building2 size={16} aria-hidden /> },
  { href: '/operator/clusters', label: 'Clusters', icon: <Server size={16} aria-hidden /> },
  { href: '/operator/pools', label: 'Pools', icon: <Boxes size={16} aria-hidden /> },
  { href: '/operator/billing', label: 'Cost', icon: <Receipt size={16} aria-hidden /> },
  { href: '/operator/forges', label: 'Forges', icon: <GitBranch size={16} aria-hidden /> },
  { href: '/operator/jobs', label: 'Jobs', icon: <ListChecks size={16} aria-hidden /> },
  { href: '/operator/state', label: 'State', icon: <FileStack size={16} aria-hidden /> },
  { href: '/operator/caches', label: 'Caches', icon: <Database size={16} aria-hidden /> },
  { href: '/operator/health', label: 'Health', icon: <Activity size={16} aria-hidden /> },
  { href: '/operator/audit', label: 'Audit', icon: <ScrollText size={16} aria-hidden /> },
  { href: '/operator/people', label: 'People', icon: <Users size={16} aria-hidden /> },
  { href: '/home?all', label: 'Your tenants', icon: <House size={16} aria-hidden /> },
];

/** No fence: each page within asks. Whoever is no operator gets the page's own 404, without this frame. */
export default async function OperatorLayout({ children }: { children: ReactNode }) {
  const by = await currentPerson();
  if (!by?.person.isOperator) return children;
  const unread = await countUnread({ of: 'operator', by });
  const theme = themeOf((await cookies()).get('theme')?.value);
  return (
    <Frame
      area="operator"
      person={by.person}
      theme={theme}
      signOut={signOut}
      items={items}
      bell={{ href: '/operator/notices', unread, url: '/api/views/operator/notices' }}
    >
      {children}
    </Frame>
  );
}
