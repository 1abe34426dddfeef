import type { TenantState } from '#lib/db/index.ts';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { RowName } from '#components/ui/table.tsx';

export function TenantName({ slug, displayName }: { slug: string; displayName: string }) {
  return <RowName href={`/t/${slug}`} name={displayName} id={slug} />;
}

const tones: Record<TenantState, Tone> = {
  draft: 'idle',
  active: 'good',
  suspended: 'bad',
  leaving: 'idle',
  left: 'idle',
};

export function TenantStateBadge({ state }: { state: TenantState }) {
  return <Badge tone={tones[state]}>{state}</Badge>;
}
