import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { env } from '#lib/env.ts';
import { tenantTransaction, unsafeDb, type ProofState } from '#lib/db/index.ts';
import { AppError, notFound } from '#lib/errors.ts';
import type { ScopeLevel } from '#lib/model/index.ts';
import { actorName, type Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { badge, type Standing } from './badge.ts';
import { CheckResults, proofEveryMs, standingOf, type CheckResult } from './proof-rows.ts';

export type ProofRunView = {
  id: string;
  state: ProofState;
  askedBy: string | null;
  createdAt: string;
  endedAt: string | null;
  checks: CheckResult[];
};

export type ProofView = {
  /** Where the badge and its JSON are; null while nobody may see them. */
  address: string | null;
  enrollment: { id: string; name: string; state: string; level: ScopeLevel };
  standing: Standing;
  lastHeldAt: string | null;
  /** When the next is due; null where none is. */
  dueAt: string | null;
  /** The newest first. */
  runs: ProofRunView[];
  repository: string | null;
};

const runsMost = 50;

async function ownRow(ctx: Ctx, id: string) {
  const row = z.uuid().safeParse(id).success ? await ctx.db.enrollment.findFirst({ where: { id } }) : null;
  if (!row) throw notFound('This enrollment');
  return row;
}

/** Everything that the proof's page shows. */
export async function proofView(ctx: Ctx, id: string, now = new Date()): Promise<ProofView> {
  const { name, state, level } = await ownRow(ctx, id);
  const [runs, held, setting] = await Promise.all([
    ctx.db.proofRun.findMany({ where: { enrollmentId: id }, orderBy: { createdAt: 'desc' }, take: runsMost }),
    ctx.db.proofRun.findFirst({ where: { enrollmentId: id, state: 'held' }, orderBy: { endedAt: 'desc' } }),
    ctx.db.proofSetting.findFirst({ where: { enrollmentId: id } }),
  ]);
  const last = runs.find(({ endedAt }) => endedAt !== null) ?? null;
  const dueAt = last && state === 'active' ? new Date(last.createdAt.getTime() + proofEveryMs).toISOString() : null;
  return {
    enrollment: { id, name, state, level },
    standing: standingOf(last, now),
    lastHeldAt: held?.endedAt?.toISOString() ?? null,
    dueAt,
    runs: runs.map((run) => ({
      id: run.id,
      state: run.state,
      askedBy: run.askedBy,
      createdAt: run.createdAt.toISOString(),
      endedAt: run.endedAt?.toISOString() ?? null,
      checks: CheckResults.parse(run.checks),
    })),
    address: setting?.badgeToken ? `${env().PORTAL_URL}/api/proof/${setting.badgeToken}` : null,
    repository: setting?.repository ?? null,
  };
}

export const AskProofInput = z.strictObject({ enrollmentId: z.uuid() });

/** Has the worker prove it now. One that runs is enough. */
export async function askForProof(ctx: Ctx, { enrollmentId }: z.infer<typeof AskProofInput>): Promise<void> {
  const row = await ownRow(ctx, enrollmentId);
  if (row.state !== 'active')
    throw new AppError('conflict', {
      log: `a proof of an enrollment that is ${row.state}`,
      screen: { happened: 'Only an enrollment that is applied can be proven.' },
    });
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    const data = { tenantId: ctx.tenant.id, enrollmentId, askedBy: actorName(ctx) };
    const { count } = await tx.proofRun.createMany({ data: [data], skipDuplicates: true });
    if (count === 1) await ctx.audit(tx, { action: 'proof:ask', target: `enrollment/${row.name}` });
    await wake(tx, 'proof', enrollmentId);
  });
}

export const BadgeInput = z.strictObject({ enrollmentId: z.uuid(), on: z.enum(['yes', 'no']) });

/** Whoever has the address reads how the proof stands. Another address each time that it is turned on: the former is dead. */
export async function setBadge(ctx: Ctx, { enrollmentId, on }: z.infer<typeof BadgeInput>): Promise<void> {
  const row = await ownRow(ctx, enrollmentId);
  const badgeToken = on === 'yes' ? randomBytes(24).toString('base64url') : null;
  await keepSetting(
    ctx,
    enrollmentId,
    { badgeToken },
    { action: 'proof:badge', target: `enrollment/${row.name}`, after: { on } },
  );
}

const repository = /^[\w.-]+\/[\w.-]+$/;
export const RepositoryInput = z.strictObject({
  enrollmentId: z.uuid(),
  repository: z.string().trim().max(200).regex(repository, 'is written owner/name').or(z.literal('')),
});

/** Whose workflow the proof starts, at scopes of many repositories. The scope's credential decides whether it may. */
export async function setProofRepository(ctx: Ctx, input: z.infer<typeof RepositoryInput>): Promise<void> {
  const row = await ownRow(ctx, input.enrollmentId);
  const given = input.repository === '' ? null : input.repository;
  const entry = { action: 'proof:repository', target: `enrollment/${row.name}`, after: { repository: given } };
  await keepSetting(ctx, input.enrollmentId, { repository: given }, entry);
}

type Entry = { action: string; target: string; after: object };

async function keepSetting(
  ctx: Ctx,
  enrollmentId: string,
  data: { badgeToken: string | null } | { repository: string | null },
  entry: Entry,
): Promise<void> {
  const tenantId = ctx.tenant.id;
  await tenantTransaction(tenantId, async (tx) => {
    await tx.proofSetting.upsert({
      where: { enrollmentId },
      create: { enrollmentId, tenantId, ...data },
      update: data,
    });
    await ctx.audit(tx, entry);
  });
}

export type Care = { findings: string[]; standing: Standing; lastHeldAt: string | null };

/** Doctor and proof in two lines, for the enrollment's own page. */
export async function careOf(ctx: Ctx, enrollmentId: string, now = new Date()): Promise<Care> {
  const [findings, last, held] = await Promise.all([
    ctx.db.finding.findMany({
      where: { enrollmentId, goneAt: null },
      orderBy: [{ severity: 'asc' }, { firstSeenAt: 'asc' }],
    }),
    ctx.db.proofRun.findFirst({ where: { enrollmentId, endedAt: { not: null } }, orderBy: { endedAt: 'desc' } }),
    ctx.db.proofRun.findFirst({ where: { enrollmentId, state: 'held' }, orderBy: { endedAt: 'desc' } }),
  ]);
  return {
    findings: findings.map(({ title }) => title),
    standing: standingOf(last, now),
    lastHeldAt: held?.endedAt?.toISOString() ?? null,
  };
}

// ------------------------------------------------------------------------------------------------ whoever has the address

export type OpenProof = {
  standing: Standing;
  lastHeldAt: string | null;
  lastRunAt: string | null;
  checks: Pick<CheckResult, 'check' | 'state' | 'at'>[];
};

const tokenForm = /^[\w-]{32}$/;

/** How the proof stands, with no name and no word of whose it is. Throws `not_found` where no badge has this address. */
export async function openProof(token: string, now = new Date()): Promise<OpenProof> {
  const setting = tokenForm.test(token)
    ? await unsafeDb().proofSetting.findUnique({ where: { badgeToken: token } })
    : null;
  if (!setting) throw notFound('This badge');
  const { enrollmentId } = setting;
  const ended = { enrollmentId, endedAt: { not: null } };
  const last = await unsafeDb().proofRun.findFirst({ where: ended, orderBy: { endedAt: 'desc' } });
  const held = await unsafeDb().proofRun.findFirst({
    where: { enrollmentId, state: 'held' },
    orderBy: { endedAt: 'desc' },
  });
  return {
    standing: standingOf(last, now),
    lastHeldAt: held?.endedAt?.toISOString() ?? null,
    lastRunAt: last?.endedAt?.toISOString() ?? null,
    checks: CheckResults.parse(last?.checks ?? []).map(({ check, state, at }) => ({ check, state, at })),
  };
}

/** The same as a picture. */
export async function openBadge(token: string): Promise<string> {
  const { standing, lastHeldAt } = await openProof(token);
  return badge(standing, lastHeldAt?.slice(0, 10) ?? null);
}
