'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { beginInstall, beginOwnApp, InstallInput } from '#lib/enrollment/index.ts';
import { sharings, TenantName, TenantSlug } from '#lib/model/index.ts';
import { personAction } from '#lib/tenant/index.ts';

const Scope = {
  connectionId: z.string().min(1).max(100),
  level: z.literal('organization'),
  path: z.string().min(1).max(400),
};

/** The fields of a new tenant are sent whether or not they are meant, so they count only where they are. */
const Own = z.discriminatedUnion('choice', [
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

/** An App of the organization's own: on to GitHub, which makes it. */
export const createOwnApp = personAction(Own, async (by, { connectionId, level, path, ...input }) => {
  const tenant =
    input.choice === 'existing'
      ? { slug: input.tenant.slug }
      : { new: { ...input.tenant.new, kind: 'organization' as const } };
  redirect(await beginOwnApp(by, { connectionId, level, path, tenant }));
});

/** The connection's App: on to GitHub, where an owner installs it. */
export const install = personAction(InstallInput, async (by, input) => redirect(await beginInstall(by, input)));
