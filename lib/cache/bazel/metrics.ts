import { z } from 'zod';

/** What we read of bazel-remote's GET /status. Sizes in bytes; it writes them as JSON numbers. */
export const BazelStatus = z.object({
  CurrSize: z.number(),
  UncompressedSize: z.number(),
  MaxSize: z.number(),
  NumFiles: z.number(),
});
export type BazelStatus = z.infer<typeof BazelStatus>;

/** One line of Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
export type Sample = { name: string; labels: Readonly<Record<string, string>>; value: number };

const line = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;
const label = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** All samples that can be read; what cannot is passed over, as a scraper would that knows fewer types. */
export function samplesOf(text: string): Sample[] {
  return text.split('\n').flatMap((each): Sample[] => {
    const [, name, labels = '', number] = (each.startsWith('#') ? null : line.exec(each)) ?? [];
    const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
    if (name === undefined || Number.isNaN(value)) return [];
    return [{ name, value, labels: Object.fromEntries([...labels.matchAll(label)].map(([, key, of]) => [key, of])) }];
  });
}

/** The sum of a counter over all label sets that have these. */
export function counters(samples: readonly Sample[], name: string, having: Readonly<Record<string, string>>): number {
  return samples
    .filter((each) => each.name === name && Object.entries(having).every(([key, of]) => each.labels[key] === of))
    .reduce((sum, { value }) => sum + value, 0);
}

export function gauge(samples: readonly Sample[], name: string): number | null {
  return samples.find((each) => each.name === name)?.value ?? null;
}
