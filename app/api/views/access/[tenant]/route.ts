import { view } from '#lib/tenant/index.ts';

/** Whether whoever has a page of this tenant open still may: asked by the page, and answered 404 when it is over. */
export const GET = view<{ tenant: string }, unknown>('tenant:see', ({ role }) => Promise.resolve({ role }));
