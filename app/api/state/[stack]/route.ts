import { answerProgram } from '#lib/state/index.ts';
import { programRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

type Params = { stack: string };

/** Where OpenTofu keeps an operator's state. Nobody is signed in here: the permission is the stack's credential. */
export const GET = programRoute<Params>('state', (request, { stack }) =>
  answerProgram(request, { stack, part: 'state', now: new Date() }),
);
export const POST = programRoute<Params>('state', (request, { stack }) =>
  answerProgram(request, { stack, part: 'state', now: new Date() }),
);
export const PUT = programRoute<Params>('state', (request, { stack }) =>
  answerProgram(request, { stack, part: 'state', now: new Date() }),
);
export const DELETE = programRoute<Params>('state', (request, { stack }) =>
  answerProgram(request, { stack, part: 'state', now: new Date() }),
);
