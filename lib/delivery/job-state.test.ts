import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type JobReading, mergeJob } from './job-state.ts';

const at = (second: number) => new Date(Date.UTC(2026, 10, 1, 10, 0, second));
const queued: JobReading = {
  state: 'queued',
  repository: 'acme/app',
  runId: '7',
  workflow: 'CI',
  name: 'build',
  conclusion: null,
  runnerName: null,
  queuedAt: at(0),
  startedAt: null,
  completedAt: null,
};
const running: JobReading = { ...queued, state: 'running', runnerName: 'r-1', startedAt: at(5) };
const completed: JobReading = { ...running, state: 'completed', conclusion: 'success', completedAt: at(60) };

const merged = (readings: JobReading[]) => readings.reduce((a, b) => mergeJob(a, b));

test('a job goes forward', () => {
  expect(merged([queued, running, completed])).toEqual(completed);
});

test('a job that was cancelled in the queue never ran', () => {
  const cancelled: JobReading = { ...queued, state: 'completed', conclusion: 'cancelled', completedAt: at(9) };
  expect(mergeJob(cancelled, queued)).toEqual(cancelled);
});

describe('F16, F17', () => {
  const instant = fc.integer({ min: 0, max: 100 }).map(at);
  const text = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: null });
  const reading: fc.Arbitrary<JobReading> = fc.record({
    state: fc.constantFrom('queued' as const, 'running' as const, 'completed' as const),
    repository: fc.constantFrom('acme/app', 'acme/renamed'),
    runId: text,
    workflow: text,
    name: text,
    conclusion: text,
    runnerName: text,
    queuedAt: instant,
    startedAt: fc.option(instant, { nil: null }),
    completedAt: fc.option(instant, { nil: null }),
  });

  test('every order of the same deliveries, each as often as it likes, ends in the same job', () => {
    const shuffled = fc
      .array(reading, { minLength: 1, maxLength: 6 })
      .chain((readings) =>
        fc.tuple(
          fc.constant(readings),
          fc.shuffledSubarray(readings, { minLength: readings.length }),
          fc.array(fc.constantFrom(...readings), { maxLength: 6 }),
        ),
      );
    fc.assert(
      fc.property(shuffled, ([readings, order, again]) => {
        expect(merged([...again, ...order])).toEqual(merged(readings));
      }),
    );
  });

  test('how the deliveries are grouped does not matter', () => {
    fc.assert(
      fc.property(reading, reading, reading, (a, b, c) => {
        expect(mergeJob(mergeJob(a, b), c)).toEqual(mergeJob(a, mergeJob(b, c)));
      }),
    );
  });

  test('the state never goes back', () => {
    const rank = { queued: 0, running: 1, completed: 2 };
    fc.assert(
      fc.property(reading, reading, (a, b) => {
        expect(rank[mergeJob(a, b).state]).toBe(Math.max(rank[a.state], rank[b.state]));
      }),
    );
  });
});
