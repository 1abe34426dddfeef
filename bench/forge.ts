// The stand-in for GitHub as a process of its own: node bench/forge.ts <organizations>. Ends with its parent.
import { subscribe } from 'node:diagnostics_channel';
import { demoSeed, ids, startGithub } from '#sandbox/github/index.ts';
import type { SeedInput } from '../prisma/seed.ts';
import { organization } from './organization.ts';

export type ForgeMessage = { type: 'started'; github: SeedInput['github'] } | { type: 'count'; requests: number };

function send(message: ForgeMessage): void {
  process.send?.(message);
}

async function main(): Promise<void> {
  const made = Array.from({ length: Number(process.argv[2]) }, (_, index) => organization(index));
  const github = await startGithub({
    port: 0,
    ratePerHour: 1_000_000_000,
    seed: {
      ...demoSeed,
      orgs: [...demoSeed.orgs, ...made.map(({ id, login }) => ({ id, login, name: login, admins: [ids.users.ada] }))],
      installations: [
        ...demoSeed.installations,
        ...made.map(({ id, installationId }) => ({ id: installationId, accountId: id, selection: 'all' as const })),
      ],
    },
  });
  let requests = 0;
  subscribe('http.server.request.start', () => (requests += 1));
  process.on('message', () => send({ type: 'count', requests }));
  process.on('disconnect', () => process.exit(0));
  send({ type: 'started', github: { url: github.url, app: github.app } });
}

await main();
