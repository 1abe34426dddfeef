import { expect, test } from 'vitest';
import { missingScopes, neededScopes, roleOf, tokenUrl } from './choice.ts';

const member = (access_level: number, membership_state?: string) => ({ access_level, membership_state });

test.each([
  [null, 'none'],
  [member(5), 'none'],
  [member(10), 'member'],
  [member(40), 'member'],
  [member(50), 'admin'],
  [member(50, 'active'), 'admin'],
  // Invited to a group that is full, and nothing yet.
  [member(50, 'awaiting'), 'none'],
])('%j where an Owner is wanted is %s', (given, role) => {
  expect(roleOf(given, 50, false)).toBe(role);
  expect(roleOf(given, 50, true)).toBe('admin');
});

test('api is every scope that is needed', () => {
  expect(missingScopes(['api'], neededScopes('group'))).toEqual([]);
  expect(missingScopes(['read_user'], neededScopes('project'))).toEqual(neededScopes('project'));
});

test('a path is written into an address as a path', () => {
  expect(tokenUrl('https://gitlab.com', 'project', 'a b/c?d')).toBe(
    'https://gitlab.com/a%20b/c%3Fd/-/settings/access_tokens',
  );
});
