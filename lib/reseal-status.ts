/**
 * `npm run -s reseal:status [-- --config FILE]`: how much each of the portal's secret keys still seals, so that an old one can be taken away when
 * nothing is left. Exits 0 when all is the present key's, 1 when not, 2 when the database does not answer.
 */
import { parseArgs } from 'node:util';
import { closeDb, presentKey, secretKeys, textsByKey, type ByKey } from './db/index.ts';
import { configuredBy } from './env.ts';
import { toAppError } from './errors.ts';
import { versionsByKey } from './state/index.ts';
import { anchorsByKey } from './tenant/index.ts';

function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

function nameOf(keyId: string | null): string {
  if (keyId === null) return 'named by none, or by one that is not known here';
  if (keyId === presentKey().id) return `key ${keyId}, the present one`;
  const isKnown = secretKeys().some(({ id }) => id === keyId);
  return `key ${keyId}, ${isKnown ? 'which may still open' : 'which is not known here'}`;
}

async function main(): Promise<number> {
  configuredBy(parseArgs({ options: { config: { type: 'string' } } }).values.config);
  const keyIds = secretKeys().map(({ id }) => id);
  const kinds: [string, ByKey][] = [
    ['secret', await textsByKey()],
    ['state', await versionsByKey(keyIds)],
    ['anchor', await anchorsByKey()],
  ];
  const found = new Set<string | null>([...keyIds, ...kinds.flatMap(([, byKey]) => [...byKey.keys()])]);
  for (const keyId of found) {
    const counts = kinds.map(([one, byKey]) => counted(byKey.get(keyId) ?? 0, one));
    process.stdout.write(`${nameOf(keyId)}: ${counts.join(', ')}\n`);
  }
  const isDone = kinds.every(([, byKey]) => [...byKey.keys()].every((keyId) => keyId === presentKey().id));
  const said = isDone
    ? 'All is sealed by the present key: FLYWHEEL_SECRET_KEYS_OLD can be emptied.'
    : 'Not all is sealed by the present key: keep the others until a worker has been through.';
  process.stdout.write(`${said}\n`);
  return isDone ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  const { message, screen, code } = toAppError(error);
  process.stderr.write(`${code === 'unavailable' ? screen.happened : message}\n`);
  process.exitCode = 2;
} finally {
  await closeDb();
}
