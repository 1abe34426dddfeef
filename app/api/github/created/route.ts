import { CreatedQuery, finishApp } from '#lib/enrollment/index.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import { personRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/** Where GitHub sends a person back to with the code of a new App. The code counts once, and so does the state. */
export const GET = personRoute('github-app:created', async (by, request) => {
  const asked = CreatedQuery.safeParse(Object.fromEntries(new URL(request.url).searchParams));
  if (!asked.success) throw notFound();
  const location = new URL(await finishApp(by, asked.data), env().PORTAL_URL).toString();
  return new Response(null, { status: 303, headers: { location, 'cache-control': 'no-store' } });
});
