import { describe, expect, test } from 'vitest';
import { enrolled, forgeKinds } from './fixtures/tenants.ts';
import {
  enrollmentLabel,
  enrollmentObjects,
  poolLabel,
  type EnrollmentInput,
  type KubernetesObject,
} from './manifests.ts';
import { isAllowed, networkOf, type Flow, type PodEnd } from './network-policy.ts';

/* A21: who reaches whom, by all that is rendered for two tenants, each forge in turn. */

/** Something that the portal renders nothing for: the cluster's own pods and the operator's. */
const resolver: PodEnd = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, ip: '10.96.3.3' };
const scheduler: PodEnd = { namespace: 'kube-system', labels: { component: 'kube-scheduler' }, ip: '10.96.3.4' };
const attic: PodEnd = { namespace: 'caches', labels: { app: 'attic' }, ip: '10.96.4.4' };
const controller: PodEnd = { namespace: 'arc-systems', labels: {}, ip: '10.96.5.5' };
const impostor: PodEnd = { namespace: 'default', labels: resolver.labels, ip: '10.96.6.6' };

type PodTemplate = { metadata: { labels: Record<string, string> } };

function podsOf(objects: readonly KubernetesObject[], kind: string): PodEnd[] {
  return objects
    .filter((object) => object.kind === kind)
    .map((object) => ({
      namespace: object.metadata.namespace ?? '',
      labels: (object['spec'] as { template: PodTemplate }).template.metadata.labels,
      ip: '10.96.1.1',
    }));
}

/** The pods of a tenant: those that run jobs, GitLab's managers, and its Bazel cache. */
function endsOf(input: EnrollmentInput, objects: readonly KubernetesObject[]) {
  const { slug } = input.tenant;
  const made = [...podsOf(objects, 'AutoscalingRunnerSet'), ...podsOf(objects, 'Deployment')];
  const jobs = input.pools.map(({ pool }): PodEnd => ({
    namespace: `runners-${slug}`,
    labels: { [enrollmentLabel]: input.name, [poolLabel]: pool.name },
    ip: '10.96.1.2',
  }));
  const cache = made.filter(({ namespace }) => namespace === `bazel-${slug}`);
  return {
    // GitLab's manager makes them, with the labels that its configuration gives.
    jobs: input.registration.kind === 'gitlab' ? jobs : made.filter(({ labels }) => poolLabel in labels),
    managers: made.filter(({ labels }) => labels['app.kubernetes.io/name'] === 'gitlab-runner'),
    cache: cache[0] as PodEnd,
  };
}

const names: Record<string, string> = { github: 'cmux', gitlab: 'lab', forgejo: 'jo' };

describe.each(forgeKinds)('A21: at %s', (kind) => {
  const input = enrolled(kind, names[kind] ?? '');
  const objects = enrollmentObjects(input);
  const otherInput = enrolled(kind, 'acme');
  const others = enrollmentObjects(otherInput);
  const own = endsOf(input, objects);
  const other = endsOf(otherInput, others);
  const [otherJob] = other.jobs as [PodEnd];

  type Row = [string, Pick<Flow, 'to' | 'port' | 'protocol'>];
  const allowed: Row[] = [
    ['the forge', { to: { ip: '140.82.121.3' }, port: 443 }],
    ['the forge, IPv6', { to: { ip: '2606:50c0:8000::64' }, port: 443 }],
    ['the forge, IPv4-mapped', { to: { ip: '::ffff:140.82.121.3' }, port: 443 }],
    ['the cluster’s resolver', { to: resolver, port: 53, protocol: 'UDP' }],
    ['the cluster’s resolver, by TCP', { to: resolver, port: 53 }],
    ['its own bazel cache', { to: own.cache, port: 8080 }],
    ['its own bazel cache, gRPC', { to: own.cache, port: 9092 }],
    ['the cluster’s cache', { to: attic, port: 8080 }],
  ];
  const denied: Row[] = [
    ['the metadata service', { to: { ip: '169.254.169.254' }, port: 80 }],
    ['the metadata service, by 443', { to: { ip: '169.254.169.254' }, port: 443 }],
    ['the metadata service, IPv6', { to: { ip: 'fd00:ec2::254' }, port: 443 }],
    ['the metadata service, IPv4-mapped', { to: { ip: '::ffff:169.254.169.254' }, port: 443 }],
    ['the metadata service, by 6to4', { to: { ip: '2002:a9fe:a9fe::' }, port: 443 }],
    ['the metadata service, by Teredo', { to: { ip: '2001::a9fe:a9fe' }, port: 443 }],
    ['the metadata service, by NAT64', { to: { ip: '64:ff9b::a9fe:a9fe' }, port: 443 }],
    ['a node’s kubelet', { to: { ip: '10.1.2.3' }, port: 10_250 }],
    ['a node’s kubelet, IPv4-mapped', { to: { ip: '::ffff:10.1.2.3' }, port: 10_250 }],
    ['a node at a public address', { to: { ip: '34.1.2.3' }, port: 10_250 }],
    ['the API server', { to: { ip: '10.0.0.1' }, port: 443 }],
    ['the API server, by 6443', { to: { ip: '10.0.0.1' }, port: 6443 }],
    ['the API server, IPv6', { to: { ip: 'fd00:10:96::1' }, port: 443 }],
    ['a pod by its address', { to: { ip: '172.16.5.5' }, port: 443 }],
    ['an office', { to: { ip: '192.168.1.1' }, port: 443 }],
    ['a carrier’s network', { to: { ip: '100.64.0.1' }, port: 443 }],
    ['loopback', { to: { ip: '127.0.0.1' }, port: 443 }],
    ['a link-local neighbour', { to: { ip: 'fe80::1' }, port: 443 }],
    ['a unique-local neighbour', { to: { ip: 'fc00::1' }, port: 443 }],
    ['DNS to 8.8.8.8', { to: { ip: '8.8.8.8' }, port: 53, protocol: 'UDP' }],
    ['DNS to 8.8.8.8, by TCP', { to: { ip: '8.8.8.8' }, port: 53 }],
    ['DNS to a pod that calls itself the resolver', { to: impostor, port: 53, protocol: 'UDP' }],
    ['something else in kube-system', { to: scheduler, port: 53 }],
    ['the resolver’s other ports', { to: resolver, port: 9153 }],
    ['plain http', { to: { ip: '140.82.121.3' }, port: 80 }],
    ['ssh', { to: { ip: '140.82.121.3' }, port: 22 }],
    ['QUIC', { to: { ip: '140.82.121.3' }, port: 443, protocol: 'UDP' }],
    ['another tenant’s runner', { to: otherJob, port: 443 }],
    ['another tenant’s bazel cache', { to: other.cache, port: 8080 }],
    ['another tenant’s bazel cache, gRPC', { to: other.cache, port: 9092 }],
    ['its cache’s other ports', { to: own.cache, port: 22 }],
    ['the cluster’s cache’s other ports', { to: attic, port: 5432 }],
    ['a neighbour of its own', { to: own.jobs[0] as PodEnd, port: 8080 }],
    ['the controller', { to: controller, port: 443 }],
  ];

  /** What comes to a pod of the tenant, and what its cache and its managers may. */
  const into: [string, Flow, boolean][] = [
    ['another tenant’s runner to its own', { from: otherJob, to: own.jobs[0] as PodEnd, port: 8080 }, false],
    ['another tenant’s runner to its cache', { from: otherJob, to: own.cache, port: 8080 }, false],
    ['the internet to its runner', { from: { ip: '140.82.121.3' }, to: own.jobs[0] as PodEnd, port: 443 }, false],
    ['the internet to its cache', { from: { ip: '140.82.121.3' }, to: own.cache, port: 8080 }, false],
    ['the controller to its runner', { from: controller, to: own.jobs[0] as PodEnd, port: 443 }, false],
    // From what no policy of its own binds, so that the cache's alone decides.
    ['a pod of nobody’s to its cache', { from: impostor, to: own.cache, port: 8080 }, false],
    ['its cache to the internet', { from: own.cache, to: { ip: '140.82.121.3' }, port: 443 }, false],
    ['its cache to the resolver', { from: own.cache, to: resolver, port: 53, protocol: 'UDP' }, false],
    ...own.managers.flatMap((from): [string, Flow, boolean][] => [
      ['its manager to the API server', { from, to: { ip: '10.0.0.1' }, port: 443 }, true],
      ['its manager to the API server, IPv6', { from, to: { ip: 'fd00:10:96::1' }, port: 443 }, true],
      ['its manager to the API server, by 6443', { from, to: { ip: '192.168.1.1' }, port: 6443 }, true],
      ['its manager to the forge', { from, to: { ip: '140.82.121.3' }, port: 443 }, true],
      ['its manager to the metadata service', { from, to: { ip: '169.254.169.254' }, port: 443 }, false],
      ['its manager to a kubelet', { from, to: { ip: '10.1.2.3' }, port: 10_250 }, false],
      // The range in which the API server may be holds pods too: there, what those may be sent decides.
      ['its manager to another tenant’s runner', { from, to: otherJob, port: 443 }, false],
      ['its manager to another tenant’s cache', { from, to: other.cache, port: 8080 }, false],
    ]),
  ];

  const flows = (): [string, Flow, boolean][] => [
    ...own.jobs.flatMap((from) => [
      ...allowed.map(([what, flow]): [string, Flow, boolean] => [what, { from, ...flow }, true]),
      ...denied.map(([what, flow]): [string, Flow, boolean] => [what, { from, ...flow }, false]),
    ]),
    ...into,
  ];
  /** What of the table is not so. */
  const wrong = (all: readonly KubernetesObject[]) =>
    flows().flatMap(([what, flow, expected]) => (isAllowed(networkOf(all), flow) === expected ? [] : [what]));

  test('the pods are those that are rendered', () => {
    expect([own.jobs.length, own.managers.length, own.cache.namespace]).toEqual([
      kind === 'forgejo' ? 3 : 2,
      kind === 'gitlab' ? 2 : 0,
      `bazel-${input.tenant.slug}`,
    ]);
    // What bears a pool's label is metered as a runner, and a manager is none.
    expect(own.managers.filter(({ labels }) => poolLabel in labels)).toEqual([]);
  });

  test.each(allowed)('a runner reaches %s', (_, flow) => {
    for (const from of own.jobs) expect(isAllowed(networkOf([...objects, ...others]), { from, ...flow })).toBe(true);
  });
  test.each(denied)('a runner does not reach %s', (_, flow) => {
    for (const from of own.jobs) expect(isAllowed(networkOf([...objects, ...others]), { from, ...flow })).toBe(false);
  });
  test.each(into)('%s', (_, flow, expected) =>
    expect(isAllowed(networkOf([...objects, ...others]), flow)).toBe(expected),
  );

  const policies = objects.filter((object) => object.kind === 'NetworkPolicy');
  test.each(policies.map((policy) => [`${policy.metadata.namespace}/${policy.metadata.name}`, policy] as const))(
    'is no longer so without %s',
    (_, policy) => {
      const all = [...objects, ...others];
      expect(wrong(all)).toEqual([]);
      expect(wrong(all.filter((object) => object !== policy))).not.toEqual([]);
    },
  );

  test('policies add up: one that a tenant made would open what these close, but not another tenant', () => {
    const open = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'open', namespace: `runners-${input.tenant.slug}` },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{}] },
    };
    const opened = wrong([...objects, ...others, open]);
    expect(opened).toEqual(expect.arrayContaining(['the metadata service', 'the API server', 'DNS to 8.8.8.8']));
    expect(opened.filter((what) => what.includes('another tenant’s'))).toEqual([]);
  });

  test('a tenant without a plane reaches none', () => {
    const { cacheEndpoint: _, ...tenant } = input.tenant;
    const bare = enrollmentObjects({ ...input, tenant: { ...tenant, hasBazel: false }, bazel: undefined });
    for (const from of own.jobs)
      for (const to of [own.cache, attic]) expect(isAllowed(networkOf(bare), { from, to, port: 8080 })).toBe(false);
  });

  const forge: PodEnd = { namespace: 'forge', labels: {}, ip: '10.96.7.7' };
  const ways: Pick<Flow, 'to' | 'port'>[] = [
    { to: forge, port: 3000 },
    { to: forge, port: 3001 },
    { to: { ...forge, namespace: 'elsewhere' }, port: 3000 },
    { to: { ip: '10.9.8.7' }, port: 8443 },
    { to: { ip: '10.9.8.8' }, port: 8443 },
  ];
  test.each([
    ['nowhere in particular', undefined, [false, false, false, false, false]],
    ['in the same cluster', { namespace: 'forge', port: 3000 }, [true, false, false, false, false]],
    ['in a private network', { cidr: '10.9.8.7/32', port: 8443 }, [false, false, false, true, false]],
  ] as const)('a forge %s is reached there, by its own enrollment', (_, forgeEndpoint, expected) => {
    const network = networkOf(enrollmentObjects({ ...input, forgeEndpoint }));
    for (const from of own.jobs) expect(ways.map((way) => isAllowed(network, { from, ...way }))).toEqual(expected);
    const another = { namespace: `runners-${input.tenant.slug}`, labels: { [enrollmentLabel]: 'another' } };
    expect(ways.map((way) => isAllowed(network, { from: another, ...way }))).toEqual(ways.map(() => false));
  });
});
