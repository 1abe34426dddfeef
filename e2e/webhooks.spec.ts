import { createHmac, randomUUID } from 'node:crypto';
import { request, type ClientRequest } from 'node:http';
import { z } from 'zod';
import { expect, sandbox, test } from './fixtures.ts';

/** The webhooks' door as the production server has it: what stands before the route must neither keep nor cut a body. */

const mb = 1024 * 1024;
const State = z.object({ apps: z.record(z.string(), z.object({ slug: z.string(), webhookSecret: z.string() })) });

async function sharedSecret(): Promise<string> {
  const { apps } = State.parse(await (await fetch(`${sandbox().github}/_sandbox/state`)).json());
  const [shared] = Object.values(apps);
  if (!shared) throw new Error('GitHub has no App');
  return shared.webhookSecret;
}

function ping(megabytes: number, secret: string): { body: string; headers: Record<string, string> } {
  const body = JSON.stringify({ zen: 'x'.repeat(megabytes * mb) });
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'x-github-event': 'ping' };
  return { body, headers: { ...headers, 'x-github-delivery': randomUUID() } };
}

type Slow = { asked: ClientRequest; status: Promise<number | undefined> };

/** Says that so many megabytes will come, sends a little of it and then waits; the status that comes nevertheless. */
function slowly(url: string, megabytes: number, more: Record<string, string> = {}): Slow {
  const headers = { 'content-length': String(megabytes * mb), 'content-type': 'application/json', ...more };
  const asked = request(url, { method: 'POST', headers });
  const status = new Promise<number | undefined>((resolve, reject) => {
    asked.on('response', (answer) => resolve(answer.resume().statusCode)).on('error', reject);
  });
  asked.write(Buffer.alloc(mb, 'x'));
  return { asked, status };
}

test('F25: a signed body of 24 MB is taken as it is, one of 26 MB refused before it comes', async ({ baseURL }) => {
  const secret = await sharedSecret();
  const url = `${baseURL}/api/hooks/github`;
  for (const megabytes of [11, 24]) {
    const answer = await fetch(url, { method: 'POST', ...ping(megabytes, secret) });
    expect([megabytes, answer.status]).toEqual([megabytes, 202]);
  }
  const { asked, status } = slowly(url, 26, ping(1, secret).headers);
  try {
    expect(await status).toBe(413);
  } finally {
    asked.destroy();
  }
});

test('A8, F25: twenty slow bodies without a signature are answered before they come, and a signed one passes beside them', async ({
  baseURL,
}) => {
  const secret = await sharedSecret();
  const url = `${baseURL}/api/hooks/github`;
  const slow = Array.from({ length: 20 }, () => slowly(url, 20));
  try {
    const signed = fetch(url, { method: 'POST', ...ping(1, secret) });
    expect(new Set(await Promise.all(slow.map(({ status }) => status)))).toEqual(new Set([401]));
    expect((await signed).status).toBe(202);
  } finally {
    for (const { asked } of slow) asked.destroy();
  }
});
