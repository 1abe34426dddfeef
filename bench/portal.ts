/** The portal as it is served: a production `npm run web` of its own, and somebody who is signed in to it. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { startPostgres, type Postgres } from '#sandbox/postgres.ts';
import { freePort } from '#sandbox/process.ts';
import { startWebProcess } from '#sandbox/test-support/web-process.ts';
import { ensureBuilt, isBuilt } from '#sandbox/web-build.ts';
import { migrate } from '../prisma/migrate.ts';
import { seed } from '../prisma/seed.ts';
import { say } from './report.ts';

export type Portal = { url: string; pid: number; stop: () => Promise<void> };

export async function ensurePortal(folder: string): Promise<void> {
  if (!isBuilt()) say('building the portal (next build) …');
  await ensureBuilt(join(folder, 'build.log'));
}

/**
 * A built portal's parts but the portal: a folder, a migrated Postgres and this process's configuration, which those that it
 * starts inherit. `isDurable`: what is committed is synced to disk, as in production.
 */
export async function prepare(
  stops: (() => Promise<void>)[],
  { isDurable }: { isDurable: boolean },
): Promise<{ folder: string; port: number; postgres: Postgres }> {
  const folder = mkdtempSync(join(tmpdir(), 'flywheel-bench-'));
  stops.push(async () => rmSync(folder, { recursive: true, force: true }));
  await ensurePortal(folder);
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), keepData: isDurable });
  stops.push(() => postgres.stop());
  await migrate(postgres.ownerUrl);
  const port = await freePort();
  Object.assign(process.env, {
    NODE_ENV: 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    DATABASE_URL: postgres.appUrl,
    PORTAL_URL: `http://127.0.0.1:${port}`,
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    LOG_LEVEL: 'warn',
  });
  stops.push(closeDb);
  return { folder, port, postgres };
}

/** A GitHub and a cache that nobody asks anything, as the seed wants them. */
export async function seedNowhere(webhookSecret: string): Promise<void> {
  const nowhere = 'http://127.0.0.1:9';
  await seed({
    github: {
      url: nowhere,
      app: { id: 1, slug: 'app', clientId: 'id', clientSecret: 'x', privateKeyPem: 'x', webhookSecret },
    },
    attic: { url: nowhere, hs256SecretBase64: randomBytes(32).toString('base64') },
  });
}

/** What it reads of the environment is this process's, with its address set to this port before. */
export async function startPortal(port: number, folder: string): Promise<Portal> {
  const { url, pid, stop } = await startWebProcess(port, folder);
  return { url, pid, stop };
}

/** A person who is an admin of these tenants; answers the cookie of their session. */
export async function signIn(slugs: readonly string[]): Promise<string> {
  const db = unsafeDb();
  const { id: userId } = await db.user.create({ data: { name: 'Bench' } });
  const tenants = await db.tenant.findMany({ where: { slug: { in: [...slugs] } }, select: { id: true } });
  await db.membership.createMany({
    data: tenants.map(({ id: tenantId }) => ({
      tenantId,
      userId,
      role: 'admin' as const,
      source: 'operator' as const,
    })),
  });
  const token = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(token).digest('hex');
  await db.session.create({ data: { tokenHash, userId, expiresAt: new Date(Date.now() + 3_600_000) } });
  return `flywheel.session=${token}`;
}
