import { presentKey, textsByKey } from '#lib/db/index.ts';
import { oldestUnsent } from '#lib/notice/index.ts';
import { readAt } from '#lib/telemetry/index.ts';
import { meteringLags } from '#lib/usage/index.ts';
import { queueNow, type QueueOf } from '#lib/work/index.ts';

/** One question for all that is read of the queue in one scrape. */
const sameScrapeMs = 1_000;
/** What every sealed value is read for changes by hand alone, and once an hour. */
const sealedMs = 60_000;

/**
 * What is the same whoever is asked, since the database says it: each worker serves it, so that it is there as long as one of
 * them is. Of several that tell of it one takes the `max`, never the sum.
 */
export function readShared(tasks: readonly string[]): void {
  const queue = lately(queueNow, sameScrapeMs);
  // A task that has no key just now is told of as well: what comes and goes cannot be alerted on.
  const ofQueue = (value: (of: QueueOf) => number) => async () => {
    const now = new Map((await queue()).map((each) => [each.kind, value(each)]));
    return [...new Set([...tasks, ...now.keys()])].map((task) => ({ labels: { task }, value: now.get(task) ?? 0 }));
  };
  const due = ofQueue((each) => each.due);
  const age = ofQueue((each) => each.ageSeconds);
  const failing = ofQueue((each) => each.failing);
  readAt('queueDue', due);
  readAt('queueAge', age);
  readAt('queueFailing', failing);
  readAt('meteringLag', async () =>
    (await meteringLags()).map(({ clusterId, seconds }) => ({ labels: { cluster: clusterId }, value: seconds })),
  );
  readAt('sealedValues', lately(sealedValues, sealedMs));
  readAt('webhookAge', async () => [{ labels: {}, value: (await oldestUnsent())?.ageSeconds ?? 0 }]);
}

async function sealedValues(): Promise<{ labels: { key: string }; value: number }[]> {
  const byKey = await textsByKey();
  const present = byKey.get(presentKey().id) ?? 0;
  const all = [...byKey.values()].reduce((sum, count) => sum + count, 0);
  return [
    { labels: { key: 'present' }, value: present },
    { labels: { key: 'other' }, value: all - present },
  ];
}

/** What was asked less than so long ago is not asked again. */
function lately<T>(ask: () => Promise<T>, forMs: number): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let untilMs = 0;
  return () => {
    if (!answer || performance.now() >= untilMs) {
      answer = ask();
      answer.catch(() => (answer = undefined));
      untilMs = performance.now() + forMs;
    }
    return answer;
  };
}
