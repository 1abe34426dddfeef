import { z } from 'zod';
import {
  keyIdOf,
  observeAtticView,
  openedKey,
  probeProofOfPossession,
  probeStatistics,
  signingAlgorithms,
  type SigningKey,
} from '#lib/cache/index.ts';
import { ipRange } from '#lib/cluster/index.ts';
import {
  open,
  seal,
  unsafeDb,
  unsafeTransaction,
  type CacheServerModel,
  type Prisma,
  type UnsafeTx,
} from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { cacheServerPlace, openServer, statisticsPlace, statisticsUrlOf, withKey, type OpenServer } from './server.ts';

/* What operators enter of cache servers and look after, for all tenants. */

export const Checked = z.strictObject({
  name: z.string(),
  state: z.enum(['good', 'bad', 'unknown']),
  says: z.string(),
});
export type Checked = z.infer<typeof Checked>;

export type CacheServerRow = {
  id: string;
  url: string;
  clusterId: string;
  algorithm: string;
  hasKey: boolean;
  hasStatistics: boolean;
  views: number;
  /** Tokens that the server takes now. */
  tokens: number;
  checklist: Checked[];
  checkedAt: string | null;
  bazelUrl: string | null;
  bazelReaders: string | null;
};

export async function cacheServers(by: PersonCtx, now = new Date()): Promise<CacheServerRow[]> {
  if (!by.person.isOperator) throw notFound();
  const rows = await unsafeDb().cacheServer.findMany({
    where: { plane: 'attic' },
    include: {
      cluster: true,
      _count: { select: { views: true } },
    },
    orderBy: { id: 'asc' },
  });
  return Promise.all(
    rows.map(async (row) => ({
      id: row.id,
      url: row.url,
      clusterId: row.clusterId,
      algorithm: row.signingAlgorithm,
      hasKey: row.sealedSigningSecret !== null,
      hasStatistics: row.sealedStatisticsUrl !== null,
      views: row._count.views,
      tokens: await tokensTaken(row, now),
      checklist: z.array(Checked).catch([]).parse(row.checklist),
      checkedAt: row.checkedAt?.toISOString() ?? null,
      bazelUrl: row.cluster.bazelUrl,
      bazelReaders: row.cluster.bazelReaders,
    })),
  );
}

/** Those of a key before are worth nothing any more. */
async function tokensTaken(row: CacheServerModel, now: Date): Promise<number> {
  const server = await openServer(row);
  if (!server) return 0;
  const where = { serverId: row.id, keyId: keyIdOf(server.key), expiresAt: { gt: now } };
  return unsafeDb().cacheToken.count({ where });
}

async function ownedServer(by: PersonCtx, id: string) {
  const row = by.person.isOperator ? await unsafeDb().cacheServer.findUnique({ where: { id } }) : null;
  if (!row) throw notFound('This cache server');
  return row;
}

// ------------------------------------------------------------------------------------------------ the checklist

export const CheckServerInput = z.strictObject({ serverId: z.string().min(1).max(100) });

const noView = 'flywheel+nobody';

/** Goes through what keeps tenants apart on this server, by asking it, and keeps what was found. */
export async function checkCacheServer(
  by: PersonCtx,
  { serverId }: z.infer<typeof CheckServerInput>,
  now = new Date(),
): Promise<Checked[]> {
  const row = await ownedServer(by, serverId);
  const server = await openServer(row);
  const checklist = [
    ...(server
      ? [await checked('Signing key', () => takesKey(server)), await checked('Silence', () => isSilent(server))]
      : [{ name: 'Signing key', state: 'bad' as const, says: 'No signing key is entered.' }]),
    ...(server ? [await checked('Proof of possession', () => wantsProof(server))] : []),
    await checked('Statistics', async () => readsOnly(await statisticsUrlOf(row))),
  ];
  await unsafeTransaction(async (tx) => {
    await tx.cacheServer.update({ where: { id: serverId }, data: { checklist, checkedAt: now } });
    await appendAudit(tx, by, null, {
      action: 'cache-server:check',
      target: `cache-server/${serverId}`,
      after: checklist,
    });
  });
  return checklist;
}

async function checked(name: string, ask: () => Promise<Omit<Checked, 'name'>>): Promise<Checked> {
  try {
    return { name, ...(await ask()) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const state = error.code === 'unavailable' ? 'unknown' : 'bad';
    return { name, state, says: [error.screen.happened, error.screen.todo].filter(Boolean).join(' ') };
  }
}

/** On a view that is nobody's, where no public answer can pass for a token that was taken. */
async function takesKey(server: OpenServer): Promise<Omit<Checked, 'name'>> {
  await observeAtticView({ server, name: noView });
  return { state: 'good', says: `It takes tokens that the portal signs (${server.key.algorithm}).` };
}

/** Asked by nobody, a name that is not there must be answered as one that is. */
async function isSilent({ url, fetch }: OpenServer): Promise<Omit<Checked, 'name'>> {
  const answer = await fetch(`${url}/${encodeURIComponent(noView)}/nix-cache-info`).catch(() => null);
  if (answer?.status === 401) return { state: 'good', says: 'Strangers are not told which views there are.' };
  if (answer === null) return { state: 'unknown', says: 'It did not answer.' };
  return {
    state: 'bad',
    says: `It answers ${answer.status} to a stranger who asks for a view, where 401 tells nothing.`,
  };
}

async function wantsProof(server: OpenServer): Promise<Omit<Checked, 'name'>> {
  if ((await probeProofOfPossession(server)) === 'required')
    return { state: 'good', says: 'An upload without the bytes was refused: nobody gets a path by its hash alone.' };
  const says =
    'require-proof-of-possession is off: whoever knows a hash can take another tenant’s path. Set it to true, and restart the server.';
  return { state: 'bad', says };
}

async function readsOnly(url: string | null): Promise<Omit<Checked, 'name'>> {
  if (url === null) return { state: 'unknown', says: 'No connection to its database is entered: sizes are not known.' };
  const { mayWrite } = await probeStatistics(url);
  if (mayWrite) return { state: 'bad', says: 'The database’s role may write. Give the portal one that may only read.' };
  return { state: 'good', says: 'Its database is read by a role that may only read.' };
}

// ------------------------------------------------------------------------------------------------ changes

const secretText = z
  .string()
  .trim()
  .max(20_000)
  .transform((text) => text || null)
  .default(null);

export const ChangeCacheServerInput = z.strictObject({
  serverId: z.string().min(1).max(100),
  algorithm: z.enum(signingAlgorithms),
  /** As in Attic's configuration; empty keeps the one that is there. */
  signingSecret: secretText,
  /** `postgres://…` of a role that may only read; empty keeps the one that is there. */
  statisticsUrl: secretText,
});

/** A new key is tried at the server before it is kept; it ends every token that the old one signed, for all tenants. */
export async function changeCacheServer(by: PersonCtx, input: z.infer<typeof ChangeCacheServerInput>): Promise<void> {
  const { serverId: id, algorithm, statisticsUrl } = input;
  const row = await ownedServer(by, id);
  const before = await openServer(row);
  const key = keyOf(before, input);
  if (statisticsUrl !== null) await assertReads(statisticsUrl);
  const isOther = key !== null && (before === null || keyIdOf(key) !== keyIdOf(before.key));
  if (key && isOther) await assertTaken(withKey(row, key));
  const data = {
    ...(key
      ? { signingAlgorithm: algorithm, sealedSigningSecret: await seal(key.secretBase64, cacheServerPlace(id)) }
      : {}),
    ...(statisticsUrl === null ? {} : { sealedStatisticsUrl: await seal(statisticsUrl, statisticsPlace(id)) }),
  };
  await unsafeTransaction(async (tx) => {
    await tx.cacheServer.update({ where: { id }, data });
    const replaced = [
      ...(isOther ? ['signing key'] : []),
      ...(statisticsUrl === null ? [] : ['statistics connection']),
    ];
    await appendAudit(tx, by, null, {
      action: 'cache-server:change',
      target: `cache-server/${id}`,
      after: { algorithm, replaced },
    });
    if (isOther) await wakeWhere(tx, { OR: [{ id: row.clusterId }, { atticServerId: id }] });
  });
}

function keyOf(
  before: OpenServer | null,
  { algorithm, signingSecret }: z.infer<typeof ChangeCacheServerInput>,
): SigningKey | null {
  const secretBase64 = signingSecret ?? before?.key.secretBase64;
  if (secretBase64 === undefined) return null;
  const key: SigningKey = { algorithm, secretBase64: secretBase64.replaceAll(/\s/g, '') };
  try {
    openedKey(key);
  } catch {
    const wanted = algorithm === 'RS256' ? 'is no RSA key of 2048 bits or more in PEM, in base64' : 'is no base64';
    throw invalidFields({ signingSecret: wanted });
  }
  return key;
}

async function assertTaken(server: OpenServer): Promise<void> {
  await observeAtticView({ server, name: noView }).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'forbidden')
      throw invalidFields(
        { signingSecret: 'is not the one that the server verifies with' },
        'The key was tried at the server.',
      );
    throw error;
  });
}

async function assertReads(url: string): Promise<void> {
  const refusal = /^postgres(ql)?:\/\//.test(url) ? null : 'is no address of a Postgres database';
  if (refusal) throw invalidFields({ statisticsUrl: refusal });
  const found = await probeStatistics(url).catch((error: unknown) => {
    if (error instanceof AppError)
      throw invalidFields({ statisticsUrl: 'could not be read: check address, role and rights' });
    throw error;
  });
  if (found.mayWrite)
    throw invalidFields({ statisticsUrl: 'is of a role that may write; make one that may only read' });
}

/** All that hold a token there are given another, and all that let somebody read let somebody else. */
async function wakeWhere(tx: UnsafeTx, cluster: Prisma.ClusterWhereInput): Promise<void> {
  const rows = await tx.enrollment.findMany({
    where: { state: 'active', tenant: { cluster } },
    select: { id: true },
  });
  await wake(
    tx,
    'enrollment',
    rows.map(({ id }) => id),
  );
}

// ------------------------------------------------------------------------------------------------ by a document

const Origin = z
  .string()
  .max(300)
  .transform((text) => text.replace(/\/+$/, ''))
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? '') && URL.parse(text)?.origin === text, {
    error: 'is the server’s address alone, such as https://attic.example.org',
  });

/** An Attic server as a document tells it. */
export const CacheServerEntry = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,59}$/, 'is lower-case letters, digits and hyphens, at most 60'),
  clusterId: z.string().min(1).max(63),
  url: Origin,
  algorithm: ChangeCacheServerInput.shape.algorithm.default('HS256'),
  signingSecret: z.string().trim().min(1, 'is missing').max(20_000),
  statisticsUrl: z.string().trim().min(1, 'is missing').max(20_000).optional(),
});
export type CacheServerEntry = z.output<typeof CacheServerEntry>;

const serverRow = (db: Pick<UnsafeTx, 'cacheServer'>, { id }: CacheServerEntry) =>
  db.cacheServer.findUnique({ where: { id } });

/** Tries at the server, and at its database, what would be kept of them for the first time. */
export async function tryCacheServer(entry: CacheServerEntry): Promise<void> {
  const { id, url, algorithm, signingSecret, statisticsUrl } = entry;
  const before = await serverRow(unsafeDb(), entry);
  const key = keyOf(null, { serverId: id, algorithm, signingSecret, statisticsUrl: null });
  if (key && !before) await assertTaken(withKey({ id, url }, key));
  if (statisticsUrl !== undefined && !before?.sealedStatisticsUrl) await assertReads(statisticsUrl);
}

/** Makes it so and says what changed; null where nothing did. Whoever calls it writes it into the audit. */
export async function enterCacheServer(tx: UnsafeTx, entry: CacheServerEntry) {
  const { id, clusterId, url, algorithm, signingSecret, statisticsUrl } = entry;
  const before = await serverRow(tx, entry);
  if (before) await refuseOther(entry, before);
  else await refuseCluster(tx, entry);
  const statistics =
    statisticsUrl === undefined || before?.sealedStatisticsUrl
      ? {}
      : { sealedStatisticsUrl: await seal(statisticsUrl, statisticsPlace(id)) };
  const isRead = 'sealedStatisticsUrl' in statistics;
  if (before) {
    if (!isRead) return null;
    await tx.cacheServer.update({ where: { id }, data: statistics });
    return { before: { hasStatistics: false }, after: { hasStatistics: true } };
  }
  const sealedSigningSecret = await seal(signingSecret.replaceAll(/\s/g, ''), cacheServerPlace(id));
  const row = { id, plane: 'attic' as const, clusterId, url, signingAlgorithm: algorithm };
  await tx.cacheServer.create({ data: { ...row, sealedSigningSecret, ...statistics } });
  await wakeWhere(tx, { id: clusterId });
  return { before: null, after: { clusterId, url, algorithm, hasStatistics: isRead } };
}

async function refuseCluster(tx: UnsafeTx, { clusterId }: CacheServerEntry): Promise<void> {
  const cluster = await tx.cluster.findUnique({
    where: { id: clusterId },
    select: { atticServerId: true, cacheServers: { where: { plane: 'attic' } } },
  });
  if (!cluster) throw invalidFields({ cluster: `there is no cluster ${clusterId}` });
  const other = cluster.cacheServers[0]?.id ?? cluster.atticServerId;
  if (other) throw invalidFields({ cluster: `${clusterId} has the server ${other} already` });
}

/** Views and tokens hang on where it is; its key is replaced where that ends the tokens which the old one signed. */
async function refuseOther(entry: CacheServerEntry, before: CacheServerModel): Promise<void> {
  const { clusterId, url, algorithm, signingSecret, statisticsUrl } = entry;
  const another = 'is another than the one that is kept: it is replaced on the page Caches, which tries it';
  const hangs = 'cannot change: this server is entered already, and all hangs on it';
  const key = (await openServer(before))?.key;
  const kept = before.sealedStatisticsUrl;
  const isKept =
    statisticsUrl === undefined || !kept || (await open(kept, statisticsPlace(before.id))) === statisticsUrl;
  const problems = [
    ...(clusterId === before.clusterId ? [] : [['cluster', hangs]]),
    ...(url === before.url ? [] : [['url', hangs]]),
    ...(key?.algorithm === algorithm ? [] : [['algorithm', another]]),
    ...(key?.secretBase64 === signingSecret.replaceAll(/\s/g, '') ? [] : [['signingSecret', another]]),
    ...(isKept ? [] : [['statisticsUrl', another]]),
  ];
  if (problems.length > 0) throw invalidFields(Object.fromEntries(problems) as Record<string, string>);
}

const bazelReaders = z
  .string()
  .trim()
  .max(100)
  .transform((text) => text || null)
  .refine(
    (text) => text === null || /^namespace\/[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(text) || ipRange(text) !== null,
    'is a range such as 10.20.0.0/16, or namespace/NAME',
  );

export const BazelWayInput = z.strictObject({
  clusterId: z.string().min(1).max(100),
  /** Where the portal, and developers, reach a tenant's cache. */
  bazelUrl: z
    .string()
    .trim()
    .max(300)
    .transform((text) => text.replace(/\/$/, '') || null)
    .refine(
      (text) => text === null || (URL.canParse(text.replaceAll('{namespace}', 'x')) && text.includes('{namespace}')),
      'is an address with {namespace} in it, such as https://{namespace}.caches.example.org',
    ),
  bazelReaders,
});

/** Where the Bazel caches of a cluster are reached from outside, and by whom beside the tenants' runners. */
export async function changeBazelWay(by: PersonCtx, input: z.infer<typeof BazelWayInput>): Promise<void> {
  const { clusterId: id, bazelUrl, bazelReaders: readers } = input;
  const before = by.person.isOperator ? await unsafeDb().cluster.findUnique({ where: { id } }) : null;
  if (!before) throw notFound('This cluster');
  await unsafeTransaction(async (tx) => {
    await tx.cluster.update({ where: { id }, data: { bazelUrl, bazelReaders: readers } });
    await appendAudit(tx, by, null, {
      action: 'cluster:bazel-way',
      target: `cluster/${id}`,
      before: { bazelUrl: before.bazelUrl, bazelReaders: before.bazelReaders },
      after: { bazelUrl, bazelReaders: readers },
    });
    if (before.bazelReaders !== readers) await wakeWhere(tx, { id });
  });
}
