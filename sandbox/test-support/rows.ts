// Rows for tests of what stands on the database alone: a tenant with one row in each table that is a tenant's.
import { randomBytes, randomUUID } from 'node:crypto';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { testDatabase, type TestDatabase } from './index.ts';

export interface TenantRows {
  tenantId: string;
  slug: string;
  userId: string;
  enrollmentId: string;
  planId: string;
  requestId: string;
  invitationId: string;
  credentialId: string;
  githubAppId: string;
  viewId: string;
  tokenId: string;
  auditId: string;
  /** Also the label and the name of the one runner set. */
  scaleSetName: string;
  podUid: string;
  jobId: string;
  findingId: string;
  repairId: string;
  budgetId: string;
  moveId: string;
}

export interface TestRows extends AsyncDisposable {
  database: TestDatabase;
  stop(): Promise<void>;
}

/** A database of the test's own that this process uses as the portal does; one a test file. */
export async function startTestRows(): Promise<TestRows> {
  const database = await testDatabase();
  const FLYWHEEL_SECRET_KEY = randomBytes(32).toString('base64');
  Object.assign(process.env, { DATABASE_URL: database.appUrl, FLYWHEEL_SECRET_KEY, LOG_LEVEL: 'silent' });
  await addGlobals();
  const stop = async () => {
    await closeDb();
    await database.drop();
  };
  return { database, stop, [Symbol.asyncDispose]: stop };
}

async function addGlobals(): Promise<void> {
  const db = unsafeDb();
  await db.cluster.create({ data: { id: 'main', name: 'Main cluster' } });
  // Where nothing is placed; what came from there is in each tenant's rows.
  const way = { kubeconfig: 'east.yaml', context: 'east' };
  await db.cluster.create({ data: { id: 'east', name: 'East', state: 'closed', ...way } });
  await db.cacheServer.create({
    data: { id: 'attic', plane: 'attic', clusterId: 'main', url: 'https://attic.example' },
  });
  await db.forgeConnection.create({
    data: {
      id: 'forge',
      kind: 'github',
      name: 'Forge',
      baseUrl: 'https://forge.example',
      clientId: 'client',
      sealedClientSecret: 'sealed',
    },
  });
  for (const [position, name] of ['docker', 'nix', 'nix-heavy'].entries())
    await db.pool.create({ data: { name, description: name, cpu: '2', memory: '4Gi', image: 'runner', position } });
}

export async function addTenant(slug: string): Promise<TenantRows> {
  const db = unsafeDb();
  const user = await db.user.create({ data: { name: `Admin of ${slug}` } });
  const tenant = await db.tenant.create({
    data: {
      slug,
      kind: 'organization',
      displayName: slug,
      state: 'active',
      quotaCpu: '16',
      quotaMemory: '32Gi',
      quotaRunners: 8,
      cluster: { connect: { id: 'main' } },
      billingAccount: { create: { name: slug } },
      members: { create: { userId: user.id, role: 'admin', source: 'operator' } },
    },
  });
  const tenantId = tenant.id;
  const enrollment = await db.enrollment.create({
    data: {
      tenantId,
      name: slug,
      connectionId: 'forge',
      level: 'organization',
      path: slug,
      scopeId: slug,
      ownerId: slug,
      state: 'active',
    },
  });
  const enrollmentId = enrollment.id;
  const own = { tenantId, enrollmentId };
  const scaleSetName = `${slug}-nix`;
  await db.enrollmentPool.create({ data: { ...own, scaleSetName, poolName: 'nix', minRunners: 0, maxRunners: 2 } });
  const plan = await db.plan.create({
    data: { ...own, kind: 'enroll', baseGeneration: 0, spec: {}, observedHash: '', changes: [], clusterChecked: false },
  });
  const request = await db.approvalRequest.create({
    data: {
      tenantId,
      kind: 'tenant',
      wanted: {},
      createdBy: slug,
      messages: { create: { tenantId, actor: slug, step: 'asked', text: slug } },
    },
  });
  const credential = await db.credential.create({ data: { ...own, kind: 'bazel-password', sealedValue: 'sealed' } });
  const githubApp = await db.githubApp.create({
    data: {
      tenantId,
      connectionId: 'forge',
      accountId: slug,
      accountLogin: slug,
      appId: `app-of-${slug}`,
      slug: `app-of-${slug}`,
      sealedPrivateKey: 'sealed',
      sealedWebhookSecret: 'sealed',
    },
  });
  const invitation = await db.invitation.create({
    data: {
      tenantId,
      role: 'member',
      connectionId: 'forge',
      login: `friend-of-${slug}`,
      tokenHash: `invitation of ${slug}`,
      invitedById: user.id,
      invitedBy: user.name,
      expiresAt: new Date('2027-01-01T00:00:00Z'),
    },
  });
  const view = await db.cacheView.create({
    data: { tenantId, serverId: 'attic', plane: 'attic', name: `${slug}+main` },
  });
  const at = new Date('2026-03-01T12:00:00Z');
  const token = await db.cacheToken.create({
    data: {
      id: randomUUID(),
      tenantId,
      serverId: 'attic',
      kind: 'person',
      userId: user.id,
      holder: user.name,
      scope: { [`${slug}+main`]: 'r' },
      usedIn: 'a laptop',
      keyId: 'key',
      expiresAt: new Date('2027-01-01T00:00:00Z'),
    },
  });
  await db.cacheReading.create({ data: { tenantId, source: 'bazel', observedAt: at, hits: 1n } });
  const podUid = `pod-of-${slug}`;
  const source = { id: podUid, clusterId: 'main', kind: 'runner', poolName: 'nix', name: podUid, startedAt: at };
  await db.usageSource.create({ data: { ...own, ...source } });
  await db.usageHour.create({ data: { tenantId, sourceId: podUid, meter: 'runnerSeconds', hour: at, highest: '0' } });
  const used = { kind: 'idle', poolName: 'nix', meter: 'runnerSeconds', hasFailed: false };
  const nothing = { quantity: '0', cores: '0', gib: '0', gpus: '0' };
  await db.useDay.create({
    data: { tenantId, day: new Date('2026-01-01T00:00:00Z'), lines: { create: { ...used, ...nothing, position: 0 } } },
  });
  await db.agreement.create({ data: { tenantId, validFrom: at } });
  await db.costTag.create({ data: { tenantId, key: 'team', value: slug } });
  const budget = await db.budget.create({ data: { tenantId, name: slug, amount: '100', thresholds: [50, 100] } });
  const invoice = {
    tenantId,
    period: '2026-03',
    number: `2026-03-${slug}`,
    currency: 'USD',
    total: '0',
    closedBy: 'test',
  };
  const line = { tenantId, key: 'x', position: 0, kind: 'usage', description: 'x', period: '2026-03' };
  await db.invoice.create({
    data: { ...invoice, lines: { create: { ...line, listCost: '0', contractedCost: '0' } } },
  });
  const jobId = `job-of-${slug}`;
  await db.job.create({
    data: {
      ...own,
      connectionId: 'forge',
      externalId: jobId,
      scaleSetName,
      repository: `${slug}/app`,
      state: 'queued',
      queuedAt: at,
    },
  });
  await db.runner.create({
    data: {
      ...own,
      uid: `runner-of-${slug}`,
      clusterId: 'main',
      scaleSetName,
      name: `${scaleSetName}-runner`,
      state: 'idle',
      servesOne: true,
      createdAt: at,
      seenAt: at,
      endedAt: at,
      version: '1',
    },
  });
  const care = await addCare(own, slug, at);
  const audit = await db.audit.create({ data: { tenantId, actor: 'test', action: 'tenant.made', target: slug } });
  return {
    tenantId,
    slug,
    userId: user.id,
    enrollmentId,
    planId: plan.id,
    requestId: request.id,
    invitationId: invitation.id,
    credentialId: credential.id,
    githubAppId: githubApp.id,
    viewId: view.id,
    tokenId: token.id,
    auditId: audit.id,
    scaleSetName,
    podUid,
    jobId,
    ...care,
    budgetId: budget.id,
    moveId: await addMove(tenantId),
  };
}

/** One that was called off: it stands where it stood. */
async function addMove(tenantId: string): Promise<string> {
  const nothing = { tenants: [], arriving: [], leaving: [], running: 0, most: 0, notes: [] };
  const plan = { ...nothing, arrivingChecked: true, leavingChecked: true };
  const of = { fromClusterId: 'main', toClusterId: 'east', limitMinutes: 60, createdBy: 'test' };
  return (await unsafeDb().tenantMove.create({ data: { tenantId, state: 'called_off', plan, ...of } })).id;
}

/** What the doctor found and offers, a job with a label that nobody has, and a proof that held. */
async function addCare(own: { tenantId: string; enrollmentId: string }, slug: string, at: Date) {
  const db = unsafeDb();
  const said = { severity: 'bad', title: slug, words: slug, evidence: [] };
  const finding = await db.finding.create({
    data: {
      ...own,
      ...said,
      kind: 'installation-suspended',
      subject: slug,
      offers: [{ kind: 'look-again', who: 'admin', params: {} }],
      firstSeenAt: at,
      lastSeenAt: at,
    },
  });
  const repair = await db.repair.create({
    data: {
      ...own,
      findingId: finding.id,
      kind: 'look-again',
      params: {},
      changes: [],
      dryRun: false,
      createdBy: slug,
    },
  });
  await db.strayJob.create({
    data: {
      ...own,
      connectionId: 'forge',
      externalId: `stray-of-${slug}`,
      labels: ['nix'],
      repository: `${slug}/app`,
      queuedAt: at,
    },
  });
  await db.proofRun.create({ data: { ...own, state: 'held', endedAt: at } });
  await db.proofSetting.create({ data: { ...own, badgeToken: slug.padEnd(32, '-') } });
  return { findingId: finding.id, repairId: repair.id };
}
