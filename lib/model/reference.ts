import { z } from 'zod';

/*
 * A secret that a document names and does not hold: a file, or a variable of the environment, of whoever reads the document. What
 * was found there goes beside the documents, by the reference's key.
 */

export const Reference = z.union([
  z.strictObject({ file: z.string().min(1).max(500) }),
  z.strictObject({ env: z.string().regex(/^[A-Za-z_]\w{0,199}$/) }),
]);
export type Reference = z.infer<typeof Reference>;

export function referenceKey(reference: Reference): string {
  return 'file' in reference ? `file:${reference.file}` : `env:${reference.env}`;
}

/** All that is referred to within a value, each once. */
export function referencesIn(value: unknown): Reference[] {
  const found = new Map<string, Reference>();
  const walk = (each: unknown): void => {
    const { data } = Reference.safeParse(each);
    if (data) found.set(referenceKey(data), data);
    else if (typeof each === 'object' && each !== null) Object.values(each).forEach(walk);
  };
  walk(value);
  return [...found.values()];
}
