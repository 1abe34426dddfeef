import type { ClusterHealth, ClusterRow, MoveRow } from '#lib/tenancy/index.ts';
import { Badge, type Tone } from '#components/ui/status.tsx';

const states: Record<ClusterRow['state'], [Tone, string]> = {
  open: ['good', 'Open'],
  closed: ['idle', 'Closed'],
  draining: ['wait', 'Draining'],
};

/** Whether new tenants are placed there. */
export function ClusterStateBadge({ state }: { state: ClusterRow['state'] }) {
  const [tone, words] = states[state];
  return <Badge tone={tone}>{words}</Badge>;
}

const healths: Record<ClusterHealth['kind'], [Tone, string]> = {
  good: ['good', 'Answers'],
  bad: ['bad', 'In trouble'],
  unlooked: ['warn', 'Not looked at'],
};

export function ClusterHealthBadge({ health }: { health: ClusterHealth }) {
  const [tone, words] = healths[health.kind];
  return (
    <>
      <Badge tone={tone}>{words}</Badge>
      {health.kind === 'good' ? null : (
        <span className="block max-w-xs min-w-40 text-sm wrap-anywhere text-ink-2">{health.words}</span>
      )}
    </>
  );
}

const moves: Record<MoveRow['state'], [Tone, string]> = {
  planned: ['wait', 'To be applied'],
  preparing: ['busy', 'Being made ready'],
  closing: ['busy', 'Changing over'],
  leaving: ['busy', 'Leaving the old one'],
  calling_off: ['busy', 'Being called off'],
  done: ['good', 'Moved'],
  called_off: ['idle', 'Called off'],
  discarded: ['idle', 'Discarded'],
};

export function MoveStateBadge({ state }: { state: MoveRow['state'] }) {
  const [tone, words] = moves[state];
  return <Badge tone={tone}>{words}</Badge>;
}

/** Whether the API server itself keeps the pods of tenants to the runners' profile. */
export function PodsHeld({ holds }: { holds: boolean | null }) {
  if (holds === null) return <Badge tone="idle">Not looked at yet</Badge>;
  if (holds) return <Badge tone="good">Held to their profile</Badge>;
  return (
    <>
      <Badge tone="warn">Not held</Badge>
      <span className="block max-w-xs text-sm text-ink-2">
        The admission policy flywheel-runner-pods is missing, is another, or the portal may not see it. Apply
        runner-pods.yaml and portal-rights.yaml.
      </span>
    </>
  );
}
