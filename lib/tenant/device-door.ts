import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Arriving, readBody } from '#lib/body.ts';
import { env } from '#lib/env.ts';
import { AppError } from '#lib/errors.ts';
import { askForDevice, DeviceAsk, pollDevice, type DeviceAnswer } from './device.ts';

/* What programs and the portal say to each other of a device login, as RFC 8628 has it: forms in, JSON out. */

const bodyBytesMost = 4096;
export const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
export const deviceClient = 'flywheel';

const Ask = z
  .strictObject({
    client_id: z.literal(deviceClient),
    scope: z.string().max(200),
    machine: z.string(),
    days: z.string(),
  })
  .transform(({ scope, machine, days }): z.input<typeof DeviceAsk> => {
    // Which of them there are is the next schema's to say.
    const scopes = scope.split(' ').filter(Boolean) as z.input<typeof DeviceAsk>['scopes'];
    return { scopes, machine, days };
  })
  .pipe(DeviceAsk);

const Poll = z.strictObject({
  client_id: z.literal(deviceClient),
  grant_type: z.literal(deviceGrant),
  device_code: z.string().max(200),
});

/** What anybody may send is read no further than it can mean anything. */
async function formOf<S extends z.ZodType>({ body }: Arriving, schema: S): Promise<z.output<S>> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const take = (part: Uint8Array) => {
    bytes += part.byteLength;
    if (bytes > bodyBytesMost)
      throw new AppError('too_large', {
        log: 'a device form is too large',
        screen: { happened: 'The form is over 4 KiB.' },
      });
    parts.push(part);
  };
  if (body) await readBody(body, take).ended;
  const form = new URLSearchParams(Buffer.concat(parts).toString());
  const result = schema.safeParse(Object.fromEntries(form));
  if (result.success) return result.data;
  const fields = Object.fromEntries(result.error.issues.map(({ path, message }) => [path.join('.'), message]));
  throw new AppError('malformed', {
    log: `device form: ${JSON.stringify(fields)}`,
    screen: { happened: 'The form does not fit.', fields },
  });
}

/** The last to be named was added by whoever stands next to the portal; those before it may be anybody's invention. */
function addressOf({ headers }: Arriving): string {
  return headers.get('x-forwarded-for')?.split(',').at(-1)?.trim() ?? '';
}

type Told = { status: number; body: unknown };

/** RFC 8628, 3.1 and 3.2. There is no `verification_uri_complete`: the code is to be typed by whoever sees it. */
export async function answerDeviceCode(arrived: Arriving): Promise<Told> {
  const ask = await formOf(arrived, Ask);
  const codes = await askForDevice(ask, addressOf(arrived), new Date());
  return {
    status: 200,
    body: {
      device_code: codes.deviceCode,
      user_code: codes.userCode,
      verification_uri: new URL('/device', env().PORTAL_URL).href,
      expires_in: codes.expiresInSeconds,
      interval: codes.intervalSeconds,
    },
  };
}

/** RFC 8628, 3.4 and 3.5. */
export async function answerDeviceToken(arrived: Arriving): Promise<Told> {
  const { device_code } = await formOf(arrived, Poll);
  const requestId = arrived.headers.get('x-request-id') ?? randomUUID();
  const answer = await pollDevice(device_code, requestId, new Date());
  return answer.ok ? granted(answer) : { status: 400, body: { error: answer.error } };
}

function granted({ token, scopes }: Extract<DeviceAnswer, { ok: true }>): Told {
  const seconds = Math.floor((Date.parse(token.expiresAt) - Date.now()) / 1000);
  const body = { access_token: token.token, token_type: 'Bearer', expires_in: seconds, scope: scopes.join(' ') };
  return { status: 200, body };
}
