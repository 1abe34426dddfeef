import { ipAddress, ipRange, isWithin, unmapped, type IpRange } from './ip-range.ts';
import type { KubernetesObject } from './objects.ts';

/*
 * What NetworkPolicies allow, as Kubernetes says it: networking.k8s.io/v1 NetworkPolicySpec and
 * https://kubernetes.io/docs/concepts/services-networking/network-policies/.
 *
 * What no policy can say is not in here: a pod reaches itself, and whatever runs on the node that it is on; a Service's address
 * is whatever the network plugin makes of it before or after it looks; and without a plugin that enforces policies there are none.
 * An ipBlock is taken to hold a pod's address too, which some plugins do and some do not: what is denied here is denied by both.
 */

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
type Labels = Readonly<Record<string, string>>;

export type PodEnd = {
  namespace: string;
  labels: Labels;
  /** Where it has one, ipBlocks may hold it. */
  ip?: string;
  /** Its ports that have names. */
  ports?: Readonly<Record<string, { port: number; protocol?: Protocol }>>;
};
export type End = PodEnd | { ip: string };
/** One connection as its first packet asks for it; what answers it is allowed with it. */
export type Flow = { from: End; to: End; port: number; protocol?: Protocol };

type Expression = { key: string; operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'; values?: string[] };
export type Selector = { matchLabels?: Labels; matchExpressions?: Expression[] };
export type PolicyPeer = {
  ipBlock?: { cidr: string; except?: string[] };
  namespaceSelector?: Selector;
  podSelector?: Selector;
};
export type PolicyPort = { protocol?: Protocol; port?: number | string; endPort?: number };
type Direction = 'Ingress' | 'Egress';
export type PolicyRule = { ports?: PolicyPort[]; from?: PolicyPeer[]; to?: PolicyPeer[] };
export type NetworkPolicy = {
  namespace: string;
  podSelector: Selector;
  policyTypes?: Direction[];
  ingress?: PolicyRule[];
  egress?: PolicyRule[];
};

export type Network = { policies: readonly NetworkPolicy[]; namespaces: ReadonlyMap<string, Labels> };

/** The policies and the namespaces' labels among these objects. */
export function networkOf(objects: readonly KubernetesObject[]): Network {
  const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
  const namespaces = objects.filter(({ kind }) => kind === 'Namespace');
  return {
    policies: policies.map(
      ({ metadata, spec }) => ({ ...(spec as object), namespace: metadata.namespace }) as NetworkPolicy,
    ),
    namespaces: new Map(namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}])),
  };
}

/** Both ends must let it through: what the source may send to, and what the destination may be sent. */
export function isAllowed(network: Network, flow: Flow): boolean {
  return passes(network, flow, 'Egress') && passes(network, flow, 'Ingress');
}

/** A pod that no policy of this direction selects may anything; a selected one what any of them allows. */
function passes(network: Network, flow: Flow, direction: Direction): boolean {
  const subject = direction === 'Egress' ? flow.from : flow.to;
  if (!isPod(subject)) return true;
  const selecting = network.policies.filter(
    (policy) =>
      policy.namespace === subject.namespace &&
      typesOf(policy).includes(direction) &&
      selects(policy.podSelector, subject.labels),
  );
  if (selecting.length === 0) return true;
  const rules = selecting.flatMap((policy) =>
    (direction === 'Egress' ? outbound(policy, flow) : inbound(policy, flow)).map((rule) => ({ policy, ...rule })),
  );
  return rules.some(
    ({ policy, end, peers = [], ports = [] }) =>
      // No peers are all of them, and no ports are all of them.
      (peers.length === 0 || peers.some((peer) => isPeer(network, policy.namespace, peer, end))) &&
      (ports.length === 0 || ports.some((port) => isPort(port, flow))),
  );
}

type Way = { end: End; peers: PolicyPeer[] | undefined; ports: PolicyPort[] | undefined };

function outbound({ egress = [] }: NetworkPolicy, { to: end }: Flow): Way[] {
  return egress.map(({ to, ports }) => ({ end, peers: to, ports }));
}

function inbound({ ingress = [] }: NetworkPolicy, { from: end }: Flow): Way[] {
  return ingress.map(({ from, ports }) => ({ end, peers: from, ports }));
}

/** Left out, it is Ingress always, and Egress where there are rules for it. */
function typesOf({ policyTypes, egress }: NetworkPolicy): readonly Direction[] {
  return policyTypes ?? (egress === undefined ? ['Ingress'] : ['Ingress', 'Egress']);
}

function isPeer(network: Network, own: string, peer: PolicyPeer, end: End): boolean {
  if (peer.ipBlock) return end.ip !== undefined && isInBlock(peer.ipBlock, end.ip);
  if (!isPod(end)) return false;
  const { namespaceSelector, podSelector = {} } = peer;
  const inNamespace = namespaceSelector
    ? selects(namespaceSelector, labelsOf(network, end.namespace))
    : end.namespace === own;
  return inNamespace && selects(podSelector, end.labels);
}

/** Every namespace bears its own name, which the API server sees to. */
function labelsOf({ namespaces }: Network, name: string): Labels {
  return { ...namespaces.get(name), 'kubernetes.io/metadata.name': name };
}

/** An IPv4-mapped address as it is written, and as the IPv4 packet that a kernel makes of it: either reading may be a plugin's. */
function isInBlock({ cidr, except = [] }: NonNullable<PolicyPeer['ipBlock']>, ip: string): boolean {
  const address = ipAddress(ip);
  if (!address) throw new RangeError(`${ip} is no address`);
  const [range, holes] = [blockOf(cidr), except.map(blockOf)];
  return [address, unmapped(address)].some(
    (each) => isWithin(each, range) && !holes.some((hole) => isWithin(each, hole)),
  );
}

/** What cannot be read must not pass for a denial. */
function blockOf(cidr: string): IpRange {
  const range = ipRange(cidr);
  if (!range) throw new RangeError(`${cidr} is no CIDR`);
  return range;
}

/** A name is that of a port of the pod which is connected to. */
function isPort({ protocol = 'TCP', port, endPort }: PolicyPort, flow: Flow): boolean {
  if (protocol !== (flow.protocol ?? 'TCP')) return false;
  if (port === undefined) return true;
  if (typeof port === 'number') return port <= flow.port && flow.port <= (endPort ?? port);
  const named = isPod(flow.to) ? flow.to.ports?.[port] : undefined;
  return named?.port === flow.port && (named.protocol ?? 'TCP') === protocol;
}

export function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((expression) => holds(expression, labels))
  );
}

/** A label that is not there is in no list, and so it is `NotIn` any. */
function holds({ key, operator, values = [] }: Expression, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  if (operator === 'Exists') return value !== undefined;
  if (operator === 'DoesNotExist') return value === undefined;
  const isIn = value !== undefined && values.includes(value);
  return operator === 'In' ? isIn : !isIn;
}

function isPod(end: End): end is PodEnd {
  return 'namespace' in end;
}
