// Runs prisma/seed.ts as a process of its own: the seed uses the portal's rooms, which read their configuration from the
// environment and keep connections open, and the sandbox itself should do neither. Its input comes on stdin, since secrets
// among arguments could be read by others.
import { json } from 'node:stream/consumers';
import { closeDb } from '#lib/db/index.ts';
import { seed, type SeedInput } from '../prisma/seed.ts';

try {
  await seed((await json(process.stdin)) as SeedInput);
} finally {
  await closeDb();
}
