import { hostname, userInfo } from 'node:os';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { jsonOf, problemOf, send, type Answer } from './portal.ts';
import { printable, type Terminal } from './terminal.ts';

/*
 * Signing in from a machine without a browser, as RFC 8628 has it: the portal gives two codes, a person types the short one
 * there, and the long one fetches the token.
 */

const client = 'flywheel';
const grant = 'urn:ietf:params:oauth:grant-type:device_code';
/** RFC 8628, 3.5. */
const slowDownSeconds = 5;

const Codes = z.object({
  device_code: z.string(),
  user_code: z.string(),
  verification_uri: z.string(),
  expires_in: z.number(),
  interval: z.number().default(5),
});
type Codes = z.infer<typeof Codes>;

const Granted = z.object({ access_token: z.string() });
const Refused = z.object({ error: z.string() });

export type DeviceWish = { machine: string; scopes: readonly string[]; days: number };

/** `ada@laptop`, of the characters that the portal takes. */
export function machineName(): string {
  const name = `${userName()}@${hostname()}`.replaceAll(/[^\p{L}\p{N} ._@:-]/gu, '-').slice(0, 60);
  return name.trim() || 'a machine';
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container there may be nobody of this number.
    return 'somebody';
  }
}

function post(terminal: Terminal, url: string, form: Record<string, string>): Promise<Answer> {
  const headers = { accept: 'application/json' };
  return send(terminal, url, { method: 'POST', headers, body: new URLSearchParams({ client_id: client, ...form }) });
}

/** What to do after an answer: to ask again in a while, or to end. */
export type Step =
  | { kind: 'wait'; seconds: number }
  | { kind: 'token'; token: string }
  | { kind: 'failed'; happened: string };

const failures: Record<string, string> = {
  access_denied: 'It was denied on the portal’s page.',
  expired_token: 'The code is more than ten minutes old, and nobody approved it.',
  invalid_grant: 'The code was used already. If that was not you, look at your tokens in the portal.',
};

export function stepAfter({ status, text }: Pick<Answer, 'status' | 'text'>, seconds: number): Step | null {
  const body = jsonOf(text);
  if (status === 200) {
    const granted = Granted.safeParse(body);
    return granted.success ? { kind: 'token', token: granted.data.access_token } : null;
  }
  const refused = Refused.safeParse(body);
  if (!refused.success) return null;
  const { error } = refused.data;
  if (error === 'authorization_pending') return { kind: 'wait', seconds };
  if (error === 'slow_down') return { kind: 'wait', seconds: seconds + slowDownSeconds };
  return { kind: 'failed', happened: failures[error] ?? `The portal refuses: ${error}.` };
}

function failed(happened: string): AppError {
  return new AppError('forbidden', { log: happened, screen: { happened, todo: 'Begin again: flywheel login' } });
}

/** A token that a person has approved. */
export async function deviceToken(terminal: Terminal, url: string, wish: DeviceWish): Promise<string> {
  const { machine, scopes, days } = wish;
  const form = { machine, scope: scopes.join(' '), days: String(days) };
  const answer = await post(terminal, `${url}/api/device/code`, form);
  const codes = answer.status === 200 ? Codes.safeParse(jsonOf(answer.text)) : null;
  if (!codes?.success) throw openProblem(answer, url);
  show(terminal, codes.data);
  return poll(terminal, url, codes.data);
}

function show({ err }: Terminal, { verification_uri, user_code, expires_in }: Codes): void {
  const minutes = Math.round(expires_in / 60);
  err(
    `Open  ${printable(verification_uri)}\nand type  ${printable(user_code)}\n\nIt counts for ${minutes} minutes. Waiting …\n`,
  );
}

async function poll(terminal: Terminal, url: string, { device_code, interval }: Codes): Promise<string> {
  for (let seconds = interval; ;) {
    await terminal.sleep(seconds * 1000);
    const answer = await post(terminal, `${url}/api/device/token`, { grant_type: grant, device_code });
    const step = stepAfter(answer, seconds);
    if (step === null) throw openProblem(answer, url);
    if (step.kind === 'token') return step.token;
    if (step.kind === 'failed') throw failed(step.happened);
    ({ seconds } = step);
  }
}

/** The open door of the portal has a form of its own for what it refuses. */
function openProblem(answer: Answer, url: string): AppError {
  const Shown = z.object({
    error: z.object({ happened: z.string(), changed: z.string(), todo: z.string().optional() }),
  });
  const shown = Shown.safeParse(jsonOf(answer.text));
  if (!shown.success) return problemOf(answer, url, false);
  const { happened, changed, todo } = shown.data.error;
  return new AppError('invalid', {
    log: happened,
    screen: { happened, changed, ...(todo === undefined ? {} : { todo }) },
  });
}
