import { answerDeviceToken, openRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

/** Where it asks what has become of that. The permission is the code that it alone was told. */
export const POST = openRoute('device', answerDeviceToken);
