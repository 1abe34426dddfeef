/** How many letters must be put in, left out or exchanged to make one of the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of a.split('').entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1)
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === b[j] ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The name that was probably meant: a quarter of its letters may be wrong. Null where none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  const upper = name.toUpperCase().replaceAll('-', '_').slice(0, 100);
  const [best] = known
    .map((each) => ({ each, wrong: distance(upper, each) }))
    .filter(({ each, wrong }) => wrong <= Math.max(1, Math.floor(each.length / 4)))
    .toSorted((a, b) => a.wrong - b.wrong);
  return best?.each ?? null;
}
