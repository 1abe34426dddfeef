import { expect, test } from 'vitest';
import { gathered } from './gather.ts';

function asker(most = 10) {
  const asked: number[][] = [];
  const ask = gathered(most, async (items: number[]) => {
    asked.push(items);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (items.includes(13)) throw new Error('thirteen');
    return items.map((item) => item * 2);
  });
  return { ask, asked };
}

test('who comes alone is asked for at once; who comes meanwhile, together, in the order of coming', async () => {
  const { ask, asked } = asker();
  expect(await Promise.all([1, 2, 3].map(ask))).toEqual([2, 4, 6]);
  expect(asked).toEqual([[1], [2, 3]]);
  expect(await ask(4)).toBe(8);
  expect(asked.at(-1)).toEqual([4]);
});

test('no more than so many at once', async () => {
  const { ask, asked } = asker(2);
  await Promise.all([1, 2, 3, 4, 5, 6].map(ask));
  expect(asked).toEqual([[1], [2, 3], [4, 5], [6]]);
});

test('one that fails takes no other with it, and the next are asked for', async () => {
  const { ask } = asker();
  const answers = await Promise.allSettled([1, 2, 13, 3].map(ask));
  expect(answers.map((each) => (each.status === 'fulfilled' ? each.value : String(each.reason)))).toEqual([
    2,
    4,
    'Error: thirteen',
    6,
  ]);
  expect(await ask(5)).toBe(10);
});
