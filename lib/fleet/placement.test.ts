import { expect, test } from 'vitest';
import { choosePlace, type Candidate } from './placement.ts';

const room = (cpu: number, memory: number) => ({ cpu: BigInt(cpu), memory: BigInt(memory) });

function cluster(id: string, more: Partial<Candidate> = {}): Candidate {
  const plain = { state: 'open' as const, answers: true, isDuplicate: false, pools: [] };
  return { id, ...plain, capacity: room(100, 100), given: room(0, 0), ...more };
}

const wanted = (pools: string[] = [], amounts = room(10, 10)) => ({ pools, amounts });

test.each<[string, Candidate[], ReturnType<typeof wanted>, string | null]>([
  ['the only one', [cluster('a')], wanted(), 'a'],
  ['none', [], wanted(), null],
  [
    'the one with most room left',
    [cluster('a', { given: room(50, 0) }), cluster('b', { given: room(40, 0) })],
    wanted(),
    'b',
  ],
  [
    'more memory where CPU is alike',
    [cluster('a', { given: room(50, 50) }), cluster('b', { given: room(50, 40) })],
    wanted(),
    'b',
  ],
  ['by name where all is alike', [cluster('b'), cluster('a'), cluster('c')], wanted(), 'a'],
  ['none that is closed', [cluster('a', { state: 'closed' }), cluster('b', { given: room(80, 80) })], wanted(), 'b'],
  ['none that drains', [cluster('a', { state: 'draining' })], wanted(), null],
  ['none that is another by a second name', [cluster('a', { isDuplicate: true })], wanted(), null],
  [
    'one that has all pools that are wanted',
    [cluster('a', { pools: ['docker'] }), cluster('b', { pools: ['docker', 'gpu'], given: room(80, 80) })],
    wanted(['docker', 'gpu']),
    'b',
  ],
  ['none where no one has them', [cluster('a', { pools: ['docker'] })], wanted(['gpu']), null],
  [
    'one that holds it before a larger one that is full',
    [cluster('a', { capacity: room(1000, 5) }), cluster('b')],
    wanted(),
    'b',
  ],
  ['one with room before one of which nobody knows', [cluster('a', { capacity: null }), cluster('b')], wanted(), 'b'],
  [
    'one of which nobody knows before one that is full',
    [cluster('a', { given: room(95, 95) }), cluster('b', { capacity: null })],
    wanted(),
    'b',
  ],
  [
    'one that is full before one that does not answer',
    [cluster('a', { answers: false }), cluster('b', { given: room(95, 95) })],
    wanted(),
    'b',
  ],
  ['one that does not answer before none', [cluster('a', { answers: false })], wanted(), 'a'],
])('a tenant is placed on %s', (_, candidates, wish, place) => {
  expect(choosePlace(candidates, wish)).toBe(place);
  expect(choosePlace(candidates.toReversed(), wish)).toBe(place);
});
