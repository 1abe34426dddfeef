import { expect, test } from 'vitest';
import { ApiTokenInput } from './api-token.ts';

test.each([
  ['a name that people write', 'CI of acme, größer', true],
  ['one that turns the line of the audit', 'ci\u202Eelttil', false],
  ['one that breaks it', 'ci\nmallory', false],
  ['half of a character', 'ci\uD800', false],
  ['one that Postgres does not keep', 'ci\u0000', false],
])('%s', (_, name, fits) => {
  expect(ApiTokenInput.safeParse({ name, scopes: ['read'], days: 1 }).success).toBe(fits);
});
