import { z } from 'zod';
import { AppError } from '#lib/errors.ts';

/* What a state says of itself, and the few things that are done to its text. The format is version 4 of OpenTofu's and
   Terraform's state file; of a state that the program encrypted before it sent it, no more is read than stands outside. */

export type Snapshot = {
  /** Null where the program told none: an encrypted state of the first releases that had encryption. */
  serial: bigint | null;
  lineage: string | null;
  isEncrypted: boolean;
  /** Instances of managed resources; null where they cannot be seen. */
  resources: number | null;
  toolVersion: string | null;
};

/** A serial is an unsigned number of 64 bits there; more than Postgres's own is no serial that anybody counted to. */
const serialMost = 2n ** 63n - 1n;

const Managed = z.looseObject({ mode: z.string().optional(), instances: z.array(z.unknown()).optional() });

/** Loose: what a later release adds is kept as it came. */
const Outside = z.looseObject({
  lineage: z.string().min(1).max(200).optional(),
  terraform_version: z.string().max(100).optional(),
  version: z.unknown().optional(),
  encrypted_data: z.unknown().optional(),
  encryption_version: z.unknown().optional(),
  resources: z.array(Managed).optional(),
});

function unreadable(why: string): AppError {
  return new AppError('invalid', {
    log: `state: ${why}`,
    screen: {
      happened: `What was sent is no state: it ${why}.`,
      todo: 'Send the state as OpenTofu or Terraform writes it.',
    },
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw unreadable('is no whole JSON document');
  }
}

/** Reads what a state says of itself. Throws AppError('invalid') for what is no JSON object or contradicts the format. */
export function readSnapshot(text: string): Snapshot {
  const result = Outside.safeParse(parsed(text));
  if (!result.success) throw unreadable(`does not fit at “${result.error.issues[0]?.path.join('.') ?? ''}”`);
  const { lineage, terraform_version: toolVersion, resources, ...rest } = result.data;
  const isEncrypted = rest.encrypted_data !== undefined && rest.encryption_version !== undefined;
  const serial = serialOf(text, rest['serial']);
  if (!isEncrypted && rest.version === 4 && (serial === null || lineage === undefined))
    throw unreadable('has no serial or no lineage');
  return {
    serial,
    lineage: lineage ?? null,
    isEncrypted,
    resources: isEncrypted || resources === undefined ? null : countManaged(resources),
    toolVersion: toolVersion ?? null,
  };
}

function countManaged(resources: readonly z.infer<typeof Managed>[]): number {
  return resources
    .filter(({ mode }) => mode === 'managed')
    .reduce((sum, { instances }) => sum + (instances?.length ?? 0), 0);
}

/** Digit for digit where it is beyond 2^53: as a number of JavaScript's it would be another. */
function serialOf(text: string, value: unknown): bigint | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  const written = text.slice(...(topValue(text, 'serial') ?? [0, 0]));
  if (!/^\d{1,20}$/.test(written) || BigInt(written) > serialMost) throw unreadable('has a serial that is no count');
  return BigInt(written);
}

/** The same text with another serial; nothing else moves, so that no number in it is written otherwise than it was. */
export function withSerial(text: string, serial: bigint): string {
  const place = topValue(text, 'serial');
  if (place === null) throw unreadable('has no serial');
  return text.slice(0, place[0]) + serial.toString() + text.slice(place[1]);
}

const blank = /[\s,]/;

/** Where the value of a key of the outermost object begins and ends, where it is no object, list or text. The last counts, as in JSON.parse. */
function topValue(text: string, key: string): [number, number] | null {
  let found: [number, number] | null = null;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const mark = text[at];
    if (mark === '{' || mark === '[') depth += 1;
    else if (mark === '}' || mark === ']') depth -= 1;
    else if (mark === '"') {
      const end = endOfText(text, at);
      const from = depth === 1 ? valueAfter(text, end) : null;
      if (from !== null && (JSON.parse(text.slice(at, end)) as string) === key) found = [from, endOfScalar(text, from)];
      at = end - 1;
    }
  }
  return found;
}

/** Past the closing quote of the text that opens at `at`. */
function endOfText(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

/** Where the value begins, if what ended before was a key. */
function valueAfter(text: string, end: number): number | null {
  let at = skipped(text, end);
  if (text[at] !== ':') return null;
  at = skipped(text, at + 1);
  return at;
}

function skipped(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at] ?? '')) at += 1;
  return at;
}

function endOfScalar(text: string, from: number): number {
  let at = from;
  while (at < text.length && !blank.test(text[at] ?? '') && text[at] !== '}' && text[at] !== ']') at += 1;
  return at;
}
