import fc from 'fast-check';
import { expect, test } from 'vitest';
import { defaultPools, isReady } from './pool.ts';
import { amountsOf, isWithin, promisedBy, runnerAmounts, type Quota } from './quota.ts';
import { dominant, fairGrants, type Sharer } from './sharing.ts';

const catalog = new Map(defaultPools.map((pool) => [pool.name, pool]));
const pools = () => catalog;
const names = defaultPools.filter(isReady).map(({ name }) => name);
const quota: Quota = { cpu: '16', memory: '32Gi', runners: 8, storage: '1Ti' };

function sharer(id: string, choices: Record<string, number>, of = id): Sharer {
  return { id, of, choices: Object.entries(choices).map(([pool, maxRunners]) => ({ pool, maxRunners })) };
}

function granted(sharers: Sharer[], there: Quota = quota): Record<string, Record<string, number>> {
  const grants = fairGrants(amountsOf(there), sharers, pools);
  return Object.fromEntries([...grants].map(([id, each]) => [id, Object.fromEntries(each)]));
}

test('what fits is given as asked', () =>
  expect(granted([sharer('a', { docker: 3 }), sharer('b', { nix: 2 })])).toEqual({ a: { docker: 3 }, b: { nix: 2 } }));

test('two that want all get half each', () =>
  expect(granted([sharer('a', { docker: 8 }), sharer('b', { docker: 8 })])).toEqual({
    a: { docker: 4 },
    b: { docker: 4 },
  }));

test('who wants little gets it, and the rest is the others’', () =>
  expect(granted([sharer('a', { docker: 1 }), sharer('b', { docker: 8 }), sharer('c', { docker: 8 })])).toEqual({
    a: { docker: 1 },
    b: { docker: 4 },
    c: { docker: 3 },
  }));

test('several enrollments of one account have one share', () =>
  expect(
    granted([sharer('a1', { docker: 8 }, 'a'), sharer('a2', { docker: 8 }, 'a'), sharer('b', { docker: 8 })]),
  ).toEqual({ a1: { docker: 2 }, a2: { docker: 2 }, b: { docker: 4 } }));

test('a pool without resources gets none', () => expect(granted([sharer('a', { gpu: 3 })])).toEqual({ a: {} }));

const sharers = fc
  .array(fc.dictionary(fc.constantFrom(...names), fc.integer({ min: 0, max: 12 }), { minKeys: 1 }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((all) => all.map((choices, index) => sharer(`s${index}`, choices)));
const quotas = fc.record({
  cpu: fc.integer({ min: 1, max: 64 }).map(String),
  memory: fc.integer({ min: 1, max: 128 }).map((gib) => `${gib}Gi`),
  runners: fc.integer({ min: 0, max: 30 }),
  storage: fc.integer({ min: 1, max: 900 }).map((gib) => `${gib}Gi`),
});

type Grants = ReturnType<typeof granted>;

/**
 * Who still wants a runner of the smallest pool, which fits wherever another does, beside somebody who holds more: the last
 * runner of the other, whichever that was, was given when they held no more than the one who still wants.
 */
function envied(all: readonly Sharer[], grants: Grants, amounts: ReturnType<typeof amountsOf>): string[] {
  const shareOf = (id: string, less?: string) => {
    const own = Object.entries(grants[id] ?? {});
    const held = own.map(([pool, maxRunners]) => ({ pool, maxRunners: maxRunners - (pool === less ? 1 : 0) }));
    return dominant(promisedBy(held, catalog), amounts);
  };
  const docker = catalog.get('docker');
  if (!docker || !isReady(docker) || !isWithin(runnerAmounts(docker), amounts)) return [];
  const wanting = all.filter(({ id, choices }) =>
    choices.some(({ pool, maxRunners }) => pool === 'docker' && (grants[id]?.[pool] ?? 0) < maxRunners),
  );
  return wanting.flatMap(({ id }) =>
    all.flatMap((other) => {
      const pools = Object.entries(grants[other.id] ?? {}).filter(([, count]) => count > 0);
      const isFair = pools.length === 0 || pools.some(([pool]) => shareOf(other.id, pool) <= shareOf(id) + 1n);
      return isFair ? [] : [`${id} of ${other.id}`];
    }),
  );
}

test('never more than there is or was asked for; all of it where all fits; the order of asking is nothing; nobody is envied beyond one runner', () =>
  fc.assert(
    fc.property(quotas, sharers, (there, all) => {
      const amounts = amountsOf(there);
      const grants = granted(all, there);
      const has = (id: string, pool: string) => grants[id]?.[pool] ?? 0;
      const pairs = all.flatMap(({ id, choices }) => choices.map((choice) => ({ id, ...choice })));
      const held = pairs.map(({ id, pool }) => ({ pool, maxRunners: has(id, pool) }));
      expect(isWithin(promisedBy(held, catalog), amounts)).toBe(true);
      expect(pairs.filter(({ id, pool, maxRunners }) => has(id, pool) > maxRunners)).toEqual([]);
      const fits = isWithin(promisedBy(pairs, catalog), amounts);
      expect(fits && pairs.some(({ id, pool, maxRunners }) => has(id, pool) < maxRunners)).toBe(false);
      expect(granted(all.toReversed(), there)).toEqual(grants);
      expect(envied(all, grants, amounts)).toEqual([]);
    }),
    { numRuns: 200 },
  ));
