import { finishInstall, InstalledQuery } from '#lib/enrollment/index.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import { personRoute } from '#lib/tenant/index.ts';

/**
 * Where GitHub sends a person after they installed the App. Anybody can write such an address: what counts is the state, which
 * is this person's and counts once, and what GitHub shows to this person.
 */
export const GET = personRoute('github-app:installed', async (by, request) => {
  const asked = InstalledQuery.safeParse(Object.fromEntries(new URL(request.url).searchParams));
  if (!asked.success) throw notFound();
  const location = new URL(await finishInstall(by, asked.data), env().PORTAL_URL).toString();
  return new Response(null, { status: 303, headers: { location, 'cache-control': 'no-store' } });
});
