import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Supervisor, type Running } from '#sandbox/supervisor.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A unit of one process that ends when told to. */
function fakeUnit(name: string, order: string[] = []) {
  let end: (ending: string) => void = () => {};
  const starts = vi.fn<() => void>();
  const start = async (): Promise<Running> => {
    starts();
    const exited = new Promise<string>((resolve) => (end = resolve));
    const stop = async () => void order.push(name);
    return { children: { [name]: { pid: 1, exited, isRunning: () => true, stop, logFile: '/none' } }, stop };
  };
  return { unit: { name, start }, starts, end: () => end('exit code 1') };
}

test('what ends by itself is reported and started again, and left alone when it keeps ending', async () => {
  const said: string[] = [];
  const supervisor = new Supervisor((line) => said.push(line));
  const { unit, starts, end } = fakeUnit('worker');
  await supervisor.add(unit);
  for (let i = 0; i < 6; i++) {
    end();
    await vi.advanceTimersByTimeAsync(10_000);
  }
  expect(starts).toHaveBeenCalledTimes(6);
  expect(said[0]).toContain('worker ended by itself (exit code 1)');
  expect(said.at(-1)).toBe('worker has failed 5 times and stays down.');
});

test('failures long ago do not count', async () => {
  const supervisor = new Supervisor(() => {});
  const { unit, starts, end } = fakeUnit('worker');
  await supervisor.add(unit);
  for (let i = 0; i < 8; i++) {
    end();
    await vi.advanceTimersByTimeAsync(10 * 60_000);
  }
  expect(starts).toHaveBeenCalledTimes(9);
});

test('units stop in the reverse of the order in which they started, and stay stopped', async () => {
  const order: string[] = [];
  const supervisor = new Supervisor(() => {});
  const first = fakeUnit('postgres', order);
  const second = fakeUnit('web', order);
  await supervisor.add(first.unit);
  await supervisor.add(second.unit);
  await supervisor.stopAll();
  first.end();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(order).toEqual(['web', 'postgres']);
  expect(first.starts).toHaveBeenCalledTimes(1);
});
