/**
 * `npm run -s audit:verify`: whether the audit is as it was written. A command of its own, since `flywheel` runs where there
 * is no database. Exits 0 when every chain is whole, 1 when one is not, 2 when it was asked in a way it does not know.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { closeDb, unsafeDb } from './db/index.ts';
import { configuredBy } from './env.ts';
import { toAppError } from './errors.ts';
import { anchorsIn, verifyAudit, type ChainReport } from './tenant/index.ts';

const usage = `audit:verify [--tenant SLUG] [--anchor FILE] [--config FILE]
  --tenant SLUG   the chain of one tenant alone
  --anchor FILE   also hold the chains to the anchors in FILE: the portal's log, or lines of it ("-" reads standard input)
  --config FILE   the configuration, where it is not in the environment
`;

const options = {
  tenant: { type: 'string' },
  anchor: { type: 'string' },
  config: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

function asked() {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return null;
  }
}

async function idOf(slug: string): Promise<string> {
  const row = await unsafeDb().tenant.findUnique({ where: { slug }, select: { id: true } });
  if (!row) throw new Error(`There is no tenant ${slug}.`);
  return row.id;
}

function line({ tenant, whole, anchored, problem }: ChainReport): string {
  const whose = tenant === null ? 'records of no tenant' : `tenant ${tenant}`;
  const held = anchored
    ? `, held to the anchor of record ${anchored.seq} of ${anchored.at}`
    : ', no anchor to hold them to';
  const number = problem?.seq === 0n ? 'a record' : `record ${problem?.seq}`;
  return problem ? `${whose}: ${number} ${problem.says}.` : `${whose}: ${whole} whole${whole === 0n ? '' : held}.`;
}

async function main(): Promise<number> {
  const values = asked();
  if (!values || values.help) {
    if (values) process.stdout.write(usage);
    return values ? 0 : 2;
  }
  configuredBy(values.config);
  const anchors =
    values.anchor === undefined ? [] : anchorsIn(readFileSync(values.anchor === '-' ? 0 : values.anchor, 'utf8'));
  if (values.anchor !== undefined && anchors.length === 0) throw new Error(`${values.anchor} holds no anchor.`);
  const tenantId = values.tenant === undefined ? undefined : await idOf(values.tenant);
  const reports = await verifyAudit({ tenantId, anchors });
  for (const report of reports) process.stdout.write(`${line(report)}\n`);
  const broken = reports.filter(({ problem }) => problem).length;
  const records = reports.reduce((sum, { whole }) => sum + whole, 0n);
  const chains = `${reports.length} ${reports.length === 1 ? 'chain' : 'chains'}`;
  process.stdout.write(
    broken === 0 ? `${records} records in ${chains}: whole.\n` : `${broken} of ${chains} not whole.\n`,
  );
  return broken === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const { message, screen, code } = toAppError(error);
  process.stderr.write(`${code === 'unavailable' ? screen.happened : message}\n`);
  // Not 1, which says that something was found.
  process.exitCode = 2;
} finally {
  await closeDb();
}
