import { acceptDelivery, readRawBody } from '#lib/delivery/index.ts';
import { AppError, errorCodes } from '#lib/errors.ts';

export const runtime = 'nodejs';

/**
 * Where a forge sends its webhooks. Nobody is signed in here: the permission is the signature over the raw body, which
 * `acceptDelivery` checks before it reads or keeps anything.
 */
export async function POST(request: Request, context: { params: Promise<{ connection: string }> }): Promise<Response> {
  try {
    const { connection: connectionId } = await context.params;
    const rawBody = await readRawBody(request);
    const accepted = await acceptDelivery({ connectionId, headers: request.headers, rawBody });
    return Response.json({ duplicate: accepted.duplicate }, { status: accepted.status });
  } catch (error) {
    // What was not foreseen goes on to Next, which logs it and answers 500.
    if (!(error instanceof AppError)) throw error;
    return Response.json({ error: error.screen }, { status: errorCodes[error.code] });
  }
}
