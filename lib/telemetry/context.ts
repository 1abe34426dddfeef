import type { Span } from '@opentelemetry/api';
import { held } from './held.ts';

/** Of what a line of the log tells, and whose it is; each where it is known. */
export type Fields = {
  requestId?: string;
  /** What was asked for, as its permission or name. */
  door?: string;
  /** `enrollment/<key>`. */
  task?: string;
  tenantId?: string;
  enrollmentId?: string;
};

/** What belongs to one request or pass, wherever in it somebody asks. */
export type Context = {
  fields: Fields;
  /** How the part of it that is under way ends. */
  part: { outcome: string | undefined };
  /** The stretch of a trace that is under way. */
  span: Span | undefined;
};

export function contextNow(): Context | undefined {
  return held().context.getStore();
}

/** A request or pass of its own, with what is known of it so far. */
export function within<T>(fields: Fields, run: () => T): T {
  return held().context.run({ fields: { ...fields }, part: { outcome: undefined }, span: undefined }, run);
}

/** A part of it that ends in its own way; what is learnt in it of the whole is known in the whole. */
export function inPart<T>(run: (part: Context['part']) => T): T {
  const now = contextNow();
  const part = { outcome: undefined };
  return held().context.run({ fields: now?.fields ?? {}, part, span: now?.span }, () => run(part));
}

/** What was learnt of it: known from here on in all of it. */
export function note(fields: Fields): void {
  Object.assign(contextNow()?.fields ?? {}, fields);
}

/** How this part ends, where that is not well. */
export function noteOutcome(outcome: string): void {
  const context = contextNow();
  if (context) context.part.outcome = outcome;
}
