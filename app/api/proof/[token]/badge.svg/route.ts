import { openBadge } from '#lib/doctor/index.ts';
import { programRoute } from '#lib/tenant/index.ts';

/** Forges show it through a cache of their own, which keeps it as long as it is told to. */
const headers = { 'content-type': 'image/svg+xml; charset=utf-8', 'cache-control': 'public, max-age=300' };

export const GET = programRoute<{ token: string }>(
  'proof',
  async (_request, { token }) => new Response(await openBadge(token), { headers }),
);
