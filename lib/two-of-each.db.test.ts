import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { jobsTask } from '#lib/delivery/index.ts';
import { labelOf } from '#lib/model/index.ts';
import { addCredential, addStack } from '#lib/state/index.ts';
import { freePort } from '#sandbox/process.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { startWebProcess, type WebProcess } from '#sandbox/test-support/web-process.ts';
import { startWorkerProcess, type WorkerProcess } from '#sandbox/test-support/worker-process.ts';
import { ensureBuilt } from '#sandbox/web-build.ts';
import { organization } from '../bench/organization.ts';
import { benchSecret, jobDeliveries } from '../bench/payload.ts';
import { seedNowhere } from '../bench/portal.ts';
import { addTenants, wakeAll } from '../bench/tenants.ts';
import { connectionId } from '../prisma/seed.ts';

/*
 * I4, I5, I7 with two web and two worker processes on one Postgres: one of each is killed (SIGKILL) in the middle of the load.
 * Clients do what a load balancer and a forge do: they send a request that was not answered once more, to the other web. What
 * was answered is there once, and the leases, as the database itself wrote them down, never overlap.
 */

const organizations = 8;
const jobs = 300;
const stateWrites = 40;
const atOnce = 12;

let database: TestDatabase;
let folder: string;
let webs: WebProcess[] = [];
const workers: { name: string; process: WorkerProcess }[] = [];
let owner: pg.Client;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flywheel-two-'));
  await ensureBuilt(join(folder, 'build.log'));
  database = await testDatabase();
  Object.assign(process.env, {
    DATABASE_URL: database.appUrl,
    PORTAL_URL: 'http://127.0.0.1:1',
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    LOG_LEVEL: 'warn',
    // The clusters are away: what the enrollments' keys do then is enough to see who has them.
    KUBECONFIG: join(folder, 'none'),
  });
  owner = new pg.Client({ connectionString: database.ownerUrl });
  await owner.connect();
  await owner.query(witness);
  await seedNowhere(benchSecret);
  const ports = [await freePort(), await freePort()];
  webs = await Promise.all(ports.map((port) => startWebProcess(port, folder, { PGAPPNAME: `web-${port}` })));
  await Promise.all(['worker-a', 'worker-b'].map(startWorker));
}, 600_000);
afterAll(async () => {
  await Promise.all([...webs, ...workers.map((each) => each.process)].map((child) => child.stop()));
  await closeDb();
  await owner?.end();
  await database?.drop();
  if (folder) rmSync(folder, { recursive: true });
});

/** What a process does in the database bears its name. */
async function startWorker(name: string): Promise<void> {
  workers.push({ name, process: await startWorkerProcess(folder, { PGAPPNAME: name }) });
}

/** Who took, kept and gave back which key when, and who wrote into the ledger of jobs: told by the rows themselves. */
const witness = `
  create table seen (id bigint generated always as identity, at timestamptz default clock_timestamp(), who text default current_setting('application_name'),
    what text, kind text, key text, token bigint, until timestamptz);
  create function see_task() returns trigger language plpgsql security definer as $$
    begin
      if tg_op = 'DELETE' then
        insert into seen (what, kind, key, token) values ('gave back', old.kind, old.key, old.lease_token);
        return old;
      elsif new.lease_token <> old.lease_token then
        insert into seen (what, kind, key, token, until) values ('took', new.kind, new.key, new.lease_token, new.lease_until);
      elsif new.lease_until is null and old.lease_until is not null then
        insert into seen (what, kind, key, token) values ('gave back', new.kind, new.key, new.lease_token);
      elsif new.lease_until is distinct from old.lease_until then
        insert into seen (what, kind, key, token, until) values ('kept', new.kind, new.key, new.lease_token, new.lease_until);
      end if;
      return new;
    end $$;
  create trigger see_task after update or delete on task for each row execute function see_task();
  create function see_job() returns trigger language plpgsql security definer as $$
    begin insert into seen (what, kind, key) values ('wrote', 'job', new.external_id); return new; end $$;
  create trigger see_job after insert or update on job for each row execute function see_job();`;

// ------------------------------------------------------------------------------------------------ clients

type Asked = { path: string; method: string; headers: Record<string, string>; body: string };
let failovers = 0;

/** Sends it until a web has answered it, to one after the other; the answer of the one that did. */
async function answered(asked: Asked, first: number): Promise<Response> {
  const { path, ...init } = asked;
  for (let tries = 0; tries < 200; tries += 1) {
    const { url } = webs[(first + tries) % webs.length]!;
    const answer = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(20_000) }).catch(() => null);
    if (answer && answer.status < 500) return answer;
    failovers += 1;
    await sleep(20);
  }
  throw new Error(`no web answered ${asked.method} ${path}`);
}

async function deliver(all: readonly Asked[], done: { count: number }): Promise<number[]> {
  const waiting = all.entries();
  const statuses: number[] = [];
  const send = async () => {
    for (const [index, asked] of waiting) {
      const answer = await answered(asked, index);
      await answer.arrayBuffer();
      statuses.push(answer.status);
      done.count += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, send));
  return statuses;
}

const stateOf = (serial: number) =>
  JSON.stringify({ version: 4, terraform_version: '1.12.0', serial, lineage: 'one', outputs: {}, resources: [] });

/** A program that writes one state after another, each once it was answered that the one before is kept. */
async function writeStates(stack: string, password: string): Promise<number[]> {
  const statuses: number[] = [];
  for (let serial = 1; serial <= stateWrites; serial += 1) {
    const body = stateOf(serial);
    const headers = {
      authorization: `Basic ${Buffer.from(`ci:${password}`).toString('base64')}`,
      'content-md5': createHash('md5').update(body).digest('base64'),
      'content-type': 'application/json',
    };
    const answer = await answered({ path: `/api/state/${stack}`, method: 'POST', headers, body }, serial);
    statuses.push(answer.status);
  }
  return statuses;
}

async function stackOf(name: string): Promise<string> {
  const user = await unsafeDb().user.create({ data: { name: 'Olive' } });
  const person = { userId: user.id, name: 'Olive', imageUrl: null, identities: [], isOperator: true };
  const by = { requestId: 'test', person };
  await addStack(by, { name, description: '' });
  const wish = { stack: name, name: 'ci', access: 'write', days: '90' } as const;
  return (await addCredential(by, wish, new Date())).secret;
}

// ------------------------------------------------------------------------------------------------ kills

/** Holds up whoever writes into a table meanwhile, so that a kill finds them in the middle of it. */
async function heldUp<T>(table: string, kill: () => Promise<T>): Promise<T> {
  await owner.query('begin');
  await owner.query(`lock table ${table} in exclusive mode`);
  await sleep(300);
  const killed = await kill();
  await owner.query('commit');
  return killed;
}

async function killWeb({ pid, exited }: WebProcess): Promise<void> {
  process.kill(pid, 'SIGKILL');
  expect(await exited).toBe('signal SIGKILL');
}

/** Who has the key of the jobs now. */
async function holder(): Promise<string | undefined> {
  const { rows } = await owner.query<{ who: string }>(
    `select who from seen as took where kind = $1 and what = 'took' and not exists (
       select from seen as back where (back.kind, back.key) = (took.kind, took.key) and back.what = 'gave back' and back.id > took.id)
     order by id desc limit 1`,
    [jobsTask],
  );
  return rows[0]?.who;
}

/** Kills the worker that has the key of the jobs. Answers who that was. */
async function killHolder(): Promise<string> {
  const name = await eventually('a worker that has the jobs', holder, 30_000);
  const { pid, exited } = workers.find((each) => each.name === name)!.process;
  process.kill(pid, 'SIGKILL');
  expect(await exited).toBe('signal SIGKILL');
  return name;
}

type Seen = { at: Date; who: string; what: string; kind: string; key: string; token: string; until: Date | null };

/** Leases of one key, in order: each from when it was taken until it was given back, or had ended by itself. */
function overlaps(seen: readonly Seen[]): string[] {
  const problems: string[] = [];
  const held = new Map<string, { who: string; until: Date } | undefined>();
  for (const { at, who, what, kind, key, until } of seen) {
    const id = `${kind}/${key}`;
    const before = held.get(id);
    if (what === 'took') {
      if (before && before.until >= at)
        problems.push(`${who} took ${id} from ${before.who}, whose lease had not ended`);
      held.set(id, { who, until: until ?? at });
    } else if (what === 'kept') {
      if (before?.who !== who) problems.push(`${who} kept ${id}, which ${before?.who ?? 'nobody'} had`);
      held.set(id, { who, until: until ?? at });
    } else if (what === 'gave back') {
      if (before?.who !== who) problems.push(`${who} gave ${id} back, which ${before?.who ?? 'nobody'} had`);
      held.set(id, undefined);
    } else if (what === 'wrote') {
      const jobsHolder = held.get(`${jobsTask}/${connectionId}`);
      if (jobsHolder?.who !== who)
        problems.push(`${who} wrote ${key} while ${jobsHolder?.who ?? 'nobody'} had the jobs`);
    }
  }
  return problems;
}

test('one web and one worker are killed under load: no request is lost, each has its effect once, no key runs twice', async () => {
  const enrolled = await addTenants('two', organizations);
  await unsafeDb().installation.createMany({
    data: enrolled.map((_, index) => {
      const { id, login, installationId } = organization(index);
      const account = { accountId: String(id), accountLogin: login, accountType: 'Organization' };
      const own = { connectionId, externalId: String(installationId), repositorySelection: 'all', permissions: {} };
      return { ...account, ...own };
    }),
  });
  await wakeAll(enrolled);
  const labels = enrolled.map(({ slug }) => labelOf({ slug, isDefault: false }, 'docker'));
  const all = jobDeliveries(1, jobs, labels).map((each) => ({
    headers: each.headers,
    body: each.body.toString(),
    method: 'POST',
    path: `/api/hooks/${connectionId}`,
  }));
  const stacks = await Promise.all(['one', 'two'].map(async (name) => [name, await stackOf(name)] as const));

  const done = { count: 0 };
  const delivering = deliver(all, done);
  const writing = Promise.all(stacks.map(([name, password]) => writeStates(name, password)));
  const past = (part: number) => eventually('the load', () => done.count > all.length * part, 60_000);
  await past(0.2);
  const [victim] = webs as [WebProcess, WebProcess];
  await heldUp('delivery', () => killWeb(victim));
  await past(0.4);
  const dead = await heldUp('job', killHolder);
  await past(0.6);
  const port = Number(new URL(victim.url).port);
  webs[0] = await startWebProcess(port, folder, { PGAPPNAME: `web-${port}` });

  // Every request was answered, and well.
  expect(new Set(await delivering)).toEqual(new Set([202]));
  expect(new Set((await writing).flat())).toEqual(new Set([200]));
  expect(failovers, 'the kill came while requests were under way').toBeGreaterThan(0);

  // What was answered is there, once.
  await eventually(
    'the jobs',
    async () => (await unsafeDb().delivery.count({ where: { handledAt: null } })) === 0,
    30_000,
  );
  expect(await unsafeDb().delivery.count()).toBe(all.length);
  const ended = { state: 'completed' as const, conclusion: 'success', runnerName: 'runner' };
  expect([await unsafeDb().job.count(), await unsafeDb().job.count({ where: ended })]).toEqual([jobs, jobs]);
  const versions = await unsafeDb().stateVersion.findMany({
    select: { number: true, serial: true, stack: { select: { name: true } } },
    orderBy: { number: 'asc' },
  });
  const wanted = Array.from({ length: stateWrites }, (_, index) => [index + 1, BigInt(index + 1)]);
  for (const [name] of stacks)
    expect(versions.filter(({ stack }) => stack.name === name).map(({ number, serial }) => [number, serial])).toEqual(
      wanted,
    );
  expect(await unsafeDb().audit.count({ where: { action: 'state:write' } })).toBe(2 * stateWrites);

  // Nobody ran what another had.
  const { rows: seen } = await owner.query<Seen>('select at, who, what, kind, key, token, until from seen order by id');
  expect(overlaps(seen)).toEqual([]);
  const took = (name: string, kind: string) =>
    seen.filter((each) => each.what === 'took' && each.who === name && each.kind === kind).length;
  const [other] = workers.filter(({ name }) => name !== dead);
  expect(took(dead, jobsTask), 'the dead one had the jobs').toBeGreaterThan(0);
  expect(took(other?.name ?? '', jobsTask), 'the other took them over').toBeGreaterThan(0);
  expect(new Set(seen.filter(({ kind }) => kind === 'enrollment').map(({ key }) => key)).size).toBe(organizations);
}, 180_000);
