import { answerApi } from '#lib/api/index.ts';
import { programRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/** Nobody is signed in here: the permission is in the token, and each operation begins with the one that it needs. */
async function answer({ method, url, headers, body }: Request): Promise<Response> {
  const told = await answerApi({ method, url, headers, body });
  return new Response(told.body, told);
}

export const GET = programRoute('api', answer);
export const HEAD = programRoute('api', answer);
export const POST = programRoute('api', answer);
export const PUT = programRoute('api', answer);
export const PATCH = programRoute('api', answer);
export const DELETE = programRoute('api', answer);
