/**
 * web-memory: what a production web process has resident as it starts, and after 10,000 loads of a tenant's overview by somebody
 * who is signed in. What is kept of each page shows here: the figures on the way say whether it goes on growing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from './child.ts';
import { load, startSides, type Served } from './dashboard.ts';
import { median, print, rounded, say, type Options } from './report.ts';

const loads = 10_000;
const steps = 10;
const restMs = 10_000;

export async function webMemory(options: Options): Promise<void> {
  const found: Found[] = [];
  // Memory hardly differs from one process to the next.
  for (let run = 0; run < Math.min(options.runs, 3); run += 1) {
    const stops: (() => Promise<void>)[] = [];
    try {
      found.push(await measure(await startSides(stops)));
    } finally {
      for (const stop of stops.toReversed()) await stop();
    }
  }
  const ours = rounded(median(found.map((each) => each.after)));
  const peer = rounded(median(found.map((each) => each.start)));
  print({
    metric: 'web-memory',
    ours,
    peer,
    ratio: rounded(ours / peer),
    unit: 'MB',
    most: rounded(median(found.map((each) => each.most))),
    after1000Loads: found.map(({ onTheWay }) => onTheWay.map((each) => rounded(each))),
    requests: { ours: loads, peer: 0 },
    runs: found.length,
  });
}

type Found = { start: number; after: number; most: number; onTheWay: number[] };

async function measure({ url, pid, cookie, slug }: Served): Promise<Found> {
  await sleep(restMs);
  const start = memoryOf(pid).now;
  const onTheWay: number[] = [];
  for (let step = 1; step <= steps; step += 1) {
    await load(url, `/t/${slug}`, cookie, loads / steps);
    onTheWay.push(memoryOf(pid).now);
    say(
      `web-memory ${(step * loads) / steps} pages: ${onTheWay.at(-1)?.toFixed(0)} MB, ${start.toFixed(0)} at the start`,
    );
  }
  await sleep(restMs);
  const { now, most } = memoryOf(pid);
  return { start, after: now, most, onTheWay };
}
