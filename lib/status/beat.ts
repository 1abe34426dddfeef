import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { unsafeDb } from '#lib/db/index.ts';
import { seenNow, withoutSecrets } from '#lib/telemetry/index.ts';
import type { ProcessFacts } from './facts.ts';

/** Of a beat that comes late by as much again, nobody is told. */
export const beatMs = 5_000;

export type BeatOptions = {
  kind: 'web' | 'worker';
  /** Migrations that this version needs. */
  needs: readonly string[];
  onError: (error: unknown) => void;
};

/**
 * Writes what this process tells of itself and saw of the others, every few seconds, into a row of its own, until it is stopped,
 * which it then tells as well. A database that is away is told of once, until it is back.
 */
export function startBeat({ kind, needs, onError }: BeatOptions): { stop: () => Promise<void> } {
  const id = randomUUID();
  const stopping = new AbortController();
  let isAway = false;
  const beat = async (isStopped: boolean) => {
    try {
      await keepReport(id, kind, factsNow(needs), isStopped);
      isAway = false;
    } catch (error) {
      if (!isAway) onError(error);
      isAway = true;
    }
  };
  const beating = (async () => {
    while (!stopping.signal.aborted) {
      await beat(false);
      await sleep(beatMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    await beat(true);
  })();
  return {
    async stop() {
      stopping.abort();
      await beating;
    },
  };
}

function factsNow(needs: readonly string[]): ProcessFacts {
  const { forges, clusters } = seenNow();
  const clean = <T extends { failure: string | null }>(each: T) => ({
    ...each,
    failure: each.failure === null ? null : withoutSecrets(each.failure),
  });
  const all = <T extends { failure: string | null }>(of: Record<string, T>) =>
    Object.fromEntries(Object.entries(of).map(([id, each]) => [id, clean(each)]));
  return { memoryBytes: process.memoryUsage.rss(), needs: [...needs], forges: all(forges), clusters: all(clusters) };
}

/** Those that have been silent for a day are let go of by whoever beats. */
async function keepReport(id: string, kind: string, facts: ProcessFacts, isStopped: boolean): Promise<void> {
  await unsafeDb().$executeRaw`
    with gone as (delete from process_report where seen_at < now() - interval '1 day')
    insert into process_report (id, kind, host, started_at, facts)
    values (${id}::uuid, ${kind}, ${hostname()}, now() - ${process.uptime()} * interval '1 second', ${JSON.stringify(facts)}::jsonb)
    on conflict (id) do update set seen_at = now(), facts = excluded.facts,
      stopped_at = case when ${isStopped} then now() end`;
}
