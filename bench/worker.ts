/** The worker's own parts, as lib/main.ts puts them together, in this process: so that it can be counted what they send. */
import pg from 'pg';
import { systemClock } from '#lib/clock.ts';
import { ClusterClient, clusterConnection, ClusterView } from '#lib/cluster/index.ts';
import { reconcileEnrollment, wakeOfChange } from '#lib/enrollment/index.ts';
import { env } from '#lib/env.ts';
import { keepPoolCounts, watchRunners } from '#lib/usage/index.ts';
import { loop } from '#lib/work/index.ts';
import { say } from './report.ts';

export type Written = { path: string; body: string };

/** Keeps what the API server took, word for word, for the peer to send as well. */
class RecordingClient extends ClusterClient {
  readonly written: Written[] = [];
  refusals = 0;

  override async raw(...[asked, timeoutMs]: Parameters<ClusterClient['raw']>): ReturnType<ClusterClient['raw']> {
    const response = await super.raw(asked, timeoutMs);
    if (asked.method === 'GET') return response;
    if (response.statusCode < 300) this.written.push({ path: asked.path, body: JSON.stringify(asked.body) });
    else this.refusals += 1;
    return response;
  }
}

export type BenchWorker = {
  client: RecordingClient;
  view: ClusterView;
  /** Keys that a pass has ended for, and how often. */
  passes: Map<string, number>;
  stop: () => Promise<void>;
};

export async function startWorker(): Promise<BenchWorker> {
  const abort = new AbortController();
  const client = new RecordingClient(clusterConnection('main'));
  const view = new ClusterView(client);
  const warn = (what: string) => (error: unknown) => say(`${what}: ${String(error)}`);
  view.onChange(wakeOfChange(warn('a change was not passed on')));
  keepPoolCounts(view, systemClock, warn('a count was not kept'));
  watchRunners(view, { clock: systemClock, onError: warn('a runner was not kept') });
  view.start(abort.signal, (message, detail) => say(`${message} ${JSON.stringify(detail)}`));
  if (!(await view.whenSynced(60_000))) throw new Error('the view of the cluster did not fill');
  const deps = { clock: systemClock, view: () => view, seen: new Map<string, number>() };
  const passes = new Map<string, number>();
  const running = loop({
    tasks: {
      enrollment: async (lease) => {
        const outcome = await reconcileEnrollment(deps, lease);
        passes.set(lease.key, (passes.get(lease.key) ?? 0) + 1);
        return outcome;
      },
    },
    concurrency: env().FLYWHEEL_WORKER_CONCURRENCY,
    signal: abort.signal,
    log: ({ level, message, ...detail }) => say(`${level}: ${message} ${JSON.stringify(detail)}`),
  });
  return {
    client,
    view,
    passes,
    stop: async () => {
      abort.abort();
      await Promise.all([running, view.stopped()]);
    },
  };
}

let statements = 0;
let counting = false;

/** Statements that this process has sent to Postgres since the first call. */
export function statementsSent(): number {
  if (!counting) {
    counting = true;
    const client = pg.Client.prototype as { query: (...args: unknown[]) => unknown };
    const query = client.query;
    client.query = function counted(...args: unknown[]) {
      statements += 1;
      return query.apply(this, args);
    };
  }
  return statements;
}
