import { expect, test } from 'vitest';
import { derivedRoles } from './membership.ts';

const scopes = [
  { tenantId: 'org-tenant', ownerId: '10' },
  { tenantId: 'repo-tenant', ownerId: '20' },
  { tenantId: 'two-scopes', ownerId: '10' },
  { tenantId: 'two-scopes', ownerId: '30' },
  { tenantId: 'unknown-owner', ownerId: null },
];

test('an enrolled scope gives the role that the person has on it or on its owner', () => {
  const roles = derivedRoles(scopes, [
    { ownerId: '10', login: 'acme', role: 'member' },
    { ownerId: '20', login: 'jess', role: 'admin' },
  ]);
  expect(Object.fromEntries(roles)).toEqual({ 'org-tenant': 'member', 'repo-tenant': 'admin', 'two-scopes': 'member' });
});

test('admin on one scope is admin of the tenant, in whatever order', () => {
  const standings = [
    { ownerId: '30', login: 'b', role: 'admin' as const },
    { ownerId: '10', login: 'a', role: 'member' as const },
  ];
  expect(derivedRoles(scopes, standings).get('two-scopes')).toBe('admin');
  expect(derivedRoles(scopes.toReversed(), standings).get('two-scopes')).toBe('admin');
});

test('A12: a login says nothing; only the forge’s id does', () => {
  const taken = [{ ownerId: '77', login: 'acme', role: 'admin' as const }];
  expect(derivedRoles(scopes, taken).size).toBe(0);
});
