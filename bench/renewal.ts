/**
 * Tokens: renewing the Attic tokens of 1,000 tenants, all due at once, through the real loop and reconciler: what a day costs,
 * since each token is renewed once a day. It needs nothing of Attic, which keeps no tokens; what it writes is the Secrets. Held
 * against signing the same tokens and writing the same Secrets by a bare loop, sixteen at once, which keeps no list of them,
 * asks nobody whether one is due, and forgets what it did.
 */
import { randomBytes } from 'node:crypto';
import { signAtticToken } from '#lib/cache/index.ts';
import { inParallel, objectPath, type KubernetesObject } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { startAttic } from '#sandbox/attic/index.ts';
import { median, pairs, print, rounded, say, timed, until, type Options, type Sides } from './report.ts';
import { addTenants, wakeAll, type Enrolled } from './tenants.ts';
import { isQuiet, tenantsUsual, untilAll } from './thousand.ts';
import { startWorker, statementsSent, type BenchWorker } from './worker.ts';
import { startWorld, type World } from './world.ts';

type Renewal = { seconds: number; written: number; read: number; atticRequests: number; statements: number };

export async function renewal(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const hs256SecretBase64 = randomBytes(32).toString('base64');
  const attic = await countingAttic(hs256SecretBase64);
  const world = await startWorld({ organizations: tenants, attic: { url: attic.url, hs256SecretBase64 } });
  const enrolled = await addTenants('c', tenants, { attic: { public: false } });
  const worker = await startWorker();
  const filled = await timed(async () => {
    await wakeAll(enrolled);
    await untilAll(enrolled, 'PoolsReady');
  });
  say(`enrolled ${tenants} tenants with a view each in ${filled.toFixed(1)} s`);
  const secrets = [...worker.view.all('Secret')].filter(({ metadata }) => /-cache(-files)?$/.test(metadata.name));
  const found: (Sides & { detail: Renewal })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const detail = await renewAll(worker, enrolled, attic.requests);
    const peer = await writeAll(world, secrets, hs256SecretBase64);
    say(
      `Tokens pair ${pair + 1}: ours ${detail.seconds.toFixed(2)} s with ${detail.written} writes, bare ${peer.toFixed(2)} s`,
    );
    found.push({ ours: detail.seconds, peer, detail });
  }
  await worker.stop();
  await attic.stop();
  const middle = (of: (detail: Renewal) => number) => rounded(median(found.map((each) => of(each.detail))), 6);
  print({
    metric: 'tokens',
    ...pairs(found),
    unit: 's',
    requests: { ours: middle(({ written, read }) => written + read), peer: secrets.length },
    writes: middle(({ written }) => written),
    oursBesides: {
      atticRequests: middle(({ atticRequests }) => atticRequests),
      databaseStatements: middle(({ statements }) => statements),
    },
    tenants,
  });
}

async function countingAttic(hs256SecretBase64: string) {
  const attic = await startAttic({ port: 0, hs256SecretBase64 });
  return { url: attic.url, requests: () => attic.asked(), stop: () => attic.stop() };
}

async function renewAll(
  worker: BenchWorker,
  enrolled: readonly Enrolled[],
  atticRequests: () => number,
): Promise<Renewal> {
  await until('quiet', 120_000, isPutOff, 250);
  const before = await tokens();
  const sent = () => ({ ...worker.client.sent });
  const counted = { sent: sent(), attic: atticRequests(), statements: statementsSent() };
  const ids = enrolled.map(({ enrollmentId }) => enrollmentId);
  // As a person would who asks for new ones, so that all are due in the same moment.
  await unsafeDb().credential.updateMany({ where: { enrollmentId: { in: ids } }, data: { expiresAt: new Date() } });
  worker.passes.clear();
  const seconds = await timed(async () => {
    await wakeAll(enrolled);
    await until('a pass over all', 120_000 + 500 * enrolled.length, () => worker.passes.size >= enrolled.length, 10);
  });
  const issued = (await tokens()) - before;
  if (issued !== enrolled.length) throw new Error(`${issued} tokens were issued for ${enrolled.length} tenants`);
  const after = sent();
  const grown = (method: keyof typeof after) => after[method] - counted.sent[method];
  const all = Object.keys(after).reduce((sum, method) => sum + grown(method as keyof typeof after), 0);
  return {
    seconds,
    read: grown('GET'),
    written: all - grown('GET'),
    atticRequests: atticRequests() - counted.attic,
    statements: statementsSent() - counted.statements,
  };
}

/** Nobody's runners come here, which every enrollment looks for again in a few seconds: that is put off. */
async function isPutOff(): Promise<boolean> {
  const dueAt = new Date(Date.now() + 600_000);
  await unsafeDb().task.updateMany({ where: { kind: 'enrollment', leaseUntil: null }, data: { dueAt } });
  return isQuiet();
}

function tokens(): Promise<number> {
  return unsafeDb().cacheToken.count();
}

/** Signs one token for each tenant and applies the Secrets that it goes into. */
async function writeAll(world: World, secrets: readonly KubernetesObject[], secretBase64: string): Promise<number> {
  const key = { algorithm: 'HS256' as const, secretBase64 };
  return timed(() =>
    inParallel([...secrets], async (object) => {
      const { name, namespace = '' } = object.metadata;
      const caches = { [`${namespace.replace('runners-', '')}+main`]: { r: true, w: true } };
      const { token } = await signAtticToken({ key, subject: name, expiresAt: new Date(Date.now() + 60_000), caches });
      const data = { bench: Buffer.from(token).toString('base64') };
      const path = `${objectPath(object)}?fieldManager=bench&force=true`;
      const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data };
      await world.admin.call({ method: 'PATCH', path, body, contentType: 'application/apply-patch+yaml' });
    }),
  );
}
