import { z } from 'zod';
import type { Portal } from './portal.ts';
import { UsageError } from './terminal.ts';

export const tenantOption = {
  type: 'string',
  short: 't',
  value: 'TENANT',
  says: 'of which tenant; of the one that you belong to otherwise',
} as const;

/** The tenant that was named, or the only one that there is. */
export async function tenantOf(portal: Portal, given: string | undefined): Promise<string> {
  if (given !== undefined) return given;
  const { items } = await portal.list('/tenants', z.object({ slug: z.string() }));
  const [only] = items;
  if (only && items.length === 1) return only.slug;
  const words =
    items.length === 0 ? 'You belong to none.' : `You belong to ${items.map(({ slug }) => slug).join(', ')}.`;
  throw new UsageError(`-t is missing. ${words}`);
}

/** `TENANT/ENROLLMENT`, as it is written on the command line. */
export function enrollmentOf(text: string): { tenant: string; enrollment: string } {
  const [tenant = '', enrollment = '', ...more] = text.split('/');
  if (tenant !== '' && enrollment !== '' && more.length === 0) return { tenant, enrollment };
  throw new UsageError(`${text} is not TENANT/ENROLLMENT.`);
}

export function enrollmentPath(tenant: string, enrollment: string): string {
  return `/tenants/${encodeURIComponent(tenant)}/enrollments/${encodeURIComponent(enrollment)}`;
}
