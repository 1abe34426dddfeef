import { z } from 'zod';
import { ClusterClient } from '#lib/cluster/index.ts';
import { tenantTransaction } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { makePlan, savePools, specOf } from '#lib/enrollment/index.ts';
import { clusterAt } from '#lib/fleet/index.ts';
import { ImageDigest, ImageName, type PoolChoice } from '#lib/model/index.ts';
import { actorName, type Ctx } from '#lib/tenant/index.ts';
import { wake } from '#lib/work/index.ts';
import { repairKinds, type Offer } from './facts.ts';
import { liveRow, positionOf, StoredChanges, StoredOffer, StoredOffers } from './rows.ts';
import { send, stepsOf, type Steps } from './steps.ts';

/* From an offer to a plan that a person reads, and from the plan to the worker, who alone writes outside. */

/** As the catalog takes it: a name with its tag, and behind an @ its digest. */
const Image = z
  .string()
  .trim()
  .refine((text) => {
    const [image, digest, ...rest] = text.split('@');
    const isDigest = digest === undefined || ImageDigest.safeParse(digest).success;
    return rest.length === 0 && isDigest && ImageName.safeParse(image).success;
  }, 'is no image’s name');

export const ProposeInput = z.strictObject({
  findingId: z.uuid(),
  kind: z.enum(repairKinds),
  /** Of `set-image` alone. */
  image: Image.optional(),
});

/** Where the plan is: our own, or one of the enrollment's change. */
export type Proposed = { enrollmentId: string } & ({ repairId: string } | { planId: string });

function refuseOthers(ctx: Ctx, { who }: Pick<Offer, 'who'>): void {
  // Who operates and is a member here too has the member's role, and is an operator none the less.
  if (who === 'admin' || ctx.person.isOperator) return;
  throw new AppError('forbidden', {
    log: 'a repair that touches more than the tenant, by somebody who is no operator',
    screen: {
      happened: 'This repair touches more than this tenant, so an operator applies it.',
      todo: 'Tell an operator; what was found is on this page for them too.',
    },
  });
}

async function offered(ctx: Ctx, { findingId, kind }: z.infer<typeof ProposeInput>) {
  const finding = await ctx.db.finding.findFirst({ where: { id: findingId } });
  if (!finding) throw notFound('This finding');
  const offer = StoredOffers.parse(finding.offers).find((each) => each.kind === kind);
  if (!offer || finding.goneAt !== null) throw overtaken();
  refuseOthers(ctx, offer);
  return { finding, offer };
}

function overtaken(): AppError {
  return new AppError('stale', {
    log: 'the finding is gone, or another than when the page was made',
    screen: { happened: 'This is not so any more.', todo: 'Look at the page anew: it shows what is so now.' },
  });
}

/** Makes the plan of a repair. Nothing is changed by it. */
export async function proposeRepair(ctx: Ctx, input: z.infer<typeof ProposeInput>): Promise<Proposed> {
  const { finding, offer } = await offered(ctx, input);
  const { enrollmentId } = finding;
  if (offer.kind === 'fit-maximum') return { enrollmentId, planId: await planSmaller(ctx, enrollmentId, offer) };
  if (offer.kind === 'set-image' && input.image === undefined) throw invalidFields({ image: 'is needed' });
  const params = input.image === undefined ? offer.params : { ...offer.params, to: input.image };
  const { steps, dryRun } = await tried(enrollmentId, { ...offer, params });
  const repairId = await tenantTransaction(ctx.tenant.id, async (tx) => {
    await tx.repair.updateMany({ where: { findingId: finding.id, state: 'open' }, data: { state: 'discarded' } });
    const made = await tx.repair.create({
      data: {
        tenantId: ctx.tenant.id,
        enrollmentId,
        findingId: finding.id,
        kind: offer.kind,
        params,
        changes: steps.changes,
        dryRun,
        createdById: ctx.person.userId,
        createdBy: actorName(ctx),
      },
    });
    return made.id;
  });
  return { enrollmentId, repairId };
}

/** The steps, with the API server's word that it would take them. What it refuses is said now, and not when it is applied. */
async function tried(enrollmentId: string, offer: Offer): Promise<{ steps: Steps; dryRun: boolean }> {
  const row = await liveRow(enrollmentId);
  if (!row) throw overtaken();
  const client = new ClusterClient(clusterAt(row.tenant.clusterId));
  const steps = await stepsOf(client, await positionOf(row), offer);
  if (steps.changes.length === 0) throw overtaken();
  await send(client, steps.requests, { dryRun: true });
  return { steps, dryRun: steps.requests.length > 0 };
}

/** A pool's maximum is a part of what was approved: it changes by a plan of the enrollment's own. */
async function planSmaller(ctx: Ctx, enrollmentId: string, { params }: Offer): Promise<string> {
  const row = await liveRow(enrollmentId);
  const spec = row && specOf(row);
  if (!spec) throw overtaken();
  const most = Number(params['to']);
  const smaller = spec.pools.map((choice) => (choice.pool === params['pool'] ? atMost(choice, most) : choice));
  await savePools(ctx, { enrollmentId, pools: smaller });
  return makePlan(ctx, { enrollmentId, kind: 'change' });
}

function atMost(choice: PoolChoice, most: number): PoolChoice {
  const { minRunners, maxRunners, schedule } = choice;
  const windows = schedule?.windows.map((each) => ({ ...each, runners: Math.min(each.runners, most) }));
  return {
    ...choice,
    minRunners: Math.min(minRunners, most),
    maxRunners: Math.min(maxRunners, most),
    ...(schedule && windows ? { schedule: { ...schedule, windows } } : {}),
  };
}

export const ApplyInput = z.strictObject({ repairId: z.uuid() });

/** Hands a repair to the worker. Refused where it would do something else by now than what was read. */
export async function applyRepair(
  ctx: Ctx,
  { repairId }: z.infer<typeof ApplyInput>,
): Promise<{ enrollmentId: string }> {
  const repair = await ctx.db.repair.findFirst({ where: { id: repairId }, include: { finding: true } });
  if (!repair) throw notFound('This repair');
  const { finding, enrollmentId } = repair;
  const kind = StoredOffer.shape.kind.safeParse(repair.kind).data;
  if (!kind) throw overtaken();
  const { offer } = await offered(ctx, { findingId: finding.id, kind });
  const { steps } = await tried(enrollmentId, { ...offer, params: StoredOffer.shape.params.parse(repair.params) });
  if (JSON.stringify(steps.changes) !== JSON.stringify(StoredChanges.parse(repair.changes))) throw overtaken();
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    const { count } = await tx.repair.updateMany({
      where: { id: repairId, state: 'open' },
      data: {
        state: 'approved',
        decidedById: ctx.person.userId,
        decidedBy: actorName(ctx),
        decidedAt: new Date(),
      },
    });
    if (count !== 1) throw overtaken();
    await ctx.audit(tx, {
      action: 'repair:apply',
      target: `enrollment/${enrollmentId}`,
      after: { repair: repair.kind, finding: finding.title, changes: steps.changes },
    });
    await wake(tx, 'doctor', enrollmentId);
  });
  return { enrollmentId };
}

export const LookInput = z.strictObject({ enrollmentId: z.uuid() });

/** Has the worker look now. */
export async function askForLook(ctx: Ctx, { enrollmentId }: z.infer<typeof LookInput>): Promise<void> {
  const row = await ctx.db.enrollment.findFirst({
    where: { id: enrollmentId, state: { in: ['active', 'withdrawing'] } },
  });
  if (!row) throw notFound('This enrollment');
  await tenantTransaction(ctx.tenant.id, async (tx) => {
    await wake(tx, 'enrollment', enrollmentId);
    await wake(tx, 'doctor', enrollmentId);
  });
}
