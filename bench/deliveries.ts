/**
 * P6: signed `workflow_job` deliveries of about 9 KB, each of them kept when its 202 comes: through the portal's own door, a
 * production `npm run web`, into a Postgres that syncs to disk; against a bare Node HTTP handler that reads the same bytes and
 * answers 202. Beside it, as `room`: the same acceptance behind a bare HTTP server, which shows what is the framework's; and as
 * `signed`: a bare handler that checks the signature and keeps nothing, and as `least`: the least that keeps anything, which show how
 * near anybody could come to the bare one. All of them are warm: V8 goes on compiling for the first ten thousand.
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
const warmUpJobs = 5000;
const organizations = 20;

type Receiver = { url: string; stop: () => Promise<void> };
type Load = { perSecond: number; latenciesMs: number[] };
type Kind = 'room' | 'signed' | 'least' | 'bare';
type Receivers = Record<'door' | Kind, Receiver>;

export async function deliveries(options: Options): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    await measure(await startReceivers(stops), options);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

async function measure(receivers: Receivers, options: Options): Promise<void> {
  const labels = await addScopes();
  let sent = 0;
  const signedJobs = (jobs: number) => {
    const made = jobDeliveries(1 + sent, jobs, labels);
    sent += jobs;
    return made;
  };
  const kinds = Object.keys(receivers) as (keyof Receivers)[];
  for (const kind of kinds) await load(receivers[kind], signedJobs(warmUpJobs));
  await verify(2 * warmUpJobs);
  const found: (Sides & Record<keyof Receivers, number> & { latenciesMs: number[] })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const loads = {} as Record<keyof Receivers, Load>;
    for (const kind of kinds) loads[kind] = await load(receivers[kind], signedJobs(jobsEach));
    const rates = Object.fromEntries(kinds.map((kind) => [kind, loads[kind].perSecond])) as Record<
      (typeof kinds)[number],
      number
    >;
    const { latenciesMs } = loads.door;
    const said = kinds.map((kind) => `${kind} ${rates[kind].toFixed(0)}`).join(', ');
    say(`P6 pair ${pair + 1}: ${said} req/s, p99 of the door ${quantile(latenciesMs, 0.99).toFixed(0)} ms`);
    found.push({ ...rates, ours: rates.door, peer: rates.bare, latenciesMs });
  }
  await verify(2 * (warmUpJobs + options.runs * jobsEach));
  const beside = (of: keyof Receivers) => ({
    perSecond: rounded(median(found.map((each) => each[of]))),
    ratio: rounded(median(found.map((each) => each[of] / each.peer))),
  });
  const latenciesMs = found.flatMap((each) => each.latenciesMs);
  print({
    metric: 'P6',
    ...pairs(found),
    p99_ms: rounded(quantile(latenciesMs, 0.99)),
    unit: 'req/s',
    requests: { ours: 3 * jobsEach, peer: 3 * jobsEach },
    room: beside('room'),
    least: beside('least'),
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
  const kept = await unsafeDb().delivery.count({ where: { connectionId } });
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
  const started = async (kind: Kind) => {
    const receiver = await startReceiver(kind);
    stops.push(receiver.stop);
    return receiver;
  };
  return {
    door,
    bare: await started('bare'),
    room: await started('room'),
    least: await started('least'),
    signed: await started('signed'),
  };
}

async function startReceiver(kind: Kind): Promise<Receiver> {
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
