/** What a metric is told, and how it says what it found. */
export type Options = { runs: number; tenants: number | undefined; peerTenants: number | undefined };
export type Metric = (options: Options) => Promise<void>;

export type Sides = { ours: number; peer: number };

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between the two nearest. */
export function quantile(values: readonly number[], at: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * at;
  const low = sorted[Math.floor(place)] ?? Number.NaN;
  const high = sorted[Math.ceil(place)] ?? Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

export function rounded(value: number, digits = 3): number {
  return Number(value.toPrecision(digits));
}

/** The medians of both sides, and the median and the middle half of the pairs' own ratios. */
export function pairs(
  found: readonly Sides[],
): Sides & { ratio: number; ratioQuartiles: [number, number]; runs: number } {
  const ratios = found.map(({ ours, peer }) => ours / peer);
  return {
    ours: rounded(median(found.map((pair) => pair.ours))),
    peer: rounded(median(found.map((pair) => pair.peer))),
    ratio: rounded(median(ratios)),
    ratioQuartiles: [rounded(quantile(ratios, 0.25)), rounded(quantile(ratios, 0.75))],
    runs: found.length,
  };
}

export function print(line: Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}

const began = performance.now();

export function say(line: string): void {
  console.error(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)}s  ${line}`);
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

/** Asks until the answer is yes; a bench that waits for ever says nothing. */
export async function until(
  what: string,
  timeoutMs: number,
  ask: () => Promise<boolean> | boolean,
  everyMs = 25,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`waited ${timeoutMs / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
