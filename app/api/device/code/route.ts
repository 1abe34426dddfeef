import { answerDeviceCode, openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/** Where a command line begins to sign in. Nobody is there yet: what it is given opens nothing before a person has approved it. */
export const POST = openRoute('device', answerDeviceCode);
