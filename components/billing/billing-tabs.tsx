import { LinkButton } from '#components/ui/button.tsx';

type Tab = { href: string; label: string };

/** The pages of one matter, beside each other. */
export function BillingTabs({ tabs, here }: { tabs: readonly Tab[]; here: string }) {
  return (
    <nav aria-label="Billing" className="mb-6 flex flex-wrap gap-1 border-b pb-2">
      {tabs.map(({ href, label }) => (
        <LinkButton
          key={href}
          small
          look={label === here ? 'secondary' : 'quiet'}
          aria-current={label === here ? 'page' : undefined}
          href={href}
        >
          {label}
        </LinkButton>
      ))}
    </nav>
  );
}

export function tenantTabs(slug: string): Tab[] {
  const path = `/t/${slug}/billing`;
  return [
    { href: path, label: 'Cost' },
    { href: `${path}/jobs`, label: 'Jobs' },
    { href: `${path}/budgets`, label: 'Budgets' },
    { href: `${path}/statements`, label: 'Statements' },
  ];
}

export const operatorTabs: Tab[] = [
  { href: '/operator/billing', label: 'Cost' },
  { href: '/operator/rates', label: 'Prices' },
  { href: '/operator/statements', label: 'Statements' },
];
