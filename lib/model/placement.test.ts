import { expect, test } from 'vitest';
import { placements } from '#sandbox/test-support/placements.ts';
import { Placement } from './placement.ts';

test.each(placements)('%s: %j', (_, given, isRight) => {
  expect(Placement.safeParse(given).success).toBe(isRight);
});
