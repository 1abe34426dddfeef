import { expect, test } from 'vitest';
import { defaultPools, isReady, type Pool, quotaUse, unreadyReason } from './pool.ts';

const nix = defaultPools.find((pool) => pool.name === 'nix') as Pool;

test('a pool is ready with resources and a class that is built', () => {
  expect(unreadyReason(nix)).toBeNull();
  expect(defaultPools.filter(isReady).map((pool) => pool.name)).toEqual(['docker', 'nix', 'nix-heavy']);
});

test.each([
  ['no CPU', { ...nix, cpu: null }, 'has no resources yet'],
  ['no memory', { ...nix, memory: null }, 'has no resources yet'],
  // Rendered as restricted, its jobs would fail without a word.
  ['the class of builds', { ...nix, securityClass: 'builds' as const }, 'is of the class builds'],
  ['the class of privileged builds', { ...nix, securityClass: 'dind' as const }, 'is of the class dind'],
])('%s: not ready, with the reason in words, and no runner of it is counted', (_, pool, reason) => {
  expect(unreadyReason(pool)).toContain(reason);
  expect(isReady(pool)).toBe(false);
  expect(quotaUse([{ pool: 'nix', minRunners: 0, maxRunners: 3 }], new Map([['nix', pool]])).runners).toBe(0);
});
