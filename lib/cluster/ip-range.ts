/* IP addresses and ranges as numbers. */

export type Family = 4 | 6;
export type IpAddress = { family: Family; value: bigint };
export type IpRange = { family: Family; first: bigint; last: bigint };

const widthOf: Record<Family, bigint> = { 4: 32n, 6: 128n };

function number(parts: readonly bigint[], bits: bigint): bigint {
  return parts.reduce((sum, part) => (sum << bits) + part, 0n);
}

function ipv4(text: string): bigint | null {
  const parts = text.split('.');
  // A leading zero is octal to some readers and not to others.
  const isPlain = parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return isPlain ? number(parts.map(BigInt), 8n) : null;
}

/** The last 32 bits may be written as IPv4 is (RFC 4291, 2.2). */
function withoutDots(text: string): string | null {
  const at = text.lastIndexOf(':') + 1;
  if (!text.includes('.')) return text;
  const value = ipv4(text.slice(at));
  return value === null ? null : `${text.slice(0, at)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

function ipv6(text: string): bigint | null {
  const [head = '', tail, ...more] = withoutDots(text)?.split('::') ?? [''];
  if (more.length > 0) return null;
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const given = [groups(head), groups(tail ?? '')] as const;
  const zeros = 8 - given[0].length - given[1].length;
  if (tail === undefined ? zeros !== 0 : zeros < 1) return null;
  const all = [...given[0], ...Array.from({ length: zeros }, () => '0'), ...given[1]];
  return all.every((group) => /^[\da-f]{1,4}$/i.test(group))
    ? number(
        all.map((group) => BigInt(`0x${group}`)),
        16n,
      )
    : null;
}

/** Null for what is no address, and for one with a zone, which is of one machine alone. */
export function ipAddress(text: string): IpAddress | null {
  const family = text.includes(':') ? 6 : 4;
  const value = family === 6 ? ipv6(text) : ipv4(text);
  return value === null ? null : { family, value };
}

/** A CIDR; null for what is none, and for one whose address says more than its prefix does. */
export function ipRange(cidr: string): IpRange | null {
  const [, text = '', bits = ''] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(cidr) ?? [];
  const address = ipAddress(text);
  if (!address) return null;
  const { family, value: first } = address;
  const free = widthOf[family] - BigInt(bits);
  if (free < 0n) return null;
  const size = 1n << free;
  return first % size === 0n ? { family, first, last: first + size - 1n } : null;
}

export function isWithin({ family, value }: IpAddress, range: IpRange): boolean {
  return family === range.family && range.first <= value && value <= range.last;
}

export function overlap(a: IpRange, b: IpRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

const mapped: IpRange = { family: 6, first: 0xffff_0000_0000n, last: 0xffff_ffff_ffffn };

/** What an IPv4-mapped address (RFC 4291, 2.5.5.2) is on the wire; any other address is itself. */
export function unmapped(address: IpAddress): IpAddress {
  return isWithin(address, mapped) ? { family: 4, value: address.value - mapped.first } : address;
}
