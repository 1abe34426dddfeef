import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { forgeEndpointOf, RunnerEgress } from './runner-egress.ts';

const endpointOf = (runnerEgress: string | null) => forgeEndpointOf({ id: 'forge', runnerEgress });
const messageOf = (text: string) => RunnerEgress.safeParse(text).error?.issues[0]?.message;

describe('where runners reach a forge', () => {
  test.each([
    ['10.9.8.7/32:8443', { cidr: '10.9.8.7/32', port: 8443 }],
    ['10.9.8.0/24:1', { cidr: '10.9.8.0/24', port: 1 }],
    ['203.0.113.9/32:65535', { cidr: '203.0.113.9/32', port: 65_535 }],
    ['FD12:0:0::7/128:443', { cidr: 'fd12::7/128', port: 443 }],
    ['2001:db8:1:2:3:4:5:6/128:3000', { cidr: '2001:db8:1:2:3:4:5:6/128', port: 3000 }],
    ['fd12::/16:443', { cidr: 'fd12::/16', port: 443 }],
    ['namespace/forge:3000', { namespace: 'forge', port: 3000 }],
    ['namespace/24:3000', { namespace: '24', port: 3000 }],
  ])('%s', (text, endpoint) => {
    expect(RunnerEgress.parse(` ${text} `)).toBe(text);
    expect(endpointOf(text)).toEqual(endpoint);
  });

  test('nothing is none', () => {
    expect([RunnerEgress.parse(''), RunnerEgress.parse(null), endpointOf(null)]).toEqual([null, null, undefined]);
  });

  test.each([
    '10.9.8.7',
    '10.9.8.7:8443',
    '10.9.8.7/32',
    '10.9.8.7/33:443',
    '10.9.8.7/032:443',
    '10.9.8/24:443',
    '10.9.8.7/24:443',
    '010.9.8.7/32:443',
    'fd12::7/64:443',
    'fd12::7/129:443',
    'fd12::7%eth0/128:443',
    'forge.example.org:443',
    'https://10.9.8.7/32:443',
    '10.9.8.7/32:0',
    '10.9.8.7/32:0443',
    '10.9.8.7/32:-1',
    'namespace/:3000',
    'namespace/-forge:3000',
    'namespace/forge/other:3000',
    `namespace/${'a'.repeat(64)}:3000`,
    'namespace/forge:3000\nkind: x',
  ])('is no %s', (text) => {
    expect(messageOf(text)).toContain('must be a range and a port');
    expect(() => endpointOf(text)).toThrow('runner_egress must be');
  });

  test('is no port above the last', () => {
    expect(messageOf('10.9.8.7/32:65536')).toContain('1 to 65535');
    expect(messageOf('namespace/forge:99999')).toContain('1 to 65535');
  });

  test.each([
    '0.0.0.0/0',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '0.0.0.0/32',
    '127.0.0.1/32',
    '126.0.0.0/7',
    '169.254.169.254/32',
    '169.254.0.0/16',
    '100.64.0.0/10',
    '100.100.100.200/32',
    '168.63.129.16/32',
    '224.0.0.1/32',
    '255.255.255.255/32',
    '::/0',
    '::1/128',
    '::/128',
    '::ffff:a9fe:a9fe/128',
    '64:ff9b::a9fe:a9fe/128',
    '2002:a9fe:a9fe::/48',
    'fe80::1/128',
    'ff02::1/128',
    'fd00:ec2::254/128',
    'fd00:ec2::/32',
    'fd20:ce::254/128',
    'fc00::/7',
  ])('is nothing that holds what a machine or a cloud keeps for itself: %s', (cidr) => {
    expect(messageOf(`${cidr}:443`)).toContain('must not hold loopback, link-local, metadata');
    expect(() => endpointOf(`${cidr}:443`)).toThrow('must not hold');
  });

  test('whatever range is taken, no loopback, link-local or metadata address is in it', () => {
    const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    const forbidden = ['127.0.0.1', '169.254.169.254', '100.100.100.200', '168.63.129.16', '0.0.0.0', '224.0.0.1'];
    const taken = { count: 0 };
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 32 }), (parts, bits) => {
        const whole = parts.reduce((sum, part) => sum * 256 + part, 0);
        const network = bits === 0 ? 0 : Math.floor(whole / 2 ** (32 - bits)) * 2 ** (32 - bits);
        const text = [24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join('.');
        if (messageOf(`${text}/${bits}:443`) !== undefined) return;
        taken.count += 1;
        const list = new BlockList();
        list.addSubnet(text, bits, 'ipv4');
        expect(forbidden.filter((each) => list.check(each, 'ipv4'))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
    expect(taken.count).toBeGreaterThan(100);
  });
});
