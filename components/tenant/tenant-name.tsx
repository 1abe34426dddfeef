import Link from 'next/link';
import type { TenantState } from '#lib/db/index.ts';
import { Badge, type Tone } from '#components/ui/status.tsx';

/** In a table. A name without a space breaks, so that the columns beside it keep their room. */
export function TenantName({ slug, displayName }: { slug: string; displayName: string }) {
  return (
    <div className="max-w-72 min-w-32 wrap-anywhere">
      <Link href={`/t/${slug}`} className="font-medium text-accent hover:underline">
        {displayName}
      </Link>
      <span className="block font-mono text-sm text-ink-3">{slug}</span>
    </div>
  );
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
