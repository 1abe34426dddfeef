import { BlockList, isIP } from 'node:net';

/**
 * Where a request may go, as rules over values. Everything that is not the public internet is refused: what listens there
 * (metadata services, kubelets, databases, the forge's own side-cars) trusts whoever can reach it.
 */

const refused = new BlockList();
// IANA special-purpose registries, IPv4 and IPv6, 2026.
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  refused.addSubnet(network, prefix, 'ipv4');
}

/** Of IPv6 only 2000::/3 is the public internet; of that, what carries or tunnels an IPv4 address is refused again. */
const publicV6 = new BlockList();
publicV6.addSubnet('2000::', 3, 'ipv6');
const tunnelledV6 = new BlockList();
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const) {
  tunnelledV6.addSubnet(network, prefix, 'ipv6');
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export function isLoopback(address: string): boolean {
  return loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** False for anything that is not an address at all. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !refused.check(address, 'ipv4');
  if (family === 6) return publicV6.check(address, 'ipv6') && !tunnelledV6.check(address, 'ipv6');
  return false;
}

/** Names that a resolver inside a cluster or a private network answers to, whatever the public DNS says. */
const privateNames = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|svc|cluster\.local|arpa|test|onion)$/i;

/** Ports below 1024 belong to services that are no web server: a request to them is a message in another protocol. */
function isWebPort(port: string): boolean {
  return port === '' || port === '80' || port === '443' || Number(port) >= 1024;
}

/** What a private network is made of; never what a machine or a cloud keeps for itself (loopback, link-local, metadata). */
const insideNetwork = new BlockList();
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  insideNetwork.addSubnet(network, prefix, 'ipv4');
}
insideNetwork.addSubnet('fc00::', 7, 'ipv6');
/** Metadata services that live in a private range: Alibaba Cloud's and, by IPv6, Amazon's. */
const metadata = new BlockList();
metadata.addAddress('100.100.100.200', 'ipv4');
metadata.addAddress('fd00:ec2::254', 'ipv6');

/** An address of a private network, for a host that the operator named as living in one. */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0) return false;
  const kind = family === 6 ? 'ipv6' : 'ipv4';
  return insideNetwork.check(address, kind) && !metadata.check(address, kind);
}

/**
 * Why this URL may not be fetched, or null. `privateHosts` are those that the operator named as living in a private network:
 * to them plain http is allowed too. The host of a parsed URL is already in its plain form (`0x7f.1` and
 * `2130706433` read as 127.0.0.1), so that an address in any spelling meets the same lists.
 */
export function refusalOf(
  url: URL,
  allowLoopback: boolean,
  privateHosts: ReadonlySet<string> = new Set(),
): string | null {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const atLoopback = allowLoopback && (host === 'localhost' || (isIP(host) !== 0 && isLoopback(host)));
  const isPrivate = privateHosts.has(host);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (atLoopback || isPrivate))) return 'is not https';
  if (url.username !== '' || url.password !== '') return 'carries a user name';
  if (!isWebPort(url.port)) return 'names a port that is no web server’s';
  if (atLoopback) return null;
  if (isIP(host) !== 0) {
    const isAllowed = isPublicAddress(host) || (isPrivate && isPrivateAddress(host));
    return isAllowed ? null : 'is an address inside a network';
  }
  if (isPrivate) return null;
  const name = host.replace(/\.$/, '');
  if (!name.includes('.') || privateNames.test(name)) return 'is a name inside a network';
  return null;
}
