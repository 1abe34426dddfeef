import { afterAll, beforeEach, expect, test, vi } from 'vitest';
import { closeDb, unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import { openRoute } from './door.ts';

beforeEach(() => {
  vi.stubEnv('DATABASE_URL', 'postgres://nobody:hunter2@127.0.0.1:1/none');
  vi.stubEnv('LOG_LEVEL', 'silent');
});
afterAll(closeDb);

async function answerOf(run: () => Promise<unknown>): Promise<Response> {
  const door = openRoute<Record<string, never>>('test', async () => ({ status: 200, body: await run() }));
  return door(new Request('http://portal/api', { method: 'POST' }), { params: Promise.resolve({}) });
}

test.each([
  ['a query', () => unsafeDb().user.findFirst()],
  ['a raw query', () => unsafeDb().$queryRaw`select 1`],
  ['a transaction', () => unsafeDb().$transaction(async (tx) => tx.user.findFirst())],
])('F9: %s of a database that is away is 503 with a time to come back, and nothing of it shows', async (_, run) => {
  const answer = await answerOf(run);
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  const text = await answer.text();
  expect(text).toContain('database does not answer');
  expect(text).not.toMatch(/127\.0\.0\.1|hunter2|prisma|nobody/i);
});

test('what is refused keeps its own status and words; what nobody foresaw says nothing of itself', async () => {
  const refused = new AppError('forbidden', { log: 'inner', screen: { happened: 'Not yours.' } });
  const forbidden = await answerOf(() => Promise.reject(refused));
  expect(forbidden.status).toBe(403);
  expect(await forbidden.json()).toMatchObject({ error: { happened: 'Not yours.', code: 'forbidden' } });
  const unforeseen = await answerOf(() => Promise.reject(new Error('hunter2')));
  expect(unforeseen.status).toBe(500);
  expect(await unforeseen.text()).not.toContain('hunter2');
});
