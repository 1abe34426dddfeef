import type { ClusterView } from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';
import type { Evidence, Found, FindingKind } from './facts.ts';

/* What the cluster said of the objects that a finding is about: asked for only where something was found. */

const told: ReadonlySet<FindingKind> = new Set(['quota-blocked', 'image-gone', 'pod-failures', 'unschedulable']);
const readMost = 500;
const eventsMost = 2;
const saidMost = 300;
const keptMs = 30_000;

type KubeEvent = {
  metadata: { creationTimestamp: string };
  reason?: string;
  message?: string;
  lastTimestamp?: string | null;
  eventTime?: string | null;
  involvedObject: { kind?: string; name?: string };
};

const kept = new Map<string, { events: Promise<KubeEvent[]>; untilMs: number }>();

/** At most twice a minute a namespace, however many findings there are; none where the cluster does not tell. */
async function eventsIn({ client }: ClusterView, namespace: string): Promise<KubeEvent[]> {
  const key = `${client.id}/${namespace}`;
  const known = kept.get(key);
  if (known && performance.now() < known.untilMs) return known.events;
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
  const asked = { method: 'GET', path, query: { limit: String(readMost) } } as const;
  const events = client.call<{ items: KubeEvent[] }>(asked, 'the list of events').then(
    ({ items }) => items,
    (error: unknown) => {
      if (error instanceof AppError) return [];
      throw error;
    },
  );
  for (const [at, { untilMs }] of kept) if (untilMs < performance.now()) kept.delete(at);
  kept.set(key, { events, untilMs: performance.now() + keptMs });
  return events;
}

function evidenceOf({ metadata, reason, message, lastTimestamp, eventTime, involvedObject }: KubeEvent): Evidence {
  return {
    object: `Event of ${involvedObject.kind ?? ''} ${involvedObject.name ?? ''}`,
    at: lastTimestamp ?? eventTime ?? metadata.creationTimestamp,
    said: `${reason ?? ''}: ${message ?? ''}`.slice(0, saidMost),
  };
}

/** The same findings, with the newest events of what each is about beside what was seen. */
export async function withEvents(
  view: ClusterView,
  namespaces: readonly string[],
  findings: Found[],
): Promise<Found[]> {
  if (!findings.some(({ kind }) => told.has(kind))) return findings;
  const there = namespaces.filter((name) => view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
  const events = (await Promise.all(there.map((namespace) => eventsIn(view, namespace)))).flat();
  return findings.map((found) => {
    if (!told.has(found.kind)) return found;
    const names = new Set(found.evidence.map(({ object }) => object.split(' ').at(-1)));
    const about = events
      .filter(({ involvedObject }) => names.has(involvedObject.name))
      .map(evidenceOf)
      .toSorted((a, b) => (b.at ?? '').localeCompare(a.at ?? ''));
    return { ...found, evidence: [...found.evidence, ...about.slice(0, eventsMost)] };
  });
}
