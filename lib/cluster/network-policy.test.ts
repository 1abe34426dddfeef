import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isAllowed,
  networkOf,
  selects,
  type End,
  type Flow,
  type NetworkPolicy,
  type PodEnd,
  type PolicyPeer,
  type PolicyPort,
  type Selector,
} from './network-policy.ts';

const a: PodEnd = { namespace: 'a', labels: { app: 'web', tier: 'front' }, ip: '10.0.0.5' };
const b: PodEnd = {
  namespace: 'b',
  labels: { app: 'db' },
  ip: '10.0.1.5',
  ports: { sql: { port: 5432 }, syslog: { port: 514, protocol: 'UDP' } },
};
const internet: End = { ip: '140.82.121.3' };
const namespaces = new Map([
  ['a', { team: 'one' }],
  ['b', { team: 'two' }],
]);

function asked(policies: NetworkPolicy[], flow: Partial<Flow> = {}): boolean {
  return isAllowed({ policies, namespaces }, { from: a, to: b, port: 5432, ...flow });
}

/** The policy that lets `a` out by this rule alone. */
function outOfA(to: PolicyPeer[] | undefined, ports?: PolicyPort[]): NetworkPolicy[] {
  return [
    {
      namespace: 'a',
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [{ ...(to ? { to } : {}), ...(ports ? { ports } : {}) }],
    },
  ];
}

describe('whom a policy binds', () => {
  const denyA: NetworkPolicy = { namespace: 'a', podSelector: {}, policyTypes: ['Egress'] };

  test.each<[string, NetworkPolicy[], boolean]>([
    ['no policy: everything is allowed', [], true],
    ['a policy without a rule denies', [denyA], false],
    ['one of another namespace binds nobody here', [{ ...denyA, namespace: 'c' }], true],
    ['one that selects another pod neither', [{ ...denyA, podSelector: { matchLabels: { app: 'db' } } }], true],
    ['of the other direction neither', [{ ...denyA, policyTypes: ['Ingress'] }], true],
    ['the destination’s binds as well', [{ namespace: 'b', podSelector: {}, policyTypes: ['Ingress'] }], false],
    ['what the destination may send does not', [{ namespace: 'b', podSelector: {}, policyTypes: ['Egress'] }], true],
    ['without types it is one of Ingress', [{ namespace: 'b', podSelector: {} }], false],
    ['and not of Egress', [{ namespace: 'a', podSelector: {} }], true],
    ['unless it has rules for that', [{ namespace: 'a', podSelector: {}, egress: [] }], false],
    ['an empty rule allows all', [{ ...denyA, egress: [{}] }], true],
    ['empty lists do too', [{ ...denyA, egress: [{ to: [], ports: [] }] }], true],
    ['two policies allow what either does', [denyA, { ...denyA, egress: [{}] }], true],
    [
      'both ends must allow',
      [
        { ...denyA, egress: [{}] },
        { namespace: 'b', podSelector: {}, policyTypes: ['Ingress'] },
      ],
      false,
    ],
  ])('%s', (_, policies, expected) => expect(asked(policies)).toBe(expected));

  test('what is no pod is bound by nothing of its own', () => {
    const denied: NetworkPolicy[] = [{ namespace: 'b', podSelector: {}, policyTypes: ['Ingress', 'Egress'] }];
    expect(asked(denied, { from: internet, to: a })).toBe(true);
    expect(asked(denied, { from: internet, to: b })).toBe(false);
  });
});

describe('peers', () => {
  test.each<[string, PolicyPeer[], boolean]>([
    ['a namespace by its label', [{ namespaceSelector: { matchLabels: { team: 'two' } } }], true],
    ['another namespace', [{ namespaceSelector: { matchLabels: { team: 'one' } } }], false],
    [
      'a namespace by the name that the API server gives it',
      [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'b' } } }],
      true,
    ],
    ['every namespace', [{ namespaceSelector: {} }], true],
    ['a pod alone is one of the policy’s own namespace', [{ podSelector: { matchLabels: { app: 'db' } } }], false],
    [
      'a pod within a namespace',
      [{ namespaceSelector: { matchLabels: { team: 'two' } }, podSelector: { matchLabels: { app: 'db' } } }],
      true,
    ],
    [
      'both must match',
      [{ namespaceSelector: { matchLabels: { team: 'two' } }, podSelector: { matchLabels: { app: 'web' } } }],
      false,
    ],
    [
      'two peers are either',
      [
        { namespaceSelector: { matchLabels: { team: 'one' } } },
        { namespaceSelector: { matchLabels: { team: 'two' } } },
      ],
      true,
    ],
    ['a block that holds its address', [{ ipBlock: { cidr: '10.0.0.0/8' } }], true],
    ['a block with a hole there', [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.1.0/24'] } }], false],
    ['a block with a hole elsewhere', [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.2.0/24'] } }], true],
    ['a block elsewhere', [{ ipBlock: { cidr: '192.168.0.0/16' } }], false],
    ['all of IPv6', [{ ipBlock: { cidr: '::/0' } }], false],
  ])('%s: %s', (_, to, expected) => expect(asked(outOfA(to))).toBe(expected));

  test('a peer of the same namespace', () => {
    const neighbour: PodEnd = { namespace: 'a', labels: { app: 'web' } };
    const to = outOfA([{ podSelector: { matchLabels: { app: 'web' } } }]);
    expect([asked(to, { to: neighbour }), asked(to, { to: { ...neighbour, namespace: 'b' } })]).toEqual([true, false]);
  });

  test('sources are peers in the same way', () => {
    const from = (peer: PolicyPeer): NetworkPolicy[] => [
      { namespace: 'b', podSelector: {}, policyTypes: ['Ingress'], ingress: [{ from: [peer] }] },
    ];
    expect(asked(from({ namespaceSelector: { matchLabels: { team: 'one' } } }))).toBe(true);
    expect(asked(from({ namespaceSelector: { matchLabels: { team: 'two' } } }))).toBe(false);
    expect(asked(from({ ipBlock: { cidr: '10.0.0.0/24' } }))).toBe(true);
    expect(asked(from({ ipBlock: { cidr: '10.0.1.0/24' } }))).toBe(false);
  });

  test.each<[string, string, string[], boolean]>([
    ['140.82.121.3', '0.0.0.0/0', ['10.0.0.0/8'], true],
    ['10.1.2.3', '0.0.0.0/0', ['10.0.0.0/8'], false],
    ['2606:50c0::64', '2000::/3', ['2002::/16'], true],
    ['2002:a9fe:a9fe::', '2000::/3', ['2002::/16'], false],
    ['::ffff:140.82.121.3', '0.0.0.0/0', [], true],
    ['::ffff:10.1.2.3', '0.0.0.0/0', ['10.0.0.0/8'], false],
    ['::ffff:10.1.2.3', '::/0', [], true],
    ['140.82.121.3', '::/0', [], false],
  ])('%s in %s without %j: %s', (ip, cidr, except, expected) =>
    expect(asked(outOfA([{ ipBlock: { cidr, except } }]), { to: { ip } })).toBe(expected),
  );

  test('what cannot be read is an error, not a denial', () => {
    expect(() => asked(outOfA([{ ipBlock: { cidr: '10.0.0.1/8' } }]))).toThrow(RangeError);
    expect(() => asked(outOfA([{ ipBlock: { cidr: '0.0.0.0/0', except: ['x'] } }]))).toThrow(RangeError);
    expect(() => asked(outOfA([{ ipBlock: { cidr: '0.0.0.0/0' } }]), { to: { ip: 'x' } })).toThrow(RangeError);
  });
});

describe('ports', () => {
  test.each<[string, PolicyPort, Partial<Flow>, boolean]>([
    ['the number', { port: 5432 }, {}, true],
    ['another', { port: 5433 }, {}, false],
    ['TCP is meant where none is said', { port: 5432 }, { protocol: 'UDP' }, false],
    ['UDP', { protocol: 'UDP', port: 53 }, { protocol: 'UDP', port: 53 }, true],
    ['not by TCP', { protocol: 'UDP', port: 53 }, { port: 53 }, false],
    ['all of a protocol', { protocol: 'TCP' }, { port: 1 }, true],
    ['not of another', { protocol: 'TCP' }, { protocol: 'SCTP', port: 1 }, false],
    ['the first of a range', { port: 5000, endPort: 6000 }, { port: 5000 }, true],
    ['the last of a range', { port: 5000, endPort: 6000 }, { port: 6000 }, true],
    ['after a range', { port: 5000, endPort: 6000 }, { port: 6001 }, false],
    ['before a range', { port: 5000, endPort: 6000 }, { port: 4999 }, false],
    ['a name of the destination’s', { port: 'sql' }, {}, true],
    ['a name that is another port', { port: 'sql' }, { port: 5433 }, false],
    ['a name that it has not', { port: 'http' }, {}, false],
    ['a name of another protocol', { port: 'syslog' }, { port: 514 }, false],
    ['a name with its protocol', { protocol: 'UDP', port: 'syslog' }, { protocol: 'UDP', port: 514 }, true],
    ['a name that an address has not', { port: 'sql' }, { to: internet }, false],
  ])('%s', (_, port, flow, expected) => expect(asked(outOfA(undefined, [port]), flow)).toBe(expected));

  test('a port of one rule does not open the peers of another', () => {
    const policies: NetworkPolicy[] = [
      {
        namespace: 'a',
        podSelector: {},
        policyTypes: ['Egress'],
        egress: [
          { to: [{ namespaceSelector: { matchLabels: { team: 'two' } } }], ports: [{ port: 1 }] },
          { to: [{ ipBlock: { cidr: '140.0.0.0/8' } }], ports: [{ port: 5432 }] },
        ],
      },
    ];
    expect(asked(policies)).toBe(false);
    expect(asked(policies, { port: 1 })).toBe(true);
  });
});

test.each<[string, Selector, boolean]>([
  ['nothing is everything', {}, true],
  ['a label', { matchLabels: { app: 'web' } }, true],
  ['all labels', { matchLabels: { app: 'web', tier: 'back' } }, false],
  ['In', { matchExpressions: [{ key: 'app', operator: 'In', values: ['db', 'web'] }] }, true],
  ['not In', { matchExpressions: [{ key: 'app', operator: 'In', values: ['db'] }] }, false],
  ['In, of no label', { matchExpressions: [{ key: 'x', operator: 'In', values: ['db'] }] }, false],
  ['NotIn', { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['db'] }] }, true],
  ['not NotIn', { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['web'] }] }, false],
  ['NotIn, of no label', { matchExpressions: [{ key: 'x', operator: 'NotIn', values: ['db'] }] }, true],
  ['Exists', { matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
  ['not Exists', { matchExpressions: [{ key: 'x', operator: 'Exists' }] }, false],
  ['no label by inheritance', { matchExpressions: [{ key: 'toString', operator: 'Exists' }] }, false],
  ['DoesNotExist', { matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }] }, true],
  ['not DoesNotExist', { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
  ['both kinds', { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
])('a selector: %s', (_, selector, expected) => expect(selects(selector, a.labels)).toBe(expected));

test('is read from objects as they are rendered', () => {
  const network = networkOf([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels: { team: 'one' } } },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'deny', namespace: 'a' },
      spec: { podSelector: {}, policyTypes: ['Egress'] },
    },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'deny', namespace: 'b' }, spec: { podSelector: {} } },
  ]);
  expect(network.policies).toEqual([{ namespace: 'a', podSelector: {}, policyTypes: ['Egress'] }]);
  expect(network.namespaces).toEqual(new Map([['a', { team: 'one' }]]));
});

// ------------------------------------------------------------------------------------------------ properties

const labels = fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('x', 'y'), { maxKeys: 2 });
const selector: fc.Arbitrary<Selector> = labels.map((matchLabels) => ({ matchLabels }));
const ip = fc.constantFrom('10.0.0.1', '10.0.1.1', '192.168.0.1', '8.8.8.8', 'fd00::1', '2606::1', '::ffff:10.0.0.1');
const pod: fc.Arbitrary<PodEnd> = fc.record({ namespace: fc.constantFrom('a', 'b'), labels, ip });
const end: fc.Arbitrary<End> = fc.oneof(
  pod,
  ip.map((address) => ({ ip: address })),
);
const flow: fc.Arbitrary<Flow> = fc.record({
  from: end,
  to: end,
  port: fc.integer({ min: 1, max: 4 }),
  protocol: fc.constantFrom('TCP', 'UDP'),
});
const peer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: fc.constantFrom({}, { matchLabels: { team: 'one' } }), podSelector: selector }),
  fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '::/0').map((cidr) => ({ ipBlock: { cidr } })),
);
const rule = fc.record(
  {
    peers: fc.array(peer, { maxLength: 2 }),
    ports: fc.array(fc.record({ port: fc.integer({ min: 1, max: 4 }), protocol: fc.constantFrom('TCP', 'UDP') }), {
      maxLength: 2,
    }),
  },
  { requiredKeys: ['peers'] },
);
const policy: fc.Arbitrary<NetworkPolicy> = fc
  .record({
    namespace: fc.constantFrom('a', 'b'),
    podSelector: selector,
    policyTypes: fc.subarray<'Ingress' | 'Egress'>(['Ingress', 'Egress'], { minLength: 1 }),
    ingress: fc.array(rule, { maxLength: 2 }),
    egress: fc.array(rule, { maxLength: 2 }),
  })
  .map(({ ingress, egress, ...rest }) => ({
    ...rest,
    ingress: ingress.map(({ peers, ...more }) => ({ ...more, from: peers })),
    egress: egress.map(({ peers, ...more }) => ({ ...more, to: peers })),
  })) as fc.Arbitrary<NetworkPolicy>;
const policies = fc.array(policy, { maxLength: 4 });
const ask = (all: NetworkPolicy[], one: Flow) => isAllowed({ policies: all, namespaces }, one);
const isPod = (one: End): one is PodEnd => 'namespace' in one;

describe('for all policies', () => {
  test('their order does not matter, nor saying one twice', () => {
    fc.assert(
      fc.property(policies, flow, (all, one) => {
        expect(ask(all.toReversed(), one)).toBe(ask(all, one));
        expect(ask([...all, ...all], one)).toBe(ask(all, one));
      }),
    );
  });

  test('another policy beside one that binds both ends already never closes a way', () => {
    const bound = ['a', 'b'].map((namespace) => ({
      namespace,
      podSelector: {},
      policyTypes: ['Ingress' as const, 'Egress' as const],
    }));
    fc.assert(
      fc.property(policies, policy, flow, (all, more, one) => {
        const [before, after] = [
          [...bound, ...all],
          [...bound, ...all, more],
        ].map((each) => ask(each, one));
        expect(after || !before).toBe(true);
      }),
    );
  });

  test('and nothing but a policy’s own namespace is changed by it', () => {
    fc.assert(
      fc.property(policies, policy, flow, (all, more, one) => {
        if ([one.from, one.to].some((each) => isPod(each) && each.namespace === more.namespace)) return;
        expect(ask([...all, more], one)).toBe(ask(all, one));
      }),
    );
  });

  test('a default deny alone stops every pod there, and no other', () => {
    const deny: NetworkPolicy = { namespace: 'a', podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
    fc.assert(
      fc.property(flow, (one) => {
        const isThere = [one.from, one.to].some((each) => isPod(each) && each.namespace === 'a');
        expect(ask([deny], one)).toBe(!isThere);
      }),
    );
  });

  test('what they allow, they allow by a policy of each end', () => {
    fc.assert(
      fc.property(policies, flow, (all, one) => {
        const sides = [one.from, one.to].map((side, index) => {
          const direction = index === 0 ? 'Egress' : 'Ingress';
          const selecting = all.filter(
            (each) =>
              isPod(side) &&
              each.namespace === side.namespace &&
              each.policyTypes?.includes(direction) === true &&
              selects(each.podSelector, side.labels),
          );
          const alone = selecting.map((each): NetworkPolicy => ({ ...each, policyTypes: [direction] }));
          return alone.length === 0 || alone.some((each) => ask([each], one));
        });
        expect(ask(all, one)).toBe(sides.every(Boolean));
      }),
      { numRuns: 500 },
    );
  });
});
