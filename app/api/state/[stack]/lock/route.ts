import { answerProgram } from '#lib/state/index.ts';
import { programRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

type Params = { stack: string };

/** The lock of a stack. Next hands on no LOCK and UNLOCK, so that the backend block names these two. */
export const POST = programRoute<Params>('state-lock', (request, { stack }) =>
  answerProgram(request, { stack, part: 'lock', now: new Date() }),
);
export const DELETE = programRoute<Params>('state-lock', (request, { stack }) =>
  answerProgram(request, { stack, part: 'lock', now: new Date() }),
);
