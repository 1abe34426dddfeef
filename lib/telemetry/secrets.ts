import { createHash } from 'node:crypto';
import { held } from './held.ts';
import { scrubbed, scrubbedValue, wordsOf } from './scrub.ts';

/*
 * What this process knows to be secret, so that no text it writes has it, whatever its form: by hashes of its words, salted
 * anew in each process, of which nothing can be read back. The oldest are forgotten first.
 */

const wordsMost = 10_000;

/** 48 bits: as a number, a tenth of what a text of it takes. */
function markOf(text: string): number {
  return createHash('sha256').update(held().secrets.salt).update(text).digest().readUIntBE(0, 6);
}

const instant = /^\d{4}-\d\d-\d\dT/;

/** As it is, and decoded as in an address where it can be: any secret may have a percent sign in it. */
function bothForms(text: string): string[] {
  try {
    return [text, decodeURIComponent(text)];
  } catch {
    return [text];
  }
}

/** The parts of it that are secret: of an address its password, of a header its value, of an object its values. */
function partsOf(secret: string): string[] {
  if (URL.canParse(secret) && secret.includes('://')) {
    const { password } = new URL(secret);
    return bothForms(password);
  }
  // A header as configuration has it: `authorization=Bearer%20…`.
  const [, value] = /^[\w-]+=([^=].*)$/.exec(secret) ?? [];
  if (value !== undefined) return bothForms(value);
  if (!secret.startsWith('{')) return [secret];
  try {
    const values = Object.values(JSON.parse(secret) as object);
    return values.filter((value) => typeof value === 'string' && !instant.test(value)) as string[];
  } catch {
    return [secret];
  }
}

function marksOf(secret: string): number[] {
  return [secret, ...partsOf(secret).flatMap(wordsOf)].map(markOf);
}

/** What this process itself was given to run with: never forgotten, however many secrets it handles. */
export function concealOwn(secret: string): void {
  for (const mark of marksOf(secret)) held().secrets.own.add(mark);
}

/** From here on no text that this process writes has any of its words. */
export function conceal(secret: string): void {
  const { words } = held().secrets;
  if (words.has(markOf(secret))) return;
  for (const mark of marksOf(secret)) words.add(mark);
  for (const oldest of words) {
    if (words.size <= wordsMost) break;
    words.delete(oldest);
  }
}

function isKnown(word: string): boolean {
  const { words, own } = held().secrets;
  if (words.size + own.size === 0) return false;
  const mark = markOf(word);
  return words.has(mark) || own.has(mark);
}

/** Text for a log, a span or an operator's page. */
export function withoutSecrets(text: string): string {
  return scrubbed(text, isKnown);
}

/** The same of a value of any form. */
export function valueWithoutSecrets(value: unknown): unknown {
  return scrubbedValue(value, isKnown);
}
