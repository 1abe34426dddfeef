import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import { AppError } from '../errors.ts';
import { command } from './command.ts';
import { differenceOf, differenceText } from './difference.ts';
import { tellNotes, tellRefusals } from './diff.ts';
import { filesOption, readDocuments } from './documents.ts';
import { lookAt, type EnrollmentLook } from './look.ts';
import { urlOption } from './login.ts';
import { outputOption, write } from './output.ts';
import { accessOf, Portal } from './portal.ts';
import { Applied, Plan, Request } from './shapes.ts';
import { enrollmentPath } from './tenant.ts';
import { exitCodes, paintFor, type Terminal } from './terminal.ts';

/* Plans: kept by the portal, and applied there by whoever reads them on their page, or from here. */

export type Planned = { name: string; tenant: string; plan: Plan };

export async function makePlan(portal: Portal, { name, document, spec, present }: EnrollmentLook): Promise<Planned> {
  const { tenant } = document.metadata;
  const path = `${enrollmentPath(tenant, present?.id ?? document.metadata.name)}/plans`;
  return { name, tenant, plan: await portal.change('POST', path, { spec }, Plan) };
}

export async function planWithdrawal(
  portal: Portal,
  of: { name: string; tenant: string; id: string },
): Promise<Planned> {
  const path = `${enrollmentPath(of.tenant, of.id)}/plans`;
  return { name: of.name, tenant: of.tenant, plan: await portal.change('POST', path, { withdraw: true }, Plan) };
}

export async function applyPlan(portal: Portal, { tenant, plan }: Planned, note: string) {
  return portal.change('POST', `/tenants/${tenant}/plans/${plan.id}/apply`, { note }, Applied);
}

export function changesOf({ plan }: Planned) {
  return plan.groups.flatMap(({ changes }) => changes);
}

export function counted(planned: Planned): string {
  const { length } = changesOf(planned);
  return length === 1 ? '1 change' : `${length} changes`;
}

/** Where a person reads it, and may apply it. */
export function pageOf(portal: Portal, { tenant, plan }: Planned): string {
  return `${portal.url}/t/${tenant}/enroll/${plan.enrollmentId}/plan?plan=${plan.id}`;
}

export function showPlan(terminal: Terminal, planned: Planned, say: (text: string) => void, isTerminal: boolean): void {
  const { name, plan } = planned;
  const changes = changesOf(planned);
  say(`${name}: ${counted(planned)}${plan.clusterChecked ? '' : ', unchecked, since the cluster did not answer'}\n`);
  say(differenceText(changes.map(differenceOf), paintFor(terminal, isTerminal)));
}

/** The request of an operator that this very change waits in already; null where there is none. */
export async function waitingRequest(portal: Portal, look: EnrollmentLook): Promise<string | null> {
  const { tenant } = look.document.metadata;
  const { items } = await portal.list(`/tenants/${tenant}/requests`, Request, 200);
  for (const { id, kind, state, planId } of items) {
    if (kind !== 'plan' || planId === null || !['open', 'asked_back'].includes(state)) continue;
    const plan = await portal.find(`/tenants/${tenant}/plans/${planId}`, Plan);
    if (
      plan?.state === 'waiting' &&
      plan.enrollmentId === look.present?.id &&
      isDeepStrictEqual(plan.groups, look.preview?.groups)
    )
      return id;
  }
  return null;
}

export const plan = command(
  {
    name: 'plan',
    args: [],
    says: 'keeps a plan of each enrollment that differs from its document, for a person to read and apply',
    details:
      'Nothing outside the portal is written. Each plan has a page, on which an admin applies it. What is not there yet is named, and begun by apply.',
    options: { url: urlOption, file: filesOption, output: outputOption },
  },
  async ({ terminal, values }) => {
    const documents = await readDocuments(terminal, values.file);
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const look = await lookAt(portal, documents);
    tellNotes(terminal, look);
    const made: Planned[] = [];
    for (const each of look.enrollments)
      if (each.preview?.differs && !each.refusal) made.push(await makePlan(portal, each));
    const told = made.map((each) => ({ enrollment: each.name, page: pageOf(portal, each), plan: each.plan }));
    if (values.output === 'json' || values.output === 'yaml') write(terminal, told, values.output, () => []);
    else
      for (const each of made) {
        showPlan(terminal, each, (text) => terminal.out(text), terminal.isOutTerminal);
        terminal.out(`Read and apply it at ${pageOf(portal, each)}\n`);
      }
    for (const { name, present, refusal } of look.enrollments)
      if (!present && !refusal) terminal.err(`${name} is not there yet: apply begins it.\n`);
    if (made.length === 0) terminal.err('There is nothing to plan.\n');
    return tellRefusals(terminal, look) ? exitCodes.refused : exitCodes.done;
  },
);

/** The world moved between the look and the approval: it is planned anew and tried again, where nobody has to read it again. */
export async function planAndApply(
  portal: Portal,
  first: Planned,
  { note, tries, again }: { note: string; tries: number; again: () => Promise<Planned> },
): Promise<z.infer<typeof Applied>> {
  let planned = first;
  for (let attempt = 1; ; attempt += 1)
    try {
      return await applyPlan(portal, planned, note);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'stale' || attempt >= tries) throw error;
      planned = await again();
    }
}
