/**
 * P11: a tenant's dashboard as the server renders it, for somebody who is signed in, against the JSON of the same data from the
 * same server: a production `npm run web` over Postgres. The sender shares the machine with both.
 */
import { Pool } from 'undici';
import { unsafeDb } from '#lib/db/index.ts';
import { connectionId } from '../prisma/seed.ts';
import { prepare, seedNowhere, signIn, startPortal } from './portal.ts';
import { pairs, print, quantile, rounded, say, type Options, type Sides } from './report.ts';
import { addTenants } from './tenants.ts';

const connections = 8;
const requestsEach = 200;
const warmUp = 50;
const runnersEach = 20;
/** What guarantees are made of: the page serves a quarter of what its data alone does, or more. */
const ratioLeast = 0.25;

export async function dashboard(options: Options): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    await measure(options, stops);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

async function measure(options: Options, stops: (() => Promise<void>)[]): Promise<void> {
  const { url, cookie, slug } = await startSides(stops);
  const page = `/t/${slug}`;
  const json = `/api/views/overview/${slug}`;
  for (const path of [page, json]) await load(url, path, cookie, warmUp);
  const found: (Sides & { latenciesMs: number[] })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const ours = await load(url, page, cookie, requestsEach);
    const peer = await load(url, json, cookie, requestsEach);
    say(`P11 pair ${pair + 1}: page ${ours.perSecond.toFixed(0)}, JSON ${peer.perSecond.toFixed(0)} req/s`);
    found.push({ ours: ours.perSecond, peer: peer.perSecond, latenciesMs: ours.latenciesMs });
  }
  const latencies = found.flatMap(({ latenciesMs }) => latenciesMs);
  print({
    metric: 'P11',
    ...pairs(found),
    unit: 'req/s',
    p99_ms: rounded(quantile(latencies, 0.99)),
    requests: { ours: requestsEach, peer: requestsEach },
    ratioLeast,
    connections,
  });
}

type Load = { perSecond: number; latenciesMs: number[] };

/** Asks for a page of that tenant so many times, a few at once. */
export async function load(url: string, path: string, cookie: string, count: number): Promise<Load> {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const latenciesMs: number[] = [];
  let left = count;
  const ask = async () => {
    while (left > 0) {
      left -= 1;
      const from = performance.now();
      const answer = await pool.request({ path, method: 'GET', headers: { cookie, 'accept-encoding': 'identity' } });
      const text = await answer.body.text();
      latenciesMs.push(performance.now() - from);
      // What is measured must be the thing itself, and not a way to it or a word that it is absent.
      if (answer.statusCode !== 200 || !text.includes('acme-runner-label'))
        throw new Error(`${path} answered ${answer.statusCode}: ${text.slice(0, 200)}`);
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: connections }, ask));
  const seconds = (performance.now() - from) / 1000;
  await pool.close();
  return { perSecond: count / seconds, latenciesMs };
}

export type Served = { url: string; pid: number; cookie: string; slug: string };

/** A portal with a tenant that is alive, and somebody of it who is signed in. */
export async function startSides(stops: (() => Promise<void>)[]): Promise<Served> {
  const { folder, port } = await prepare(stops, { isDurable: false });
  await seedNowhere('x');
  const slug = await addLife();
  const cookie = await signIn([slug]);
  const portal = await startPortal(port, folder);
  stops.push(portal.stop);
  return { url: portal.url, pid: portal.pid, cookie, slug };
}

/** Twenty tenants, of which the one that is looked at has runners, and jobs that run and wait. */
async function addLife(): Promise<string> {
  const [first] = await addTenants('d', 20);
  if (!first) throw new Error('no tenant');
  const db = unsafeDb();
  const { tenantId } = await db.enrollment.findUniqueOrThrow({ where: { id: first.enrollmentId } });
  const scaleSetName = 'acme-runner-label';
  const own = { tenantId, enrollmentId: first.enrollmentId, scaleSetName };
  await db.enrollmentPool.create({ data: { ...own, poolName: 'nix-heavy', minRunners: 0, maxRunners: 20 } });
  const at = new Date();
  const numbers = Array.from({ length: runnersEach }, (_, index) => index);
  await db.runner.createMany({
    data: numbers.map((n) => ({
      ...own,
      uid: `runner-${n}`,
      clusterId: 'main',
      name: `runner-${n}`,
      state: 'running' as const,
      servesOne: true,
      createdAt: at,
      seenAt: at,
      version: 1,
    })),
  });
  await db.job.createMany({
    data: numbers.map((n) => ({
      ...own,
      connectionId,
      externalId: String(n),
      repository: 'acme/app',
      state: n % 2 === 0 ? ('running' as const) : ('queued' as const),
      runnerName: n % 2 === 0 ? `runner-${n}` : null,
      queuedAt: at,
      startedAt: n % 2 === 0 ? at : null,
    })),
  });
  return first.slug;
}
