import { expect, test } from 'vitest';
import { derivedRoles, effectiveRole, type FollowedScope, type ForgeStanding, narrows } from './standings.ts';

const account = (tenantId: string, ownerId: string | null): FollowedScope => ({ tenantId, of: 'account', ownerId });
const scopes = [
  account('org-tenant', '10'),
  account('repo-tenant', '20'),
  account('two-scopes', '10'),
  account('two-scopes', '30'),
  account('unknown-owner', null),
];

test('an enrolled scope gives the role that the person has on it or on its owner', () => {
  const roles = derivedRoles(scopes, [
    { of: 'account', ownerId: '10', login: 'acme', role: 'member' },
    { of: 'account', ownerId: '20', login: 'jess', role: 'admin' },
  ]);
  expect(Object.fromEntries(roles)).toEqual({ 'org-tenant': 'member', 'repo-tenant': 'admin', 'two-scopes': 'member' });
});

test('admin on one scope is admin of the tenant, in whatever order', () => {
  const standings: ForgeStanding[] = [
    { of: 'account', ownerId: '30', login: 'b', role: 'admin' },
    { of: 'account', ownerId: '10', login: 'a', role: 'member' },
  ];
  expect(derivedRoles(scopes, standings).get('two-scopes')).toBe('admin');
  expect(derivedRoles(scopes.toReversed(), standings).get('two-scopes')).toBe('admin');
});

test('A12: a login says nothing; only the forge’s id does', () => {
  const taken: ForgeStanding[] = [{ of: 'account', ownerId: '77', login: 'acme', role: 'admin' }];
  expect(derivedRoles(scopes, taken).size).toBe(0);
});

test('a tenant that follows a team has the team’s people, and of the account around it its admins alone', () => {
  const bound: FollowedScope[] = [
    { tenantId: 'team', of: 'team', ownerId: '10/7' },
    { tenantId: 'team', of: 'account', ownerId: '10', adminsOnly: true },
  ];
  const roleBy = (...standings: ForgeStanding[]) => derivedRoles(bound, standings).get('team') ?? null;
  const org = (role: 'admin' | 'member'): ForgeStanding => ({ of: 'account', ownerId: '10', login: 'acme', role });
  const team = (role: 'admin' | 'member'): ForgeStanding => ({ of: 'team', ownerId: '10/7', login: 'x', role });
  expect(roleBy(org('member'))).toBeNull();
  expect(roleBy(org('admin'))).toBe('admin');
  expect(roleBy(org('member'), team('member'))).toBe('member');
  expect(roleBy(org('member'), team('admin'))).toBe('admin');
  // Numbers of teams and of accounts have nothing to do with each other.
  expect(roleBy({ of: 'account', ownerId: '10/7', login: 'x', role: 'admin' })).toBeNull();
});

test('what an admin set counts in the place of what the forge says, and for nobody who is not there', () => {
  expect(effectiveRole('admin', null)).toBe('admin');
  expect(effectiveRole('admin', 'billing')).toBe('billing');
  expect(effectiveRole('member', 'admin')).toBe('admin');
  expect(effectiveRole('admin', 'none')).toBeNull();
  expect(effectiveRole(null, 'admin')).toBeNull();
  expect([narrows('none', 'member'), narrows('member', 'admin'), narrows('billing', 'admin')]).toEqual([
    true,
    true,
    true,
  ]);
  expect([narrows('admin', 'member'), narrows('billing', 'member'), narrows(null, 'admin')]).toEqual([
    false,
    false,
    false,
  ]);
});
