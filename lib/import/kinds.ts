import { z } from 'zod';
import { enterRate, RateInput } from '#lib/billing/index.ts';
import { BazelWayInput, CacheServerEntry, enterCacheServer, tryCacheServer } from '#lib/caching/index.ts';
import type { UnsafeTx } from '#lib/db/index.ts';
import { enterForge, enterPool, ForgeEntry, forgetPools, tryForge } from '#lib/enrollment/index.ts';
import { enterCluster } from '#lib/fleet/index.ts';
import { ClusterDocument, PoolEntry, PoolName } from '#lib/model/index.ts';
import type { Referring } from './secrets.ts';

/* Each kind of document: what it may say, and how it is entered. The schemas are those of the operators' pages. */

export type Said = { before: object | null; after: object };
export type Entry = {
  /** What asks outside, before anything is kept. */
  attempt?: () => Promise<void>;
  enter: (tx: UnsafeTx, now: Date) => Promise<Said | null>;
  /** When all of it is kept. */
  kept?: () => void;
  /** As the audit names it. */
  target: string;
};
type Kind = Referring & {
  name: z.ZodType<string>;
  /** Of a spec whose references were resolved. Throws where it does not fit. */
  read: (name: string, spec: Record<string, unknown>) => Entry;
  /** Lower ones are entered first: a cache server is of a cluster, a price of a pool. */
  order: number;
};

const Name = z.string().regex(/^[a-z][a-z0-9-]{0,59}$/, 'is lower-case letters, digits and hyphens, at most 60');
const Title = z.string().trim().min(1, 'is missing').max(60);

/** As every reader of documents has it; how the caches are reached is checked, and trimmed, as on their page. */
const ClusterSpec = ClusterDocument.shape.spec.extend({
  bazel: BazelWayInput.pick({ bazelUrl: true, bazelReaders: true }).optional(),
});

const Price = z.strictObject({
  meter: RateInput.shape.meter,
  pool: PoolName.optional(),
  unitPrice: z.string('is written in quotes, so that no digit is lost'),
  tiers: z
    .array(z.strictObject({ from: z.string('is written in quotes'), unitPrice: z.string('is written in quotes') }))
    .max(10)
    .optional(),
  validFrom: RateInput.shape.validFrom,
});
const RateCardSpec = z.strictObject({
  currency: RateInput.shape.currency,
  prices: z.array(Price).min(1, 'are missing').max(200),
});

const ForgeSpec = z.looseObject({ forge: z.enum(['github', 'gitlab', 'forgejo']), title: Title });
const CacheServerSpec = z.looseObject({ cluster: z.string('is missing') });

export const kinds: Record<string, Kind> = {
  Cluster: {
    name: Name,
    secret: [],
    order: 0,
    read: (id, given) => {
      const { title: name, kubeconfig, state, capacity, pools, attic, bazel } = ClusterSpec.parse(given);
      const way = kubeconfig ? { kubeconfig: kubeconfig.file, context: kubeconfig.context } : null;
      const entry = { id, name, way, state, capacity, pools, atticServerId: attic };
      return {
        target: `cluster/${id}`,
        enter: (tx) => enterCluster(tx, { ...entry, ...bazel }),
      };
    },
  },
  Pool: {
    name: PoolName,
    secret: [],
    order: 1,
    read: (name, given) => {
      const entry = PoolEntry.parse(given);
      return { target: `pool/${name}`, enter: (tx) => enterPool(tx, name, entry), kept: forgetPools };
    },
  },
  RateCard: {
    name: Name,
    secret: [],
    order: 2,
    read: (name, given) => {
      const { currency, prices } = RateCardSpec.parse(given);
      const inputs = prices.map(({ tiers = [], ...price }) =>
        RateInput.parse({
          ...price,
          currency,
          tiers: tiers.map((tier) => `${tier.from} ${tier.unitPrice}`).join('\n'),
        }),
      );
      return { target: `rate-card/${name}`, enter: (tx, now) => enterCard(tx, inputs, now) };
    },
  },
  Forge: {
    name: Name,
    secret: ['clientSecret', 'privateKey', 'webhookSecret'],
    plain: ['caBundle'],
    order: 3,
    read: (connectionId, given) => {
      const { forge: kind, title: name, ...rest } = ForgeSpec.parse(given);
      const entry = ForgeEntry.parse({ ...rest, kind, name, connectionId });
      return {
        target: `forge/${connectionId}`,
        attempt: () => tryForge(entry),
        enter: (tx) => enterForge(tx, entry),
      };
    },
  },
  CacheServer: {
    name: Name,
    secret: ['signingSecret', 'statisticsUrl'],
    order: 4,
    read: (id, given) => {
      const { cluster: clusterId, ...rest } = CacheServerSpec.parse(given);
      const entry = CacheServerEntry.parse({ ...rest, id, clusterId });
      return {
        target: `cache-server/${id}`,
        attempt: () => tryCacheServer(entry),
        enter: (tx) => enterCacheServer(tx, entry),
      };
    },
  },
};

export const operatorKinds: readonly string[] = Object.keys(kinds);

/** What of a card is new, by what each price is of. */
async function enterCard(tx: UnsafeTx, inputs: readonly RateInput[], now: Date): Promise<Said | null> {
  const added: Record<string, string> = {};
  for (const input of inputs) {
    const said = await enterRate(tx, input, now);
    const of = [input.meter, ...(input.pool === '' ? [] : [input.pool]), input.currency, `from ${input.validFrom}`];
    if (said) added[of.join(' ')] = input.unitPrice;
  }
  const { length } = Object.keys(added);
  return length === 0 ? null : { before: length === inputs.length ? null : {}, after: added };
}
