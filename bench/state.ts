/**
 * state: a state of about 5 MB written and read back through the portal's own door, the web process as in production, each version
 * checked, compressed, sealed and kept in a Postgres that syncs to disk; against a bare Node HTTP handler that writes the same
 * bytes to a file, synced, and reads them. Each write is a new version under the next serial, as an apply makes it. Afterwards
 * the database is asked whether every version is there.
 */
import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unsafeDb } from '#lib/db/index.ts';
import { addCredential, addStack } from '#lib/state/index.ts';
import type { FileServerMessage } from './file-server.ts';
import { prepare, startPortal } from './portal.ts';
import { pairs, print, rounded, say, type Options, type Sides } from './report.ts';

const stack = 'bench';
const stateBytes = 5_000_000;
const writesEach = 5;

type Side = { url: string; authorization?: string };
type Took = { putMs: number; getMs: number };

export async function state(options: Options): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    await measure(await startSides(stops), options);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

async function measure({ ours, peer }: { ours: Side; peer: Side }, { runs }: Options): Promise<void> {
  let serial = 0;
  const round = async (side: Side): Promise<Took> => {
    let [putMs, getMs] = [0, 0];
    for (let write = 0; write < writesEach; write += 1) {
      serial += 1;
      const took = await putAndGet(side, stateOf(serial));
      putMs += took.putMs / writesEach;
      getMs += took.getMs / writesEach;
    }
    return { putMs, getMs };
  };
  for (const side of [ours, peer]) await round(side);
  const [puts, gets]: [Sides[], Sides[]] = [[], []];
  for (let pair = 0; pair < runs; pair += 1) {
    const [own, bare] = [await round(ours), await round(peer)];
    puts.push({ ours: own.putMs, peer: bare.putMs });
    gets.push({ ours: own.getMs, peer: bare.getMs });
    const figures = [own.putMs, bare.putMs, own.getMs, bare.getMs].map((each) => each.toFixed(0)).join(', ');
    say(`state pair ${pair + 1}: PUT, file PUT, GET, file GET ${figures} ms`);
  }
  const sealed = await verify((runs + 1) * writesEach);
  const shared = { unit: 'ms', bytes: stateOf(1).length, sealedBytes: rounded(sealed), requests: { ours: 1, peer: 1 } };
  print({ metric: 'state', what: 'state PUT', ...pairs(puts), ...shared });
  print({ metric: 'state', what: 'state GET', ...pairs(gets), ...shared });
}

/** What is there after all was sent, and how large a version is kept on average. */
async function verify(versions: number): Promise<number> {
  const [found] = await unsafeDb().$queryRaw<{ count: bigint; bytes: number }[]>`
    select count(*) as count, avg(length(sealed))::float8 as bytes from state_version`;
  if (!found || Number(found.count) !== versions) throw new Error(`${found?.count} versions are kept, of ${versions}`);
  return found.bytes;
}

async function putAndGet({ url, authorization }: Side, body: string): Promise<Took> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'content-md5': createHash('md5').update(body).digest('base64'),
    ...(authorization === undefined ? {} : { authorization }),
  };
  const from = performance.now();
  const put = await fetch(url, { method: 'PUT', headers, body });
  await put.arrayBuffer();
  const between = performance.now();
  const get = await fetch(url, authorization === undefined ? {} : { headers: { authorization } });
  const read = await get.text();
  const to = performance.now();
  if (put.status !== 200 || get.status !== 200 || read !== body)
    throw new Error(`${url}: ${put.status}, ${get.status}`);
  return { putMs: between - from, getMs: to - between };
}

/** As states are: much that repeats, and identifiers and certificates that do not. */
const resources = Array.from({ length: stateBytes / 849 }, (_, index) => ({
  mode: 'managed',
  type: 'kubernetes_manifest',
  name: `object_${index}`,
  provider: 'provider["registry.opentofu.org/hashicorp/kubernetes"]',
  instances: [
    {
      schema_version: 1,
      attributes: {
        id: randomBytes(16).toString('hex'),
        certificate: randomBytes(330).toString('base64'),
        labels: { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': `tenant-${index % 50}` },
      },
      sensitive_attributes: [],
      dependencies: [`kubernetes_manifest.object_${Math.floor(index / 2)}`],
    },
  ],
}));
const inner = JSON.stringify(resources);

function stateOf(serial: number): string {
  return `{"version":4,"terraform_version":"1.12.6","serial":${serial},"lineage":"bench","outputs":{},"resources":${inner}}`;
}

async function startSides(stops: (() => Promise<void>)[]): Promise<{ ours: Side; peer: Side }> {
  const { folder, port } = await prepare(stops, { isDurable: true });
  const authorization = await credential();
  const portal = await startPortal(port, folder);
  stops.push(portal.stop);
  // On the disk that the database is on.
  const files = join(folder, 'files');
  mkdirSync(files);
  const child = fork(fileURLToPath(new URL('./file-server.ts', import.meta.url)), [files]);
  const [{ port: filePort }] = (await once(child, 'message')) as [FileServerMessage];
  stops.push(async () => {
    child.disconnect();
    await once(child, 'exit');
  });
  return {
    ours: { url: `${portal.url}/api/state/${stack}`, authorization },
    peer: { url: `http://127.0.0.1:${filePort}/state` },
  };
}

async function credential(): Promise<string> {
  const { id: userId } = await unsafeDb().user.create({ data: { name: 'Bench' } });
  const by = {
    requestId: 'bench',
    person: { userId, name: 'Bench', imageUrl: null, identities: [], isOperator: true },
  };
  await addStack(by, { name: stack, description: '' });
  const { name, secret } = await addCredential(
    by,
    { stack, name: 'bench', access: 'write', days: 'never' },
    new Date(),
  );
  return `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
}
