import { expect, test } from 'vitest';
import { badge } from './badge.ts';
import { proofEveryMs, standingOf } from './proof-rows.ts';

const now = new Date('2026-11-25T12:00:00Z');
const before = (ms: number) => new Date(now.getTime() - ms);

test.each([
  ['never run', null, 'none'],
  ['under way', { state: 'running', endedAt: null }, 'none'],
  ['held just now', { state: 'held', endedAt: before(0) }, 'held'],
  ['held as long ago as may be', { state: 'held', endedAt: before(2 * proofEveryMs) }, 'held'],
  ['held longer ago', { state: 'held', endedAt: before(2 * proofEveryMs + 1) }, 'stale'],
  ['broken, however long ago', { state: 'broken', endedAt: before(9 * proofEveryMs) }, 'broken'],
])('a proof that was %s', (_, last, standing) => expect(standingOf(last, now)).toBe(standing));

test('the badge says in words what its colour says', () => {
  const svg = badge('held', '2026-11-25');
  expect(svg).toMatch(/^<svg [^>]*role="img" aria-label="runners and caches: proven 2026-11-25">/);
  expect(svg).toContain('<title>runners and caches: proven 2026-11-25</title>');
  expect(badge('none', null)).toContain('not proven yet');
  const colours = (['held', 'broken', 'stale', 'none'] as const).map(
    (each) => /fill="(#\w+)"\/><g|d="[^"]*" fill="(#\w+)"/.exec(badge(each, null))?.[2],
  );
  expect(new Set(colours).size).toBe(4);
});
