/** The time as a value, so that tests and simulations bring their own. */
export type Clock = { now: () => Date; monotonicMs: () => number };

export const systemClock: Clock = { now: () => new Date(), monotonicMs: () => performance.now() };
