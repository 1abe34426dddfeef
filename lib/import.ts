/**
 * `npm run -s import -- -f FILE`: what operators enter by documents, into the portal's own database. A command of its own, since
 * `flywheel` asks a portal, and before the first forge is entered nobody can sign in to be answered. It needs the portal's
 * configuration, and ends as `flywheel operator import` does.
 */
import { importCommand, ownTerminal, runCommand } from './cli/index.ts';
import { closeDb } from './db/index.ts';
import { configuredBy } from './env.ts';
import { importDocuments, ImportInput } from './import/index.ts';

const { argv } = process;
const at = argv.indexOf('--config');
configuredBy(at < 0 ? undefined : argv[at + 1]);
const command = importCommand('npm run -s import --', async (request) =>
  importDocuments(null, ImportInput.parse(request), new Date()),
);

try {
  process.exitCode = await runCommand(ownTerminal(), command, argv.slice(2));
} finally {
  await closeDb();
}
