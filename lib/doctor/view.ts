import { z } from 'zod';
import { notFound } from '#lib/errors.ts';
import { may, type Ctx } from '#lib/tenant/index.ts';
import type { RepairState } from '#lib/db/index.ts';
import type { Evidence, RepairKind } from './facts.ts';
import type { RepairChange } from './steps.ts';
import { StoredChanges, StoredEvidence, StoredOffer, StoredOffers } from './rows.ts';

export type OfferView = { kind: RepairKind; label: string; says: string; mayApply: boolean; image: string | null };

export type FindingView = {
  id: string;
  kind: string;
  subject: string;
  severity: 'bad' | 'warn';
  title: string;
  words: string;
  evidence: Evidence[];
  offers: OfferView[];
  firstSeenAt: string;
  lastSeenAt: string;
  goneAt: string | null;
};

export type RepairView = {
  id: string;
  label: string;
  says: string;
  finding: string;
  state: RepairState;
  changes: RepairChange[];
  dryRun: boolean;
  createdBy: string;
  createdAt: string;
  decidedBy: string | null;
  decidedAt: string | null;
  endedAt: string | null;
  outcome: string | null;
};

export type DoctorView = {
  enrollment: { id: string; name: string; state: string };
  findings: FindingView[];
  /** What was found and is gone, the newest first. */
  gone: FindingView[];
  repairs: RepairView[];
  /** When the worker last looked; null before the first time. */
  lookedAt: string | null;
};

/** What a repair is called, and what it means, before anybody reads its plan. */
export const repairWords: Record<RepairKind, { label: string; says: string }> = {
  'remove-orphans': {
    label: 'Remove what nobody owns',
    says: 'Pods that bear this enrollment’s label and that no runner owns are removed. Runners with a job are not touched.',
  },
  'fit-maximum': {
    label: 'Give the pool a smaller maximum',
    says: 'A change of the enrollment, planned and approved like any other.',
  },
  'set-image': {
    label: 'Set another image',
    says: 'The catalog’s image of this pool is set, and this enrollment starts new runners with it; the others get it by a rollout. Jobs that run end first.',
  },
  'clear-placement': {
    label: 'Let it run on any node',
    says: 'The catalog no longer asks for certain nodes, a runtime or tolerations for this pool, and this enrollment’s runners need none; the others get it by a rollout.',
  },
  'restart-runners': {
    label: 'Start these runners anew',
    says: 'The runners that only fail are let go, and the controller makes new ones at once. None of them has a job.',
  },
  'stamp-version': {
    label: 'Stamp it for this controller',
    says: 'The version label is set to that of the controller, which otherwise deletes the set. Runners stay.',
  },
  'register-anew': {
    label: 'Register it anew',
    says: 'The runner set is taken away with its scale set at the forge, and made again. A job that runs is waited for; jobs that wait go on waiting and are served after it.',
  },
  'restart-listener': {
    label: 'Start the listener anew',
    says: 'Its pod is removed and the controller makes another. Runners and jobs are not touched.',
  },
  'drop-finalizer': {
    label: 'Take the mark off',
    says: 'The marks that hold the object are taken off, so that it goes. Whatever was to happen before it went does not.',
  },
  'look-again': { label: 'Look again now', says: 'The portal asks the forge anew, whatever it knew of it.' },
};

/** A worker of the next version may have offered one that is not known here. */
function wordsOfRepair(kind: string): { label: string; says: string } {
  const known = StoredOffer.shape.kind.safeParse(kind).data;
  return known
    ? repairWords[known]
    : { label: kind, says: 'A repair of a newer version of the portal, which has its words.' };
}

const goneMost = 20;
const repairsMost = 20;

/** Everything that the doctor's page shows. */
export async function doctorView(ctx: Ctx, id: string): Promise<DoctorView> {
  const row = z.uuid().safeParse(id).success ? await ctx.db.enrollment.findFirst({ where: { id } }) : null;
  if (!row) throw notFound('This enrollment');
  const where = { enrollmentId: id };
  const [open, gone, repairs, task] = await Promise.all([
    ctx.db.finding.findMany({
      where: { ...where, goneAt: null },
      orderBy: [{ severity: 'asc' }, { firstSeenAt: 'asc' }],
    }),
    ctx.db.finding.findMany({
      where: { ...where, goneAt: { not: null } },
      orderBy: { goneAt: 'desc' },
      take: goneMost,
    }),
    ctx.db.repair.findMany({
      where: { ...where, state: { not: 'discarded' } },
      orderBy: { createdAt: 'desc' },
      take: repairsMost,
      include: { finding: { select: { title: true } } },
    }),
    ctx.db.task.findUnique({ where: { kind_key: { kind: 'doctor', key: id } }, select: { updatedAt: true } }),
  ]);
  return {
    enrollment: { id, name: row.name, state: row.state },
    findings: open.map((each) => findingView(ctx, each)),
    gone: gone.map((each) => findingView(ctx, each)),
    repairs: repairs.map(repairView),
    lookedAt: task?.updatedAt.toISOString() ?? null,
  };
}

type FindingRow = Awaited<ReturnType<Ctx['db']['finding']['findMany']>>[number];
type RepairRow = Awaited<ReturnType<Ctx['db']['repair']['findMany']>>[number] & { finding: { title: string } };

function findingView(ctx: Ctx, row: FindingRow): FindingView {
  const { id, kind, subject, severity, title, words } = row;
  const offers = StoredOffers.parse(row.offers).map(({ kind: repair, who, params }) => {
    const image = params['image'];
    return {
      kind: repair,
      ...repairWords[repair],
      mayApply: may(ctx.role, 'enrollment:approve') && (who === 'admin' || ctx.person.isOperator),
      image: repair === 'set-image' && typeof image === 'string' ? image : null,
    };
  });
  return {
    id,
    kind,
    subject,
    severity: severity === 'warn' ? 'warn' : 'bad',
    title,
    words,
    evidence: StoredEvidence.parse(row.evidence),
    offers,
    firstSeenAt: row.firstSeenAt.toISOString(),
    lastSeenAt: row.lastSeenAt.toISOString(),
    goneAt: row.goneAt?.toISOString() ?? null,
  };
}

function repairView(row: RepairRow): RepairView {
  const { id, state, dryRun, createdBy, decidedBy, outcome } = row;
  return {
    id,
    ...wordsOfRepair(row.kind),
    finding: row.finding.title,
    state,
    changes: StoredChanges.parse(row.changes),
    dryRun,
    createdBy,
    createdAt: row.createdAt.toISOString(),
    decidedBy,
    decidedAt: row.decidedAt?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
    outcome,
  };
}
