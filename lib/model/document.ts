import { z } from 'zod';
import { EnrollmentName, EnrollmentSpec } from './enrollment.ts';
import { Scope } from './scope.ts';
import { Quota, tenantKinds, TenantSlug } from './tenant.ts';

/** The same enrollment as YAML documents, for programs and reviews. Checked by the schemas that check the forms. */
const apiVersion = z.literal('flywheel/v1');

const DnsLabel = z
  .string()
  .max(63)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, 'is a DNS label');

export const ClusterDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Cluster'),
  metadata: z.strictObject({ name: DnsLabel }),
  spec: z.strictObject({
    controller: z.strictObject({
      version: z.string().regex(/^\d+\.\d+\.\d+$/, 'is a version such as 0.14.2'),
      namespace: DnsLabel,
      serviceAccount: DnsLabel,
    }),
    atticUrl: z.url().optional(),
  }),
});
export type ClusterDocument = z.infer<typeof ClusterDocument>;

export const TenantDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Tenant'),
  metadata: z.strictObject({ name: TenantSlug }),
  spec: z.strictObject({
    kind: z
      .string()
      .transform((kind) => kind.replaceAll('-', '_'))
      .pipe(z.enum(tenantKinds)),
    cluster: DnsLabel,
    parent: TenantSlug.optional(),
    default: z.boolean().default(false),
    quota: Quota,
  }),
});
export type TenantDocument = z.infer<typeof TenantDocument>;

export const EnrollmentDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Enrollment'),
  metadata: z.strictObject({ name: EnrollmentName, tenant: TenantSlug }),
  spec: z.strictObject({
    scope: Scope,
    credentials: z.strictObject({
      appId: z.string().regex(/^[A-Za-z0-9.]{1,40}$/, 'is an App id or client id'),
      installationId: z.int().positive(),
    }),
    pools: EnrollmentSpec.shape.pools,
    planes: EnrollmentSpec.shape.planes,
  }),
});
export type EnrollmentDocument = z.infer<typeof EnrollmentDocument>;

export const FlywheelDocument = z.discriminatedUnion('kind', [ClusterDocument, TenantDocument, EnrollmentDocument]);
export type FlywheelDocument = z.infer<typeof FlywheelDocument>;
