import { z } from 'zod';
import {
  discardDraft,
  enrollmentView,
  listEnrollments,
  makePlan,
  planSpec,
  planView,
  previewSpec,
  specByName,
  startEnrollment,
  StartInput,
} from '#lib/enrollment/index.ts';
import { EnrollmentSpec } from '#lib/model/index.ts';
import { SubmitInput, submitPlan } from '#lib/tenancy/index.ts';
import { cut, PageQuery, pageOf, personOperation, tenantOperation, type Operation } from '../operation.ts';
import { applied, AppliedShape, EnrollmentShape, EnrollmentSummaryShape, PlanShape, PreviewShape } from '../shapes.ts';

const enrollment = '/tenants/{tenant}/enrollments/{enrollment}';
const byName = 'An enrollment is named by its id or by its name within the tenant.';

const WantedPlan = z.union([
  z
    .strictObject({ spec: EnrollmentSpec })
    .describe('What the enrollment should be, whole; the first one of a draft enrols it.'),
  z.strictObject({ withdraw: z.literal(true) }).describe('Take all of it away.'),
]);

export const enrollments: Operation[] = [
  personOperation(
    {
      id: 'startEnrollment',
      method: 'POST',
      path: '/enrollments',
      tag: 'Enrollments',
      summary: 'Begin an enrollment as a draft',
      description:
        'You must administer the scope at its forge. Nothing outside is written before a plan is applied. Instead of an existing tenant, `new` makes an organization.',
      body: StartInput,
      answer: z.object({ tenant: z.string(), enrollment: z.guid() }),
      status: 201,
    },
    async (by, { body }) => {
      const { tenantSlug, enrollmentId } = await startEnrollment(by, body);
      return { tenant: tenantSlug, enrollment: enrollmentId };
    },
  ),
  tenantOperation(
    'enrollment:see',
    {
      id: 'listEnrollments',
      method: 'GET',
      path: '/tenants/{tenant}/enrollments',
      tag: 'Enrollments',
      summary: 'The enrollments of a tenant, those that are withdrawn last',
      query: PageQuery,
      answer: pageOf(EnrollmentSummaryShape),
    },
    async (ctx, { query }) => cut(await listEnrollments(ctx), query, ({ id }) => id),
  ),
  tenantOperation(
    'enrollment:see',
    {
      id: 'getEnrollment',
      method: 'GET',
      path: enrollment,
      tag: 'Enrollments',
      summary: 'An enrollment: what was approved, and how far it is',
      description: byName,
      answer: EnrollmentShape,
    },
    async (ctx, { params }) => {
      const { id, spec } = await specByName(ctx, params['enrollment'] ?? '');
      return { ...(await enrollmentView(ctx, id)), spec };
    },
  ),
  tenantOperation(
    'enrollment:plan',
    {
      id: 'discardDraft',
      method: 'DELETE',
      path: enrollment,
      tag: 'Enrollments',
      summary: 'Discard a draft',
      description: 'What was applied is withdrawn by a plan instead.',
    },
    async (ctx, { params }) => discardDraft(ctx, (await specByName(ctx, params['enrollment'] ?? '')).id),
  ),
  tenantOperation(
    'enrollment:plan',
    {
      id: 'makePlan',
      method: 'POST',
      path: `${enrollment}/plans`,
      tag: 'Enrollments',
      summary: 'Work out what would change at forge, cluster and cache',
      description: `${byName} Nothing outside is written. A plan of what is approved already shows what has drifted.`,
      body: WantedPlan,
      answer: PlanShape,
      status: 201,
    },
    async (ctx, { params, body }) => {
      const { id: enrollmentId } = await specByName(ctx, params['enrollment'] ?? '');
      const planId =
        'spec' in body
          ? await planSpec(ctx, enrollmentId, body.spec)
          : await makePlan(ctx, { enrollmentId, kind: 'withdraw' });
      return planView(ctx, planId);
    },
  ),
  tenantOperation(
    'enrollment:plan',
    {
      id: 'previewPlan',
      method: 'POST',
      path: `${enrollment}/preview`,
      tag: 'Enrollments',
      summary: 'What a plan would say, of which nothing is kept',
      description: `${byName} For looking again and again, such as at each pull request: it changes nothing, so a token that only reads may.`,
      scope: 'read',
      changesNothing: true,
      body: z.strictObject({ spec: EnrollmentSpec }),
      answer: PreviewShape,
    },
    async (ctx, { params, body }) => {
      const { id } = await specByName(ctx, params['enrollment'] ?? '');
      return previewSpec(ctx, id, body.spec);
    },
  ),
  tenantOperation(
    'enrollment:see',
    {
      id: 'getPlan',
      method: 'GET',
      path: '/tenants/{tenant}/plans/{plan}',
      tag: 'Enrollments',
      summary: 'A plan',
      answer: PlanShape,
    },
    async (ctx, { params }) => planView(ctx, params['plan'] ?? ''),
  ),
  tenantOperation(
    'enrollment:approve',
    {
      id: 'applyPlan',
      method: 'POST',
      path: '/tenants/{tenant}/plans/{plan}/apply',
      tag: 'Enrollments',
      summary: 'Apply a plan, or ask an operator to',
      description:
        'Refused as stale where the world is no longer as the plan saw it. What an operator has to approve waits as a request.',
      body: SubmitInput.omit({ planId: true }),
      answer: AppliedShape,
      status: 202,
    },
    async (ctx, { params, body }) => {
      const { requestId } = await submitPlan(ctx, { planId: params['plan'] ?? '', note: body.note });
      return applied(requestId);
    },
  ),
];
