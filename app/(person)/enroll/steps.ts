import type { Step } from '#components/ui/steps.tsx';

/** The five steps. Behind a draft enrollment the first two are fixed, so only the later ones can be gone back to. */
export function wizardSteps(draft?: { slug: string; enrollment: string }): Step[] {
  const base = draft && `/t/${draft.slug}/enroll/${draft.enrollment}`;
  return [
    { label: 'Scope', href: draft ? undefined : '/enroll' },
    { label: 'Tenant' },
    { label: 'Pools', href: base && `${base}/pools` },
    { label: 'Caches', href: base && `${base}/planes` },
    { label: 'Plan', href: base && `${base}/plan` },
  ];
}
