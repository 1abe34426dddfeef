// npm run sandbox -- …   Moves the running sandbox by hand.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { breakSandbox, breakUsage } from '#sandbox/break.ts';
import { builtControlPlane } from '#sandbox/control-plane.ts';
import { Keepsakes, type Address } from '#sandbox/keepsakes.ts';
import { ROOT } from '#sandbox/setup.mjs';

const USAGE = `npm run sandbox -- job OWNER/REPOSITORY LABEL…   queues a job that asks for a runner with these labels
                     [--forge github|gitlab|forgejo] [--seconds N] [--name NAME]
npm run sandbox -- where                         prints where everything is
npm run sandbox -- kubectl …                     kubectl, as administrator of the sandbox's cluster
${breakUsage}`;

/** Each stand-in is asked in its forge's own words. */
const jobOf: Record<string, (repository: string, labels: string[]) => object> = {
  github: (repository, labels) => ({ repository, labels }),
  gitlab: (project, tags) => ({ project, tags }),
  forgejo: (repository, runsOn) => ({ repository, runsOn }),
};

async function queueJob(address: Address, args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { forge: { type: 'string', default: 'github' }, seconds: { type: 'string' }, name: { type: 'string' } },
  });
  const [repository, ...labels] = positionals;
  if (!repository || labels.length === 0) throw new Error(USAGE);
  const { forge, seconds, name } = values;
  const asks = jobOf[forge];
  if (!asks) throw new Error(USAGE);
  const more = { ...(name ? { name } : {}), ...(seconds ? { durationSeconds: Number(seconds) } : {}) };
  const job = { ...asks(repository, labels), ...more };
  const url = address[forge as 'github' | 'gitlab' | 'forgejo'];
  const answer = await fetch(`${url}/_sandbox/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(job),
  });
  const body = (await answer.json()) as { id?: number; message?: string };
  if (!answer.ok) throw new Error(`Not queued: ${body.message ?? answer.status}`);
  console.log(`Queued job ${body.id} in ${repository}, which asks for: ${labels.join(', ')}. See ${url}/_sandbox`);
}

function kubectl(address: Address, args: string[]): void {
  const binary = builtControlPlane();
  if (!binary || !address.kubeconfig) throw new Error('This sandbox has no cluster of its own.');
  try {
    execFileSync(binary, ['kubectl', '--kubeconfig', address.kubeconfig, ...args], { stdio: 'inherit' });
  } catch (error) {
    // kubectl has said why.
    process.exitCode = (error as { status?: number }).status ?? 1;
  }
}

async function main([command, ...args]: string[]): Promise<void> {
  const address = new Keepsakes(process.env['SANDBOX_DATA_DIR'] ?? join(ROOT, '.sandbox')).address();
  if (!address) throw new Error('No sandbox has been started here: npm start');
  if (command === 'job') return queueJob(address, args);
  if (command === 'break') return console.log(await breakSandbox(address, args));
  if (command === 'kubectl') return kubectl(address, args);
  if (command === 'where')
    return console.log(
      Object.entries(address)
        .map(([name, at]) => `${name.padEnd(12)}${at}`)
        .join('\n'),
    );
  throw new Error(USAGE);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
