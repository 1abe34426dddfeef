import { expect, test } from 'vitest';
import {
  defaultPools,
  definitionOf,
  imageReference,
  isReady,
  type Pool,
  PoolChoice,
  runnersProblems,
  standingAt,
  unreadyReason,
} from './pool.ts';
import { noAmounts, promisedBy } from './quota.ts';

const nix = defaultPools.find((pool) => pool.name === 'nix') as Pool;

test('a pool is ready with resources and a class that is built', () => {
  expect(unreadyReason(nix)).toBeNull();
  expect(defaultPools.filter(isReady).map((pool) => pool.name)).toEqual(['docker', 'nix', 'nix-heavy']);
});

test.each([
  ['no CPU', { ...nix, cpu: null }, 'has no resources yet'],
  ['no memory', { ...nix, memory: null }, 'has no resources yet'],
  ['the class of builds without its daemon', { ...nix, securityClass: 'builds' as const }, 'no image of a rootless'],
  ['no device where it is nothing without', { ...nix, needsDevice: true }, 'has no device yet'],
  [
    'the class of privileged builds without a machine',
    { ...nix, securityClass: 'dind' as const, daemonImage: `docker:dind@sha256:${'d'.repeat(64)}` },
    'is of the class dind, and names no runtime class',
  ],
])('%s: not ready, with the reason in words, and no runner of it is counted', (_, pool, reason) => {
  expect(unreadyReason(pool)).toContain(reason);
  expect(isReady(pool)).toBe(false);
  expect(promisedBy([{ pool: 'nix', minRunners: 0, maxRunners: 3 }], new Map([['nix', pool]]))).toEqual(noAmounts);
});

const choice = (minRunners: number, maxRunners: number) => ({ pool: 'nix', minRunners, maxRunners });

const schedule = {
  timeZone: 'UTC',
  windows: [{ days: ['mon' as const], from: '08:00', to: '18:00', runners: 3 }],
  holidays: [],
};

test.each([
  ['github', choice(3, 1000), []],
  ['gitlab', choice(0, 1000), []],
  ['gitlab', choice(1, 2), [['minRunners', 'must be 0 at GitLab']]],
  ['forgejo', choice(0, 50), []],
  ['forgejo', choice(1, 2), [['minRunners', 'must be 0 at Forgejo']]],
  ['forgejo', choice(0, 51), [['maxRunners', 'is at most 50 at Forgejo']]],
  ['github', { ...choice(1, 4), schedule }, []],
  ['gitlab', { ...choice(2, 4), schedule }, []],
  ['gitlab', { ...choice(0, 3), schedule }, [['schedule', 'can hold 2 at most at GitLab']]],
  ['forgejo', { ...choice(1, 4), schedule }, []],
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

test('a choice’s schedule keeps no more warm than there may be', () => {
  const asked = { pool: 'nix', minRunners: 0, schedule };
  expect(PoolChoice.safeParse({ ...asked, maxRunners: 3 }).success).toBe(true);
  expect(PoolChoice.safeParse({ ...asked, maxRunners: 2 }).error?.issues.map(({ path }) => path)).toEqual([
    ['schedule'],
  ]);
});

test.each([
  ['github', '2026-07-06T09:00:00Z', schedule, 3],
  ['github', '2026-07-06T19:00:00Z', schedule, 1],
  ['github', '2026-07-06T09:00:00Z', undefined, 1],
  ['gitlab', '2026-07-06T09:00:00Z', schedule, 3],
  ['gitlab', '2026-07-06T19:00:00Z', schedule, 1],
  ['forgejo', '2026-07-06T09:00:00Z', schedule, 3],
  ['forgejo', '2026-07-06T19:00:00Z', schedule, 1],
  // They wait for jobs themselves.
  ['forgejo', '2026-07-06T19:00:00Z', undefined, 4],
] as const)('%s at %s: %j lets %i stand', (kind, at, when, runners) => {
  const asked = { pool: 'nix', minRunners: 1, maxRunners: 4, ...(when ? { schedule: when } : {}) };
  expect(standingAt(kind, asked, Date.parse(at))).toBe(runners);
  // Of GitLab's, the last is a job's.
  expect(standingAt(kind, { ...asked, maxRunners: 1 }, Date.parse(at))).toBe(kind === 'gitlab' ? 0 : 1);
});

test('a pool’s definition is what its pods follow from, and its words, price and limits are not', () => {
  const words = { ...nix, description: 'other', requiresApproval: true, runnersMost: 3, imageBuiltAt: new Date(0) };
  expect(definitionOf(words)).toEqual(definitionOf(nix));
  expect(definitionOf({ ...nix, devices: { 'nvidia.com/gpu': 1 } })).not.toEqual(definitionOf(nix));
  expect(imageReference({ image: 'runner:1', imageDigest: 'sha256:00' })).toBe('runner:1@sha256:00');
  expect(imageReference(nix)).toBe(nix.image);
});
