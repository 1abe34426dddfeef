/**
 * How fast the portal is, held against what a person would use instead, side by side on the same machine.
 *
 * Each metric sets up its own world (Postgres, a Kubernetes API, a GitHub), measures our side and the peer's in turn, A B
 * A B, and prints one line of JSON with both medians and the median of the pairs' ratios. Beside every time stands a count
 * of requests: times differ with the machine and with what else it does, counts do not. Progress goes to stderr.
 *
 *   npm run -s bench                          all metrics, one after the other
 *   npm run -s bench -- P1 P3                 these
 *   npm run -s bench -- P1 --runs 2 --tenants 20 --peer-tenants 5
 *
 *   P1             enrolling tenants through the reconciler     | kubectl apply --server-side of the same objects
 *   P3             a pass over 1,000 tenants that changes none  | a GET of each object
 *   P4             a deleted NetworkPolicy is there again, p99  | a bare loop: one watch, one apply
 *   P5             readings kept once and rolled up             | COPY of the same rows
 *   P6             webhooks kept through the portal's door       | a bare Node handler that answers 202
 *   P7             a tenant's month at 10 million readings       | SQL by hand on the roll-up
 *   tokens         renewing 1,000 tenants' Attic tokens         | signing and writing them by a bare loop
 *   workers        enrolling by 2 and by 4 worker processes      | by one
 *   web-memory     the web's resident memory after 10,000 pages  | the same as it starts
 *   worker-memory  a worker's resident memory at 1,000 tenants  | a limit
 *   P9             a worker killed in mid-apply                 | the same enrollment undisturbed
 *   change-to-screen  a runner's change until a page shows it   | a bare watch of the same objects
 *   P11            a dashboard that the server renders          | the JSON of the same data
 *   P10            JavaScript of a page's first load, gzip      | Headlamp's
 *   api            a page of jobs by the REST API, 10,000 tenants | a bare Node handler over the same SQL
 *   state          a state of 5 MB, PUT and GET                 | a file's, through a bare Node handler
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { api } from './api.ts';
import { ingest, monthOfCost } from './billing.ts';
import { dashboard } from './dashboard.ts';
import { deliveries } from './deliveries.ts';
import { driftRepair } from './drift.ts';
import { enrolling } from './enrolling.ts';
import { memory } from './memory.ts';
import { webMemory } from './web-memory.ts';
import { workers } from './workers.ts';
import { nothingToDo } from './nothing-to-do.ts';
import { pages } from './pages.ts';
import type { Metric, Options } from './report.ts';
import { recovery } from './recovery.ts';
import { renewal } from './renewal.ts';
import { screen } from './screen.ts';
import { state } from './state.ts';
import { stopWorlds } from './world.ts';

const metrics: Readonly<Record<string, Metric>> = {
  P1: enrolling,
  P3: nothingToDo,
  P4: driftRepair,
  P5: ingest,
  P6: deliveries,
  P7: monthOfCost,
  'worker-memory': memory,
  'web-memory': webMemory,
  workers,
  P9: recovery,
  P10: pages,
  P11: dashboard,
  'change-to-screen': screen,
  api,
  state,
  tokens: renewal,
};

/** Those of a line need the same world, which takes minutes to fill, and share it. */
const groups = [
  ['P1'],
  ['P3', 'P4', 'worker-memory'],
  ['P5'],
  ['P6'],
  ['P7'],
  ['web-memory'],
  ['workers'],
  ['P9'],
  ['P10'],
  ['P11'],
  ['change-to-screen'],
  ['api'],
  ['state'],
  ['tokens'],
];

type Asked = { names: string[]; options: Options };

function asked(args: string[]): Asked {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '7' },
      tenants: { type: 'string', default: '' },
      'peer-tenants': { type: 'string', default: '' },
    },
  });
  const unknown = positionals.filter((name) => !(name in metrics));
  if (unknown.length > 0)
    throw new Error(`No metric ${unknown.join(', ')}. There are ${Object.keys(metrics).join(', ')}.`);
  const options = {
    runs: countOf(values.runs, 'runs') ?? 7,
    tenants: countOf(values.tenants, 'tenants'),
    peerTenants: countOf(values['peer-tenants'], 'peer-tenants'),
  };
  return { names: positionals.length > 0 ? positionals : Object.keys(metrics), options };
}

function countOf(text: string, name: string): number | undefined {
  if (text === '') return undefined;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 5000) throw new Error(`--${name} is a number from 1 to 5000`);
  return count;
}

/** A process of its own for each: the portal's configuration is the process's, and one metric's heap is not another's. */
async function runApart(names: string[], args: string[]): Promise<boolean> {
  const flag = args.findIndex((arg) => arg.startsWith('--'));
  const flags = flag === -1 ? [] : args.slice(flag);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...names, ...flags], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  return code === 0;
}

async function runHere(names: string[], options: Options): Promise<void> {
  try {
    for (const name of names) await metrics[name]?.(options);
  } finally {
    await stopWorlds();
  }
}

async function main(args: string[]): Promise<void> {
  const { names, options } = asked(args);
  const chosen = groups
    .map((group) => group.filter((name) => names.includes(name)))
    .filter((group) => group.length > 0);
  if (chosen.length === 1) return runHere(chosen.flat(), options);
  for (const group of chosen) if (!(await runApart(group, args))) process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
// Nothing that a stand-in or a pool of connections still holds may keep us.
process.exit();
