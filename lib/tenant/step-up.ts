import { AppError } from '#lib/errors.ts';
import type { PersonCtx } from './ctx.ts';

/** How old a sign-in may be for what replaces or takes away (ASVS 7.5.3). */
export const freshMs = 10 * 60_000;

/** True where the person showed the forge lately that it is they, in this very browser. */
export function isFresh(by: PersonCtx, now: Date): boolean {
  return by.session !== undefined && now.getTime() - by.session.authenticatedAt.getTime() < freshMs;
}

/** Whoever reads it finds the link beside it that leads to the forge and back to the same page. */
export function confirmFirst(): AppError {
  return new AppError('reauthenticate', {
    log: 'the sign-in is not fresh enough',
    screen: {
      happened: 'Confirm that it is you before you do this.',
      todo: 'You come back to this page with what you entered; then press the button again.',
    },
  });
}
