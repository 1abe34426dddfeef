/**
 * P1: from the wake of approved enrollments to the last of their objects in the API and PoolsReady in the database, through
 * the real loop, reconciler and view, with the forge observed on the way; against `kubectl apply --server-side` of the same
 * objects, byte for byte but for the tenant's name, one call a tenant, one after the other, with the same rights.
 * kubectl's calls do not touch each other, so a part of the tenants is timed and the rest is reckoned.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stamped, type KubernetesObject } from '#lib/cluster/index.ts';
import { median, pairs, print, rounded, say, timed, until, type Options, type Sides } from './report.ts';
import { addTenants, countWith, letRest, objectsEach, wakeAll, type Enrolled } from './tenants.ts';
import { startWorker, statementsSent, type Written } from './worker.ts';
import { startWorld, type World } from './world.ts';

const run = promisify(execFile);
const tenantsUsual = 100;
const peerTenantsUsual = 25;
/** The cluster's own controllers go on for a moment after each side, and must not be billed to the next. */
const settleMs = 3000;

/** Seconds of processor time: the side's own processes, and the servers that both use. */
type Cpu = { own: number; servers: number };
type Ours = {
  seconds: number;
  requests: number;
  forge: number;
  statements: number;
  passes: number;
  cpu: Cpu;
  written: Written[];
};

export async function enrolling(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const peerTenants = Math.min(tenants, options.peerTenants ?? peerTenantsUsual);
  const world = await startWorld({ organizations: tenants * options.runs + warmUp });
  const peerRequests = await warmedUp(world);
  const found: (Sides & { detail: Ours; peerCpu: Cpu })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const detail = await enrol(world, `o${pair}`, tenants);
    await settle();
    const cpuBefore = world.cpuMs();
    const times = tenants / peerTenants;
    const peer = (await apply(world, `k${pair}`, detail.written, peerTenants)) * times;
    const { own, servers } = since(world, cpuBefore);
    const peerCpu = { own: own * times, servers: servers * times };
    await settle();
    say(
      `P1 pair ${pair + 1}: ours ${detail.seconds.toFixed(2)} s, kubectl ${peer.toFixed(1)} s, ratio ${(detail.seconds / peer).toFixed(4)}`,
    );
    found.push({ ours: detail.seconds, peer, detail, peerCpu });
  }
  const middle = (of: (detail: Ours) => number) => rounded(median(found.map((each) => of(each.detail))), 6);
  print({
    metric: 'P1',
    ...pairs(found),
    unit: 's',
    requests: { ours: middle((each) => each.requests), peer: Math.round(peerRequests * tenants) },
    oursBesides: {
      forgeRequests: middle((each) => each.forge),
      databaseStatements: middle((each) => each.statements),
      passes: middle((each) => each.passes),
    },
    cpuSeconds: {
      ours: cpuOf(found.map((each) => each.detail.cpu)),
      peer: cpuOf(found.map((each) => each.peerCpu)),
    },
    tenants,
    objects: tenants * objectsEach,
    peerSample: `${peerTenants} of ${tenants} tenants, times ${rounded(tenants / peerTenants)}`,
  });
}

function since(world: World, before: Cpu): Cpu {
  const now = world.cpuMs();
  return { own: (now.own - before.own) / 1000, servers: (now.servers - before.servers) / 1000 };
}

function cpuOf(found: readonly Cpu[]): Cpu {
  return {
    own: rounded(median(found.map((each) => each.own))),
    servers: rounded(median(found.map((each) => each.servers))),
  };
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, settleMs));
}

const warmUp = 12;

/** Both sides once, unmeasured: code is compiled, kubectl's discovery is cached. Answers kubectl's requests a tenant. */
async function warmedUp(world: World): Promise<number> {
  const { written } = await enrol(world, 'ow', warmUp);
  await apply(world, 'kw', written, 1);
  const [file] = manifests(world, 'kv', written, 1);
  if (file === undefined) throw new Error('nothing was written');
  const { stderr } = await kubectl(world, ['-v=6', 'apply', '--server-side', '-f', file]);
  return stderr.split('\n').filter((line) => / verb="?[A-Z]+"? url=| (GET|PATCH|POST) https:/.test(line)).length;
}

async function enrol(world: World, prefix: string, count: number): Promise<Ours> {
  const enrolled = await addTenants(prefix, count);
  const worker = await startWorker();
  const before = {
    forge: await world.forgeRequests(),
    statements: statementsSent(),
    sent: total(worker.client.sent),
    cpu: world.cpuMs(),
  };
  const seconds = await timed(async () => {
    await wakeAll(enrolled);
    await until(
      'the pools',
      60_000 + 2000 * count,
      async () => (await countWith(enrolled, 'PoolsReady')) === count,
      50,
    );
  });
  const cpu = since(world, before.cpu);
  const detail = {
    seconds,
    requests: total(worker.client.sent) - before.sent,
    forge: (await world.forgeRequests()) - before.forge,
    statements: statementsSent() - before.statements,
    passes: [...worker.passes.values()].reduce((sum, each) => sum + each, 0),
    cpu,
    written: worker.client.written,
  };
  await worker.stop();
  await letRest(enrolled);
  await verify(world, enrolled);
  return detail;
}

function total(sent: Record<string, number>): number {
  return Object.values(sent).reduce((sum, each) => sum + each, 0);
}

const written = [
  '/api/v1/namespaces',
  '/api/v1/resourcequotas',
  '/api/v1/limitranges',
  '/apis/networking.k8s.io/v1/networkpolicies',
  '/api/v1/secrets',
  '/api/v1/serviceaccounts',
  '/apis/rbac.authorization.k8s.io/v1/roles',
  '/apis/rbac.authorization.k8s.io/v1/rolebindings',
  '/apis/actions.github.com/v1alpha1/autoscalingrunnersets',
];

/** The API server itself is asked whether all is there. */
async function verify(world: World, enrolled: readonly Enrolled[]): Promise<void> {
  const selector = encodeURIComponent(`flywheel.dev/tenant in (${enrolled.map((each) => each.slug).join(',')})`);
  const counts = await Promise.all(
    written.map(async (path) => {
      const list = await world.admin.call<{ items: unknown[] }>({
        method: 'GET',
        path: `${path}?labelSelector=${selector}`,
      });
      return list.items.length;
    }),
  );
  const there = counts.reduce((sum, count) => sum + count, 0);
  if (there !== enrolled.length * objectsEach)
    throw new Error(`${there} objects instead of ${enrolled.length * objectsEach}`);
}

// ------------------------------------------------------------------------------------------------ the peer

/** Seconds that kubectl takes for `count` tenants. */
async function apply(world: World, prefix: string, ours: readonly Written[], count: number): Promise<number> {
  const files = manifests(world, prefix, ours, count);
  return timed(async () => {
    for (const file of files) await kubectl(world, ['apply', '--server-side', '-f', file]);
  });
}

function kubectl(world: World, args: string[]) {
  const env = { ...process.env, KUBECACHEDIR: join(world.folder, 'kube-cache') };
  return run(world.binary, ['kubectl', '--kubeconfig', world.cluster.portalKubeconfigPath, ...args], { env });
}

/** A file for each of the first `count` tenants that we enrolled, in the order in which we wrote, under another name. */
function manifests(world: World, prefix: string, ours: readonly Written[], count: number): string[] {
  const bySlug = new Map<string, Written[]>();
  for (const each of ours) {
    const slug = (JSON.parse(each.body) as KubernetesObject).metadata.labels?.['flywheel.dev/tenant'] ?? '';
    bySlug.set(slug, [...(bySlug.get(slug) ?? []), each]);
  }
  const folder = join(world.folder, 'manifests');
  mkdirSync(folder, { recursive: true });
  return [...bySlug].slice(0, count).map(([slug, objects]) => {
    if (objects.length !== objectsEach)
      throw new Error(`${slug} has ${objects.length} objects instead of ${objectsEach}`);
    const other = slug.replace(/^[^-]+/, prefix);
    const items = objects.map(({ body }) => restamped(JSON.parse(body.replaceAll(slug, other)) as KubernetesObject));
    const file = join(folder, `${other}.json`);
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    return file;
  });
}

/** The stamp is the hash of the rest, which has another name now. */
function restamped(object: KubernetesObject): KubernetesObject {
  const { 'flywheel.dev/applied': _, ...annotations } = object.metadata.annotations ?? {};
  const { annotations: __, ...metadata } = object.metadata;
  return stamped({
    ...object,
    metadata: Object.keys(annotations).length > 0 ? { ...metadata, annotations } : metadata,
  });
}
