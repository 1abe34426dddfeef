import { expect, test } from 'vitest';
import { servesRepository } from './serves.ts';

const job = { repositoryId: '5', ownerId: '7', enterpriseId: '9' };

test.each([
  ['repository', '5', true],
  ['repository', '7', false],
  ['organization', '7', true],
  ['organization', '5', false],
  ['account', '7', true],
  ['enterprise', '9', true],
  ['enterprise', '7', false],
  ['instance', '7', false],
] as const)('runners of %s %s: %s', (level, scopeId, expected) => {
  expect(servesRepository({ level, scopeId }, job)).toBe(expected);
});

test('an organization without an enterprise is served by none', () => {
  expect(servesRepository({ level: 'enterprise', scopeId: '9' }, { ...job, enterpriseId: null })).toBe(false);
});
