import { openProof } from '#lib/doctor/index.ts';
import { openRoute } from '#lib/tenant/index.ts';

/** For programs: whoever has the badge's address reads how the proof stands. */
export const GET = openRoute<{ token: string }>('proof', async (_request, { token }) => ({
  status: 200,
  body: await openProof(token),
}));
