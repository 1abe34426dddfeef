import { z } from 'zod';

/* What of the portal's answers the documents are held to: no more than is looked at, so that what is new there is no trouble here. */

const Change = z.object({
  where: z.string(),
  op: z.enum(['+', '~', '-', '=']),
  kind: z.string(),
  name: z.string(),
  namespace: z.string().optional(),
  fields: z.array(z.object({ path: z.string(), before: z.string().optional(), after: z.string().optional() })),
  yaml: z.string().optional(),
});
export type Change = z.infer<typeof Change>;

const Groups = z.array(z.object({ where: z.string(), changes: z.array(Change) }));

export const Preview = z.object({ clusterChecked: z.boolean(), differs: z.boolean(), groups: Groups });
export type Preview = z.infer<typeof Preview>;

export const Plan = z.object({
  id: z.string(),
  enrollmentId: z.string(),
  state: z.string(),
  clusterChecked: z.boolean(),
  groups: Groups,
});
export type Plan = z.infer<typeof Plan>;

export const Applied = z.object({ state: z.enum(['applied', 'waiting']), requestId: z.string().nullable() });

export const Tenant = z.object({
  slug: z.string(),
  kind: z.string(),
  isDefault: z.boolean(),
  state: z.string(),
  cluster: z.string(),
  quota: z.object({ cpu: z.string(), memory: z.string(), runners: z.number(), storage: z.string() }),
});
export type Tenant = z.infer<typeof Tenant>;

export const Scope = z.object({ forge: z.string(), level: z.string(), path: z.string() });

export type Scope = z.infer<typeof Scope>;

export const EnrollmentRow = z.object({ id: z.string(), name: z.string(), state: z.string(), scope: Scope });
export type EnrollmentRow = z.infer<typeof EnrollmentRow>;

export const Phase = z.object({
  type: z.string(),
  label: z.string(),
  status: z.string(),
  message: z.string(),
  waitingFor: z.string(),
});
export type Phase = z.infer<typeof Phase>;

export const Enrollment = EnrollmentRow.extend({
  ready: z.boolean(),
  headline: z.string(),
  waitingFor: z.string(),
  spec: z.unknown(),
  generation: z.number(),
  observedGeneration: z.number(),
  phases: z.array(Phase),
});
export type Enrollment = z.infer<typeof Enrollment>;

export const Forge = z.object({ id: z.string(), kind: z.string(), baseUrl: z.string() });

export const Request = z.object({
  id: z.string(),
  kind: z.string(),
  state: z.string(),
  planId: z.string().nullable(),
  wanted: z.looseObject({
    quota: z.object({ cpu: z.string(), memory: z.string(), runners: z.number(), storage: z.string() }).optional(),
  }),
});
export type Request = z.infer<typeof Request>;
