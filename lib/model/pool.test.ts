import { expect, test } from 'vitest';
import { defaultPools, isReady, type Pool, quotaUse, runnersProblems, storageMost, unreadyReason } from './pool.ts';

const nix = defaultPools.find((pool) => pool.name === 'nix') as Pool;

test('a pool is ready with resources and a class that is built', () => {
  expect(unreadyReason(nix)).toBeNull();
  expect(defaultPools.filter(isReady).map((pool) => pool.name)).toEqual(['docker', 'nix', 'nix-heavy']);
});

test('the largest pool says what a runner may write at most', () => {
  const pools = ['2Gi', '100Gi', '20Gi'].map((storage) => ({ ...nix, storage }));
  expect(storageMost(pools)).toBe('100Gi');
  expect(storageMost(defaultPools)).toBe('20Gi');
  expect(storageMost([])).toBe('0');
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

const choice = (minRunners: number, maxRunners: number) => ({ pool: 'nix', minRunners, maxRunners });

test.each([
  ['github', choice(3, 1000), []],
  ['gitlab', choice(0, 1000), []],
  ['gitlab', choice(1, 2), [['minRunners', 'must be 0 at GitLab']]],
  ['forgejo', choice(0, 50), []],
  ['forgejo', choice(1, 2), [['minRunners', 'must be 0 at Forgejo']]],
  ['forgejo', choice(0, 51), [['maxRunners', 'is at most 50 at Forgejo']]],
  [
    'forgejo',
    choice(1, 51),
    [
      ['minRunners', 'must be 0 at Forgejo'],
      ['maxRunners', 'is at most 50 at Forgejo'],
    ],
  ],
] as const)('%s, %j: what its runners cannot be asked for is said', (kind, asked, expected) => {
  const problems = runnersProblems(kind, [{ pool: 'docker', minRunners: 0, maxRunners: 1 }, asked]);
  expect(problems.map(({ pool, field, message }) => [pool, field, message.split(':')[0]])).toEqual(
    expected.map(([field, message]) => ['nix', field, message]),
  );
});
