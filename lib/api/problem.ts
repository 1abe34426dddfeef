import type { output } from 'zod';
import { type AppError, errorCodes, type ErrorCode } from '#lib/errors.ts';
import type { Problem } from './shapes.ts';

/** What each kind of problem is called, as RFC 9457 wants one title a type. */
export const problemTitles: Record<ErrorCode, string> = {
  malformed: 'The request cannot be read',
  invalid: 'The request does not fit',
  unauthenticated: 'No token that counts',
  reauthenticate: 'The person has to sign in again',
  forbidden: 'Not allowed',
  not_found: 'Not found',
  method_not_allowed: 'Not this method',
  conflict: 'Not as things stand',
  stale: 'The plan is stale',
  precondition_failed: 'Changed in the meantime',
  too_large: 'Too large',
  unsupported_media_type: 'Not this media type',
  rate_limited: 'Too many requests',
  unavailable: 'Not available now',
  internal: 'Failed',
};

export function problemOf(error: AppError, requestId: string): output<typeof Problem> {
  const { happened, changed, todo, fields } = error.screen;
  return {
    type: `urn:flywheel:problem:${error.code.replaceAll('_', '-')}`,
    title: problemTitles[error.code],
    status: errorCodes[error.code],
    detail: happened,
    code: error.code,
    changed,
    ...(todo === undefined ? {} : { todo }),
    ...(fields === undefined ? {} : { errors: fields }),
    requestId,
  };
}
