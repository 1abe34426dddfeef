import { inspect } from 'node:util';

/** Asks until the answer is true; the failure says what was waited for, and what was there in its place where that is asked for. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = 15_000,
  there?: () => Promise<unknown>,
): Promise<T> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== null && answer !== undefined) return answer;
    if (performance.now() > until) {
      const found = there ? `: ${inspect(await there(), { depth: 6 })}` : '';
      throw new Error(`waited ${timeoutMs} ms for ${what}${found}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
