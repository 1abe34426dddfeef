import { describe, expect, test } from 'vitest';
import { planNeedsOperator } from './approval.ts';
import { workflowSnippet } from './label.ts';
import { classLacks, defaultPools, isReady, sharesNodes, type Pool } from './pool.ts';
import { securityClasses, securityClassWords, type SecurityClass } from './security-class.ts';
import { runnersNamespaceOf, runnersNamespacesOf } from './tenant.ts';

const nix = defaultPools.find(({ name }) => name === 'nix') as Pool;
const digest = (of: string) => `${of}@sha256:${'a'.repeat(64)}`;
const builds: Pool = { ...nix, name: 'images', securityClass: 'builds', daemonImage: digest('moby/buildkit:rootless') };
const taint = { key: 'flywheel.dev/class', value: 'dind', effect: 'NoSchedule' as const };
const dind: Pool = {
  ...nix,
  name: 'machines',
  securityClass: 'dind',
  daemonImage: digest('docker:dind'),
  placement: {
    runtimeClass: 'kata',
    kernel: 'machine',
    nodeSelector: { 'flywheel.dev/class': 'dind' },
    tolerations: [taint],
  },
};
const placed = (placement: Partial<NonNullable<Pool['placement']>>): Pool => ({
  ...dind,
  placement: { ...dind.placement, ...placement },
});

describe('what a class needs', () => {
  test.each<[string, Pool, string[]]>([
    ['restricted', nix, []],
    ['builds with its daemon', builds, []],
    ['builds in a machine', { ...builds, placement: { runtimeClass: 'kata', kernel: 'machine' } }, []],
    ['builds in a sandbox', { ...builds, placement: { runtimeClass: 'gvisor', kernel: 'sandbox' } }, ['kernel']],
    ['builds without', { ...builds, daemonImage: null }, ['daemonImage']],
    ['dind as it must be', dind, []],
    ['dind without its daemon', { ...dind, daemonImage: null }, ['daemonImage']],
    ['dind without a runtime', placed({ runtimeClass: undefined, kernel: undefined }), ['runtimeClass', 'kernel']],
    ['dind in a runtime that makes no machine', placed({ kernel: undefined }), ['kernel']],
    ['dind in a sandbox', placed({ kernel: 'sandbox' }), ['kernel']],
    ['dind on any node', placed({ nodeSelector: {} }), ['nodeSelector']],
    ['dind on nodes that take anybody', placed({ tolerations: [] }), ['tolerations']],
    [
      'dind that says nothing',
      { ...dind, placement: undefined },
      ['runtimeClass', 'kernel', 'nodeSelector', 'tolerations'],
    ],
  ])('%s', (_, pool, fields) => {
    expect(classLacks(pool).map(({ field }) => field)).toEqual(fields);
    expect(isReady(pool)).toBe(fields.length === 0);
  });

  test('each class has words for what it gives and what it costs', () => {
    for (const each of securityClasses) {
      const { title, gives, costs } = securityClassWords[each];
      for (const words of [gives, costs]) expect(words).toMatch(/^[A-Z].*\.$/s);
      expect(title).not.toBe('');
    }
  });
});

describe('nodes of its own: a pool of another class that bears all taints of a privileged daemon’s nodes', () => {
  const bearing = (tolerations: NonNullable<Pool['placement']>['tolerations']): Pool => ({
    ...nix,
    placement: { tolerations },
  });
  test.each<[string, Pool, boolean]>([
    ['no taint', nix, false],
    ['another', bearing([{ key: 'gpu' }]), false],
    ['the same', bearing([taint]), true],
    ['the same key, whatever its value', bearing([{ key: taint.key }]), true],
    ['the same key with another value', bearing([{ ...taint, value: 'gpu' }]), false],
    ['the same beside another', bearing([{ key: 'gpu' }, taint]), true],
    ['another effect of it', bearing([{ ...taint, effect: 'NoExecute' }]), false],
  ])('%s', (_, other, isShared) => {
    const names = isShared ? ['nix'] : [];
    expect(sharesNodes(dind, [other, dind]).map(({ name }) => name)).toEqual(names);
    expect(sharesNodes(other, [other, dind]).map(({ name }) => name)).toEqual(isShared ? ['machines'] : []);
  });

  test('pools of one class may share their nodes', () =>
    expect(sharesNodes(dind, [{ ...dind, name: 'others' }])).toEqual([]));
});

describe('who allows it', () => {
  const none = new Set<SecurityClass>();
  test('the first pool of a class is an operator’s to allow, whatever the tenant', () => {
    for (const pool of [builds, dind]) {
      const [reason = ''] = planNeedsOperator('organization', [nix, pool], none);
      expect(reason).toContain(`the tenant’s first of the class ${pool.securityClass}`);
    }
    expect(planNeedsOperator('organization', [nix], none)).toEqual([]);
  });

  test('then it is the tenant’s own, and of another class it is not', () => {
    expect(planNeedsOperator('organization', [builds], new Set(['restricted', 'builds']))).toEqual([]);
    expect(planNeedsOperator('organization', [builds, dind], new Set(['builds'])).length).toBe(1);
    expect(planNeedsOperator('organization', [builds], new Set(['dind'])).length).toBe(1);
  });

  test('one that is scarce besides is asked for each time', () => {
    const scarce = { ...builds, requiresApproval: true };
    expect(planNeedsOperator('organization', [scarce], new Set(['builds']))).toEqual([
      'The pool images is scarce, so an operator gives it.',
    ]);
    expect(planNeedsOperator('organization', [scarce], none).length).toBe(1);
  });
});

test('what has a daemon runs apart from what has none', () => {
  expect(securityClasses.map((each) => runnersNamespaceOf('acme', each))).toEqual([
    'runners-acme',
    'dind-acme',
    'dind-acme',
  ]);
  expect(runnersNamespacesOf('acme')).toEqual(['runners-acme', 'dind-acme']);
});

test.each(['github', 'gitlab', 'forgejo'] as const)('%s: a job of such a pool builds an image', (kind) => {
  expect(workflowSnippet(kind, 'acme-images', 'builds')).toContain('--driver remote "$BUILDKIT_HOST"');
  expect(workflowSnippet(kind, 'acme-machines', 'dind')).toContain('docker build .');
  expect(workflowSnippet(kind, 'acme-nix')).not.toContain('docker build');
});
