/**
 * P6: signed `workflow_job` deliveries of about 9 KB, each of them kept when its 202 comes: through the portal's own door, a
 * production `npm run web`, into a Postgres that syncs to disk; against a bare Node HTTP handler that reads the same bytes and
 * answers 202. Beside it, as `room`: the same acceptance behind a bare HTTP server, which shows what is the framework's; and as
 * `signed`: a bare handler that checks the signature and keeps nothing, which shows how near anybody could come to the bare one.
 * The sender shares the machine with all of them. Afterwards the database is asked whether all is there, once.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { unsafeDb } from '#lib/db/index.ts';
import { takeJobs } from '#lib/delivery/index.ts';
import { labelOf } from '#lib/model/index.ts';
import { connectionId } from '../prisma/seed.ts';
import { organization } from './organization.ts';
import { benchSecret, jobDeliveries, type Delivery } from './payload.ts';
import { prepare, seedNowhere, startPortal } from './portal.ts';
import { median, pairs, print, quantile, rounded, say, type Options, type Sides } from './report.ts';
import type { ReceiverMessage } from './receiver.ts';
import { addTenants } from './tenants.ts';

const connections = 32;
const jobsEach = 3000;
const warmUpJobs = 1000;
const organizations = 20;

type Receiver = { url: string; stop: () => Promise<void> };
type Load = { perSecond: number; latenciesMs: number[] };
type Receivers = Record<'door' | 'room' | 'signed' | 'bare', Receiver>;

export async function deliveries(options: Options): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    await measure(await startReceivers(stops), options);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

async function measure({ door, room, signed, bare }: Receivers, options: Options): Promise<void> {
  const labels = await addScopes();
  let sent = 0;
  const signedJobs = (jobs: number) => {
    const made = jobDeliveries(1 + sent, jobs, labels);
    sent += jobs;
    return made;
  };
  for (const each of [door, room, signed, bare]) await load(each, signedJobs(warmUpJobs));
  await verify(2 * warmUpJobs);
  const found: (Sides & { room: number; signed: number; latenciesMs: number[] })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const ours = await load(door, signedJobs(jobsEach));
    const peer = await load(bare, signedJobs(jobsEach));
    const behind = await load(room, signedJobs(jobsEach));
    const checked = await load(signed, signedJobs(jobsEach));
    const rates = [ours, behind, checked, peer].map((each) => each.perSecond.toFixed(0)).join(', ');
    const p99 = quantile(ours.latenciesMs, 0.99).toFixed(0);
    say(`P6 pair ${pair + 1}: door, room, signed, bare ${rates} req/s, p99 ${p99} ms`);
    found.push({
      ours: ours.perSecond,
      peer: peer.perSecond,
      room: behind.perSecond,
      signed: checked.perSecond,
      latenciesMs: ours.latenciesMs,
    });
  }
  await verify(2 * (warmUpJobs + options.runs * jobsEach));
  const beside = (of: 'room' | 'signed') => ({
    perSecond: rounded(median(found.map((each) => each[of]))),
    ratio: rounded(median(found.map((each) => each[of] / each.peer))),
  });
  print({
    metric: 'P6',
    ...pairs(found),
    p99_ms: rounded(
      quantile(
        found.flatMap((each) => each.latenciesMs),
        0.99,
      ),
    ),
    unit: 'req/s',
    requests: { ours: 3 * jobsEach, peer: 3 * jobsEach },
    room: beside('room'),
    signed: beside('signed'),
    connections,
  });
}

/** Sends all of them over kept connections, each of which has one under way at a time. */
async function load({ url }: Receiver, all: readonly Delivery[]): Promise<Load> {
  const { origin, pathname: path } = new URL(url);
  const pool = new Pool(origin, { connections, pipelining: 1 });
  const waiting = all.values();
  const latenciesMs: number[] = [];
  const send = async () => {
    for (const { headers, body } of waiting) {
      const from = performance.now();
      const answer = await pool.request({ path, method: 'POST', headers, body });
      const text = await answer.body.text();
      latenciesMs.push(performance.now() - from);
      if (answer.statusCode !== 202) throw new Error(`${url} answered ${answer.statusCode}: ${text}`);
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: connections }, send));
  const seconds = (performance.now() - from) / 1000;
  await pool.close();
  return { perSecond: all.length / seconds, latenciesMs };
}

/** Every delivery and every job, with the last that was said of it, of all that the portal answered 202 to. */
async function verify(jobs: number): Promise<void> {
  // The worker's part, which nobody waits for.
  await takeJobs({ key: connectionId });
  const kept = await unsafeDb().delivery.count();
  const completed = await unsafeDb().job.count({
    where: { state: 'completed', conclusion: 'success', runnerName: 'runner' },
  });
  if (kept !== 3 * jobs || completed !== jobs)
    throw new Error(`${kept} deliveries and ${completed} completed jobs are kept, of ${3 * jobs} and ${jobs}`);
}

/** Tenants with enrolled organizations whose installations are known; answers the label of a pool of each. */
async function addScopes(): Promise<string[]> {
  const enrolled = await addTenants('h', organizations);
  await unsafeDb().installation.createMany({
    data: enrolled.map((_, index) => {
      const { id, login, installationId } = organization(index);
      return {
        connectionId,
        externalId: String(installationId),
        accountId: String(id),
        accountLogin: login,
        accountType: 'Organization',
        repositorySelection: 'all',
        permissions: {},
      };
    }),
  });
  return enrolled.map(({ slug }) => labelOf({ slug, isDefault: false }, 'docker'));
}

async function startReceivers(stops: (() => Promise<void>)[]): Promise<Receivers> {
  // Kept data is synced data: anything less would not be durable.
  const { folder, port } = await prepare(stops, { isDurable: true });
  await seedNowhere(benchSecret);
  const portal = await startPortal(port, folder);
  stops.push(portal.stop);
  const door = { ...portal, url: `${portal.url}/api/hooks/${connectionId}` };
  const room = await startReceiver('room');
  stops.push(room.stop);
  const signed = await startReceiver('signed');
  stops.push(signed.stop);
  const bare = await startReceiver('bare');
  stops.push(bare.stop);
  return { door, room, signed, bare };
}

async function startReceiver(kind: 'room' | 'signed' | 'bare'): Promise<Receiver> {
  const child = fork(fileURLToPath(new URL('./receiver.ts', import.meta.url)), [kind]);
  const [{ port }] = (await once(child, 'message')) as [ReceiverMessage];
  return {
    url: `http://127.0.0.1:${port}/api/hooks/${connectionId}`,
    stop: async () => {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
