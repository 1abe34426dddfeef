import { expect, test } from 'vitest';
import type { Judged } from '#lib/status/index.ts';
import { answerOf } from './words.ts';

type Check = Judged['checks'][number];

function answerTo(...found: [Check['area'], Check['state'], string?][]): string {
  const checks = found.map(([area, state, id = null]) => ({ area, state, id, subject: id, words: '', todo: null }));
  return answerOf({ checks } as unknown as Judged);
}

test('how the portal is says of clusters and forges how many are meant', () => {
  expect(answerTo(['clusters', 'ok', 'a'])).toBe('All parts of the portal work.');
  expect(answerTo(['clusters', 'broken', 'a'], ['clusters', 'ok', 'b'])).toBe('Broken: a cluster.');
  expect(answerTo(['clusters', 'broken', 'a'], ['clusters', 'broken', 'a'])).toBe('Broken: a cluster.');
  expect(
    answerTo(
      ['clusters', 'broken', 'a'],
      ['clusters', 'broken', 'b'],
      ['queue', 'broken'],
      ['queue', 'broken'],
      ['forges', 'attention', 'a'],
      ['forges', 'attention', 'b'],
      ['database', 'attention'],
    ),
  ).toBe('Broken: 2 clusters and the queue. And attention for 2 forges and the database.');
});
