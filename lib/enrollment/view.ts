import { z } from 'zod';
import { unsafeDb, type PlanKind, type PlanState } from '#lib/db/index.ts';
import { notFound } from '#lib/errors.ts';
import {
  atticViewName,
  type Condition,
  type ForgeKind,
  labelOf,
  type Scope,
  workflowSnippet,
} from '#lib/model/index.ts';
import { may, type Ctx } from '#lib/tenant/index.ts';
import { livePools, type LivePool } from '#lib/usage/index.ts';
import { approvedPools, poolsByName } from './catalog.ts';
import { parsedConditions } from './conditions.ts';
import { listCredentials } from './credential-view.ts';
import { enrollPhases } from './phases.ts';
import { changesView, PlanChange, type ChangesView } from './plan.ts';
import { approvedOf, quotaNow, sumsOf, type QuotaNow } from './pools-now.ts';
import { scopeOf, specOf, withPosition, type EnrollmentRow } from './rows.ts';
import { withdrawPhases } from './withdraw-phases.ts';

export type PhaseView = {
  type: string;
  label: string;
  status: Condition['status'];
  reason: string;
  message: string;
  waitingFor: Condition['waitingFor'];
  since: string | null;
};
export type PoolView = LivePool & { cpu: string; memory: string; snippet: string };

export type EnrollmentSummary = {
  id: string;
  name: string;
  scope: Scope;
  forgeName: string;
  forgeKind: ForgeKind;
  state: EnrollmentRow['state'];
  ready: boolean;
  /** One sentence: ready, or what it waits for. */
  headline: string;
  waitingFor: Condition['waitingFor'];
  since: string | null;
  labels: string[];
};

export type EnrollmentView = EnrollmentSummary & {
  phases: PhaseView[];
  pools: PoolView[];
  planes: {
    attic: {
      view: string;
      publicKey: string | null;
      isPublic: boolean;
      url: string;
      tokenExpiresAt: string | null;
    } | null;
    bazel: boolean;
  };
  generation: number;
  observedGeneration: number;
  createdAt: string;
  approvedAt: string | null;
  readyAt: string | null;
  withdrawnAt: string | null;
  history: { id: string; kind: PlanKind; state: PlanState; createdAt: string; decidedAt: string | null }[];
};

function headlineOf(row: EnrollmentRow, ready: Condition | undefined): string {
  if (row.state === 'draft') return 'A draft: nothing has been applied yet.';
  if (row.state === 'withdrawn') return 'Withdrawn; nothing of it is left.';
  if (row.state === 'withdrawing') return ready?.message ?? 'Being withdrawn.';
  return ready?.message ?? 'Waiting for the portal to begin.';
}

function summaryOf(row: EnrollmentRow): EnrollmentSummary {
  const ready = readyCondition(row);
  return {
    id: row.id,
    name: row.name,
    scope: scopeOf(row),
    forgeName: row.connection.name,
    forgeKind: row.connection.kind,
    state: row.state,
    ready: row.state === 'active' && ready?.status === 'True' && row.observedGeneration === row.generation,
    headline: headlineOf(row, ready),
    waitingFor: ready?.waitingFor ?? (row.state === 'active' || row.state === 'withdrawing' ? 'portal' : 'nobody'),
    since: ready?.since ?? null,
    labels: (specOf(row)?.pools ?? []).map((choice) => labelOf(row.tenant, choice.pool)),
  };
}

/** What was said of a former generation says nothing of this one. */
function readyCondition(row: EnrollmentRow): Condition | undefined {
  return parsedConditions(row.conditions).find(
    (each) => each.type === 'Ready' && each.observedGeneration === row.generation,
  );
}

function phasesOf(row: EnrollmentRow): PhaseView[] {
  if (row.state === 'draft') return [];
  const phases = row.state === 'active' ? enrollPhases : withdrawPhases;
  const known = new Map(parsedConditions(row.conditions).map((each) => [each.type, each]));
  return phases.map(({ type, label }) => {
    const condition = known.get(type);
    if (!condition || condition.observedGeneration !== row.generation) {
      return {
        type,
        label,
        status: 'Unknown',
        reason: 'NotReached',
        message: 'Not looked at yet.',
        waitingFor: 'portal',
        since: null,
      };
    }
    const { status, reason, message, waitingFor, since } = condition;
    return { type, label, status, reason, message, waitingFor, since };
  });
}

/** The enrollments of a tenant, newest first, the withdrawn last. */
export async function listEnrollments(ctx: Ctx): Promise<EnrollmentSummary[]> {
  const rows = await ctx.db.enrollment.findMany({ include: withPosition, orderBy: { createdAt: 'desc' } });
  return [...rows.filter((row) => row.state !== 'withdrawn'), ...rows.filter((row) => row.state === 'withdrawn')].map(
    summaryOf,
  );
}

/** Everything that the enrollment's page shows. */
export async function enrollmentView(ctx: Ctx, id: string): Promise<EnrollmentView> {
  const row = z.uuid().safeParse(id).success
    ? await ctx.db.enrollment.findFirst({ where: { id }, include: withPosition })
    : null;
  if (!row) throw notFound('This enrollment');
  const spec = specOf(row);
  const plans = await ctx.db.plan.findMany({
    where: { enrollmentId: id, state: { not: 'discarded' } },
    orderBy: { createdAt: 'desc' },
    take: 20,
  });
  return {
    ...summaryOf(row),
    phases: phasesOf(row),
    pools: await poolViews(ctx, row),
    planes: { attic: spec?.planes.attic ? await atticOf(row) : null, bazel: spec?.planes.bazel !== undefined },
    generation: row.generation,
    observedGeneration: row.observedGeneration,
    createdAt: row.createdAt.toISOString(),
    approvedAt: row.approvedAt?.toISOString() ?? null,
    readyAt: row.readyAt?.toISOString() ?? null,
    withdrawnAt: row.withdrawnAt?.toISOString() ?? null,
    history: plans.map((plan) => ({
      id: plan.id,
      kind: plan.kind,
      state: plan.state,
      createdAt: plan.createdAt.toISOString(),
      decidedAt: plan.decidedAt?.toISOString() ?? null,
    })),
  };
}

async function poolViews(ctx: Ctx, row: EnrollmentRow): Promise<PoolView[]> {
  const known = approvedPools(row, await poolsByName());
  const live = await livePools(ctx, row.id);
  return live.map((pool) => {
    const profile = known.get(pool.pool);
    const snippet = workflowSnippet(row.connection.kind, pool.label, profile?.securityClass);
    return { ...pool, cpu: profile?.cpu ?? '', memory: profile?.memory ?? '', snippet };
  });
}

async function atticOf(row: EnrollmentRow): Promise<EnrollmentView['planes']['attic']> {
  const name = atticViewName(row.tenant.slug);
  const view = await unsafeDb().cacheView.findFirst({ where: { tenantId: row.tenantId, plane: 'attic', name } });
  if (!view) return null;
  const token = await unsafeDb().credential.findUnique({
    where: { enrollmentId_kind: { enrollmentId: row.id, kind: 'attic-token' } },
    select: { expiresAt: true },
  });
  return {
    view: view.name,
    publicKey: view.publicKey,
    isPublic: view.isPublic,
    url: view.substituterUrl ?? '',
    tokenExpiresAt: token?.expiresAt?.toISOString() ?? null,
  };
}

// ------------------------------------------------------------------------------------------------ plans

export type PlanView = ChangesView & {
  id: string;
  enrollmentId: string;
  kind: PlanKind;
  state: PlanState;
  /** False when the cluster did not answer, so that the plan says what would be written, unchecked. */
  clusterChecked: boolean;
  createdAt: string;
  decidedAt: string | null;
};

export async function planView(ctx: Ctx, planId: string): Promise<PlanView> {
  const plan = z.uuid().safeParse(planId).success ? await ctx.db.plan.findFirst({ where: { id: planId } }) : null;
  if (!plan) throw notFound('This plan');
  return {
    id: plan.id,
    enrollmentId: plan.enrollmentId,
    kind: plan.kind,
    state: plan.state,
    clusterChecked: plan.clusterChecked,
    createdAt: plan.createdAt.toISOString(),
    decidedAt: plan.decidedAt?.toISOString() ?? null,
    ...changesView(z.array(PlanChange).parse(plan.changes)),
  };
}

// ------------------------------------------------------------------------------------------------ the tenant's first page

export type TenantOverview = {
  enrollments: EnrollmentSummary[];
  pools: LivePool[];
  /** used: what runners hold now. promised: what all pools hold at their maximum. Shares are 0..1. */
  quota: QuotaNow;
  /** What a person has to do something about, and on which page. */
  needsYou: NeedsYou[];
};

export type NeedsYou = { id: string; name: string; headline: string; at: 'enrollment' | 'credentials' };

/** Enrollments that wait for an admin, and access tokens before they end, for whoever may enter a new one. */
async function needing(ctx: Ctx, enrollments: readonly EnrollmentSummary[]): Promise<NeedsYou[]> {
  const waiting = enrollments
    .filter((each) => each.waitingFor === 'admin' || each.state === 'draft')
    .map(({ id, name, headline }): NeedsYou => ({ id, name, headline, at: 'enrollment' }));
  const rows = may(ctx.role, 'credential:change') ? await listCredentials(ctx) : [];
  const tokens = rows
    .filter(({ standing, enrollmentId }) => standing !== 'works' && !waiting.some(({ id }) => id === enrollmentId))
    .map(({ id, enrollment: name, standing, expiresAt }): NeedsYou => {
      const headline =
        standing === 'ended' ? 'Its access token has ended.' : `Its access token ends on ${expiresAt?.slice(0, 10)}.`;
      return { id, name, headline: `${headline} Enter a new one.`, at: 'credentials' };
    });
  return [...waiting, ...tokens];
}

export async function tenantOverview(ctx: Ctx): Promise<TenantOverview> {
  const [enrollments, pools, approved] = await Promise.all([listEnrollments(ctx), livePools(ctx), approvedOf(ctx)]);
  return {
    enrollments,
    pools,
    quota: quotaNow(ctx.tenant.quota, sumsOf(pools, approved)),
    needsYou: await needing(ctx, enrollments),
  };
}
