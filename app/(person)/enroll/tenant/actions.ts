'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { startEnrollment } from '#lib/enrollment/index.ts';
import { scopeLevels, sharings, TenantName, TenantSlug } from '#lib/model/index.ts';
import { personAction } from '#lib/tenant/index.ts';

const Scope = {
  connectionId: z.string().min(1).max(100),
  level: z.enum(scopeLevels),
  path: z.string().max(400),
  token: z.string().trim().min(8, 'is needed, and longer than that').max(1000).optional(),
};

/** The fields of a new tenant are sent whether or not they are meant, so they count only where they are. */
const Start = z.discriminatedUnion('choice', [
  z.object({ ...Scope, choice: z.literal('existing'), tenant: z.object({ slug: TenantSlug }) }),
  z.object({
    ...Scope,
    choice: z.literal('new'),
    tenant: z.object({
      new: z.strictObject({
        slug: TenantSlug,
        displayName: TenantName,
        sharing: z.enum(sharings).default('dedicated'),
      }),
    }),
  }),
]);

export const start = personAction(Start, async (by, { connectionId, level, path, token, ...input }) => {
  const tenant =
    input.choice === 'existing'
      ? { slug: input.tenant.slug }
      : { new: { ...input.tenant.new, kind: 'organization' as const } };
  const started = await startEnrollment(by, { connectionId, level, path, token, tenant });
  redirect(`/t/${started.tenantSlug}/enroll/${started.enrollmentId}/pools`);
});
