import { z } from 'zod';
import { EnrollmentName, EnrollmentSpec } from './enrollment.ts';
import { PoolEntry } from './pool-entry.ts';
import { PoolName } from './pool.ts';
import { CpuQuantity, MemoryQuantity } from './quantity.ts';
import { forgeKinds, isLevelOf, Scope } from './scope.ts';
import { Quota } from './quota.ts';
import { tenantKinds, TenantSlug } from './tenant.ts';

/** The same enrollment as YAML documents, for programs and reviews. Checked by the schemas that check the forms. */
const apiVersion = z.literal('flywheel/v1');

const DnsLabel = z
  .string()
  .max(63)
  .regex(/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/, 'is a DNS label');

/** What may come to a cluster: anything, nothing new, or nothing, and what is there is to go. */
export const clusterStates = ['open', 'closed', 'draining'] as const;

export const ClusterDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Cluster'),
  metadata: z.strictObject({ name: DnsLabel }),
  spec: z.strictObject({
    title: z.string().trim().min(1, 'is missing').max(60).optional(),
    /** A file that is mounted, and a context in it; the portal's own cluster without it. */
    kubeconfig: z.strictObject({ file: z.string().min(1).max(100), context: z.string().min(1).max(253) }).optional(),
    state: z.enum(clusterStates).optional(),
    capacity: z.strictObject({ cpu: CpuQuantity, memory: MemoryQuantity }).optional(),
    /** Of the catalog, those that it can run. */
    pools: z.array(PoolName).max(100).optional(),
    /** The Attic server of another cluster. */
    attic: z.string().max(100).nullable().optional(),
    bazel: z.strictObject({ bazelUrl: z.string(), bazelReaders: z.string() }).optional(),
    // What `render` reads, which asks no cluster; where there is a portal, it looks.
    /** Actions Runner Controller, which GitHub's runners alone need. */
    controller: z
      .strictObject({
        version: z.string().regex(/^\d+\.\d+\.\d+$/, 'is a version such as 0.14.2'),
        namespace: DnsLabel,
        serviceAccount: DnsLabel,
      })
      .optional(),
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

/** A pool of the operator's own, beside the five that are known without it or in the place of one. */
export const PoolDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Pool'),
  metadata: z.strictObject({ name: PoolName }),
  spec: PoolEntry,
});
export type PoolDocument = z.infer<typeof PoolDocument>;

/** What stands in a document for a value that is nobody's to read. */
export const sealedMark = '<sealed>';

/** An App's installation; or that there is a token, as at an enterprise, which no App may act for. Never the token itself. */
const GithubDocumentCredentials = z.union([
  z.strictObject({
    appId: z.string().regex(/^[A-Za-z0-9.]{1,40}$/, 'is an App id or client id'),
    installationId: z.int().positive(),
  }),
  z.strictObject({ token: z.literal(sealedMark, `is written as ${sealedMark}`) }),
]);

export const EnrollmentDocument = z.strictObject({
  apiVersion,
  kind: z.literal('Enrollment'),
  metadata: z.strictObject({ name: EnrollmentName, tenant: TenantSlug }),
  spec: z
    .strictObject({
      forge: z.enum(forgeKinds).default('github'),
      scope: Scope,
      /** GitHub's only: the runners of other forges are registered by the portal. */
      credentials: GithubDocumentCredentials.optional(),
      pools: EnrollmentSpec.shape.pools,
      planes: EnrollmentSpec.shape.planes,
    })
    // What is in a cluster already is looked at there, and is not for a document to claim.
    .refine(({ pools }) => pools.every(({ adopted }) => adopted === undefined), {
      path: ['pools'],
      error: 'names a runner set to adopt, which only the portal’s page can',
    })
    // What an enrollment acts by is the portal's: a document may say what that is, and needs to only where it is rendered.
    .refine(({ forge, credentials }) => forge === 'github' || credentials === undefined, {
      path: ['credentials'],
      error: 'are of GitHub, and of no other forge',
    })
    .refine(({ forge, scope }) => isLevelOf(forge, scope.level), {
      path: ['scope', 'level'],
      error: 'is not a level of this forge',
    }),
});
export type EnrollmentDocument = z.infer<typeof EnrollmentDocument>;

export const FlywheelDocument = z.discriminatedUnion('kind', [
  ClusterDocument,
  TenantDocument,
  PoolDocument,
  EnrollmentDocument,
]);
export type FlywheelDocument = z.infer<typeof FlywheelDocument>;
