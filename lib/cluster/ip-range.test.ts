import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipAddress, ipRange, isWithin, overlap, unmapped } from './ip-range.ts';

describe('an address', () => {
  test.each([
    ['0.0.0.0', 4, 0n],
    ['1.2.3.4', 4, 0x01020304n],
    ['255.255.255.255', 4, 0xffffffffn],
    ['::', 6, 0n],
    ['::1', 6, 1n],
    ['1::', 6, 1n << 112n],
    ['2001:db8::ff00:42:8329', 6, 0x20010db8_00000000_0000ff00_00428329n],
    ['::ffff:169.254.169.254', 6, 0xffff_a9fe_a9fen],
    ['::FFFF:A9FE:A9FE', 6, 0xffff_a9fe_a9fen],
    ['1:2:3:4:5:6:7:8', 6, 0x00010002000300040005000600070008n],
    ['1:2:3:4:5:6:1.2.3.4', 6, 0x00010002000300040005000601020304n],
    ['1:2:3:4:5:6:7::', 6, 0x00010002000300040005000600070000n],
  ] as const)('%s', (text, family, value) => expect(ipAddress(text)).toEqual({ family, value }));

  test.each(
    [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.256',
      '01.2.3.4',
      '0x7f.1',
      '2130706433',
      ' 1.2.3.4',
      '1.2.3.4 ',
      '1.2.3.-4',
    ].concat([
      ':',
      ':::',
      '1:2',
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::1:2:3:4:5:6:7:8',
      '12345::',
      'g::',
      'fe80::1%eth0',
      '::1.2.3',
      '::1.2.3.4:5',
      '::01.2.3.4',
      '1:',
      ':1',
    ]),
  )('not %j', (text) => expect(ipAddress(text)).toBeNull());

  const ip = fc.oneof(fc.ipV4(), fc.ipV6());

  test('is taken whenever Node takes it, and of the same family', () => {
    fc.assert(
      fc.property(fc.oneof(ip, fc.stringMatching(/^[0-9a-f:.]{0,24}$/)), (text) => {
        expect(ipAddress(text)?.family ?? 0).toBe(isIP(text));
      }),
      { numRuns: 2000 },
    );
  });

  test('is within a range exactly when Node’s own list says so', () => {
    fc.assert(
      fc.property(ip, ip, fc.integer({ min: 0, max: 128 }), (text, network, bits) => {
        const [address, base] = [ipAddress(text), ipAddress(network)];
        if (!address || !base || address.family !== base.family) return;
        const width = base.family === 4 ? 32 : 128;
        const prefix = bits % (width + 1);
        const size = 1n << BigInt(width - prefix);
        const first = base.value - (base.value % size);
        const list = new BlockList();
        list.addSubnet(network, prefix, base.family === 4 ? 'ipv4' : 'ipv6');
        const expected = list.check(text, base.family === 4 ? 'ipv4' : 'ipv6');
        // Node's list takes a mapped address for the IPv4 one; that is `unmapped` here, and only where it is asked.
        if (unmapped(address) !== address) return;
        expect(isWithin(address, { family: base.family, first, last: first + size - 1n })).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a range', () => {
  test.each([
    ['0.0.0.0/0', 0n, 0xffffffffn],
    ['10.0.0.0/8', 0x0a000000n, 0x0affffffn],
    ['1.2.3.4/32', 0x01020304n, 0x01020304n],
    ['::/0', 0n, (1n << 128n) - 1n],
    ['2000::/3', 1n << 125n, (1n << 126n) - 1n],
    ['::1/128', 1n, 1n],
  ] as const)('%s', (text, first, last) => expect(ipRange(text)).toMatchObject({ first, last }));

  test.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.1/8',
    '10.0.0.0/08',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '::/129',
    '::1/64',
    '/8',
    'x/8',
  ])('not %s', (text) => expect(ipRange(text)).toBeNull());

  test.each([
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.1.0.0/16', '10.0.0.0/8', true],
    ['10.0.0.0/8', '11.0.0.0/8', false],
    ['0.0.0.0/0', '::/0', false],
    ['fe80::/10', 'fe80::1/128', true],
  ] as const)('%s and %s meet: %s', (a, b, expected) => {
    const [first, second] = [ipRange(a), ipRange(b)];
    expect(first && second && overlap(first, second)).toBe(expected);
  });
});

test('A5: an IPv4-mapped address is the IPv4 one on the wire, and no other is', () => {
  const of = (text: string) => {
    const address = ipAddress(text);
    return address && unmapped(address);
  };
  expect(of('::ffff:169.254.169.254')).toEqual(ipAddress('169.254.169.254'));
  for (const other of ['1.2.3.4', '::1.2.3.4', '::fffe:1.2.3.4', '1::ffff:1.2.3.4', '64:ff9b::1.2.3.4'])
    expect(of(other)).toEqual(ipAddress(other));
});
