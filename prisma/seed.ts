/**
 * What an operator would have entered before anybody enrols, for a person to try the portal and for tests: a forge, a
 * cluster, a cache server, the five pools with a first rate card, and the two tenants of the enrollment model. Their
 * enrollments are not here: they are made through the same pages as any other. Run again, it changes nothing that is there.
 */
import { seal, unsafeDb } from '#lib/db/index.ts';
import { cacheServerPlace, statisticsPlace } from '#lib/caching/index.ts';
import { connectionPlace } from '#lib/enrollment/index.ts';
import { defaultPools } from '#lib/model/index.ts';

export type SeedInput = {
  github: {
    url: string;
    app: {
      id: string | number;
      slug: string;
      clientId: string;
      clientSecret: string;
      privateKeyPem: string;
      webhookSecret: string;
    };
  };
  gitlab?: ForgeSeed | undefined;
  forgejo?: ForgeSeed | undefined;
  gitea?: ForgeSeed | undefined;
  attic: { url: string; hs256SecretBase64: string; statisticsUrl?: string | undefined };
  /** Where the Bazel caches are reached, with `{namespace}` in it. */
  bazelUrl?: string | undefined;
};

/** A forge whose runners are registered by access tokens: people sign in by its OAuth application. */
export type ForgeSeed = { url: string; clientId: string; clientSecret: string; webhookSecret: string };

const clusterId = 'main';
export const connectionId = 'github';
/** Rates are in force from before the first reading. */
const firstDay = new Date('2026-01-01T00:00:00Z');

/** US dollars for one runner-second: about 0.04 a core-hour and 0.005 a GiB-hour. */
const pricePerRunnerSecond: Record<string, string> = {
  docker: '0.000027777778',
  nix: '0.000055555556',
  'nix-heavy': '0.000111111111',
};

export async function seed(input: SeedInput): Promise<void> {
  await seedForge(input.github);
  if (input.gitlab) await seedTokenForge('gitlab', 'gitlab', 'GitLab', input.gitlab);
  if (input.forgejo) await seedTokenForge('forgejo', 'forgejo', 'Forgejo', input.forgejo);
  if (input.gitea) await seedTokenForge('gitea', 'forgejo', 'Gitea', input.gitea);
  await seedCluster(input);
  await seedPools();
  await seedTenant({
    slug: 'tinyland-inc',
    displayName: 'Tinyland',
    isDefault: true,
    quota: { cpu: '64', memory: '128Gi', runners: 24, storage: '1Ti' },
    admins: [{ subject: '1002', login: 'ada-tinyland', name: 'Ada Tinyland' }],
  });
  await seedTenant({
    slug: 'cmux',
    displayName: 'cmux',
    isDefault: false,
    quota: { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' },
    admins: [{ subject: '1001', login: 'JessSullivan', name: 'Jess Sullivan' }],
  });
}

async function seedForge({ url, app }: SeedInput['github']): Promise<void> {
  const place = (what: Parameters<typeof connectionPlace>[1]) => connectionPlace(connectionId, what);
  const data = {
    kind: 'github' as const,
    name: 'GitHub',
    baseUrl: url,
    clientId: app.clientId,
    sealedClientSecret: await seal(app.clientSecret, place('client_secret')),
    appId: String(app.id),
    appSlug: app.slug,
    sealedPrivateKey: await seal(app.privateKeyPem, place('private_key')),
    sealedWebhookSecret: await seal(app.webhookSecret, place('webhook_secret')),
  };
  await unsafeDb().forgeConnection.upsert({
    where: { id: connectionId },
    create: { id: connectionId, ...data },
    update: data,
  });
}

async function seedTokenForge(id: string, kind: 'gitlab' | 'forgejo', name: string, forge: ForgeSeed): Promise<void> {
  const data = {
    kind,
    name,
    baseUrl: forge.url,
    clientId: forge.clientId,
    sealedClientSecret: await seal(forge.clientSecret, connectionPlace(id, 'client_secret')),
    sealedWebhookSecret: await seal(forge.webhookSecret, connectionPlace(id, 'webhook_secret')),
  };
  await unsafeDb().forgeConnection.upsert({ where: { id }, create: { id, ...data }, update: data });
}

async function seedCluster({ attic: { url, hs256SecretBase64, statisticsUrl }, bazelUrl }: SeedInput): Promise<void> {
  await unsafeDb().cluster.upsert({
    where: { id: clusterId },
    create: {
      id: clusterId,
      name: 'Main cluster',
      capacityCpu: '1024',
      capacityMemory: '4Ti',
      bazelUrl: bazelUrl ?? null,
    },
    update: { bazelUrl: bazelUrl ?? null },
  });
  const id = 'attic';
  const data = {
    plane: 'attic' as const,
    clusterId,
    url,
    sealedSigningSecret: await seal(hs256SecretBase64, cacheServerPlace(id)),
    ...(statisticsUrl === undefined ? {} : { sealedStatisticsUrl: await seal(statisticsUrl, statisticsPlace(id)) }),
  };
  await unsafeDb().cacheServer.upsert({ where: { id }, create: { id, ...data }, update: data });
}

async function seedPools(): Promise<void> {
  for (const [position, pool] of defaultPools.entries()) {
    await unsafeDb().pool.upsert({ where: { name: pool.name }, create: { ...pool, position }, update: {} });
    const price = pricePerRunnerSecond[pool.name];
    if (price === undefined) continue;
    const data = { poolName: pool.name, validFrom: firstDay, unitPrice: price };
    await unsafeDb().rate.createMany({ data, skipDuplicates: true });
  }
}

type TenantSeed = {
  slug: string;
  displayName: string;
  isDefault: boolean;
  quota: { cpu: string; memory: string; runners: number; storage: string };
  admins: { subject: string; login: string; name: string }[];
};

async function seedTenant({ slug, displayName, isDefault, quota, admins }: TenantSeed): Promise<void> {
  if (await unsafeDb().tenant.findUnique({ where: { slug } })) return;
  const members = await Promise.all(admins.map(seedPerson));
  await unsafeDb().tenant.create({
    data: {
      slug,
      displayName,
      kind: 'organization',
      isDefault,
      state: 'active',
      quotaCpu: quota.cpu,
      quotaMemory: quota.memory,
      quotaRunners: quota.runners,
      quotaStorage: quota.storage,
      cluster: { connect: { id: clusterId } },
      billingAccount: { create: { name: displayName } },
      members: { create: members.map((userId) => ({ userId, role: 'admin', source: 'operator' })) },
    },
  });
}

/** Known before their first sign-in, by the forge's id of them. */
async function seedPerson({ subject, login, name }: TenantSeed['admins'][number]): Promise<string> {
  const where = { connectionId_subject: { connectionId, subject } };
  const known = await unsafeDb().identity.findUnique({ where });
  if (known) return known.userId;
  const user = await unsafeDb().user.create({
    data: { name, identities: { create: { connectionId, subject, login } } },
  });
  return user.id;
}
