/**
 * change-to-screen: from a change of a runner in the cluster to when a page of the portal shows it, at 1,000 pools. The page asks
 * its server, which holds the answer until there is another, as the page of pools does; the server reads Postgres four times a
 * second a tenant; the worker's watch writes there. The peer is a bare watch of the same objects, which has no page, no tenant and no rights: what no portal can beat.
 * Beside it stands what the API server was asked meanwhile by all who looked: nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { inParallel } from '#lib/cluster/index.ts';
import { labelOf } from '#lib/model/index.ts';
import type { Obj } from '#sandbox/arc/kube.ts';
import { freePort } from '#sandbox/process.ts';
import { ensurePortal, signIn, startPortal } from './portal.ts';
import { print, quantile, rounded, say, until, type Options } from './report.ts';
import { addTenants, type Enrolled } from './tenants.ts';
import { startWorker } from './worker.ts';
import { startWorld, type World } from './world.ts';

const poolNames = ['docker', 'nix'];
const tenantsUsual = 500;
const everyMs = 100;
/** Changes come at any moment of what takes turns. */
const spreadMs = 1000;
const viewersAtOnce = 20;
const changesPerRun = 40;
const secondsMost = 2;

type Place = { slug: string; pool: string; name: string };

export async function screen(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const world = await startWorld({ organizations: 1 });
  const port = await freePort();
  Object.assign(process.env, {
    NODE_ENV: 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    PORTAL_URL: `http://127.0.0.1:${port}`,
  });
  await ensurePortal(world.folder);
  const enrolled = await addTenants('s', tenants);
  const places = await addRunners(world, enrolled);
  const cookie = await signIn(enrolled.map(({ slug }) => slug));
  const portal = await startPortal(port, world.folder);
  const worker = await startWorker();
  const pool = new Pool(portal.url, { connections: viewersAtOnce, pipelining: 1 });
  const stop = new AbortController();
  try {
    const heard = await bareWatch(world, stop.signal);
    const look: Look = (slug, since) => running(pool, cookie, slug, since);
    await until(
      'the first look',
      60_000,
      async () => (await look(enrolled.at(-1)?.slug ?? '')).total === poolNames.length,
    );
    await measure(world, places, { look, heard }, options);
  } finally {
    stop.abort();
    await pool.close();
    await worker.stop();
    await portal.stop();
  }
}

type Looked = { total: number; names: Set<string>; tag: string };
type Look = (slug: string, since?: string) => Promise<Looked>;
type Heard = Map<string, (atMs: number) => void>;

async function measure(
  world: World,
  places: readonly Place[],
  { look, heard }: { look: Look; heard: Heard },
  options: Options,
): Promise<void> {
  // One change a tenant at a time, so that what is seen is the change that was made.
  const changes = places.filter(({ pool }) => pool === poolNames[0]).slice(0, options.runs * changesPerRun);
  const asked = await world.apiRequests();
  const found: { ours: number; peer: number }[] = [];
  const waiting = changes.values();
  const view = async () => {
    for (const place of waiting) {
      found.push(await change(world, place, { look, heard }));
      if (found.length % 50 === 0) say(`change-to-screen ${found.length} of ${changes.length}`);
    }
  };
  await Promise.all(Array.from({ length: viewersAtOnce }, view));
  const ours = found.map((each) => each.ours);
  const peer = found.map((each) => each.peer);
  print({
    metric: 'change-to-screen',
    ours: rounded(quantile(ours, 0.5)),
    p90: rounded(quantile(ours, 0.9)),
    p99: rounded(quantile(ours, 0.99)),
    peer: rounded(quantile(peer, 0.5)),
    peerP99: rounded(quantile(peer, 0.99)),
    unit: 's',
    limit: secondsMost,
    pools: places.length,
    changes: found.length,
    requests: { ours: (await world.apiRequests()) - asked, peer: 1 },
  });
}

/** Gives a runner a job, and looks until the page has it. */
async function change(world: World, place: Place, { look, heard }: { look: Look; heard: Heard }) {
  const watched = new Promise<number>((resolve) => heard.set(place.name, resolve));
  const seen = (async () => {
    let since: string | undefined;
    for (;;) {
      const { names, tag } = await look(place.slug, since);
      if (names.has(place.name)) return performance.now();
      since = tag;
      await sleep(everyMs);
    }
  })();
  await sleep(spreadMs * (0.5 + Math.random()));
  const from = performance.now();
  const status = { jobRepositoryName: 'acme/app', jobDisplayName: 'build', workflowRunId: 1, phase: 'Running' };
  await world.admin.patch(runnerOf(place), { status }, 'status');
  const [ours, peer] = await Promise.all([seen, watched]);
  return { ours: (ours - from) / 1000, peer: (peer - from) / 1000 };
}

async function running(pool: Pool, cookie: string, slug: string, since?: string): Promise<Looked> {
  const path = `/api/views/pools/${slug}${since === undefined ? '' : `?since=${since}`}`;
  const answer = await pool.request({ path, method: 'GET', headers: { cookie } });
  if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode} ${await answer.body.text()}`);
  const { runners, tag } = (await answer.body.json()) as { runners: { name: string; state: string }[]; tag: string };
  const busy = runners.filter(({ state }) => state === 'running');
  return { total: runners.length, names: new Set(busy.map(({ name }) => name)), tag };
}

async function bareWatch(world: World, signal: AbortSignal): Promise<Heard> {
  const heard: Heard = new Map();
  const path = '/apis/actions.github.com/v1alpha1/ephemeralrunners';
  const { metadata } = await world.admin.call<{ metadata: { resourceVersion: string } }>({ method: 'GET', path });
  const lines = world.admin.lines(`${path}?watch=true&resourceVersion=${metadata.resourceVersion}`, signal);
  void (async () => {
    for await (const line of lines) {
      const { object } = JSON.parse(line) as { object: Obj & { status?: { jobDisplayName?: string } } };
      if (object.status?.jobDisplayName) heard.get(object.metadata.name)?.(performance.now());
    }
  })().catch((error: unknown) => {
    if (!signal.aborted) say(`the bare watch ended: ${String(error)}`);
  });
  return heard;
}

function runnerOf({ slug, pool, name }: Place): Obj {
  const labels = {
    'app.kubernetes.io/managed-by': 'flywheel',
    'flywheel.dev/tenant': slug,
    'flywheel.dev/enrollment': 'main',
    'flywheel.dev/pool': pool,
  };
  return {
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'EphemeralRunner',
    metadata: { name, namespace: `runners-${slug}`, labels },
    spec: {
      githubConfigUrl: 'https://github.com/acme',
      githubConfigSecret: 'none',
      runnerScaleSetId: 1,
      spec: { containers: [] },
    },
  } as Obj;
}

/** A runner that waits in each pool. */
async function addRunners(world: World, enrolled: readonly Enrolled[]): Promise<Place[]> {
  say(`making ${enrolled.length} namespaces with a runner for each of their ${poolNames.length} pools …`);
  const places = enrolled.flatMap(({ slug }) =>
    poolNames.map((pool) => ({ slug, pool, name: `${labelOf({ slug, isDefault: false }, pool)}-runner` })),
  );
  await inParallel(enrolled, async ({ slug }) => {
    await world.admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `runners-${slug}` } });
  });
  await inParallel(places, async (place) => {
    await world.admin.create(runnerOf(place));
    await world.admin.patch(runnerOf(place), { status: { phase: 'Running' } }, 'status');
  });
  return places;
}
