import { expect, test } from 'vitest';
import { servesRepository } from './serves.ts';

const job = { repositoryId: '5', repository: 'acme/lab/site', ownerId: '7', enterpriseId: '9' };

test.each([
  ['repository', '5', true],
  ['repository', '7', false],
  ['organization', '7', true],
  ['organization', '5', false],
  ['account', '7', true],
  ['enterprise', '9', true],
  ['enterprise', '7', false],
  ['instance', 'instance', true],
  ['project', '5', true],
  ['project', '7', false],
] as const)('runners of %s %s: %s', (level, scopeId, expected) => {
  expect(servesRepository({ level, scopeId, path: '' }, job)).toBe(expected);
});

test('an organization without an enterprise is served by none', () => {
  expect(servesRepository({ level: 'enterprise', scopeId: '9', path: 'big' }, { ...job, enterpriseId: null })).toBe(
    false,
  );
});

test.each([
  ['acme', true],
  ['ACME/lab', true],
  ['acme/lab/site', false],
  ['acm', false],
  ['acme/la', false],
  ['other', false],
])('a group serves what is below it, by path: %s %s', (path, expected) => {
  expect(servesRepository({ level: 'group', scopeId: '1', path }, { ...job, ownerId: null })).toBe(expected);
});
