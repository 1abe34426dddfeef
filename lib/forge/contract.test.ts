import { globSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AppError } from '../errors.ts';
import { type ForgeKind, forgeKinds } from '../model/index.ts';
import { type Forge, forgeOf, webhookOf } from './index.ts';
import { installedKinds } from './registry.ts';

/** The contract itself is contract-suite.ts, which contract-<kind>.test.ts holds each forge to. */

const connection = {
  id: 'x',
  baseUrl: 'https://forge.example.org',
  clientId: '',
  clientSecret: '',
  allowLoopback: false,
};

test('every forge of the model is installed, and held to the contract', () => {
  expect(installedKinds.toSorted()).toEqual([...forgeKinds].toSorted());
  const held = globSync('contract-*.test.ts', { cwd: import.meta.dirname });
  expect(held.toSorted()).toEqual(installedKinds.map((kind) => `contract-${kind}.test.ts`).toSorted());
});

test('a forge of a kind that is not installed is refused in words', () => {
  const kind = 'sourcehut' as ForgeKind;
  expect(() => forgeOf({ ...connection, kind })).toThrow(AppError);
  expect(() => webhookOf(kind)).toThrow(expect.objectContaining({ code: 'invalid', screen: expect.anything() }));
});

test('equal connections share a forge, and with it its tokens; others do not', () => {
  const made = (change: object = {}): Forge => forgeOf({ ...connection, kind: 'gitlab', ...change });
  expect(made()).toBe(made());
  expect(made({ clientSecret: 'replaced' })).not.toBe(made());
});
