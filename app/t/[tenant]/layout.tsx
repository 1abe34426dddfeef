import {
  Boxes,
  ChartNoAxesColumn,
  Database,
  Gauge,
  GitBranch,
  Inbox,
  KeyRound,
  LayoutDashboard,
  ListChecks,
  Receipt,
  ScrollText,
  Server,
  Settings,
  Shield,
  Users,
} from 'lucide-react';
import { cookies } from 'next/headers';
import type { ReactNode } from 'react';
import { isOperatorManaged } from '#lib/model/index.ts';
import { countUnread } from '#lib/notice/index.ts';
import { layout, may, roleLabel, tenantsOf, type Ctx, type TenantPermission } from '#lib/tenant/index.ts';
import { AccessWatch } from '#components/app/access-watch.tsx';
import { Frame, type NavItem } from '#components/app/frame.tsx';
import { TenantSwitcher } from '#components/app/tenant-switcher.tsx';
import { signOut } from '../../(public)/sign-out/actions.ts';
import { themeOf } from '../../theme.ts';

const pages: { path: string; label: string; icon: ReactNode; permission: TenantPermission }[] = [
  { path: '', label: 'Overview', icon: <LayoutDashboard size={16} aria-hidden />, permission: 'tenant:see' },
  {
    path: '/enrollments',
    label: 'Enrollments',
    icon: <GitBranch size={16} aria-hidden />,
    permission: 'enrollment:see',
  },
  { path: '/pools', label: 'Pools', icon: <Boxes size={16} aria-hidden />, permission: 'pool:see' },
  { path: '/jobs', label: 'Jobs', icon: <ListChecks size={16} aria-hidden />, permission: 'job:see' },
  { path: '/caches', label: 'Caches', icon: <Database size={16} aria-hidden />, permission: 'cache:see' },
  { path: '/quota', label: 'Quota', icon: <Gauge size={16} aria-hidden />, permission: 'quota:see' },
  { path: '/cluster', label: 'Cluster', icon: <Server size={16} aria-hidden />, permission: 'cluster:see' },
  { path: '/usage', label: 'Usage', icon: <ChartNoAxesColumn size={16} aria-hidden />, permission: 'usage:see' },
  { path: '/billing', label: 'Billing', icon: <Receipt size={16} aria-hidden />, permission: 'billing:see' },
  {
    path: '/credentials',
    label: 'Credentials',
    icon: <KeyRound size={16} aria-hidden />,
    permission: 'credential:see',
  },
  { path: '/members', label: 'Members', icon: <Users size={16} aria-hidden />, permission: 'member:see' },
  { path: '/requests', label: 'Requests', icon: <Inbox size={16} aria-hidden />, permission: 'request:see' },
  { path: '/audit', label: 'Audit', icon: <ScrollText size={16} aria-hidden />, permission: 'audit:see' },
  { path: '/settings', label: 'Settings', icon: <Settings size={16} aria-hidden />, permission: 'settings:see' },
];

function itemsFor({ role, tenant }: Ctx): NavItem[] {
  return pages
    .filter(({ permission }) => may(role, permission))
    .map(({ path, label, icon }) => ({ href: `/t/${tenant.slug}${path}`, label, icon, exact: path === '' }));
}

export default layout('tenant:see', async (ctx, children) => {
  const { tenant, role, person } = ctx;
  const [tenants, unread] = await Promise.all([tenantsOf(ctx), countUnread({ of: 'tenant', ctx })]);
  const theme = themeOf((await cookies()).get('theme')?.value);
  return (
    <Frame
      area="tenant"
      person={person}
      theme={theme}
      signOut={signOut}
      items={itemsFor(ctx)}
      bell={{ href: `/t/${tenant.slug}/notices`, unread, url: `/api/views/notices/${tenant.slug}` }}
      places={tenants.map(({ slug, displayName }) => ({ href: `/t/${slug}`, label: displayName, note: 'Tenant' }))}
      top={
        <TenantSwitcher
          here={tenant.displayName}
          tenants={tenants.map(({ slug, displayName, role }) => ({ slug, displayName, role: roleLabel[role] }))}
        />
      }
      banner={
        <>
          {role === 'operator' ? <OperatorBanner name={tenant.displayName} /> : null}
          <StateBanner tenant={tenant} />
        </>
      }
    >
      <AccessWatch tenant={tenant.slug} role={role} />
      {children}
    </Frame>
  );
});

/** What is not as usual with the tenant stands over each of its pages. */
function StateBanner({ tenant }: Pick<Ctx, 'tenant'>) {
  const words = stateWords(tenant);
  if (words === null) return null;
  return (
    <aside aria-label="State of the tenant" className="border-b bg-warn-soft px-8 py-2 text-warn">
      {words}
    </aside>
  );
}

function stateWords({ state, kind, suspendReason }: Ctx['tenant']): string | null {
  if (state === 'draft' && isOperatorManaged(kind)) return 'This tenant waits for an operator to approve it.';
  if (state === 'suspended') return `This tenant is suspended: no runner starts. ${suspendReason ?? ''}`.trim();
  if (state === 'leaving') return 'This tenant is leaving: what it had is being withdrawn.';
  if (state === 'left') return 'This tenant has left. What is kept can be read here.';
  return null;
}

function OperatorBanner({ name }: { name: string }) {
  return (
    <aside
      aria-label="Acting as operator"
      className="flex items-center gap-2 border-b border-b-operator bg-operator-soft px-8 py-2 text-operator"
    >
      <Shield size={16} aria-hidden className="shrink-0" />
      <p className="min-w-0">
        You act as operator in {name}. You are no member of it, and its people see in the audit what you do.
      </p>
    </aside>
  );
}
