import { expect, test } from 'vitest';
import { gathered } from './gather.ts';

function asker(most = 10, atOnce = 1) {
  const asked: number[][] = [];
  const ask = gathered({ most, atOnce }, async (items: number[]) => {
    asked.push(items);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (items.includes(13)) throw new Error('thirteen');
    return items.map((item) => item * 2);
  });
  return { ask, asked };
}

const soon = () => new Promise((resolve) => setTimeout(resolve, 1));

test('who comes together is asked for together, and who comes meanwhile after it, in the order of coming', async () => {
  const { ask, asked } = asker();
  const first = [1, 2].map(ask);
  await soon();
  expect(await Promise.all([...first, ...[3, 4].map(ask)])).toEqual([2, 4, 6, 8]);
  expect(asked).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(await ask(5)).toBe(10);
  expect(asked.at(-1)).toEqual([5]);
});

test('no more than so many at once, and no more than so many questions under way', async () => {
  const { ask, asked } = asker(2, 2);
  const all = Promise.all([1, 2, 3, 4, 5].map(ask));
  await soon();
  expect(asked).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(await all).toEqual([2, 4, 6, 8, 10]);
  expect(asked.at(-1)).toEqual([5]);
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
