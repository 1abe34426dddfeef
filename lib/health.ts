import { readdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import pg from 'pg';

/*
 * What a process tells whoever runs it. Alive: it need not be started anew, which heals nothing that stands outside it. Ready:
 * work may be sent to it. Both are asked without signing in, so they say a word and cost next to nothing however often they come.
 */

export type Signs = {
  alive: () => boolean | Promise<boolean>;
  /** What keeps it from working; null when nothing does. */
  notReady: () => Promise<string | null>;
};

export class Probes {
  readonly #signs: Signs;
  #draining = false;

  constructor(signs: Signs) {
    this.#signs = signs;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** From now on nothing new is to be sent here; what is under way goes on. */
  drain(): void {
    this.#draining = true;
  }

  /** Whether it was a probe's request, which is then answered. */
  answers(request: IncomingMessage, response: ServerResponse): boolean {
    const asked = request.method === 'GET' || request.method === 'HEAD' ? request.url : undefined;
    if (asked === '/api/healthz')
      void this.#answer(response, async () => ((await this.#signs.alive()) ? null : 'stuck'));
    else if (asked === '/api/readyz') void this.#answer(response, () => this.#notReady());
    else return false;
    return true;
  }

  async #notReady(): Promise<string | null> {
    return this.#draining ? 'draining' : this.#signs.notReady();
  }

  async #answer(response: ServerResponse, problem: () => Promise<string | null>): Promise<void> {
    const says = await problem().catch(() => 'not known');
    const headers = { 'content-type': 'text/plain', 'cache-control': 'no-store' };
    response.writeHead(says === null ? 200 : 503, headers).end(`${says ?? 'ok'}\n`);
  }
}

// ------------------------------------------------------------------------------------------------ the worker's loops

/** A loop that has not come round for this long hangs. */
const lateMs = 30_000;

/** When each loop last came round. */
export class Turns {
  readonly #atMs = new Map<object, number>();
  readonly #nowMs: () => number;

  constructor(nowMs = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  turned(loop: object): void {
    this.#atMs.set(loop, this.#nowMs());
  }

  get late(): boolean {
    return [...this.#atMs.values()].some((atMs) => this.#nowMs() - atMs >= lateMs);
  }
}

/** A loop that waits for a database which is away would wait as well after a restart; one that hangs beside it would not. */
export function workerSigns(turns: Turns, database: Pick<DatabaseLook, 'problem'>): Signs {
  return {
    alive: async () => !turns.late || (await database.problem()) !== null,
    notReady: () => database.problem(),
  };
}

// ------------------------------------------------------------------------------------------------ the database

const patienceMs = 2_000;
/** One look at a time, and its answer serves all who ask within this time. */
const freshMs = 1_000;

/** The tables as this version needs them. What a later version added does no harm: it adds before it takes away. */
export const neededMigrations: readonly string[] = readdirSync(new URL('../prisma/migrations', import.meta.url), {
  withFileTypes: true,
})
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

const appliedSql = `select migration_name as name from _prisma_migrations where finished_at is not null and rolled_back_at is null`;
/** What taking a lease needs and no row of it: the role, the right, and a server that may be written to. */
const leaseSql = 'update task set wakes = wakes where false';

/**
 * Looks by a connection of its own: that all of the process's are in use is load, and no reason to send the load to others,
 * who have as much of it.
 */
export class DatabaseLook {
  readonly #leases: boolean;
  readonly #pool: pg.Pool;
  #last: { untilMs: number; problem: Promise<string | null> } | undefined;

  constructor({ url, leases }: { url: string; leases: boolean }) {
    this.#leases = leases;
    this.#pool = new pg.Pool({
      connectionString: url,
      options: '-c role=flywheel_system',
      max: 1,
      connectionTimeoutMillis: patienceMs,
      query_timeout: patienceMs,
    });
    // A connection that breaks at rest is made anew by the next look.
    this.#pool.on('error', () => undefined);
  }

  problem(): Promise<string | null> {
    if (this.#last && performance.now() < this.#last.untilMs) return this.#last.problem;
    const last = { untilMs: Infinity, problem: this.#look() };
    this.#last = last;
    void last.problem.then(() => (last.untilMs = performance.now() + freshMs));
    return last.problem;
  }

  async #look(): Promise<string | null> {
    try {
      const { rows } = await this.#pool.query<{ name: string }>(appliedSql);
      const applied = new Set(rows.map(({ name }) => name));
      if (neededMigrations.some((name) => !applied.has(name))) return 'migrations are missing';
      if (this.#leases) await this.#pool.query(leaseSql);
      return null;
    } catch (error) {
      return problemOf(error);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function problemOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  // No such table, not yet a right to it, or not yet the role on this server.
  if (code === '42P01' || code === '42501' || code === '22023') return 'migrations are missing';
  if (code === '25006') return 'the database is read-only';
  return 'the database does not answer';
}
