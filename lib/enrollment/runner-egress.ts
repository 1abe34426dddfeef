import { z } from 'zod';
import { ipRange, overlap, type EnrollmentInput, type IpRange } from '#lib/cluster/index.ts';
import { AppError } from '#lib/errors.ts';

/*
 * Where runners reach a forge that is not on the public internet at 443, as an operator writes it: `10.9.8.7/32:8443`, or
 * `namespace/forge:3000` for one in the same cluster. It becomes a network policy, so it names only what is meant.
 */

type ForgeEndpoint = NonNullable<EnrollmentInput['forgeEndpoint']>;
/** With its address in the shortest form, which is how Kubernetes wants it; null for what is no CIDR. */
function rangeOf(cidr: string): (IpRange & { cidr: string }) | null {
  const range = ipRange(cidr);
  const [address, bits] = cidr.split('/');
  if (range?.family !== 6) return range && { ...range, cidr };
  const plain = URL.parse(`http://[${address}]`)?.hostname.slice(1, -1);
  return plain === undefined ? null : { ...range, cidr: `${plain}/${bits}` };
}

/**
 * What no forge is: loopback, link-local, multicast and reserved addresses, and what clouds keep for their machines
 * (Alibaba's, Azure's and, by IPv6, Amazon's and Google's metadata; all others' are link-local). By IPv6 also what carries an
 * IPv4 address, which would be these once more.
 */
const never = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '::/96',
  '::ffff:0:0/96',
  '64:ff9b::/96',
  '2002::/16',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
].flatMap((cidr) => ipRange(cidr) ?? []);

const form = 'must be a range and a port, such as 10.9.8.7/32:8443, or namespace/forge:3000';
const namespaceForm = /^namespace\/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)$/;

/** What was written, or what is wrong with it. */
function read(text: string): ForgeEndpoint | string {
  const [, place = '', digits = ''] = /^(.+):([1-9]\d{0,4})$/.exec(text) ?? [];
  const port = Number(digits);
  if (place === '') return form;
  if (port > 65_535) return 'must name a port of 1 to 65535';
  const [, namespace] = namespaceForm.exec(place) ?? [];
  if (namespace !== undefined) return { namespace, port };
  const range = rangeOf(place);
  if (!range) return form;
  if (never.some((each) => overlap(each, range)))
    return 'must not hold loopback, link-local, metadata or reserved addresses';
  return { cidr: range.cidr, port };
}

/** As it is entered: nothing is none. */
export const RunnerEgress = z
  .string()
  .trim()
  .max(300)
  .transform((text, context) => {
    if (text === '') return null;
    const endpoint = read(text);
    if (typeof endpoint === 'string') context.addIssue({ code: 'custom', message: endpoint });
    return text;
  })
  .nullable();

/** As it is kept, read by the same rules: a row may have been written by hand. */
export function forgeEndpointOf(connection: { id: string; runnerEgress: string | null }): ForgeEndpoint | undefined {
  if (connection.runnerEgress === null) return undefined;
  const endpoint = read(connection.runnerEgress);
  if (typeof endpoint !== 'string') return endpoint;
  throw new AppError('invalid', {
    log: `forge_connection ${connection.id}: runner_egress ${endpoint}`,
    screen: {
      happened: 'The way on which runners reach this forge cannot be read.',
      todo: 'The operator must enter it anew.',
    },
  });
}
