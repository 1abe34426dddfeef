import fc from 'fast-check';
import { expect, test } from 'vitest';
import { amountsOf, defaultPools, quotaParts, sumOf, type Pool } from '#lib/model/index.ts';
import { divided, type Held } from './apart.ts';

const nix = defaultPools.find(({ name }) => name === 'nix') as Pool;
const images: Pool = {
  ...nix,
  name: 'images',
  securityClass: 'builds',
  daemonImage: `moby/buildkit:rootless@sha256:${'b'.repeat(64)}`,
};
const given = { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' };

test('a tenant without a daemon has all of it in one namespace', () => {
  expect(divided(given, [{ pool: nix, runners: 4 }])).toEqual({ quota: given, builds: null });
});

test('pools with a daemon have what they take at their maximum, and the others the rest', () => {
  const held = [
    { pool: images, runners: 2 },
    { pool: nix, runners: 1 },
  ];
  expect(divided(given, held)).toMatchObject({
    quota: { cpu: '8', memory: '16Gi', runners: 6, storage: '210Gi' },
    builds: { quota: { cpu: '8', memory: '16Gi', runners: 2, storage: '40Gi' } },
  });
});

test('what is on its way out has its part until it has gone', () => {
  const going = [{ pool: images, runners: 2 }];
  expect(divided(given, [], going)).toMatchObject({ quota: { cpu: '8', runners: 6 }, builds: null });
  expect(divided(given, [{ pool: images, runners: 1 }], going)).toMatchObject({
    quota: { cpu: '4', runners: 5 },
    builds: { quota: { cpu: '4', runners: 1 } },
  });
  expect(divided(given, [], [{ pool: nix, runners: 2 }])).toMatchObject({ quota: given });
});

/** A namespace that is given nothing still has the least that the API server takes, and no runner. */
const least = amountsOf({ cpu: '1m', memory: '1Mi', runners: 0, storage: '1Mi' });

test('both together are never more than was given, however much was promised', () => {
  const held = fc.array(
    fc.record({ pool: fc.constantFrom(nix, images), runners: fc.integer({ min: 0, max: 40 }) }) as fc.Arbitrary<Held>,
  );
  fc.assert(
    fc.property(held, held, (now, going) => {
      const { quota, builds } = divided(given, now, going);
      const together = sumOf([amountsOf(quota), ...(builds ? [amountsOf(builds.quota)] : [])]);
      const most = sumOf([amountsOf(given), least]);
      for (const part of quotaParts) expect(together[part] <= most[part]).toBe(true);
      expect(together.runners <= amountsOf(given).runners).toBe(true);
    }),
  );
});
