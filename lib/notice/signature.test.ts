import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { newSecret, signedHeaders } from './signature.ts';

const body = JSON.stringify({ type: 'test', data: { title: 'Grüße, 𝄞' } });

test('what is signed is taken by the library of Standard Webhooks, with either secret of a rotation and no third', () => {
  const [old, fresh, third] = [newSecret(), newSecret(), newSecret()];
  expect(new Set([old, fresh, third]).size).toBe(3);
  expect(old).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const headers = signedHeaders('msg_1', new Date(), body, [fresh, old]);
  expect(headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
  expect(new Webhook(old).verify(body, headers)).toEqual(JSON.parse(body));
  expect(new Webhook(fresh).verify(body, headers)).toEqual(JSON.parse(body));
  expect(() => new Webhook(third).verify(body, headers)).toThrow('No matching signature found');
  expect(() => new Webhook(fresh).verify(`${body} `, headers)).toThrow('No matching signature found');
  expect(() => new Webhook(fresh).verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow('No matching signature');
});

test('a message of six minutes ago is too old for the library', () => {
  const secret = newSecret();
  const headers = signedHeaders('msg_1', new Date(Date.now() - 6 * 60_000), body, [secret]);
  expect(() => new Webhook(secret).verify(body, headers)).toThrow('Message timestamp too old');
});
