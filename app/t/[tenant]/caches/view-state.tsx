import type { CacheViewRow } from '#lib/caching/index.ts';
import { Badge } from '#components/ui/status.tsx';

/** Whether the server has what was asked for. */
export function ViewState({ view }: { view: CacheViewRow }) {
  if (view.isRemoving) return <Badge tone="busy">Being removed</Badge>;
  if (view.trouble) return <Badge tone="bad">Not as asked</Badge>;
  return view.isSettled ? <Badge tone="good">As asked</Badge> : <Badge tone="busy">Being set</Badge>;
}
