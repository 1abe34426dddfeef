/** Instants from and to, as Unix milliseconds. */
export type Span = { from: number; to: number };

/** A look is taken every quarter of a minute; after as long as this without one, nobody looked. */
export const unseenMs = 2 * 60_000;

/**
 * When nobody looked within the window: what the looks leave of it, however they overlap. What runs through a gap is counted
 * all the same, since readings are cumulative; only what began and ended within one is not known of.
 */
export function gapsIn(looks: readonly Span[], within: Span): Span[] {
  const gaps: Span[] = [];
  let seen = within.from;
  for (const { from, to } of looks.toSorted((a, b) => a.from - b.from)) {
    if (from > seen) gaps.push({ from: seen, to: Math.min(from, within.to) });
    seen = Math.max(seen, to);
    if (seen >= within.to) break;
  }
  if (seen < within.to) gaps.push({ from: seen, to: within.to });
  return gaps.filter(({ from, to }) => to - from > unseenMs);
}
