import type { Metadata } from 'next';
import { currentPerson, tenantCtx } from '#lib/tenant/index.ts';

/** `Pools · cmux · Flywheel`; a stranger's tab names nothing that they may not see. */
export async function tenantTitle(what: string | null, params: Promise<{ tenant: string }>): Promise<Metadata> {
  const by = await currentPerson();
  const ctx = by && (await tenantCtx(by, (await params).tenant));
  if (!ctx) return { title: 'Not found' };
  return { title: what === null ? ctx.tenant.displayName : `${what} · ${ctx.tenant.displayName}` };
}
