import { expect, test } from 'vitest';
import { actingRoles, may, operatorPermissions, tenantPermissions } from './permission.ts';

test('an admin may everything within a tenant and nothing of the operators', () => {
  for (const permission of tenantPermissions) expect(may('admin', permission)).toBe(true);
  for (const permission of operatorPermissions) expect(may('admin', permission)).toBe(false);
});

test('a member sees work and not money, and changes nothing', () => {
  expect(tenantPermissions.filter((permission) => may('member', permission))).toEqual([
    'tenant:see',
    'enrollment:see',
    'pool:see',
    'job:see',
    'cache:see',
    'usage:see',
    'member:see',
    'quota:see',
  ]);
});

test('billing sees money and no work', () => {
  expect(tenantPermissions.filter((permission) => may('billing', permission))).toEqual([
    'tenant:see',
    'usage:see',
    'billing:see',
    'quota:see',
  ]);
});

test('only admins and operators hold a permission that changes something', () => {
  const changing = tenantPermissions.filter((permission) => !permission.endsWith(':see'));
  const holders = actingRoles.filter((role) => changing.some((permission) => may(role, permission)));
  expect(holders).toEqual(['admin', 'operator']);
});
