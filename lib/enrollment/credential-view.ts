import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import type { Condition, ForgeKind } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { parsedConditions } from './conditions.ts';

/* The credentials of a tenant as people see them: whose, for what, since when, until when. Never a value. */

export type CredentialRow = {
  /** Unlike any other's on the page. */
  id: string;
  /** Null of an App's key, which serves all enrollments of its organization. */
  enrollmentId: string | null;
  /** The enrollment's name, or the organization whose App it is. */
  enrollment: string;
  forgeKind: ForgeKind;
  forgeName: string;
  kind: string;
  /** In words, for what it is. */
  purpose: string;
  owner: string;
  keptAt: string;
  usedAt: string | null;
  /** Who could tell of its use and does not; null where the portal gets to know. */
  untoldBy: string | null;
  expiresAt: string | null;
  /** Who sees to a new one: the portal before it ends, or a person who enters it. */
  renewedBy: 'portal' | 'person';
  /** Whether a person has to enter a new one: soon, or now, since its forge accepts this one no more. */
  standing: 'works' | 'ends-soon' | 'ended';
};

const soonMs = 14 * 24 * 3600_000;

const purposes: Record<string, string> = {
  'forge-token': 'Registers runners at the forge',
  'attic-token': 'Lets runners reach the Attic views',
  'attic-token.untrusted': 'Lets runners of pools that are not trusted reach the Attic views',
  'bazel-password': 'Lets runners reach the Bazel cache',
  'bazel-password.next': 'Is known to the Bazel cache, and given to runners next',
  'bazel-password.former': 'Lets jobs that have begun before reach the Bazel cache',
};

/** What runners use by themselves, at a server that tells of nobody's use. */
const untold: Record<string, string> = {
  'attic-token': 'Attic',
  'attic-token.untrusted': 'Attic',
  'bazel-password': 'the Bazel cache',
};

function purposeOf(kind: string): string {
  const runner = kind.slice(kind.indexOf(':') + 1);
  if (kind.startsWith('runner:') && kind.endsWith('.next'))
    return `Registration that is to follow that of the runner ${runner.slice(0, -'.next'.length)}`;
  return purposes[kind] ?? `Registration of the runner ${runner}`;
}

type Token = { kind: string; createdAt: Date; expiresAt: Date | null };

/** By its date, or by what the forge last said of it. What was said of a former one says nothing of this. */
function standingOf({ kind, createdAt, expiresAt }: Token, conditions: readonly Condition[], now: Date) {
  if (kind !== 'forge-token') return 'works';
  const refused = conditions.some(({ reason, since }) => reason === 'TokenEnded' && new Date(since) >= createdAt);
  if (refused || (expiresAt !== null && expiresAt <= now)) return 'ended';
  return expiresAt !== null && expiresAt.getTime() - now.getTime() < soonMs ? 'ends-soon' : 'works';
}

/** What the tenant's live enrollments hold at that time, what ends first first; then the keys of its own Apps. */
export async function listCredentials(ctx: Ctx, now = new Date()): Promise<CredentialRow[]> {
  return [...(await enrollmentRows(ctx, now)), ...(await appKeyRows(ctx))];
}

/** Whoever made an App answers for its key; it has no end, and is used by each look at its organization. */
async function appKeyRows(ctx: Ctx): Promise<CredentialRow[]> {
  const apps = await ctx.db.githubApp.findMany({
    select: {
      id: true,
      slug: true,
      accountLogin: true,
      createdById: true,
      createdAt: true,
      keyReplacedAt: true,
      usedAt: true,
      connection: { select: { kind: true, name: true } },
    },
    orderBy: { slug: 'asc' },
  });
  const makers = await unsafeDb().user.findMany({
    where: { id: { in: apps.flatMap(({ createdById }) => createdById ?? []) } },
    select: { id: true, name: true },
  });
  const nameOf = new Map(makers.map(({ id, name }) => [id, name]));
  return apps.map((app) => ({
    id: `app/${app.id}`,
    enrollmentId: null,
    enrollment: app.accountLogin,
    forgeKind: app.connection.kind,
    forgeName: app.connection.name,
    kind: 'app-key',
    purpose: `Private key of the App ${app.slug}`,
    owner: nameOf.get(app.createdById ?? '') ?? 'somebody who has left',
    keptAt: (app.keyReplacedAt ?? app.createdAt).toISOString(),
    usedAt: app.usedAt?.toISOString() ?? null,
    untoldBy: null,
    expiresAt: null,
    renewedBy: 'person',
    standing: 'works',
  }));
}

async function enrollmentRows(ctx: Ctx, now: Date): Promise<CredentialRow[]> {
  const enrollments = await ctx.db.enrollment.findMany({
    where: { state: { not: 'withdrawn' } },
    select: { id: true, name: true, conditions: true, connection: { select: { kind: true, name: true } } },
  });
  const byId = new Map(enrollments.map((row) => [row.id, row]));
  const rows = await unsafeDb().credential.findMany({
    where: { tenantId: ctx.tenant.id, enrollmentId: { in: [...byId.keys()] } },
    select: { enrollmentId: true, kind: true, owner: true, createdAt: true, usedAt: true, expiresAt: true },
    orderBy: [{ expiresAt: { sort: 'asc', nulls: 'last' } }, { kind: 'asc' }],
  });
  return rows.flatMap((row): CredentialRow[] => {
    const enrollment = byId.get(row.enrollmentId);
    if (!enrollment) return [];
    return [
      {
        id: `${row.enrollmentId}/${row.kind}`,
        enrollmentId: row.enrollmentId,
        enrollment: enrollment.name,
        forgeKind: enrollment.connection.kind,
        forgeName: enrollment.connection.name,
        kind: row.kind,
        purpose: purposeOf(row.kind),
        owner: row.owner ?? 'the portal',
        keptAt: row.createdAt.toISOString(),
        usedAt: row.usedAt?.toISOString() ?? null,
        untoldBy: untold[row.kind] ?? null,
        expiresAt: row.expiresAt?.toISOString() ?? null,
        renewedBy: row.kind === 'forge-token' ? 'person' : 'portal',
        standing: standingOf(row, parsedConditions(enrollment.conditions), now),
      },
    ];
  });
}

export const RotateInput = z.strictObject({ enrollmentId: z.uuid(), kind: z.string().max(200) });

/**
 * Asks for a new one of what the portal makes itself. The next pass makes it, gives it to the runners and, where the other
 * side knows both, lets the old one end by itself; until then the old one is in force.
 */
export async function rotateCredential(ctx: Ctx, { enrollmentId, kind }: z.infer<typeof RotateInput>): Promise<void> {
  const row = await ctx.db.enrollment.findFirst({
    where: { id: enrollmentId, state: 'active' },
    select: { name: true },
  });
  // What follows or went before is of a rotation that is under way already.
  if (!row || kind === 'forge-token' || /\.(next|former)$/.test(kind)) throw notFound('This credential');
  await unsafeTransaction(async (tx) => {
    const due = await tx.credential.updateMany({
      where: { tenantId: ctx.tenant.id, enrollmentId, kind },
      data: { expiresAt: new Date() },
    });
    if (due.count !== 1) throw notFound('This credential');
    await ctx.audit(tx, { action: 'credential:rotate', target: `enrollment/${row.name}/${kind}` });
    await wake(tx, 'enrollment', enrollmentId);
  });
}
