/**
 * The REST API at 10,000 tenants and 100,000 jobs: a page of a tenant's jobs, each time of another tenant, by a token, against
 * a bare Node handler that asks the same Postgres for the same rows by hand and checks nothing but the token.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { Pool } from 'undici';
import { unsafeDb } from '#lib/db/index.ts';
import { addPersonToken } from '#lib/tenant/index.ts';
import { prepare, seedNowhere, startPortal } from './portal.ts';
import { addTenants } from './tenants.ts';
import { pairs, print, quantile, rounded, say, type Options, type Sides } from './report.ts';

const tenantsCount = 10_000;
const lotSize = 1_000;
const jobsCount = 100_000;
const pageSize = 50;
const connections = 16;
const requestsEach = 2_000;
const warmUp = 200;
/** Row security lets this role see every tenant. */
const ofAllTenants = '-c role=flywheel_system';

export async function api(options: Options): Promise<void> {
  const stops: (() => Promise<void>)[] = [];
  try {
    await measure(options, stops);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

async function measure(options: Options, stops: (() => Promise<void>)[]): Promise<void> {
  Object.assign(process.env, { FLYWHEEL_API_REQUESTS_PER_MINUTE: '1000000', FLYWHEEL_OPERATORS: 'github:operator' });
  const { folder, port, postgres } = await prepare(stops, { isDurable: false });
  await seedNowhere('x');
  const token = await operatorToken();
  say('filling …');
  const slugs = await fill();
  await analyze(postgres.ownerUrl);
  const portal = await startPortal(port, folder);
  stops.push(portal.stop);
  const bare = await startBare(postgres.appUrl);
  stops.push(bare.stop);
  for (const url of [portal.url, bare.url]) await load(url, token, slugs, warmUp);
  const found: (Sides & { latenciesMs: number[] })[] = [];
  for (let pair = 0; pair < options.runs; pair += 1) {
    const ours = await load(portal.url, token, slugs, requestsEach);
    const peer = await load(bare.url, token, slugs, requestsEach);
    say(`api pair ${pair + 1}: API ${ours.perSecond.toFixed(0)}, bare ${peer.perSecond.toFixed(0)} req/s`);
    found.push({ ours: ours.perSecond, peer: peer.perSecond, latenciesMs: ours.latenciesMs });
  }
  const latencies = found.flatMap(({ latenciesMs }) => latenciesMs);
  print({
    metric: 'api',
    ...pairs(found),
    unit: 'req/s',
    p50_ms: rounded(quantile(latencies, 0.5)),
    p99_ms: rounded(quantile(latencies, 0.99)),
    requests: { ours: requestsEach, peer: requestsEach },
    tenants: tenantsCount,
    jobs: jobsCount,
    connections,
  });
}

/** An operator reaches every tenant, so that each request can be of another. */
async function operatorToken(): Promise<string> {
  const { id: userId } = await unsafeDb().user.create({ data: { name: 'Bench' } });
  await unsafeDb().identity.create({ data: { userId, connectionId: 'github', subject: 'operator', login: 'bench' } });
  const person = { userId, name: 'Bench', imageUrl: null, identities: [], isOperator: true };
  const input = { name: 'bench', scopes: ['read' as const, 'operator' as const], days: 1 };
  return (await addPersonToken({ requestId: 'bench', person }, input, new Date())).token;
}

/** Ten jobs a tenant, as they would be after some days; resolves to the tenants' slugs. */
async function fill(): Promise<string[]> {
  const slugs: string[] = [];
  // In lots, since a statement takes so many values and no more.
  for (let lot = 0; slugs.length < tenantsCount; lot += 1)
    slugs.push(...(await addTenants(`t${lot}`, lotSize)).map(({ slug }) => slug));
  await unsafeDb().$executeRaw`
    insert into job (connection_id, external_id, tenant_id, enrollment_id, scale_set_name, repository, workflow, name, state, conclusion,
      queued_at, started_at, completed_at)
    select 'github', 'job-' || tenant.slug || '-' || n, tenant.id, enrollment.id, tenant.slug || '-nix', tenant.slug || '/app', 'ci', 'build',
      'completed', 'success', now() - n * interval '1 hour', now() - n * interval '1 hour' + interval '5 seconds',
      now() - n * interval '1 hour' + interval '65 seconds'
    from generate_series(1, ${jobsCount / tenantsCount}::int) n, tenant join enrollment on enrollment.tenant_id = tenant.id`;
  return slugs;
}

/** Its owner's to do. */
async function analyze(ownerUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query('analyze');
  } finally {
    await client.end();
  }
}

/** What a person would write in an afternoon: a token by its hash, a tenant, its newest jobs. */
async function startBare(appUrl: string): Promise<{ url: string; stop: () => Promise<void> }> {
  const pool = new pg.Pool({ connectionString: appUrl, options: ofAllTenants, max: connections });
  const server = createServer((request, response) => {
    const hash = createHash('sha256')
      .update(request.headers.authorization?.slice('Bearer '.length) ?? '')
      .digest('hex');
    const slug = /^\/api\/v1\/tenants\/([^/]+)\/jobs/.exec(request.url ?? '')?.[1];
    const answer = async () => {
      const token = await pool.query('select user_id from api_token where token_hash = $1', [hash]);
      if (token.rowCount !== 1) return response.writeHead(401).end();
      const jobs = await pool.query(
        `select job.* from job join tenant on tenant.id = job.tenant_id where tenant.slug = $1 order by queued_at desc limit ${pageSize}`,
        [slug],
      );
      const body = Buffer.from(JSON.stringify({ items: jobs.rows, nextCursor: null }));
      return response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body);
    };
    void answer();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const stop = async () => {
    server.closeAllConnections();
    server.close();
    await pool.end();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop };
}

type Load = { perSecond: number; latenciesMs: number[] };

async function load(url: string, token: string, slugs: readonly string[], count: number): Promise<Load> {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const latenciesMs: number[] = [];
  const seed = randomBytes(4).readUInt32BE();
  let left = count;
  const ask = async () => {
    while (left > 0) {
      left -= 1;
      const slug = slugs[(seed + left * 7919) % slugs.length];
      const path = `/api/v1/tenants/${slug}/jobs?limit=${pageSize}`;
      const from = performance.now();
      const answer = await pool.request({ path, method: 'GET', headers: { authorization: `Bearer ${token}` } });
      const text = await answer.body.text();
      latenciesMs.push(performance.now() - from);
      // What is measured must be that tenant's jobs, and not a word that they are absent.
      if (answer.statusCode !== 200 || !text.includes(`${slug}/app`))
        throw new Error(`${path} answered ${answer.statusCode}: ${text.slice(0, 200)}`);
    }
  };
  const from = performance.now();
  await Promise.all(Array.from({ length: connections }, ask));
  const seconds = (performance.now() - from) / 1000;
  await pool.close();
  return { perSecond: count / seconds, latenciesMs };
}
